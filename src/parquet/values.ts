/** Conversion of decoded values to the cells of typed columns. A value of another type is null. */
import { utf8 } from "../lib/bytes.ts";
import { toJson } from "../stream/json-output.ts";
import { type Value, valueAt } from "../stream/value.ts";
import type { TypedColumn } from "./format.ts";

export type Cell = Uint8Array | bigint | number | boolean | null;

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/** @param root the value of the record, with the fields of the record if the format names some. */
export function cellOf(root: Value, { field, type, readTime }: TypedColumn): Cell {
  const value = valueAt(root, field);
  if (value === undefined || value === null) return null;
  switch (type) {
    case "string":
      return utf8(typeof value === "string" ? value : toJson(value));
    case "json":
      return utf8(toJson(value));
    case "int64":
      return int64(value);
    case "double":
      return typeof value === "number" || typeof value === "bigint" ? Number(value) : null;
    case "boolean":
      return typeof value === "boolean" ? value : null;
    case "timestamp": {
      const ms = readTime(root, 0);
      return ms === null ? null : BigInt(ms);
    }
  }
}

function int64(value: Value): bigint | null {
  if (typeof value === "number") {
    if (!Number.isInteger(value)) return null;
    return inRange(BigInt(value));
  }
  return typeof value === "bigint" ? inRange(value) : null;
}

const inRange = (value: bigint): bigint | null =>
  value >= INT64_MIN && value <= INT64_MAX ? value : null;
