/**
 * Values of a decoded record. A `bigint` is used only for an integer outside ±(2^53−1), so that other
 * integers are plain numbers; `toInteger` keeps that rule. Objects are JSON objects whose own keys
 * are fields, read with `Object.hasOwn` because a key may be `__proto__`.
 */
export type Value = null | boolean | number | bigint | string | readonly Value[] | ValueObject;
export type ValueObject = { readonly [field: string]: Value };

/** A field path split at its dots; each part is a key of an object. */
export type Path = readonly string[];

const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** The one form of an integer: a number where that is exact, else a bigint. */
export function toInteger(value: bigint): number | bigint {
  return value >= -SAFE_MAX && value <= SAFE_MAX ? Number(value) : value;
}

export function isObject(value: Value | undefined): value is ValueObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An object for fields of any name: without a prototype, `__proto__` is a key like any other. */
export function newObject(): Record<string, Value> {
  return Object.create(null) as Record<string, Value>;
}

/** @returns undefined where a part of the path is missing or is not an object. */
export function valueAt(root: Value, path: Path): Value | undefined {
  let value: Value | undefined = root;
  for (const part of path) {
    if (!isObject(value) || !Object.hasOwn(value, part)) return undefined;
    value = value[part];
  }
  return value;
}

/** A number that arithmetic can use: NaN and the infinities are not. */
export function isNumeric(value: Value | undefined): value is number | bigint {
  return typeof value === "bigint" || (typeof value === "number" && Number.isFinite(value));
}

/**
 * Text that is equal exactly for equal values: 7 and 7.0 are one, 7 and "7" are two, objects with
 * the same fields in another order are one. An infinity (JSON's 1e400) is as null, which is how it
 * prints. Used as the key of maps.
 */
export function identityOf(value: Value | undefined): string {
  if (value === null || value === undefined) return "n";
  if (typeof value === "string") return `s${value}`;
  if (typeof value === "number") return Number.isFinite(value) ? `d${digits(value)}` : "n";
  if (typeof value === "bigint") return `d${value}`;
  if (typeof value === "boolean") return value ? "t" : "f";
  if (isArray(value)) return `a${identityOfAll(value)}`;
  const keys = Object.keys(value).sort();
  return `o${joinParts(keys.flatMap((key) => [key, identityOf(value[key])]))}`;
}

/** The identity of several values together; never equal to that of another list. */
export function identityOfAll(values: readonly (Value | undefined)[]): string {
  return joinParts(values.map(identityOf));
}

function joinParts(parts: readonly string[]): string {
  let text = "";
  for (const part of parts) text += `${part.length}:${part}`;
  return text;
}

/** A double beyond 2^53 is an integer; its digits must equal those of the same bigint. */
function digits(value: number): string {
  if (Number.isSafeInteger(value) || !Number.isInteger(value)) return String(value);
  return BigInt(value).toString();
}

export function isArray(value: Value | undefined): value is readonly Value[] {
  return Array.isArray(value);
}

export function equalValues(a: Value, b: Value): boolean {
  if (a === b) return true;
  if (typeof a === "object" || typeof b === "object") {
    return typeof a === typeof b && a !== null && b !== null && identityOf(a) === identityOf(b);
  }
  // A double and a bigint can be the same number. Strings never equal numbers here.
  return isNumeric(a) && isNumeric(b) && compareNumbers(a, b) === 0;
}

/** JavaScript compares a number with a bigint exactly. */
export function compareNumbers(a: number | bigint, b: number | bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** @returns null where two values have no order: other types than two numbers or two strings. */
export function compareOrNull(a: Value, b: Value): number | null {
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  if (isNumber(a) && isNumber(b)) {
    return Number.isNaN(a) || Number.isNaN(b) ? null : compareNumbers(a, b);
  }
  return null;
}

function isNumber(value: Value): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

const RANKS: Readonly<Record<string, number>> = { boolean: 1, number: 2, bigint: 2, string: 3 };
const rankOf = (value: Value): number => (value === null ? 0 : (RANKS[typeof value] ?? 4));

/** A total order over all values: null, false, true, numbers, strings, then the rest by identity. */
export function compareAny(a: Value, b: Value): number {
  const rank = rankOf(a) - rankOf(b);
  if (rank !== 0) return rank;
  const order = compareOrNull(a, b);
  if (order !== null) return order;
  const left = identityOf(a);
  const right = identityOf(b);
  return left < right ? -1 : left > right ? 1 : 0;
}

const BYTES_PER_NODE = 32;

/** About how many bytes of memory a value keeps, for the bounds of a request. */
export function memoryOf(value: Value | undefined): number {
  if (typeof value === "string") return BYTES_PER_NODE + value.length * 2;
  if (typeof value === "bigint") return BYTES_PER_NODE + value.toString(16).length;
  if (typeof value !== "object" || value === null) return BYTES_PER_NODE;
  let sum = BYTES_PER_NODE;
  if (isArray(value)) for (const item of value) sum += memoryOf(item);
  else for (const key of Object.keys(value)) sum += key.length * 2 + memoryOf(value[key]);
  return sum;
}
