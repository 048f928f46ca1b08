/** Reads a JSON body by its schema, strictly: nothing is converted, rounded or dropped unseen. */
import type { Static, TObject, TProperties, TSchema } from "@sinclair/typebox";
import { JsonNumber } from "../lib/json.ts";
import { ApiError, type ErrorCode, shown } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";
import { knownNames } from "./raw-url.ts";

/**
 * @returns an object with the fields of the schema; absent optional ones are absent.
 * @param ignoresUnknown a field that the schema does not have is skipped instead of being an error.
 * @throws ApiError that names the field, its value and what is allowed.
 */
export function readFields<T extends TObject<TProperties>>(
  schema: T,
  body: JsonObject,
  ignoresUnknown: boolean,
): Static<T> {
  const properties: TProperties = schema.properties;
  if (!ignoresUnknown) refuseUnknownFields(schema, body);
  const required = new Set(schema.required ?? []);
  const fields: Record<string, Json> = {};
  for (const [name, property] of Object.entries(properties)) {
    const value = body.get(name);
    if (value !== undefined) fields[name] = checked(name, value, property);
    else if (required.has(name)) throw missing(name);
  }
  return fields as Static<T>;
}

/**
 * Looks for fields that the schema does not have, in nested objects and lists too. Values of a wrong
 * type are left to whoever reads them.
 *
 * @throws ApiError `unknown_field` that names the field by its path, such as `source.ofset`.
 */
export function refuseUnknownFields(schema: TSchema, value: Json, path = ""): void {
  if (Array.isArray(value)) {
    const items: TSchema | undefined = schema["items"];
    if (items === undefined) return;
    for (const [at, item] of value.entries()) refuseUnknownFields(items, item, `${path}[${at}]`);
    return;
  }
  if (!(value instanceof Map)) return;
  const known = knownFields(schema);
  if (known === null) return;
  for (const [name, field] of value as JsonObject) {
    const property = known.get(name);
    const fieldPath = path === "" ? name : `${path}.${name}`;
    if (property === undefined) throw unknownField(name, fieldPath, [...known.keys()]);
    refuseUnknownFields(property, field, fieldPath);
  }
}

/** The fields of an object, of any of the alternatives if there are some; null: any field is known. */
function knownFields(schema: TSchema): ReadonlyMap<string, TSchema> | null {
  const alternatives: readonly TSchema[] = schema["anyOf"] ?? [schema];
  const known = new Map<string, TSchema>();
  for (const { properties } of alternatives) {
    if (properties === undefined) return null;
    for (const [name, each] of Object.entries(properties as TProperties)) known.set(name, each);
  }
  return known;
}

const unknownField = (name: string, path: string, names: readonly string[]): ApiError =>
  new ApiError("unknown_field", `Unknown field ${shown(path)}; ${knownNames(name, names)}`);

const missing = (name: string): ApiError =>
  name === "topic" || name === "name"
    ? new ApiError("missing_topic")
    : new ApiError("missing_field", `Field "${name}" is required`);

function checked(name: string, value: Json, schema: TSchema): Json {
  const integer = nullableInteger(schema);
  if (integer !== null) return value === null ? null : checkedInteger(name, value, integer, true);
  if (schema["anyOf"] !== undefined) return checkedChoice(name, value, schema["anyOf"]);
  switch (schema["type"]) {
    case "array":
      return checkedList(name, value, schema);
    case "integer":
      return checkedInteger(name, value, schema);
    case "boolean":
      if (typeof value === "boolean") return value;
      throw invalid(name, value, "true or false");
    case "object":
      return checkedObject(name, value, schema);
    case "string":
      return checkedText(name, value, schema);
    default:
      // Any value is allowed. Its reader checks it.
      return value;
  }
}

function checkedText(name: string, value: Json, schema: TSchema): string {
  if (typeof value !== "string") throw invalid(name, value, "a string");
  const { maxLength = Number.POSITIVE_INFINITY } = schema as { maxLength?: number };
  if (value.length > maxLength) throw invalid(name, value, `at most ${maxLength} characters long`);
  const pattern: unknown = schema["pattern"];
  if (typeof pattern === "string") checkPattern(name, value, pattern);
  return value;
}

/** One of some texts, or null, or what the remaining alternative allows. */
function checkedChoice(name: string, value: Json, alternatives: readonly TSchema[]): Json {
  const texts = alternatives.map((each): unknown => each["const"]);
  if (texts.includes(value)) return value;
  if (value === null && alternatives.some(({ type }) => type === "null")) return null;
  const objects = alternatives.filter(({ type }) => type === "object");
  if (objects.length > 0) return checkedShape(name, value, texts, objects);
  const other = alternatives.find((each) => each["const"] === undefined && each["type"] !== "null");
  if (other !== undefined) return checked(name, value, other);
  throw invalid(name, value, texts.map((text) => JSON.stringify(text)).join(" or "));
}

/** An object with one of some fields, beside the texts that were compared before. */
function checkedShape(
  name: string,
  value: Json,
  texts: readonly unknown[],
  objects: readonly TSchema[],
): Json {
  const fieldsOf = ({ properties }: TSchema): string[] => Object.keys(properties as TProperties);
  const fits = (object: TSchema): boolean =>
    value instanceof Map && value.size === 1 && fieldsOf(object).some((field) => value.has(field));
  const object = objects.find(fits);
  if (object !== undefined) return checkedObject(name, value, object);
  const shapes = objects.flatMap(fieldsOf).map((field) => `{"${field}": …}`);
  const quoted = texts.filter((text) => text !== undefined).map((text) => JSON.stringify(text));
  throw invalid(name, value, [...quoted, ...shapes].join(" or "));
}

/** The fields of a nested object, as a plain object. */
function checkedObject(name: string, value: Json, schema: TSchema): Json {
  if (!(value instanceof Map)) throw invalid(name, value, "an object");
  if (schema["properties"] === undefined) return value;
  const required: readonly string[] = schema["required"] ?? [];
  const fields: Record<string, Json> = {};
  for (const [field, property] of Object.entries(schema["properties"] as TProperties)) {
    const path = `${name}.${field}`;
    const given = value.get(field);
    if (given !== undefined) fields[field] = checked(path, given, property);
    else if (required.includes(field)) throw missing(path);
  }
  // Callers see the type of the schema.
  return fields as unknown as Json;
}

function checkedList(name: string, value: Json, schema: TSchema): Json {
  const { minItems = 0, maxItems = 0 } = schema as { minItems?: number; maxItems?: number };
  const items: TSchema = schema["items"];
  if (!Array.isArray(value) || value.length < minItems || value.length > maxItems) {
    const text = Array.isArray(value) ? `a list of ${value.length}` : null;
    throw invalid(name, value, `a list of ${minItems} to ${maxItems}`, text);
  }
  return value.map((item: Json, at) =>
    isText(item, items) ? item : checked(`${name}[${at}]`, item, items),
  );
}

/** True for most items of a list of texts. Lists are long, and each name of an item costs time. */
const isText = (value: Json, { type, pattern, maxLength = 0 }: TSchema): boolean =>
  type === "string" &&
  pattern === undefined &&
  typeof value === "string" &&
  value.length <= Number(maxLength);

/** The integer of `integer | null`; null for any other schema. */
function nullableInteger(schema: TSchema): TSchema | null {
  const alternatives: readonly TSchema[] = schema["anyOf"] ?? [];
  const isNullable = alternatives.some(({ type }) => type === "null");
  return isNullable ? (alternatives.find(({ type }) => type === "integer") ?? null) : null;
}

function checkedInteger(name: string, value: Json, schema: TSchema, nullable = false): number {
  const minimum = Number(schema["minimum"]);
  const maximum = Number(schema["maximum"]);
  if (typeof value === "number" && value >= minimum && value <= maximum) return value;
  const orNull = nullable ? ", or null" : "";
  throw invalid(name, value, `a decimal integer from ${minimum} to ${maximum}${orNull}`);
}

function checkPattern(name: string, value: string, pattern: string): void {
  if (value !== "." && value !== ".." && new RegExp(pattern).test(value)) return;
  if (value === "" && (name === "topic" || name === "name")) throw missing(name);
  throw invalid(name, value, `a name that matches ${pattern} and is neither "." nor ".."`);
}

function invalid(
  name: string,
  value: Json,
  allowed: string,
  description: string | null = null,
): ApiError {
  const text = description ?? shownValue(value);
  return new ApiError(codeOf(name, value), `Field "${name}" is ${text}: it must be ${allowed}`);
}

function shownValue(value: Json): string {
  return value instanceof JsonNumber ? value.text.slice(0, 64) : shown(plain(value));
}

function codeOf(path: string, value: Json): ErrorCode {
  if (typeof value !== "string") return "invalid_field";
  const name = path.replace(/^topics\[\d+\]$/, "topic").replace(/^.*\./, "");
  if (name === "topic" || name === "name") return "invalid_topic";
  return name === "group" ? "invalid_group" : "invalid_field";
}

const plain = (value: Json): unknown =>
  value instanceof Map ? Object.fromEntries([...value.keys()].map((key) => [key, "…"])) : value;
