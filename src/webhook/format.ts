/** Definitions of webhooks in commands and snapshots. Old forms stay readable for ever. */
import { type ByteReader, type ByteWriter, DecodeError } from "../lib/bytes.ts";
import { knownFlags } from "../lib/command-kind.ts";
import { BACKOFFS_MAX } from "../queue/definition.ts";
import type { WebhookDefinition, WebhookOrder } from "./definition.ts";

const HAS_DEAD_LETTER = 1;
const AS_CLOUD_EVENT = 2;
const FROM_LATEST = 4;
const KNOWN_FLAGS = HAS_DEAD_LETTER | AS_CLOUD_EVENT | FROM_LATEST;
const ORDERS: readonly WebhookOrder[] = ["none", "key", "partition"];

export function encodeWebhook(body: ByteWriter, definition: WebhookDefinition): void {
  const { deadLetter, format, from, backoffMs } = definition;
  body.text(definition.topic);
  body.text(definition.url);
  body.text(definition.filter);
  body.u8(
    (deadLetter === null ? 0 : HAS_DEAD_LETTER) |
      (format === "cloudevents" ? AS_CLOUD_EVENT : 0) |
      (from === "latest" ? FROM_LATEST : 0),
  );
  if (deadLetter !== null) body.text(deadLetter);
  body.u8(ORDERS.indexOf(definition.order));
  body.varint(definition.maxInFlight);
  body.varint(definition.timeoutMs);
  body.varint(definition.maxDeliveries);
  body.varint(backoffMs.length);
  for (const ms of backoffMs) body.varint(ms);
  body.blob(definition.headers);
}

export function decodeWebhook(body: ByteReader): WebhookDefinition {
  const topic = body.text();
  const url = body.text();
  const filter = body.text();
  const flags = knownFlags(body.u8(), KNOWN_FLAGS);
  const deadLetter = (flags & HAS_DEAD_LETTER) === 0 ? null : body.text();
  const order = ORDERS[body.u8()];
  if (order === undefined) throw new DecodeError("unknown order of a webhook");
  const maxInFlight = body.varint();
  const timeoutMs = body.varint();
  const maxDeliveries = body.varint();
  const count = body.varint();
  if (count < 1 || count > BACKOFFS_MAX) throw new DecodeError("a webhook has 1 to 16 waits");
  const backoffMs = Array.from({ length: count }, () => body.varint());
  return {
    topic,
    url,
    filter,
    format: (flags & AS_CLOUD_EVENT) === 0 ? "raw" : "cloudevents",
    order,
    maxInFlight,
    timeoutMs,
    maxDeliveries,
    backoffMs,
    deadLetter,
    headers: Uint8Array.from(body.blob()),
    from: (flags & FROM_LATEST) === 0 ? "earliest" : "latest",
  };
}
