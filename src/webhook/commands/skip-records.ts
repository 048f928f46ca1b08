import type { BrokerState, HasBroker } from "../../broker/state.ts";
import { DecodeError } from "../../lib/bytes.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { partitionsOf } from "../../queue/find.ts";
import { followRetention, skip } from "../../queue/items.ts";
import { SKIPPED_MAX, WEBHOOKS_FEATURE, WEBHOOKS_LEVEL } from "../definition.ts";
import { findWebhook, type HasWebhooks, type WebhookRejected, webhookRejected } from "../state.ts";

/** Finishes records that the filter of a webhook leaves out. The leader has read them. */
export type SkipRecords = {
  readonly type: "skip_records";
  readonly name: string;
  readonly queueId: number;
  readonly partition: number;
  /** Offset of the first record and number of records, in ascending order. */
  readonly runs: readonly (readonly [first: number, length: number])[];
};

export type SkipRecordsResult =
  | { readonly ok: true; readonly type: "skip_records"; readonly skipped: number }
  | WebhookRejected<"webhook_not_found">;

export function applySkipRecords(
  state: HasWebhooks,
  broker: BrokerState,
  { name, queueId, partition, runs }: SkipRecords,
): SkipRecordsResult {
  const found = findWebhook(state, broker, name);
  if (found === undefined || found.webhook.queueId !== queueId) {
    return webhookRejected("webhook_not_found");
  }
  const { webhook, queue } = found;
  const pair = partitionsOf(found, partition);
  let skipped = 0;
  if (pair !== undefined) {
    const { mine, its } = pair;
    followRetention(state.parts.queues, queue, mine, its);
    for (const [first, length] of runs) {
      const end = Math.min(first + length, its.endOffset);
      for (let offset = first; offset < end; offset++) if (skip(mine, offset)) skipped++;
    }
  }
  if (skipped > 0) state.parts.webhooks.count(webhook, skipped);
  return { ok: true, type: "skip_records", skipped };
}

export const skipRecords: LeveledKind<SkipRecords, SkipRecordsResult, HasBroker & HasWebhooks> = {
  type: "skip_records",
  tag: 104,
  level: WEBHOOKS_LEVEL,
  feature: WEBHOOKS_FEATURE,
  encode(body, { name, queueId, partition, runs }) {
    body.text(name);
    body.varint(queueId);
    body.varint(partition);
    let last = 0;
    for (const [first, length] of runs) {
      body.varint(first - last);
      body.varint(length);
      last = first + length;
    }
  },
  decode(body, end) {
    const name = body.text();
    const queueId = body.varint();
    const partition = body.varint();
    const runs: [number, number][] = [];
    let next = 0;
    let left = SKIPPED_MAX;
    while (body.position < end) {
      const first = next + body.varint();
      const length = body.varint();
      left -= length;
      if (left < 0) throw new DecodeError("a command leaves out too many records");
      runs.push([first, length]);
      next = first + length;
    }
    return { type: "skip_records", name, queueId, partition, runs };
  },
  apply: (state, command) => applySkipRecords(state, state.broker, command),
  summarize: ({ skipped }, summary) => summary.numbers(skipped, 0),
};
