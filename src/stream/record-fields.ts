/** Fields of a record besides its value: `$key`, `$offset`, `$timestamp_ms`, `$headers.<name>`. */
import { fromUtf8 } from "../lib/bytes.ts";
import { decodeHeaders } from "../record/headers.ts";
import type { RecordSource } from "./record-feed.ts";
import { isObject, newObject, type Path, type Value, type ValueObject } from "./value.ts";

const HEADERS_PREFIX = "$headers.";
const NAMES = ["$key", "$offset", "$timestamp_ms", "$headers"];

/** Names of headers may have dots, so what follows `$headers.` is one name. Null: another field. */
export function headerPath(text: string): Path | null {
  if (!text.startsWith(HEADERS_PREFIX) || text.length === HEADERS_PREFIX.length) return null;
  return ["$headers", text.slice(HEADERS_PREFIX.length).toLowerCase()];
}

/** Tells whether a path names a field of the record instead of one of its value. */
export const namesRecord = (paths: readonly (Path | null)[]): boolean =>
  paths.some((path) => NAMES.includes(path?.[0] ?? ""));

/**
 * Adds the fields of the record to its value. They hide fields of the value that have the same
 * name. A record without a key, or whose key is not UTF-8, has no `$key`.
 */
export function withRecordFields(value: Value, record: RecordSource): ValueObject {
  const fields = newObject();
  if (isObject(value)) Object.assign(fields, value);
  for (const name of NAMES) delete fields[name];
  const { bytes, keyStart, keyEnd, headersStart, headersEnd } = record;
  const key = keyStart < 0 ? null : textOrNull(bytes.subarray(keyStart, keyEnd));
  if (key !== null) fields["$key"] = key;
  fields["$offset"] = record.offset;
  fields["$timestamp_ms"] = record.timestampMs;
  if (headersEnd > headersStart) {
    const headers = newObject();
    for (const { name, value: text } of decodeHeaders(bytes, headersStart, headersEnd)) {
      headers[name] = text;
    }
    fields["$headers"] = headers;
  }
  return fields;
}

function textOrNull(bytes: Uint8Array): string | null {
  try {
    return fromUtf8(bytes);
  } catch {
    return null;
  }
}
