/** The requests of a webhook: Standard Webhooks headers, and a record as it was stored or as an event. */
import { feature as faultPoint } from "bun:bundle";
import { createHmac } from "node:crypto";
import { utf8 } from "../../lib/bytes.ts";
import { EVENT_TYPE, eventText, isJsonText, textOrNull } from "../../record/cloud-event.ts";
import { decodeHeaders, type Header, TRACE_HEADERS } from "../../record/headers.ts";
import { signingSecrets, type Webhook } from "../../webhook/state.ts";
import type { ReceivedMessage } from "../queue-api.ts";

const SECRET_PREFIX = "whsec_";
/** Room for the headers of a record: many servers accept 16 KiB of headers or less. */
const RECORD_HEADER_BYTES_MAX = 8 * 1024;
const PERCENT = 0x25;
const USER_AGENT = "ayder-webhook";

export const secretText = (secret: Uint8Array): string =>
  `${SECRET_PREFIX}${Buffer.from(secret).toString("base64")}`;

/** A message to a receiver. The id is the same at all attempts. */
export type Outgoing = {
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
};

/**
 * The id of a record for receivers that remember ids. Offsets can come again in a restored cluster,
 * but not with the same time.
 */
function idOf(webhook: Webhook, message: ReceivedMessage): string {
  const { partition, offset, timestampMs, attempt } = message;
  const last = faultPoint("webhook-id-changes-with-attempts") ? attempt : timestampMs;
  return `${webhook.queueId}-${partition}-${offset}-${last}`;
}

/** The request for a record. @param nowMs the time of this attempt. */
export function recordRequest(webhook: Webhook, message: ReceivedMessage, nowMs: number): Outgoing {
  const { definition } = webhook;
  const { topic } = definition;
  const { partition, offset, timestampMs, key, attempt } = message;
  const headers = decodeHeaders(message.headers, 0, message.headers.length);
  const isEvent = definition.format === "cloudevents";
  const time = () => new Date(timestampMs).toISOString();
  const body = isEvent
    ? utf8(eventText({ topic, partition, offset, time, headers, value: message.value }))
    : message.value;
  const own = {
    "content-type": isEvent ? EVENT_TYPE : contentType(headers, body),
    "ayder-topic": topic,
    "ayder-partition": String(partition),
    "ayder-offset": String(offset),
    "ayder-timestamp-ms": String(timestampMs),
    "ayder-attempt": String(attempt),
    ...(key === null ? {} : { "ayder-key": headerValue(key) }),
    ...(isEvent ? {} : recordHeaders(headers)),
  };
  return requestOf(webhook, idOf(webhook, message), own, body, nowMs);
}

/** A request without a record, which shows whether the receiver works. */
export function testRequest(webhook: Webhook, nowMs: number): Outgoing {
  const { name, queueId, definition } = webhook;
  const isEvent = definition.format === "cloudevents";
  const id = `0-${queueId}-${nowMs}`;
  const time = new Date(nowMs).toISOString();
  const data = { webhook: name, topic: definition.topic };
  const event = isEvent
    ? { specversion: "1.0", id, source: `/broker/webhooks/${name}`, type: "ayder.test", time, data }
    : { type: "ayder.test", timestamp: time, data };
  const headers = { "content-type": isEvent ? EVENT_TYPE : "application/json" };
  return requestOf(webhook, id, headers, utf8(JSON.stringify(event)), nowMs);
}

function requestOf(
  webhook: Webhook,
  id: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
  nowMs: number,
): Outgoing {
  const seconds = Math.floor(nowMs / 1000);
  const { headers: encoded } = webhook.definition;
  const configured = decodeHeaders(encoded, 0, encoded.length).map(({ name, value }) => [
    name,
    value,
  ]);
  const signatures = signingSecrets(webhook, nowMs).map((secret) =>
    signatureOf(secret, id, seconds, body),
  );
  return {
    id,
    body,
    headers: {
      "user-agent": USER_AGENT,
      ...headers,
      ...(Object.fromEntries(configured) as Record<string, string>),
      "webhook-id": id,
      "webhook-timestamp": String(seconds),
      "webhook-signature": signatures.join(" "),
    },
  };
}

function signatureOf(secret: Uint8Array, id: string, seconds: number, body: Uint8Array): string {
  const mac = createHmac("sha256", secret).update(`${id}.${seconds}.`).update(body);
  return `v1,${mac.digest("base64")}`;
}

/** Receivers in many frameworks look at a body only if its type says JSON. */
function contentType(headers: readonly Header[], value: Uint8Array): string {
  const given = headers.find(({ name }) => name === "content-type")?.value;
  if (given !== undefined) return headerValue(given);
  const text = textOrNull(value);
  return text !== null && isJsonText(text) ? "application/json" : "application/octet-stream";
}

/** Headers of the record, as far as there is room, and trace headers by their own names. */
function recordHeaders(headers: readonly Header[]): Record<string, string> {
  const fields: Record<string, string> = {};
  let left = RECORD_HEADER_BYTES_MAX;
  let omitted = 0;
  for (const { name, value } of headers) {
    if (name === "content-type") continue;
    const isTrace = TRACE_HEADERS.some((each) => each === name);
    const field = isTrace ? name : `ayder-header-${name}`;
    const text = headerValue(value);
    left -= field.length + text.length;
    if (left >= 0) fields[field] = text;
    else omitted++;
  }
  if (omitted > 0) fields["ayder-headers-omitted"] = String(omitted);
  return fields;
}

/** Percent-encodes bytes that a header field cannot carry as they are, and the percent sign itself. */
export function headerValue(value: string | Uint8Array): string {
  const bytes = typeof value === "string" ? utf8(value) : value;
  let text = "";
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    const isOuterSpace = byte === 0x20 && (i === 0 || i === bytes.length - 1);
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== PERCENT && !isOuterSpace;
    text += isPlain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).padStart(2, "0").toUpperCase()}`;
  }
  return text;
}
