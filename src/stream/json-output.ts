import { isArray, isObject, type Value } from "./value.ts";

/** Contents of an answer: values, and plain objects of values, with optional fields. */
export type JsonOutput =
  | Value
  | undefined
  | readonly JsonOutput[]
  | { readonly [field: string]: JsonOutput };

/**
 * JSON text as `JSON.stringify` prints it, but a bigint prints its digits as a number. Fields keep
 * the order in which they were set; undefined fields are left out; NaN and infinities are null.
 */
export function toJson(value: JsonOutput): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") return Number.isFinite(value) ? String(value + 0) : "null";
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (value === null || value === undefined) return "null";
  if (isArray(value as Value)) return arrayJson(value as readonly JsonOutput[]);
  return objectJson(value as { readonly [field: string]: JsonOutput });
}

function arrayJson(items: readonly JsonOutput[]): string {
  let text = "[";
  for (let i = 0; i < items.length; i++) text += (i === 0 ? "" : ",") + toJson(items[i]);
  return `${text}]`;
}

function objectJson(fields: { readonly [field: string]: JsonOutput }): string {
  let text = "";
  for (const key of Object.keys(fields)) {
    const value = fields[key];
    if (value === undefined) continue;
    text += `${text === "" ? "" : ","}${JSON.stringify(key)}:${toJson(value)}`;
  }
  return `{${text}}`;
}

/** The same text for equal documents: without spaces, fields of objects in order of their names. */
export function canonicalJson(value: Value): string {
  if (isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (!isObject(value)) return toJson(value);
  const fields = Object.keys(value).sort();
  return `{${fields.map((name) => `${JSON.stringify(name)}:${canonicalJson(value[name] ?? null)}`).join(",")}}`;
}
