/**
 * Headers of a record as they are stored: for each header varint(name length), name,
 * varint(value length), value, in the order of the names. Names and values are UTF-8.
 */
import { fromUtf8, utf8, utf8Length, varintLength, writeVarint } from "../lib/bytes.ts";

export type Header = { readonly name: string; readonly value: string };

/** The headers of one record, encoded. */
export type EncodedHeaders = {
  readonly bytes: Uint8Array;
  /** Names and values, without framing. */
  readonly logicalBytes: number;
};

/** Bounds of the headers of one record. */
export const HEADERS_MAX = 64;
export const HEADER_BYTES_MAX = 16 * 1024;
export const HEADER_NAME_BYTES_MAX = 64;
/** Headers that the server adds to a record, such as the reason of a dead letter. */
export const ADDED_HEADERS_MAX = 16;

/** Headers of W3C Trace Context, which tracing libraries add to every request. */
export const TRACE_HEADERS = ["traceparent", "tracestate"] as const;

export const NO_HEADERS: EncodedHeaders = { bytes: new Uint8Array(0), logicalBytes: 0 };

/**
 * Encodes headers in the order of their names, so that equal headers have equal bytes.
 *
 * @param headers each name at most once, within the bounds above.
 */
export function encodeHeaders(headers: readonly Header[]): EncodedHeaders {
  if (headers.length === 0) return NO_HEADERS;
  const sorted = [...headers].sort((a, b) => (a.name < b.name ? -1 : 1));
  let length = 0;
  let logicalBytes = 0;
  for (const { name, value } of sorted) {
    for (const text of [name, value]) {
      const bytes = utf8Length(text);
      length += varintLength(bytes) + bytes;
      logicalBytes += bytes;
    }
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const { name, value } of sorted) at = writeText(bytes, writeText(bytes, at, name), value);
  return { bytes, logicalBytes };
}

/** Writes the length and the text. Most are short ASCII, which costs least without a conversion. */
function writeText(bytes: Uint8Array, start: number, text: string): number {
  const length = utf8Length(text);
  const at = writeVarint(bytes, start, length);
  if (length === text.length) {
    for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i);
  } else {
    bytes.set(utf8(text), at);
  }
  return at + length;
}

/** Walks encoded headers without copying: the fields are those of the header it stands on. */
export class HeaderCursor {
  readonly bytes: Uint8Array;
  nameStart = 0;
  nameEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  readonly #end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.valueEnd = start;
    this.#end = end;
  }

  /** Moves to the next header. Returns false at the end. */
  next(): boolean {
    if (this.valueEnd >= this.#end) return false;
    this.#part(this.valueEnd);
    this.nameStart = this.valueStart;
    this.nameEnd = this.valueEnd;
    this.#part(this.nameEnd);
    return true;
  }

  #part(at: number): void {
    const { bytes } = this;
    let position = at;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[position++] as number;
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    this.valueStart = position;
    this.valueEnd = position + length;
  }
}

/** The headers in `bytes[start, end)`, in the order of their names. */
export function decodeHeaders(bytes: Uint8Array, start: number, end: number): Header[] {
  const headers: Header[] = [];
  const cursor = new HeaderCursor(bytes, start, end);
  while (cursor.next()) {
    headers.push({
      name: fromUtf8(bytes.subarray(cursor.nameStart, cursor.nameEnd)),
      value: fromUtf8(bytes.subarray(cursor.valueStart, cursor.valueEnd)),
    });
  }
  return headers;
}

/** Names and values in `bytes[start, end)`, without framing. */
export function headerLogicalBytes(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0;
  const cursor = new HeaderCursor(bytes, start, end);
  while (cursor.next()) {
    sum += cursor.nameEnd - cursor.nameStart + (cursor.valueEnd - cursor.valueStart);
  }
  return sum;
}
