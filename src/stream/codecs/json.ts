import type { Value } from "../value.ts";

/** Deeper documents do not decode: everything after this walks values by recursion. */
export const JSON_DEPTH_MAX = 512;
/** A document with a longer integer does not decode: reading it would take too long. */
export const INTEGER_DIGITS_MAX = 10_000;
/** The shortest integer beyond 2^53 has so many digits. */
const LONG_DIGITS = 16;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * A JSON document with its integers exact. A byte order mark before it is skipped.
 *
 * @returns undefined if the bytes are not one JSON document in UTF-8, too deep, or hold an integer
 * of more than `INTEGER_DIGITS_MAX` digits.
 */
export function decodeJson(bytes: Uint8Array, from: number, end: number): Value | undefined {
  const hasMark = bytes[from] === 0xef && bytes[from + 1] === 0xbb && bytes[from + 2] === 0xbf;
  const start = hasMark ? from + 3 : from;
  if (end - start > JSON_DEPTH_MAX * 2 && isTooDeep(bytes, start, end)) return undefined;
  try {
    const text = decoder.decode(bytes.subarray(start, end));
    if (!hasLongDigits(bytes, start, end)) return JSON.parse(text) as Value;
    return JSON.parse(text, exactInteger) as Value;
  } catch {
    return undefined;
  }
}

/** The same for text, such as a request's body, whose filter values must be exact too. */
export function parseJsonText(text: string): Value | undefined {
  const bytes = new TextEncoder().encode(text);
  return decodeJson(bytes, 0, bytes.length);
}

/**
 * A run of 16 digits covers one position out of every 16, so only those are looked at: this costs
 * a sixteenth of a scan, and most records have no such number.
 */
function hasLongDigits(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start + LONG_DIGITS - 1; at < end; at += LONG_DIGITS) {
    if (!isDigit(bytes[at])) continue;
    let first = at;
    while (first > start && isDigit(bytes[first - 1])) first--;
    let last = at;
    while (last + 1 < end && isDigit(bytes[last + 1])) last++;
    if (last - first + 1 >= LONG_DIGITS) return true;
  }
  return false;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 48 && byte <= 57;
}

type ReviverContext = { readonly source?: string };

function exactInteger(_key: string, value: unknown, context?: ReviverContext): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context?.source ?? "";
  if (!/^-?\d+$/.test(source)) return value;
  if (source.length > INTEGER_DIGITS_MAX) throw new RangeError("an integer is too long");
  return BigInt(source);
}

/** Counts brackets that open, first all of them, then, if they are many, outside strings only. */
function isTooDeep(bytes: Uint8Array, start: number, end: number): boolean {
  let opening = 0;
  for (let at = start; at < end; at++) if (((bytes[at] ?? 0) | 32) === OPENING) opening++;
  return opening > JSON_DEPTH_MAX && depthOf(bytes, start, end) > JSON_DEPTH_MAX;
}

/** `[` and `{` differ in the bit 32 only, and so do `]` and `}`. */
const OPENING = 0x7b;
const CLOSING = 0x7d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

function depthOf(bytes: Uint8Array, start: number, end: number): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) inString = !inString;
    else if (inString) at += byte === BACKSLASH ? 1 : 0;
    else if ((byte | 32) === OPENING) deepest = Math.max(deepest, ++depth);
    else if ((byte | 32) === CLOSING) depth--;
  }
  return deepest;
}
