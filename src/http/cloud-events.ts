/** CloudEvents 1.0 in produce requests: the HTTP binding in its three modes. */
import { utf8 } from "../lib/bytes.ts";
import type { Steps } from "../lib/steps.ts";
import { BatchBuilder, type EncodedRecords } from "../record/batch-builder.ts";
import { EVENT_PREFIX, EVENT_TYPE, isJson } from "../record/cloud-event.ts";
import { recordTooLarge } from "./body.ts";
import { ApiError, shown } from "./errors.ts";
import { checkEvent, REQUIRED } from "./event-attributes.ts";
import { BodyReader, textOfBody } from "./json.ts";
import { checkCount } from "./ndjson.ts";
import type { HttpLimits } from "./options.ts";
import { HeaderList, type RequestHeaders } from "./record-headers.ts";

export const EVENT_BATCH_TYPE = "application/cloudevents-batch+json";
/** Attributes that are text by the specification. Extensions may also be integers and booleans. */
const TEXT_ATTRIBUTES = [...REQUIRED, "datacontenttype", "dataschema", "subject", "time"];

/** Tells which mode a content type asks for; null: none, the body is opaque. */
export function eventModeOf(contentType: string | null): "event" | "batch" | null {
  if (contentType === null) return null;
  const [media = ""] = contentType.split(";");
  const type = media.trim().toLowerCase();
  return type === EVENT_TYPE ? "event" : type === EVENT_BATCH_TYPE ? "batch" : null;
}

type Defaults = { readonly key: Uint8Array | null; readonly headers: RequestHeaders };

/** Encodes the event, or the events, of a body in structured or batch mode, in steps. */
export function* encodeEvents(
  body: Uint8Array,
  mode: "event" | "batch",
  { key, headers }: Defaults,
  limits: HttpLimits,
): Steps<EncodedRecords> {
  const reader = new BodyReader(textOfBody(body));
  const builder = new BatchBuilder(body.length + 1024);
  const repeated = (key?.length ?? 0) + headers.encoded.bytes.length;
  let count = 0;
  const add = (what: string) => {
    checkCount(++count, repeated, limits);
    const event = readEvent(reader, what, mode === "event" ? "" : `[${count - 1}].`, limits);
    if (event.value.length > limits.messageBytesMax) {
      throw recordTooLarge(`The data of ${what}`, event.value.length, limits.messageBytesMax);
    }
    for (const { name, value } of headers.headers) {
      if (!event.headers.has(name)) event.headers.add(name, value);
    }
    builder.add(key, event.value, event.headers.encode());
  };
  if (mode === "event") add("The body");
  else {
    for (const at of reader.itemsOf("The body")) {
      add(`Event ${at}`);
      yield;
    }
  }
  reader.end("object");
  if (count === 0) throw new ApiError("empty_batch", "The batch has no event");
  return builder.finish();
}

type Event = { readonly value: Uint8Array; readonly headers: HeaderList };

/** @param where path of the event in the body, before the names of its fields. */
function readEvent(
  reader: BodyReader,
  what: string,
  where: string,
  { messageBytesMax }: HttpLimits,
): Event {
  const attributes = new Map<string, string>();
  let data: string | null = null;
  let base64: Uint8Array | null = null;
  reader.object((name) => {
    if (name === "data") data = dataSource(reader, what, messageBytesMax);
    else if (name === "data_base64") base64 = reader.base64(`${where}data_base64`);
    else readAttribute(reader, name, attributes);
  }, what);
  if (data !== null && base64 !== null) {
    throw new ApiError("invalid_field", `${what} has both data and data_base64`);
  }
  const contentType = attributes.get("content-type") ?? null;
  const value = base64 ?? dataBytes(data, contentType);
  if (contentType === null && data !== null) attributes.set("content-type", "application/json");
  checkEvent(attributes);
  const headers = new HeaderList();
  for (const [name, text] of attributes) headers.add(name, text);
  return { value, headers };
}

/** A text may have fewer bytes than its escapes, so its length is checked when it is decoded. */
function dataSource(reader: BodyReader, what: string, bytesMax: number): string {
  const source = reader.sourceWithin(bytesMax);
  if (source === null) throw recordTooLarge(`The data of ${what}`, null, bytesMax);
  return source;
}

function readAttribute(reader: BodyReader, name: string, to: Map<string, string>): void {
  const text = reader.begins('"') ? reader.string() : scalarText(reader, name);
  if (text === null) return;
  // The names are checked with the whole event.
  to.set(name === "datacontenttype" ? "content-type" : EVENT_PREFIX + name, text);
}

/** An integer or a boolean as text; null for `null`, which is the same as no attribute. */
function scalarText(reader: BodyReader, name: string): string | null {
  const source = reader.source();
  if (source === "null") return null;
  if (!/^(?:-?\d+|true|false)$/.test(source)) {
    throw invalid(`The attribute ${shown(name)} must be text, an integer or a boolean`);
  }
  if (TEXT_ATTRIBUTES.includes(name)) {
    throw invalid(`The attribute ${shown(name)} is ${source}: it must be text`);
  }
  return source;
}

/** JSON stays as it is written; text of another type is stored as text. */
function dataBytes(data: string | null, type: string | null): Uint8Array {
  if (data === null) return new Uint8Array(0);
  const isText = !isJson(type) && data.startsWith('"');
  return utf8(isText ? stringOf(data) : data);
}

const stringOf = (source: string): string => new BodyReader(source).string();

const invalid = (message: string): ApiError => new ApiError("invalid_header", message);
