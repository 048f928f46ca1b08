/** JSON in which byte arrays are objects with one field, `$bytes`, in base64. */
import { DecodeError } from "../../lib/bytes.ts";

const BYTES = "$bytes";
/** In the text of a string, the quotes would be escaped. */
const MARK = `"${BYTES}"`;

export const writeJson = (value: unknown): string =>
  // A function that is called for each value costs more than all else.
  holdsBytes(value) ? JSON.stringify(value, withBytes) : JSON.stringify(value);

/** @throws DecodeError if the text is not JSON. */
export function readJson(text: string): unknown {
  try {
    return text.includes(MARK) ? JSON.parse(text, asBytes) : JSON.parse(text);
  } catch (cause) {
    throw new DecodeError("a value is not JSON", { cause });
  }
}

function holdsBytes(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return value instanceof Uint8Array || Object.values(value).some(holdsBytes);
}

const withBytes = (_: string, value: unknown): unknown =>
  value instanceof Uint8Array ? { [BYTES]: value.toBase64() } : value;

function asBytes(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !(BYTES in value)) return value;
  return Uint8Array.fromBase64(String(value[BYTES]));
}
