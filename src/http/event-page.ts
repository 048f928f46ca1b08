/** A page of records as a batch of CloudEvents 1.0. */
import type { ConsumePage } from "../node/api.ts";
import { RecordCursor } from "../record/batch-reader.ts";
import { decodeHeaders } from "../record/headers.ts";
import { EVENT_BATCH_TYPE, isJson } from "./cloud-events.ts";
import type { ConsumeCall } from "./consume-request.ts";
import { EVENT_PREFIX } from "./event-attributes.ts";

/** Attributes that `data` needs or that tell where an event comes from. */
const ATTRIBUTE = /^[a-z0-9]+$/;
const REQUIRED = ["ce-id", "ce-source", "ce-specversion", "ce-type"];

/** Headers of the answer: the list of events has no place for them. */
export const EVENT_PAGE_HEADERS = {
  "Ayder-Next-Offset": "Offset of the next read",
  "Ayder-End-Offset": "Offset that the next record gets",
};

export type EventPage = {
  readonly response: Response;
  readonly records: number;
  readonly bytes: number;
};

export function eventPage(consume: ConsumeCall, page: ConsumePage): EventPage {
  const { topic, partition } = consume.request;
  const { limit, maxBytes } = consume.limits;
  const events: string[] = [];
  let nextOffset = page.startOffset;
  let length = 2;
  let bytes = 0;
  walk: for (const slice of page.slices) {
    const cursor = new RecordCursor(slice);
    for (let more = cursor.seek(nextOffset); more; more = cursor.next()) {
      if (cursor.offset >= page.endOffset || events.length >= limit) break walk;
      const event = eventOf(cursor, topic, partition);
      length += Buffer.byteLength(event) + 1;
      if (events.length > 0 && length > maxBytes) break walk;
      events.push(event);
      bytes += cursor.logicalBytes;
      nextOffset = cursor.offset + 1;
    }
  }
  const headers = {
    "content-type": EVENT_BATCH_TYPE,
    "ayder-next-offset": String(nextOffset),
    "ayder-end-offset": String(page.endOffset),
  };
  const response = new Response(`[${events.join(",")}]`, { headers });
  return { response, records: events.length, bytes };
}

function eventOf(cursor: RecordCursor, topic: string, partition: number): string {
  const { bytes, headersStart, headersEnd } = cursor;
  const headers = new Map(
    decodeHeaders(bytes, headersStart, headersEnd).map(({ name, value }) => [name, value]),
  );
  const isEvent = REQUIRED.every((name) => headers.has(name));
  const attributes: Record<string, string> = {};
  if (isEvent) {
    for (const [name, value] of headers) {
      const attribute = name.startsWith(EVENT_PREFIX) ? name.slice(EVENT_PREFIX.length) : "";
      if (ATTRIBUTE.test(attribute)) attributes[attribute] = value;
    }
  } else {
    attributes["specversion"] = "1.0";
    attributes["id"] = `${topic}/${partition}/${cursor.offset}`;
    attributes["source"] = `/broker/topics/${topic}`;
    attributes["type"] = "ayder.record";
    attributes["time"] = new Date(cursor.timestampMs).toISOString();
  }
  const value = bytes.subarray(cursor.valueStart, cursor.valueEnd);
  return withData(attributes, value, headers.get("content-type") ?? null, isEvent);
}

/** Adds the value: JSON as it is stored, text as text, other bytes in base64. */
function withData(
  attributes: Record<string, string>,
  value: Uint8Array,
  contentType: string | null,
  isEvent: boolean,
): string {
  const text = textOrNull(value);
  const json = text !== null && isJson(contentType) && isJsonText(text) ? text : null;
  const guessed = isEvent
    ? null
    : json !== null
      ? "application/json"
      : text !== null
        ? "text/plain"
        : null;
  const type = contentType ?? guessed;
  const head = JSON.stringify(
    type === null ? attributes : { ...attributes, datacontenttype: type },
  );
  if (value.length === 0) return head;
  const isText = text !== null && !isJson(type);
  const data =
    json !== null
      ? `"data":${json}`
      : isText
        ? `"data":${JSON.stringify(text)}`
        : `"data_base64":"${Buffer.from(value).toString("base64")}"`;
  return `${head.slice(0, -1)},${data}}`;
}

function textOrNull(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
