/** Headers that a webhook adds to its requests. */
import { encodeHeaders, type Header } from "../record/headers.ts";
import { ApiError, shown } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";

const HEADERS_MAX = 32;
const HEADERS_BYTES_MAX = 8 * 1024;
const NAME_LENGTH_MAX = 64;
const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** Spaces between words, but no control character, which could begin another header. */
const VALUE = /^(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?$/;

/** Headers of the connection, of the body's length, and those that the server sets itself. */
const RESERVED = [
  "accept-encoding",
  "connection",
  "content-encoding",
  "content-length",
  "date",
  "expect",
  "forwarded",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
];
const RESERVED_PREFIXES = ["ayder-", "proxy-", "sec-", "svix-", "webhook-", "x-forwarded-"];

/** @throws ApiError that names the header and what is allowed. */
export function readWebhookHeaders(given: JsonObject): Uint8Array {
  const headers = new Map<string, string>();
  let bytes = 0;
  for (const [written, value] of given) {
    const { name, value: text } = checked(written, value);
    if (headers.has(name)) throw wrong(written, "is given twice, in other letters");
    headers.set(name, text);
    bytes += name.length + text.length;
  }
  if (headers.size > HEADERS_MAX || bytes > HEADERS_BYTES_MAX) {
    throw new ApiError(
      "invalid_field",
      `Field "headers" has ${headers.size} headers of ${bytes} bytes: at most ${HEADERS_MAX} and ${HEADERS_BYTES_MAX} bytes together`,
    );
  }
  return encodeHeaders([...headers].map(([name, value]) => ({ name, value }))).bytes;
}

function checked(written: string, value: Json): Header {
  const name = written.toLowerCase();
  if (!NAME.test(name) || name.length > NAME_LENGTH_MAX) {
    throw wrong(written, `is not the name of a header of 1 to ${NAME_LENGTH_MAX} characters`);
  }
  const isReserved =
    RESERVED.includes(name) || RESERVED_PREFIXES.some((prefix) => name.startsWith(prefix));
  if (isReserved) throw wrong(written, "is reserved: the server sets it, or it must not be sent");
  if (typeof value !== "string") throw wrong(written, `is ${shown(value)}: it must be a string`);
  if (!VALUE.test(value)) {
    throw wrong(written, "must be visible ASCII characters, with spaces between them only");
  }
  return { name, value };
}

const wrong = (name: string, why: string): ApiError =>
  new ApiError("invalid_field", `Field ${shown(`headers.${name}`)} ${why}`);
