import { fromUtf8, utf8 } from "../lib/bytes.ts";
import { BatchBuilder, type EncodedRecords } from "../record/batch-builder.ts";
import type { EncodedHeaders } from "../record/headers.ts";
import { tooLarge } from "./body.ts";
import { ApiError } from "./errors.ts";
import type { HttpLimits } from "./options.ts";

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const QUOTE = 34;
/** Space for batch headers, so that the builder rarely has to grow. */
const SPARE_BYTES = 1024;

/**
 * One record a line. A line that is a JSON string becomes its text, any other stays as it is: also
 * with a byte order mark before it, which is skipped only where JSON is read.
 *
 * @param key and headers of every record.
 * @throws ApiError if there is no line, or too many, or one that is too long.
 */
export function encodeLines(
  body: Uint8Array,
  key: Uint8Array | null,
  headers: EncodedHeaders,
  limits: HttpLimits,
): EncodedRecords {
  const builder = new BatchBuilder(body.length + (body.length >> 3) + SPARE_BYTES);
  const repeated = (key?.length ?? 0) + headers.bytes.length;
  let lines = 0;
  let at = 0;
  while (at < body.length) {
    const lineFeed = body.indexOf(LINE_FEED, at);
    const next = lineFeed < 0 ? body.length : lineFeed;
    const end = next > at && body[next - 1] === CARRIAGE_RETURN ? next - 1 : next;
    if (end > at) {
      checkCount(++lines, repeated, limits);
      builder.add(key, lineValue(body, at, end, lines, limits.messageBytesMax), headers);
    }
    at = next + 1;
  }
  if (lines === 0) throw new ApiError("empty_batch");
  return builder.finish();
}

/** Key and headers are stored with each message, so a short request can hold a large batch. */
const tooMuchRepeated = (bytes: number, { requestBytesMax: limit }: HttpLimits): ApiError =>
  new ApiError(
    "request_too_large",
    `Key and headers have ${bytes} bytes and are stored with each message: together these are more than ${limit} bytes, which is the limit`,
    { limit },
  );

/** @param repeated bytes that are stored with each of the messages. @throws ApiError */
export function checkCount(lines: number, repeated: number, limits: HttpLimits): void {
  if (lines > limits.ndjsonLinesMax) throw tooManyLines(limits.ndjsonLinesMax);
  if (lines * repeated > limits.requestBytesMax) throw tooMuchRepeated(repeated, limits);
}

const tooManyLines = (limit: number): ApiError =>
  new ApiError("too_many_lines", `The batch has more than ${limit} messages`, { limit });

function lineValue(
  body: Uint8Array,
  start: number,
  end: number,
  number: number,
  bytesMax: number,
): Uint8Array {
  const line = body.subarray(start, end);
  const json = hasByteOrderMark(line) ? start + BYTE_ORDER_MARK_BYTES : start;
  const isText = body[json] === QUOTE && body[end - 1] === QUOTE;
  const text = isText ? jsonString(body.subarray(json, end)) : null;
  const value = text === null ? line : utf8(text);
  if (value.length <= bytesMax) return value;
  throw tooLarge("message_too_large", `Message ${number}`, `${value.length} bytes`, bytesMax);
}

const BYTE_ORDER_MARK_BYTES = 3;

function hasByteOrderMark(line: Uint8Array): boolean {
  return line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf;
}

/**
 * Returns the text of a JSON string; null if the line is not one, or its text is not valid Unicode.
 */
function jsonString(line: Uint8Array): string | null {
  try {
    const value: unknown = JSON.parse(fromUtf8(line));
    return typeof value === "string" && value.isWellFormed() ? value : null;
  } catch {
    return null;
  }
}
