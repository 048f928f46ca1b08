/** Headers of records as requests give them. */
import { fromUtf8, utf8Length } from "../lib/bytes.ts";
import { EVENT_PREFIX } from "../record/cloud-event.ts";
import {
  type EncodedHeaders,
  encodeHeaders,
  HEADER_BYTES_MAX,
  HEADER_NAME_BYTES_MAX,
  HEADERS_MAX,
  type Header,
  NO_HEADERS,
  TRACE_HEADERS,
} from "../record/headers.ts";
import { ApiError, shown } from "./errors.ts";
import { attributeText, checkEvent } from "./event-attributes.ts";
import { isJoined, repeated, singleHeader } from "./single-header.ts";

export const HEADER_PREFIX = "ayder-header-";
export const HEADER_QUERY_PREFIX = "header.";

/** The headers that all records of a request get. */
export type RequestHeaders = {
  readonly headers: readonly Header[];
  readonly encoded: EncodedHeaders;
  /** Some of them are `traceparent` and `tracestate` of the request itself. */
  readonly traced: boolean;
};

export const NO_REQUEST_HEADERS: RequestHeaders = {
  headers: [],
  encoded: NO_HEADERS,
  traced: false,
};

/**
 * Headers that nearly every request has, and that say nothing about a record but its type. None of
 * them is the header of a proxy or tells of a coding of the body: the middleware looks for those
 * only in requests that have others.
 */
const COMMON = [
  "host",
  "authorization",
  "content-length",
  "content-type",
  "accept",
  "user-agent",
  "connection",
  "accept-encoding",
  "transfer-encoding",
];
const CONTENT_TYPE_AT = COMMON.indexOf("content-type");

/**
 * Kinds of request headers. `plain`: nothing but common ones without a content
 * type; `typed`: nothing but common ones; `more`: others too.
 */
export type HeadersKind = "plain" | "typed" | "more";

/**
 * Most requests are plain or typed, and a look at the names of all headers costs as much as all that
 * is done with the others.
 */
export function kindOfHeaders(headers: Headers): HeadersKind {
  let left = headers.count;
  let kind: HeadersKind = "plain";
  for (let i = 0; i < COMMON.length && left > 0; i++) {
    if (!headers.has(COMMON[i] as string)) continue;
    if (i === CONTENT_TYPE_AT) kind = "typed";
    left--;
  }
  return left === 0 ? kind : "more";
}

/**
 * Reads `Ayder-Header-<name>`, `traceparent` and `tracestate`.
 *
 * @param queried the parameters `header.<name>`, without the prefix.
 * @throws ApiError `invalid_header`.
 */
export function readRequestHeaders(
  request: Headers | null,
  queried: readonly Header[],
  takesEvents: boolean,
): RequestHeaders {
  const list = new HeaderList();
  let traced = false;
  for (const { name, value } of queried) list.add(name.toLowerCase(), value);
  if (request !== null) {
    for (const name of request.keys()) {
      if (!name.startsWith(HEADER_PREFIX)) continue;
      const value = singleHeader(request, name, "invalid_header", REMEDY) ?? "";
      list.add(name.slice(HEADER_PREFIX.length), headerText(value, name));
    }
    if (takesEvents) addEvent(request, list);
    traced = addTrace(request, list);
  }
  const { headers } = list;
  if (headers.length === 0) return NO_REQUEST_HEADERS;
  return { headers, encoded: list.encode(), traced };
}

const REMEDY = `use the parameter ${HEADER_QUERY_PREFIX}<name> for such a value`;

/** @returns true if the request has such headers. */
function addTrace(request: Headers, list: HeaderList): boolean {
  let traced = false;
  for (const name of TRACE_HEADERS) {
    // A trace state is a list, which may be sent in several headers.
    const value =
      name === "tracestate" ? request.get(name) : singleHeader(request, name, "invalid_header");
    if (value === null) continue;
    list.add(name, headerText(value, name));
    traced = true;
  }
  return traced;
}

/** A CloudEvent in binary mode: its attributes are request headers. */
function addEvent(request: Headers, list: HeaderList): void {
  const attributes = new Map<string, string>();
  for (const name of request.keys()) {
    if (!name.startsWith(EVENT_PREFIX)) continue;
    attributes.set(name, attributeText(name, singleAttribute(request, name)));
  }
  if (attributes.size === 0) return;
  checkEvent(attributes);
  const contentType = request.get("content-type");
  if (contentType !== null) attributes.set("content-type", headerText(contentType, "content-type"));
  for (const [name, value] of attributes) list.add(name, value);
}

/** The binding percent-encodes spaces; earlier versions of it put a value in quotes instead. */
function singleAttribute(request: Headers, name: string): string {
  const value = request.get(name) ?? "";
  if (!isJoined(value)) return value;
  throw repeated(name, value, "invalid_header", "a space is written as %20");
}

/** Collects the headers of a record within their bounds. */
export class HeaderList {
  readonly headers: Header[] = [];
  readonly #names = new Set<string>();
  #bytes = 0;

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** @throws ApiError `invalid_header`. */
  add(name: string, value: string): void {
    if (!NAME.test(name)) {
      throw invalid(
        `The header name is ${shown(name)}: it must have 1 to ${HEADER_NAME_BYTES_MAX} characters of a-z 0-9 . _ -`,
      );
    }
    if (this.#names.has(name)) throw invalid(`The header ${shown(name)} was given twice`);
    this.#names.add(name);
    this.headers.push({ name, value });
    if (this.headers.length > HEADERS_MAX) {
      throw invalid(`The record has more than ${HEADERS_MAX} headers, which is the limit`);
    }
    this.#bytes += name.length + utf8Length(value);
    if (this.#bytes > HEADER_BYTES_MAX) {
      throw invalid(
        `Names and values of the headers have more than ${HEADER_BYTES_MAX} bytes, which is the limit`,
      );
    }
  }

  encode(): EncodedHeaders {
    return encodeHeaders(this.headers);
  }
}

const NAME = new RegExp(`^[a-z0-9._-]{1,${HEADER_NAME_BYTES_MAX}}$`);

/** Request headers arrive with one character a byte. ASCII is as it is; other bytes must be UTF-8. */
function headerText(value: string, name: string): string {
  try {
    return fromUtf8(Buffer.from(value, "latin1"));
  } catch {
    throw invalid(
      `The request header ${shown(name)} is not valid UTF-8: use the parameter ${HEADER_QUERY_PREFIX}<name> for values that are not ASCII`,
    );
  }
}

const invalid = (message: string): ApiError => new ApiError("invalid_header", message);
