/** JSON in which byte arrays are objects with one field, `$bytes`, in base64. */
import { DecodeError } from "../../lib/bytes.ts";

const BYTES = "$bytes";

export const writeJson = (value: unknown): string => JSON.stringify(value, withBytes);

/** @throws DecodeError if the text is not JSON. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text, asBytes);
  } catch (cause) {
    throw new DecodeError("a value is not JSON", { cause });
  }
}

const withBytes = (_: string, value: unknown): unknown =>
  value instanceof Uint8Array ? { [BYTES]: value.toBase64() } : value;

function asBytes(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !(BYTES in value)) return value;
  return Uint8Array.fromBase64(String(value[BYTES]));
}
