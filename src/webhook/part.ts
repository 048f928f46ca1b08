/**
 * Webhooks in a snapshot: one section each, in the order of their queues. It begins with a version
 * byte. Their queues are in the sections of queues.
 */
import { feature as faultPoint } from "bun:bundle";
import { type ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import {
  check,
  type DigestSink,
  type PartRestorer,
  type Section,
  type StatePart,
} from "../lib/state-part.ts";
import { decodeWebhook, encodeWebhook } from "./format.ts";
import { type PauseReason, type Webhook, WebhooksState } from "./state.ts";

const TAG = 23;
const FORM = 1;
const REASONS: readonly PauseReason[] = ["requested", "gone"];

const inOrder = ({ byName }: WebhooksState): Webhook[] =>
  [...byName.values()].sort((a, b) => a.queueId - b.queueId);

/** Webhooks never change, so references are enough. */
function* sections(webhooks: readonly Webhook[]): Generator<Section, undefined> {
  for (const webhook of webhooks) {
    const writer = new ByteWriter(512);
    writer.u8(FORM);
    write(writer, webhook);
    yield { tag: TAG, body: writer.take() };
  }
}

function write(writer: ByteWriter, webhook: Webhook): void {
  const { secret, previous, paused } = webhook;
  writer.varint(webhook.queueId);
  writer.text(webhook.name);
  encodeWebhook(writer, webhook.definition);
  writer.varint(webhook.createdAt);
  writer.blob(secret.bytes);
  writer.varint(secret.createdAt);
  writer.blob(previous?.bytes ?? new Uint8Array(0));
  writer.varint(previous?.until ?? 0);
  writer.u8(paused === null ? 0 : REASONS.indexOf(paused.reason) + 1);
  writer.varint(paused?.at ?? 0);
  writer.varint(webhook.filtered);
}

function read(reader: ByteReader): Webhook {
  const queueId = reader.varint();
  const name = reader.text();
  const definition = decodeWebhook(reader);
  const createdAt = reader.varint();
  const secret = { bytes: Uint8Array.from(reader.blob()), createdAt: reader.varint() };
  const former = Uint8Array.from(reader.blob());
  const until = reader.varint();
  const pause = reader.u8();
  const at = reader.varint();
  const reason = REASONS[pause - 1];
  check(pause === 0 || reason !== undefined, "unknown reason of a pause");
  return {
    name,
    queueId,
    definition,
    createdAt,
    secret,
    previous: former.length === 0 ? null : { bytes: former, until },
    paused: reason === undefined || faultPoint("snapshot-forgets-pauses") ? null : { at, reason },
    filtered: reader.varint(),
  };
}

class Restorer implements PartRestorer<WebhooksState> {
  readonly #state = new WebhooksState();
  #lastQueueId = 0;

  section(_tag: number, body: ByteReader): void {
    if (body.u8() !== FORM) throw new DecodeError("unknown form of a webhook");
    const webhook = read(body);
    check(webhook.queueId > this.#lastQueueId, "webhooks are not in order");
    check(!this.#state.byName.has(webhook.name), "two webhooks have one name");
    this.#lastQueueId = webhook.queueId;
    this.#state.set(webhook);
  }

  finish(): WebhooksState {
    return this.#state;
  }
}

function digest(state: WebhooksState, sink: DigestSink): void {
  for (const webhook of inOrder(state)) {
    write(sink.writer, webhook);
    sink.flush();
  }
}

export const webhooksPart: StatePart<WebhooksState> = {
  tags: [TAG],
  empty: () => new WebhooksState(),
  capture: (state) => sections(inOrder(state)),
  restorer: () => new Restorer(),
  digest,
  counts: ({ byName, due }) => [byName.size, due.size],
};
