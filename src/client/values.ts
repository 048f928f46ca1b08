/** Converts values to and from text, bytes and JSON. */

import { parseExact, stringifyExact } from "./json-values.ts";

/** Text and bytes are stored unchanged, any other value as its JSON. */
export type Value = string | Uint8Array | JsonValue;
/**
 * A value that `JSON.stringify` accepts, or a `bigint`, which is written as its digits. Typed
 * loosely, so that interfaces fit.
 */
export type JsonValue = number | bigint | boolean | null | object;

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

export const bytesOf = (value: Value): Uint8Array =>
  value instanceof Uint8Array ? value : encoder.encode(textOf(value));

export const decodeText = (bytes: Uint8Array): string => lenient.decode(bytes);

function textOf(value: string | JsonValue): string {
  if (typeof value === "string") return value;
  const text = stringifyExact(value);
  if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON`);
  return text;
}

/**
 * Encodes a value as a line of produce-ndjson, which decodes JSON strings and keeps other lines.
 *
 * @returns null for bytes that cannot be a line: not UTF-8, with a line feed.
 */
export function lineOf(value: Value): string | Uint8Array | null {
  if (!(value instanceof Uint8Array)) {
    const text = textOf(value);
    // The JSON of a Date is a string too; its quotes are part of the value.
    const quoted = typeof value === "string" || text.startsWith('"');
    return quoted ? JSON.stringify(wellFormed(text)) : text;
  }
  try {
    return JSON.stringify(strict.decode(value));
  } catch {
    const ends = value.at(-1) === CARRIAGE_RETURN;
    return ends || value.includes(LINE_FEED) ? null : value;
  }
}

/** Writes a record of produce-json, so that its value is stored as `bytesOf` has it. */
export function recordJson(value: Value, key?: string, headers?: RecordHeaders): string {
  const fields = [valueField(value)];
  if (key !== undefined) fields.push(`"key":${JSON.stringify(wellFormed(key))}`);
  const entries = Object.entries(headers ?? {}).map(
    ([name, text]) => `${JSON.stringify(wellFormed(name))}:${JSON.stringify(wellFormed(text))}`,
  );
  if (entries.length > 0) fields.push(`"headers":{${entries.join(",")}}`);
  return `{${fields.join(",")}}`;
}

function valueField(value: Value): string {
  if (!(value instanceof Uint8Array)) return `"value":${lineOf(value)}`;
  try {
    return `"value":${JSON.stringify(strict.decode(value))}`;
  } catch {
    return `"value_b64":"${toBase64(value)}"`;
  }
}

/** Replaces halves of surrogate pairs by U+FFFD, as every encoding to UTF-8 does. */
const wellFormed = (text: string): string =>
  text.isWellFormed() ? text : decodeText(encoder.encode(text));

/** Joins lines to a request body. */
export function joinLines(lines: readonly (string | Uint8Array)[]): Uint8Array {
  if (lines.every((line) => typeof line === "string")) return encoder.encode(lines.join("\n"));
  const parts = lines.map(bytesOf);
  const body = new Uint8Array(parts.reduce((sum, { length }) => sum + length + 1, 0));
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
    body[at++] = LINE_FEED;
  }
  return body;
}

/** Bytes of a message or key, with access as text and as JSON. */
export class Stored {
  #bytes: Uint8Array | null;
  #text: string | null;

  /** @param content text if the bytes are known to be UTF-8. */
  constructor(content: string | Uint8Array) {
    this.#text = typeof content === "string" ? content : null;
    this.#bytes = typeof content === "string" ? null : content;
  }

  get bytes(): Uint8Array {
    this.#bytes ??= encoder.encode(this.#text ?? "");
    return this.#bytes;
  }

  /** The bytes as text; invalid UTF-8 becomes U+FFFD. */
  get text(): string {
    this.#text ??= decodeText(this.#bytes ?? new Uint8Array());
    return this.#text;
  }

  /**
   * @returns the value; integers outside of ±(2^53−1) are `bigint`, so that no digit is lost.
   * @throws SyntaxError if the text is not JSON.
   */
  json<T = unknown>(): T {
    return parseExact(this.text) as T;
  }
}

/** Headers of a record, by name. */
export type RecordHeaders = Readonly<Record<string, string>>;
const NO_HEADERS: RecordHeaders = {};

export class Message extends Stored {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Time at which the leader accepted the message, in milliseconds since 1970. */
  readonly timestampMs: number;
  readonly key: string | null;
  /** By name; empty if there are none. */
  readonly headers: RecordHeaders;

  constructor(topic: string, fields: MessageFields) {
    super(fields.content);
    this.topic = topic;
    this.partition = fields.partition;
    this.offset = fields.offset;
    this.timestampMs = fields.timestampMs;
    this.key = fields.key;
    this.headers = fields.headers ?? NO_HEADERS;
  }
}

export type MessageFields = {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: string | null;
  /** Text if the bytes of the value are known to be UTF-8. */
  readonly content: string | Uint8Array;
  readonly headers: RecordHeaders | undefined;
};

export const messageOf = (topic: string, wire: WireMessage): Message =>
  new Message(topic, {
    partition: wire.partition,
    offset: wire.offset,
    timestampMs: wire.timestamp_ms,
    key: keyOf(wire),
    content: wire.value ?? fromBase64(wire.value_b64 ?? ""),
    headers: wire.headers,
  });

/** A message of a page, as the API sends it. */
export type WireMessage = {
  readonly offset: number;
  readonly partition: number;
  readonly timestamp_ms: number;
  readonly key?: string;
  readonly key_b64?: string;
  readonly value?: string;
  readonly value_b64?: string;
  readonly headers?: RecordHeaders;
};

function keyOf({ key, key_b64 }: WireMessage): string | null {
  if (key !== undefined) return key;
  return key_b64 === undefined ? null : decodeText(fromBase64(key_b64));
}

function fromBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

type CamelName<Name> = Name extends `${infer First}_${infer Second}`
  ? `${First}${Capitalize<CamelName<Second>>}`
  : Name;
export type Camel<T> = T extends readonly (infer Item)[]
  ? readonly Camel<Item>[]
  : T extends object
    ? { readonly [Name in keyof T as CamelName<Name>]: Camel<T[Name]> }
    : T;

/** Converts snake_case names to camelCase at every depth, for answers without users' fields. */
export const camel = <T>(value: T): Camel<T> => camelOf(value) as Camel<T>;

function camelOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelOf);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
      camelOf(item),
    ]),
  );
}
