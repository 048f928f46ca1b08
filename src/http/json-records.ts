/** The body of produce-json: records whose values are stored as the text that they have in it. */
import { fromUtf8, utf8 } from "../lib/bytes.ts";
import { BatchBuilder, type EncodedRecords } from "../record/batch-builder.ts";
import { TRACE_HEADERS } from "../record/headers.ts";
import { tooLarge } from "./body.ts";
import { ApiError, shown } from "./errors.ts";
import { type Json, parseJson } from "./json.ts";
import { checkCount } from "./ndjson.ts";
import type { HttpLimits } from "./options.ts";
import { knownNames } from "./raw-url.ts";
import { HeaderList, type RequestHeaders } from "./record-headers.ts";

export type JsonRecords = {
  readonly records: EncodedRecords;
  /** Own key of the first record. */
  readonly firstKey: Uint8Array | null;
  /** Trace headers came with the request, and no record has its own. */
  readonly traced: boolean;
};

export type RecordDefaults = {
  /** Key of records that have none. */
  readonly key: Uint8Array | null;
  /** Headers of all records. A record's own header of the same name is used instead. */
  readonly headers: RequestHeaders;
};

const BODY_FIELDS = ["records"];
const RECORD_FIELDS = ["value", "value_b64", "key", "headers"];
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** Bytes of a batch header, and of the lengths of a small record. */
const SPARE_BYTES = 1024;

/**
 * Reads the body and encodes its records.
 *
 * @param ignoresUnknown unknown fields are skipped instead of being an error.
 * @throws ApiError that names the record and the field by their path, such as `records[3].key`.
 */
export function encodeJsonRecords(
  body: Uint8Array,
  defaults: RecordDefaults,
  limits: HttpLimits,
  ignoresUnknown: boolean,
): JsonRecords {
  const scanner = new Scanner(textOf(body));
  const encoder = new RecordEncoder(body.length, defaults, limits);
  let isGiven = false;
  scanner.object((name) => {
    if (name === "records") {
      isGiven = true;
      scanner.array((at) => encoder.add(readRecord(scanner, at, ignoresUnknown), at));
    } else skipUnknown(scanner, name, name, BODY_FIELDS, ignoresUnknown);
  }, "The body");
  scanner.end();
  if (!isGiven) throw new ApiError("missing_field", 'Field "records" is required');
  return encoder.finish();
}

function textOf(body: Uint8Array): string {
  try {
    const text = fromUtf8(body);
    return text.startsWith("\ufeff") ? text.slice(1) : text;
  } catch {
    throw new ApiError("invalid_json", "The body is not valid UTF-8");
  }
}

type RecordFields = {
  value: Uint8Array | null;
  key: Uint8Array | null;
  headers: HeaderList | null;
};

function readRecord(scanner: Scanner, at: number, ignoresUnknown: boolean): RecordFields {
  const path = `records[${at}]`;
  const fields: RecordFields = { value: null, key: null, headers: null };
  scanner.object((name) => {
    const place = `${path}.${name}`;
    if (name === "value" || name === "value_b64") {
      if (fields.value !== null) {
        throw new ApiError("invalid_field", `Field "${path}" has both value and value_b64`);
      }
      fields.value = name === "value" ? storedValue(scanner) : base64Of(scanner, place);
    } else if (name === "key") fields.key = utf8(stringOf(scanner, place));
    else if (name === "headers") fields.headers = headersOf(scanner, place);
    else skipUnknown(scanner, name, place, RECORD_FIELDS, ignoresUnknown);
  }, `Field "${path}"`);
  if (fields.value === null) {
    throw new ApiError("missing_field", `Field "${path}.value" is required, or value_b64`);
  }
  return fields;
}

/** A string as its text, any other value as it is written. */
function storedValue(scanner: Scanner): Uint8Array {
  const source = scanner.source();
  return utf8(source.startsWith('"') ? scanner.checkedString(source) : source);
}

function base64Of(scanner: Scanner, path: string): Uint8Array {
  const text = stringOf(scanner, path);
  const bytes = BASE64.test(text) ? Buffer.from(text, "base64") : null;
  if (bytes !== null && bytes.toString("base64") === text) return Uint8Array.from(bytes);
  throw new ApiError(
    "invalid_field",
    `Field "${path}" is ${shown(text)}: it must be base64 with padding`,
  );
}

function stringOf(scanner: Scanner, path: string): string {
  const source = scanner.source();
  if (source.startsWith('"')) return scanner.checkedString(source);
  throw mustBe(path, source, "a string");
}

function headersOf(scanner: Scanner, path: string): HeaderList {
  const source = scanner.source();
  const parsed: Json = source.startsWith("{") ? parseJson(source) : null;
  if (!(parsed instanceof Map)) throw mustBe(path, source, "an object of strings");
  const list = new HeaderList();
  for (const [name, value] of parsed) {
    if (typeof value !== "string") {
      throw new ApiError(
        "invalid_header",
        `Field "${path}.${name}" is ${shown(value)}: it must be a string`,
      );
    }
    list.add(name.toLowerCase(), value);
  }
  return list;
}

const SHOWN_MAX = 64;
const mustBe = (path: string, source: string, what: string): ApiError =>
  new ApiError(
    "invalid_field",
    `Field "${path}" is ${source.slice(0, SHOWN_MAX)}: it must be ${what}`,
  );

function skipUnknown(
  scanner: Scanner,
  name: string,
  path: string,
  known: readonly string[],
  ignoresUnknown: boolean,
): void {
  if (!ignoresUnknown) {
    throw new ApiError(
      "unknown_field",
      `This request knows no field ${shown(path)}; ${knownNames(name, known)}`,
    );
  }
  scanner.source();
}

class RecordEncoder {
  readonly #builder: BatchBuilder;
  readonly #defaults: RecordDefaults;
  readonly #limits: HttpLimits;
  readonly #repeatedBytes: number;
  #count = 0;
  #firstKey: Uint8Array | null = null;
  #hasOwnTrace = false;

  constructor(bodyBytes: number, defaults: RecordDefaults, limits: HttpLimits) {
    this.#builder = new BatchBuilder(bodyBytes + SPARE_BYTES);
    this.#defaults = defaults;
    this.#limits = limits;
    this.#repeatedBytes = (defaults.key?.length ?? 0) + defaults.headers.encoded.bytes.length;
  }

  add({ value, key, headers }: RecordFields, at: number): void {
    const { messageBytesMax } = this.#limits;
    checkCount(++this.#count, this.#repeatedBytes, this.#limits);
    const bytes = value ?? new Uint8Array(0);
    if (bytes.length > messageBytesMax) {
      const what = `Field "records[${at}].value"`;
      throw tooLarge("message_too_large", what, `${bytes.length} bytes`, messageBytesMax);
    }
    const own = key ?? this.#defaults.key;
    if (at === 0) this.#firstKey = key;
    this.#builder.add(own, bytes, this.#headers(headers));
  }

  #headers(own: HeaderList | null) {
    const { headers, encoded } = this.#defaults.headers;
    if (own === null) return encoded;
    this.#hasOwnTrace ||= TRACE_HEADERS.some((name) => own.has(name));
    for (const { name, value } of headers) if (!own.has(name)) own.add(name, value);
    return own.encode();
  }

  finish(): JsonRecords {
    if (this.#count === 0) {
      throw new ApiError("empty_batch", 'Field "records" is an empty list: it holds no message');
    }
    const traced = this.#defaults.headers.traced && !this.#hasOwnTrace;
    return { records: this.#builder.finish(), firstKey: this.#firstKey, traced };
  }
}

/** Walks JSON text and hands out the parts of it as they are written. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#space();
  }

  /** @param field is called with each name, and must read the value behind it. */
  object(field: (name: string) => void, what: string): void {
    if (this.#text[this.#at] !== "{") {
      const source = this.source().slice(0, SHOWN_MAX);
      const code = what === "The body" ? "invalid_json" : "invalid_field";
      throw new ApiError(code, `${what} is ${source}: it must be a JSON object`);
    }
    const names = new Set<string>();
    this.#list("}", () => {
      if (this.#text[this.#at] !== '"') throw this.#wrong("a field name in quotes is missing");
      const name = this.checkedString(this.source());
      if (!this.#take(":")) throw this.#wrong('":" is missing');
      if (names.has(name)) {
        throw new ApiError("duplicate_field", `Field ${shown(name)} was given twice`);
      }
      names.add(name);
      field(name);
    });
  }

  array(item: (at: number) => void): void {
    if (this.#text[this.#at] !== "[") throw mustBe("records", this.source(), "a list of records");
    let at = 0;
    this.#list("]", () => item(at++));
  }

  /** The text of the next value, without blanks around it. It is valid JSON. */
  source(): string {
    const start = this.#at;
    this.#at = this.#valueEnd();
    const source = this.#text.slice(start, this.#at);
    try {
      JSON.parse(source);
    } catch {
      this.#at = start;
      throw this.#wrong("a value is missing or malformed");
    }
    this.#space();
    return source;
  }

  checkedString(source: string): string {
    const text: string = JSON.parse(source);
    if (text.isWellFormed()) return text;
    throw this.#wrong("a string holds half of a surrogate pair");
  }

  end(): void {
    if (this.#at < this.#text.length) throw this.#wrong("nothing may follow the object");
  }

  #list(close: "]" | "}", item: () => void): void {
    this.#at++;
    this.#space();
    if (this.#take(close)) return;
    do item();
    while (this.#take(","));
    if (!this.#take(close)) throw this.#wrong(`"," or "${close}" is missing`);
  }

  /** Finds the end of a value without checking it: `source` parses it afterwards. */
  #valueEnd(): number {
    const text = this.#text;
    const first = text.charCodeAt(this.#at);
    if (first === QUOTE) return this.#stringEnd(this.#at);
    if (first !== BRACE && first !== BRACKET) {
      AFTER_SCALAR.lastIndex = this.#at;
      return AFTER_SCALAR.exec(text)?.index ?? text.length;
    }
    let depth = 0;
    for (let at = this.#at; at < text.length; ) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        at = this.#stringEnd(at);
        continue;
      }
      at++;
      if (code === BRACE || code === BRACKET) depth++;
      else if ((code === BRACE_END || code === BRACKET_END) && --depth === 0) return at;
    }
    return text.length;
  }

  #stringEnd(start: number): number {
    const text = this.#text;
    let at = start + 1;
    while (at < text.length) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) return at + 1;
      at += code === BACKSLASH ? 2 : 1;
    }
    return text.length;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    this.#space();
    return true;
  }

  #space(): void {
    SPACE.lastIndex = this.#at;
    this.#at += SPACE.exec(this.#text)?.[0].length ?? 0;
  }

  #wrong(why: string): ApiError {
    return new ApiError("invalid_json", `The body is not JSON at character ${this.#at}: ${why}`);
  }
}

const QUOTE = 34;
const BACKSLASH = 92;
const BRACKET = 91;
const BRACKET_END = 93;
const BRACE = 123;
const BRACE_END = 125;
const SPACE = /[ \t\n\r]*/y;
const AFTER_SCALAR = /[,\]}\s]/g;
