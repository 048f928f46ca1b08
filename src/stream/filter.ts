import {
  compareOrNull,
  equalValues,
  identityOf,
  isArray,
  type Path,
  type Value,
  valueAt,
} from "./value.ts";

export const FILTER_OPS = ["eq", "ne", "lt", "le", "gt", "ge", "in", "contains"] as const;
export type FilterOp = (typeof FILTER_OPS)[number];
export type Filter = { readonly field: Path; readonly op: FilterOp; readonly value: Value };

/** Says of the value of one field whether it passes. */
type Test = (actual: Value) => boolean;
export type CompiledFilter = { readonly field: Path; readonly test: Test };

export function compileFilter({ field, op, value }: Filter): CompiledFilter {
  return { field, test: testOf(op, value) };
}

/** All must hold. A missing field fails every filter, also `ne`. */
export function passes(record: Value, filters: readonly CompiledFilter[]): boolean {
  for (const { field, test } of filters) {
    const actual = valueAt(record, field);
    if (actual === undefined || !test(actual)) return false;
  }
  return true;
}

function testOf(op: FilterOp, wanted: Value): Test {
  switch (op) {
    case "eq":
      return (actual) => equalValues(actual, wanted);
    case "ne":
      return (actual) => !equalValues(actual, wanted);
    case "lt":
      return (actual) => (compareOrNull(actual, wanted) ?? 0) < 0;
    case "le":
      return (actual) => (compareOrNull(actual, wanted) ?? 1) <= 0;
    case "gt":
      return (actual) => (compareOrNull(actual, wanted) ?? 0) > 0;
    case "ge":
      return (actual) => (compareOrNull(actual, wanted) ?? -1) >= 0;
    case "in":
      return oneOf(isArray(wanted) ? wanted : []);
    case "contains":
      return (actual) => contains(actual, wanted);
  }
}

function oneOf(wanted: readonly Value[]): Test {
  const identities = new Set(wanted.map(identityOf));
  return (actual) => identities.has(identityOf(actual));
}

function contains(actual: Value, wanted: Value): boolean {
  if (typeof actual === "string") return typeof wanted === "string" && actual.includes(wanted);
  return isArray(actual) && actual.some((item) => equalValues(item, wanted));
}
