import type { BrokerState, HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { removeQueue } from "../../queue/state.ts";
import { WEBHOOKS_FEATURE, WEBHOOKS_LEVEL } from "../definition.ts";
import { findWebhook, type HasWebhooks, type WebhookRejected, webhookRejected } from "../state.ts";

export type DeleteWebhook = { readonly type: "delete_webhook"; readonly name: string };

export type DeleteWebhookResult =
  | { readonly ok: true; readonly type: "delete_webhook"; readonly queueId: number }
  | WebhookRejected<"webhook_not_found">;

/** Deletes a webhook and its queue. The topic and the dead letters stay. */
export function applyDeleteWebhook(
  state: HasWebhooks,
  broker: BrokerState,
  { name }: DeleteWebhook,
): DeleteWebhookResult {
  const found = findWebhook(state, broker, name);
  if (found === undefined) return webhookRejected("webhook_not_found");
  const { webhooks, queues } = state.parts;
  removeQueue(queues, found.queue);
  webhooks.delete(name);
  return { ok: true, type: "delete_webhook", queueId: found.queue.queueId };
}

export const deleteWebhook: LeveledKind<
  DeleteWebhook,
  DeleteWebhookResult,
  HasBroker & HasWebhooks
> = {
  type: "delete_webhook",
  tag: 101,
  level: WEBHOOKS_LEVEL,
  feature: WEBHOOKS_FEATURE,
  encode: (body, { name }) => body.text(name),
  decode: (body) => ({ type: "delete_webhook", name: body.text() }),
  apply: (state, command) => applyDeleteWebhook(state, state.broker, command),
  summarize: ({ queueId }, summary) => summary.numbers(queueId, 0),
};
