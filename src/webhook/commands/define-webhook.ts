import type { BrokerEffects, BrokerState, HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import { defineOwnedQueue } from "../../queue/commands/define-queue.ts";
import { findQueue } from "../../queue/find.ts";
import {
  isSameWebhook,
  queueNameOf,
  queueOf,
  WEBHOOKS_FEATURE,
  WEBHOOKS_LEVEL,
  WEBHOOKS_MAX,
  type WebhookDefinition,
} from "../definition.ts";
import { decodeWebhook, encodeWebhook } from "../format.ts";
import { findWebhook, type HasWebhooks, type WebhookRejected, webhookRejected } from "../state.ts";

export type DefineWebhook = {
  readonly type: "define_webhook";
  readonly name: string;
  readonly definition: WebhookDefinition;
  /** The secret of a new webhook. One that exists keeps its own. */
  readonly secret: Uint8Array;
};

export type DefineWebhookResult =
  | {
      readonly ok: true;
      readonly type: "define_webhook";
      /** False if the webhook existed already; its definition may have changed. */
      readonly created: boolean;
    }
  | WebhookRejected<
      "webhook_exists" | "too_many_webhooks" | "topic_not_found" | "too_many_partitions"
    >;

/** Creates a webhook with its queue, or changes its definition. */
export function applyDefineWebhook(
  state: HasWebhooks,
  broker: BrokerState,
  { name, definition, secret }: DefineWebhook,
  now: Millis,
  effects: BrokerEffects,
): DefineWebhookResult {
  const { webhooks, queues } = state.parts;
  const before = findWebhook(state, broker, name)?.webhook;
  const rejected = before === undefined ? roomFor(state, broker) : orderChange(before, definition);
  if (rejected !== null) return rejected;
  const queue = { name: queueNameOf(name), definition: queueOf(definition) };
  const defined = defineOwnedQueue(queues, broker, queue, effects);
  if (!defined.ok) {
    return defined.code === "queue_exists"
      ? webhookRejected("webhook_exists", defined.details)
      : webhookRejected(defined.code, defined.details);
  }
  if (before === undefined) {
    webhooks.set({
      name,
      queueId: defined.queueId,
      definition: copyOf(definition),
      createdAt: now,
      secret: { bytes: Uint8Array.from(secret), createdAt: now },
      previous: null,
      paused: null,
      filtered: 0,
    });
  } else if (!isSameWebhook(before.definition, definition)) {
    webhooks.set({ ...before, definition: copyOf(definition) });
  }
  return { ok: true, type: "define_webhook", created: before === undefined };
}

/** The bytes of a command are views of its entry. */
const copyOf = (definition: WebhookDefinition): WebhookDefinition => ({
  ...definition,
  headers: Uint8Array.from(definition.headers),
});

/** The queue does not tell the order of keys from that of partitions. */
function orderChange(
  before: { readonly definition: WebhookDefinition },
  { topic, order }: WebhookDefinition,
): WebhookRejected<"webhook_exists"> | null {
  const { definition } = before;
  if (definition.topic !== topic || definition.order === order) return null;
  return webhookRejected("webhook_exists", { field: "order" });
}

/** Removes the webhooks of deleted topics. @returns why there is no room for another one, or null. */
function roomFor(
  { parts: { webhooks, queues } }: HasWebhooks,
  broker: BrokerState,
): WebhookRejected<"too_many_webhooks"> | null {
  for (const { name, queueId } of [...webhooks.byName.values()]) {
    if ("ok" in findQueue(queues, broker, queueId)) webhooks.delete(name);
  }
  if (webhooks.byName.size < WEBHOOKS_MAX) return null;
  return webhookRejected("too_many_webhooks", { webhooks_max: WEBHOOKS_MAX });
}

export const defineWebhook: LeveledKind<
  DefineWebhook,
  DefineWebhookResult,
  HasBroker & HasWebhooks,
  BrokerEffects
> = {
  type: "define_webhook",
  tag: 100,
  level: WEBHOOKS_LEVEL,
  feature: WEBHOOKS_FEATURE,
  encode(body, { name, definition, secret }) {
    body.text(name);
    body.blob(secret);
    encodeWebhook(body, definition);
  },
  decode(body) {
    const name = body.text();
    const secret = body.blob();
    return { type: "define_webhook", name, secret, definition: decodeWebhook(body) };
  },
  apply: (state, command, effects) =>
    applyDefineWebhook(state, state.broker, command, state.now, effects),
  summarize: ({ created }, summary) => summary.flag(created),
};
