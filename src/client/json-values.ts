/** Parses JSON of users without rounding: integers beyond 2^53 are `bigint`. */
import { type Json, JsonNumber, parseJson } from "./json-text.ts";

/** The shortest integer that a `number` cannot represent has this many digits. */
const LONG_INTEGER = /\d{16}/;

/**
 * As `JSON.parse`, but integers outside of ±(2^53−1) are `bigint` with all their digits. Numbers
 * with a fraction or an exponent are `number`.
 *
 * @throws SyntaxError if it is not JSON.
 */
export function parseExact(text: string): unknown {
  return LONG_INTEGER.test(text) ? exactValue(parseJson(text)) : JSON.parse(text);
}

function exactValue(json: Json): unknown {
  if (json instanceof JsonNumber) return numberOf(json.text);
  if (Array.isArray(json)) return json.map(exactValue);
  if (!(json instanceof Map)) return json;
  // Defines each field as its own property, so that a field named __proto__ is data too.
  return Object.fromEntries([...json].map(([name, item]) => [name, exactValue(item)]));
}

function numberOf(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) || !/^-?\d+$/.test(text) ? value : BigInt(text);
}

/**
 * As `JSON.stringify`, but a `bigint` is written as its digits.
 *
 * @returns undefined for a value that has no JSON, such as a function.
 */
export function stringifyExact(value: unknown): string | undefined {
  return holdsBigint(value) ? exactText(value) : JSON.stringify(value);
}

/** True if `JSON.stringify` cannot be used; it is preferred because of its rules for `toJSON`. */
function holdsBigint(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return typeof value === "bigint";
  return !isOwnJson(value) && Object.values(value).some(holdsBigint);
}

const isOwnJson = (value: object): boolean =>
  "toJSON" in value && typeof value.toJSON === "function";

function exactText(value: unknown): string | undefined {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map((item) => exactText(item) ?? "null").join(",")}]`;
  if (typeof value !== "object" || value === null || isOwnJson(value)) return JSON.stringify(value);
  const fields = Object.entries(value).flatMap(([name, item]) => {
    const text = exactText(item);
    return text === undefined ? [] : [`${JSON.stringify(name)}:${text}`];
  });
  return `{${fields.join(",")}}`;
}
