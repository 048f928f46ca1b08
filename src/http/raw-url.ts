/**
 * Own reading of path and query from the raw URL. The parsers at hand turn malformed escapes into
 * U+FFFD (so that two keys become one) and let the last of repeated parameters win.
 */
import { fromUtf8 } from "../lib/bytes.ts";
import { nearest } from "../lib/nearest.ts";
import { parseDecimal } from "../lib/parse.ts";
import { ApiError, shown } from "./errors.ts";

/** Where the path begins in `http://host/path`; 0 where the URL is only a path. */
export const pathStartOf = (url: string): number =>
  url.charCodeAt(0) === SLASH ? 0 : url.indexOf("/", "https://".length);

/** Where the query's question mark stands, or the end. */
export function pathEndOf(url: string, start: number): number {
  const mark = url.indexOf("?", start);
  return mark < 0 ? url.length : mark;
}

const SLASH = 47;
const PERCENT = 37;
const PLUS = 43;
const SPACE = 32;
const EQUALS = 61;

/**
 * The `n`th segment (from 0) of the path between `start` and `end`, still encoded.
 *
 * @param rest true: everything from that segment on, slashes included.
 */
export function pathSegment(
  url: string,
  start: number,
  end: number,
  n: number,
  rest: boolean,
): string {
  let at = start + 1;
  for (let i = 0; i < n; i++) {
    const slash = url.indexOf("/", at);
    if (slash < 0 || slash >= end) return "";
    at = slash + 1;
  }
  const slash = rest ? -1 : url.indexOf("/", at);
  return url.slice(at, slash < 0 || slash > end ? end : slash);
}

/**
 * Decodes percent escapes once.
 *
 * @param what names the value in the error message.
 * @param plusIsSpace as in queries, which form encoders write.
 * @throws ApiError for a malformed escape or bytes that are not UTF-8.
 */
export function decodePercent(raw: string, what: string, plusIsSpace: boolean): string {
  if (!hasEscapes(raw, plusIsSpace)) return raw;
  const bytes = new Uint8Array(raw.length);
  let length = 0;
  for (let i = 0; i < raw.length; i++) {
    let byte = raw.charCodeAt(i);
    if (byte === PERCENT) {
      byte = hexByte(raw, i + 1);
      if (byte < 0) throw badEscape(what, raw, "a % must be followed by two hexadecimal digits");
      i += 2;
    } else if (byte === PLUS && plusIsSpace) byte = SPACE;
    else if (byte > 127) throw badEscape(what, raw, "only ASCII may stand in a URL");
    bytes[length++] = byte;
  }
  return utf8OrThrow(bytes.subarray(0, length), what, raw);
}

// A loop, since values are mostly too short for the native search to pay.
function hasEscapes(raw: string, plusIsSpace: boolean): boolean {
  for (let i = 0; i < raw.length; i++) {
    const code = raw.charCodeAt(i);
    if (code === PERCENT || (code === PLUS && plusIsSpace)) return true;
  }
  return false;
}

function utf8OrThrow(bytes: Uint8Array, what: string, raw: string): string {
  let text: string;
  try {
    text = fromUtf8(bytes);
  } catch {
    throw badEscape(what, raw, "the decoded bytes are not UTF-8");
  }
  // The HTTP parser turns raw bytes that are not UTF-8 into U+FFFD before we see them.
  if (text.includes("\ufffd")) {
    throw badEscape(what, raw, "it holds U+FFFD, the mark of text that was damaged on its way");
  }
  return text;
}

const badEscape = (what: string, raw: string, why: string): ApiError =>
  new ApiError("invalid_percent_encoding", `${what} is ${shown(raw)}: ${why}`);

function hexByte(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at));
  const low = hexDigit(text.charCodeAt(at + 1));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

export type QueryValues = readonly (string | null)[];

/** Parameters whose names begin with a prefix; `name` is what follows it. */
export type PrefixedParameters = {
  readonly prefix: string;
  readonly found: { readonly name: string; readonly value: string }[];
};

/**
 * Values of the known parameters, in the order of `names`; null where absent.
 *
 * @param from where the query begins, after the question mark.
 * @param strict an unknown parameter is an error instead of being ignored.
 * @param prefixed collects those that are known by their prefix.
 */
export function readQuery(
  url: string,
  from: number,
  names: readonly string[],
  strict: boolean,
  prefixed: PrefixedParameters | null = null,
): QueryValues {
  const values: (string | null)[] = [];
  for (let i = 0; i < names.length; i++) values.push(null);
  let at = from;
  while (at < url.length) {
    let end = url.indexOf("&", at);
    if (end < 0) end = url.length;
    if (end > at) readPair(url, at, end, names, strict, values, prefixed);
    at = end + 1;
  }
  return values;
}

function readPair(
  url: string,
  at: number,
  end: number,
  names: readonly string[],
  strict: boolean,
  values: (string | null)[],
  prefixed: PrefixedParameters | null,
): void {
  let index = plainNameAt(url, at, end, names);
  let equals = at;
  if (index >= 0) equals += (names[index] as string).length;
  else {
    equals = url.indexOf("=", at);
    if (equals < 0 || equals > end) equals = end;
    const name = decodePercent(url.slice(at, equals), "A query parameter's name", true);
    index = names.indexOf(name);
    if (index < 0) {
      if (takesPrefixed(prefixed, name, url, equals, end) || !strict) return;
      const known = prefixed === null ? names : [...names, `${prefixed.prefix}<name>`];
      throw new ApiError("unknown_parameter", unknownParameter(name, known));
    }
  }
  const name = names[index] as string;
  if (values[index] !== null) {
    throw new ApiError("repeated_parameter", `Query parameter ${shown(name)} was given twice`);
  }
  values[index] = decodePercent(url.slice(equals + 1, end), name, true);
}

function takesPrefixed(
  prefixed: PrefixedParameters | null,
  name: string,
  url: string,
  equals: number,
  end: number,
): boolean {
  if (prefixed === null || !name.startsWith(prefixed.prefix)) return false;
  const value = decodePercent(url.slice(equals + 1, end), name, true);
  prefixed.found.push({ name: name.slice(prefixed.prefix.length), value });
  return true;
}

/** Index of the name that stands at `at` as it is, followed by "="; -1 if none does. */
function plainNameAt(url: string, at: number, end: number, names: readonly string[]): number {
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    const equals = at + name.length;
    if (equals < end && url.charCodeAt(equals) === EQUALS && url.startsWith(name, at)) return i;
  }
  return -1;
}

const unknownParameter = (name: string, names: readonly string[]): string =>
  `Unknown query parameter ${shown(name)}; ${knownNames(name, names)}`;

/** For the message about an unknown name: the nearest known one, and all that are known. */
export function knownNames(name: string, names: readonly string[]): string {
  const meant = nearest(name, names);
  const known = `allowed: ${names.join(", ") || "none"}`;
  return meant === null
    ? known
    : `did you mean ${shown(meant)}? ${known[0]?.toUpperCase()}${known.slice(1)}`;
}

/** @throws ApiError for anything but a decimal integer from `min` to `max`. */
export function decimal(
  text: string,
  name: string,
  min = 0,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  const value = parseDecimal(text);
  if (value !== null && value >= min && value <= max) return value;
  throw new ApiError(
    "invalid_parameter",
    `${name} is ${shown(text)}: it must be a decimal integer from ${min} to ${max}`,
  );
}

/** @returns the value if it is one of `allowed`. */
export function oneOf<T extends string>(text: string, name: string, allowed: readonly T[]): T {
  for (const value of allowed) if (value === text) return value;
  throw new ApiError(
    "invalid_parameter",
    `${name} is ${shown(text)}: it must be ${allowed.map((value) => `"${value}"`).join(" or ")}`,
  );
}
