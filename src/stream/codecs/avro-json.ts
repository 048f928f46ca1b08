import {
  identityOf,
  isArray,
  isObject,
  newObject,
  type Value,
  type ValueObject,
} from "../value.ts";
import type { AvroField, AvroNode, AvroPrimitive } from "./avro-schema.ts";
import { type NodeBudget, Undecodable } from "./decoder.ts";

/** How a JSON document is read. */
export type AvroJsonOptions = {
  readonly budget: NodeBudget;
  readonly applyDefaults: boolean;
  /** Further names of fields, beside the aliases in the schema. */
  readonly aliases: ReadonlyMap<string, readonly string[]>;
  /** While a schema is being made: reads a default that another default needs. */
  readonly resolve?: (field: AvroField) => void;
};

/**
 * Reads a JSON document by an Avro schema. Unions may be bare or wrapped in `{"branch": value}`.
 *
 * @throws Undecodable if it does not fit.
 */
export function readAvroJson(node: AvroNode, json: Value, options: AvroJsonOptions): Value {
  options.budget.enter();
  const value = readNode(node, json, options);
  options.budget.leave();
  return value;
}

function readNode(node: AvroNode, json: Value, options: AvroJsonOptions): Value {
  switch (node.kind) {
    case "record":
      return readRecord(node.fields, json, options);
    case "union":
      return readUnion(node, json, options);
    case "array":
      if (!isArray(json)) throw misfit(node.kind);
      return json.map((item) => readAvroJson(node.items, item, options));
    case "map":
      return readMap(node.items, json, options);
    case "enum":
      if (typeof json !== "string" || !node.symbols.includes(json)) throw misfit(node.kind);
      return json;
    case "fixed":
      if (!isByteText(json) || json.length !== node.size) throw misfit(node.kind);
      return json;
    default:
      return readPrimitive(node.kind, json);
  }
}

function misfit(kind: string): Undecodable {
  return new Undecodable(`no ${kind}`);
}

function readRecord(fields: readonly AvroField[], json: Value, options: AvroJsonOptions): Value {
  if (!isObject(json)) throw misfit("record");
  const out = newObject();
  for (const field of fields) {
    const given = lookUp(json, field, options);
    if (given !== undefined) {
      out[field.name] = readAvroJson(field.node, given, options);
      continue;
    }
    if (field.rawDefault === undefined) throw misfit(`field ${field.name}`);
    if (!options.applyDefaults) continue;
    if (field.fallback === undefined) resolveNow(field, options);
    else options.budget.spend(field.fallbackNodes);
    if (field.fallback !== undefined) out[field.name] = field.fallback;
  }
  return out;
}

/** Depth and parts of a default inside a default count in the same budget. */
function resolveNow(field: AvroField, options: AvroJsonOptions): void {
  options.budget.enter();
  options.resolve?.(field);
  options.budget.leave();
}

function lookUp(json: ValueObject, field: AvroField, options: AvroJsonOptions): Value | undefined {
  if (Object.hasOwn(json, field.name)) return json[field.name];
  for (const name of field.aliases) if (Object.hasOwn(json, name)) return json[name];
  for (const name of options.aliases.get(field.name) ?? []) {
    if (Object.hasOwn(json, name)) return json[name];
  }
  return undefined;
}

function readMap(items: AvroNode, json: Value, options: AvroJsonOptions): Value {
  if (!isObject(json)) throw misfit("map");
  const out = newObject();
  for (const key of Object.keys(json)) {
    out[key] = readAvroJson(items, json[key] ?? null, options);
  }
  return out;
}

type UnionNode = Extract<AvroNode, { kind: "union" }>;

function readUnion(node: UnionNode, json: Value, options: AvroJsonOptions): Value {
  const wrapped = readWrapped(node, json, options);
  return wrapped === undefined ? readBare(node, json, options) : wrapped;
}

function readWrapped(node: UnionNode, json: Value, options: AvroJsonOptions): Value | undefined {
  if (!isObject(json)) return undefined;
  const keys = Object.keys(json);
  const name = keys[0];
  if (keys.length !== 1 || name === undefined) return undefined;
  const branch = node.branches[node.names.findIndex((names) => names.includes(name))];
  return branch === undefined ? undefined : tryRead(branch, json[name] ?? null, options);
}

/** The branch is not named, so it must not matter: all branches that fit give the same value. */
function readBare(node: UnionNode, json: Value, options: AvroJsonOptions): Value {
  let found: Value | undefined;
  for (const branch of node.branches) {
    const value = tryRead(branch, json, options);
    if (value === undefined) continue;
    if (found !== undefined && identityOf(found) !== identityOf(value)) {
      throw new Undecodable("the value fits several branches");
    }
    found ??= value;
    // Null fits no other type, and `found` could not tell it from nothing.
    if (value === null) return null;
  }
  if (found === undefined) throw misfit("union");
  return found;
}

function tryRead(branch: AvroNode, json: Value, options: AvroJsonOptions): Value | undefined {
  const depth = options.budget.depth;
  try {
    return readAvroJson(branch, json, options);
  } catch (error) {
    if (!(error instanceof Undecodable) || options.budget.isSpent) throw error;
    options.budget.depth = depth;
    return undefined;
  }
}

const INT_MAX = 2 ** 31 - 1;
const LONG_MAX = 2n ** 63n - 1n;

function readPrimitive(kind: AvroPrimitive, json: Value): Value {
  if (kind === "float") return finiteOrNull(Math.fround(floatOf(json)));
  if (kind === "double") return finiteOrNull(floatOf(json));
  if (!FITS[kind](json)) throw misfit(kind);
  return json;
}

const FITS: Readonly<Record<Exclude<AvroPrimitive, "float" | "double">, (json: Value) => boolean>> =
  {
    null: (json) => json === null,
    boolean: (json) => typeof json === "boolean",
    int: (json) => Number.isInteger(json) && isWithin(json, -INT_MAX - 1, INT_MAX),
    long: (json) =>
      Number.isSafeInteger(json) ||
      (typeof json === "bigint" && isWithin(json, -LONG_MAX - 1n, LONG_MAX)),
    string: (json) => typeof json === "string",
    bytes: isByteText,
  };

function isWithin<T extends number | bigint>(value: Value, low: T, high: T): boolean {
  return (typeof value === "number" || typeof value === "bigint") && value >= low && value <= high;
}

function floatOf(json: Value): number {
  if (typeof json === "number" || typeof json === "bigint") return Number(json);
  if (json === "NaN" || json === "Infinity" || json === "-Infinity") return Number(json);
  throw misfit("number");
}

/** NaN and infinities have no JSON: they are null. */
export function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** Avro writes bytes in JSON as text of the code points 0 to 255. */
function isByteText(json: Value): json is string {
  if (typeof json !== "string") return false;
  for (let i = 0; i < json.length; i++) if (json.charCodeAt(i) > 255) return false;
  return true;
}
