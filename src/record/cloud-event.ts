/** Records as CloudEvents 1.0 in the JSON format. */
import { fromUtf8 } from "../lib/bytes.ts";
import type { Header } from "./headers.ts";

export const EVENT_PREFIX = "ce-";
export const EVENT_TYPE = "application/cloudevents+json";
/** Attributes that `data` needs or that tell where an event comes from. */
const ATTRIBUTE = /^[a-z0-9]+$/;
const REQUIRED = ["ce-id", "ce-source", "ce-specversion", "ce-type"];
const JSON_TYPE = /^[^;]*[/+]json\s*(;|$)/i;
/** Types whose values are text. Values of any other type are bytes, also if they are UTF-8. */
const TEXT_TYPE =
  /^\s*(text\/|application\/(xml|yaml|javascript|graphql|sql|x-ndjson|x-www-form-urlencoded)|[^;]*\+(xml|yaml))/i;

/** A content type without one means JSON in a CloudEvent. */
export const isJson = (contentType: string | null): boolean =>
  contentType === null || JSON_TYPE.test(contentType);

export type EventRecord = {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The time of the record in ISO 8601. */
  readonly time: () => string;
  readonly headers: readonly Header[];
  readonly value: Uint8Array;
};

/** The JSON text of a record: the event that was produced, or one that is made of the record. */
export function eventText({ topic, partition, offset, time, ...record }: EventRecord): string {
  const headers = new Map(record.headers.map(({ name, value }) => [name, value]));
  const isEvent = REQUIRED.every((name) => headers.has(name));
  const attributes: Record<string, string> = {};
  if (isEvent) {
    for (const [name, value] of headers) {
      const attribute = name.startsWith(EVENT_PREFIX) ? name.slice(EVENT_PREFIX.length) : "";
      if (ATTRIBUTE.test(attribute)) attributes[attribute] = value;
    }
  } else {
    attributes["specversion"] = "1.0";
    attributes["id"] = `${topic}/${partition}/${offset}`;
    attributes["source"] = `/broker/topics/${topic}`;
    attributes["type"] = "ayder.record";
    attributes["time"] = time();
  }
  return withData(attributes, record.value, headers.get("content-type") ?? null, isEvent);
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
  const isText = text !== null && type !== null && TEXT_TYPE.test(type);
  const data =
    json !== null
      ? `"data":${json}`
      : isText
        ? `"data":${JSON.stringify(text)}`
        : `"data_base64":"${Buffer.from(value).toString("base64")}"`;
  return `${head.slice(0, -1)},${data}}`;
}

export function textOrNull(bytes: Uint8Array): string | null {
  try {
    return fromUtf8(bytes);
  } catch {
    return null;
  }
}

export function isJsonText(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
