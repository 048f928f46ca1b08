/** The body of produce-json: records whose values are stored as the text that they have in it. */
import { utf8 } from "../lib/bytes.ts";
import type { Steps } from "../lib/steps.ts";
import { BatchBuilder, type EncodedRecords } from "../record/batch-builder.ts";
import { TRACE_HEADERS } from "../record/headers.ts";
import { recordTooLarge } from "./body.ts";
import { ApiError, shown } from "./errors.ts";
import { BodyReader, mustBe, textOfBody } from "./json.ts";
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

const RECORDS = 'Field "records"';
const BODY_FIELDS = ["records"];
const RECORD_FIELDS = ["value", "value_b64", "key", "headers"];
/** Bytes of a batch header, and of the lengths of a small record. */
const SPARE_BYTES = 1024;
const SHOWN_MAX = 64;

/**
 * Reads the body and encodes its records, in steps.
 *
 * @param ignoresUnknown unknown fields are skipped instead of being an error.
 * @throws ApiError that names the record and the field by their path, such as `records[3].key`.
 */
export function* encodeJsonRecords(
  body: Uint8Array,
  defaults: RecordDefaults,
  limits: HttpLimits,
  ignoresUnknown: boolean,
): Steps<JsonRecords> {
  const reader = new BodyReader(textOfBody(body));
  const encoder = new RecordEncoder(body.length, defaults, limits);
  let isGiven = false;
  for (const name of reader.fieldsOf("The body")) {
    yield;
    if (name !== "records") {
      skipUnknown(reader, name, name, BODY_FIELDS, ignoresUnknown);
      continue;
    }
    isGiven = true;
    for (const at of reader.itemsOf(RECORDS)) {
      encoder.add(readRecord(reader, at, limits, ignoresUnknown), at);
      yield;
    }
  }
  reader.end("object");
  if (!isGiven) throw new ApiError("missing_field", 'Field "records" is required');
  return encoder.finish();
}

type RecordFields = {
  value: Uint8Array | null;
  key: Uint8Array | null;
  headers: HeaderList | null;
};

function readRecord(
  reader: BodyReader,
  at: number,
  limits: HttpLimits,
  ignoresUnknown: boolean,
): RecordFields {
  const path = `records[${at}]`;
  const fields: RecordFields = { value: null, key: null, headers: null };
  reader.object((name) => {
    const place = `${path}.${name}`;
    if (name === "value" || name === "value_b64") {
      if (fields.value !== null) {
        throw new ApiError("invalid_field", `Field "${path}" has both value and value_b64`);
      }
      fields.value =
        name === "value"
          ? storedValue(reader, place, limits.messageBytesMax)
          : reader.base64(place);
    } else if (name === "key") fields.key = utf8(reader.text(place));
    else if (name === "headers") fields.headers = headersOf(reader, place);
    else skipUnknown(reader, name, place, RECORD_FIELDS, ignoresUnknown);
  }, `Field "${path}"`);
  if (fields.value === null) {
    throw new ApiError("missing_field", `Field "${path}.value" is required, or value_b64`);
  }
  return fields;
}

/** A string as its text, any other value as it is written. */
function storedValue(reader: BodyReader, place: string, bytesMax: number): Uint8Array {
  const text = reader.begins('"') ? reader.string() : reader.sourceWithin(bytesMax);
  if (text === null) throw recordTooLarge(`Field "${place}"`, null, bytesMax);
  return utf8(text);
}

function headersOf(reader: BodyReader, path: string): HeaderList {
  if (!reader.begins("{")) {
    throw mustBe(`Field "${path}"`, reader.source(), "an object of strings");
  }
  const list = new HeaderList();
  for (const name of reader.fields()) {
    if (!reader.begins('"')) {
      throw new ApiError(
        "invalid_header",
        `Field "${path}.${name}" is ${reader.source().slice(0, SHOWN_MAX)}: it must be a string`,
      );
    }
    list.add(name.toLowerCase(), reader.string());
  }
  return list;
}

function skipUnknown(
  reader: BodyReader,
  name: string,
  path: string,
  known: readonly string[],
  ignoresUnknown: boolean,
): void {
  if (!ignoresUnknown) {
    throw new ApiError("unknown_field", `Unknown field ${shown(path)}; ${knownNames(name, known)}`);
  }
  reader.source();
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
      throw recordTooLarge(`Field "records[${at}].value"`, bytes.length, messageBytesMax);
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
