import { parseJsonText } from "../../stream/codecs/json.ts";
import { isArray, isObject, type Value } from "../../stream/value.ts";
import type { Rejected } from "../api.ts";

/** The same as `Parsed` of the stream code. */
type ParsedRequest<T> =
  | { readonly ok: true; readonly request: T }
  | { readonly ok: false; readonly path: string; readonly message: string };

type BodyRejected = Rejected<"invalid_json" | "invalid_field" | "missing_field">;
export type ReadBody<T> = { readonly ok: true; readonly request: T } | BodyRejected;

/** Parses a body. An error names the wrong field by its path. */
export function readStreamBody<T>(
  text: string,
  parse: (body: Value) => ParsedRequest<T>,
): ReadBody<T> {
  const body = parseJsonText(text);
  if (body === undefined) return { ok: false, code: "invalid_json" };
  const parsed = parse(body);
  if (parsed.ok) return parsed;
  const { path, message } = parsed;
  if (path === "") return { ok: false, code: "invalid_json", message: `The body ${message}` };
  const details = { field: path };
  if (isAbsentAt(body, path)) {
    const required = `Field "${path}" is required: it ${message}`;
    return { ok: false, code: "missing_field", message: required, details };
  }
  return { ok: false, code: "invalid_field", message: `Field "${path}" ${message}`, details };
}

/** Formats a path as in requests: names joined by dots, positions in brackets. */
function isAbsentAt(body: Value, path: string): boolean {
  let value: Value | undefined = body;
  for (const part of path.split(/[.[\]]+/).filter((piece) => piece !== "")) {
    if (isArray(value)) value = value[Number(part)];
    else if (isObject(value) && Object.hasOwn(value, part)) value = value[part];
    else return true;
  }
  return value === undefined || value === null;
}
