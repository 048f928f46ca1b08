import type { BrokerState } from "../broker/state.ts";
import { type CommandRejected, commandRejected, type Rejecting } from "../lib/command-rejected.ts";
import { DUE_KIND, Due, DueIndex } from "../lib/due-index.ts";
import { type FoundQueue, findQueue } from "../queue/find.ts";
import type { QueuesState } from "../queue/state.ts";
import type { WebhookDefinition } from "./definition.ts";

export type WebhookSecret = { readonly bytes: Uint8Array; readonly createdAt: number };
/** Why a webhook delivers nothing: a client has asked for it, or its receiver has answered 410. */
export type PauseReason = "requested" | "gone";

/** Replaced, never changed: a snapshot may still refer to it. */
export type Webhook = {
  readonly name: string;
  /** Its queue. Queue ids are never reused, so this also tells a webhook from a later one of its name. */
  readonly queueId: number;
  readonly definition: WebhookDefinition;
  readonly createdAt: number;
  readonly secret: WebhookSecret;
  /** The secret before the last rotation, which signs too until a time. */
  readonly previous: { readonly bytes: Uint8Array; readonly until: number } | null;
  readonly paused: { readonly at: number; readonly reason: PauseReason } | null;
  /** Records that the filter has left out since the webhook was created. */
  readonly filtered: number;
};

/** The end of a former secret. */
class SecretEnd extends Due {
  readonly name: string;

  constructor({ name, queueId }: Webhook) {
    super(DUE_KIND.webhook, 0, queueId);
    this.name = name;
  }
}

export class WebhooksState {
  readonly byName = new Map<string, Webhook>();
  /** Former secrets, by the time at which they end. */
  readonly due = new DueIndex<SecretEnd>();
  readonly #ends = new Map<string, SecretEnd>();
  /** Not replicated: grows with every change. */
  version = 0;

  set(webhook: Webhook): void {
    const { name, previous } = webhook;
    const before = this.byName.get(name);
    this.version++;
    this.byName.set(name, webhook);
    if (before?.queueId === webhook.queueId && before.previous === previous) return;
    this.#forgetEnd(name);
    if (previous === null) return;
    const end = new SecretEnd(webhook);
    this.#ends.set(name, end);
    this.due.set(end, previous.until);
  }

  /** Counts records that the filter has left out. Deliveries do not depend on this number. */
  count(webhook: Webhook, filtered: number): void {
    this.byName.set(webhook.name, { ...webhook, filtered: webhook.filtered + filtered });
  }

  delete(name: string): void {
    this.version++;
    this.byName.delete(name);
    this.#forgetEnd(name);
  }

  #forgetEnd(name: string): void {
    const end = this.#ends.get(name);
    if (end === undefined) return;
    this.due.remove(end);
    this.#ends.delete(name);
  }
}

/** The part of the replicated state that commands of webhooks need, besides the broker. */
export type HasWebhooks = {
  readonly parts: { readonly webhooks: WebhooksState; readonly queues: QueuesState };
};

/** A webhook whose topic exists, with its queue. */
export type FoundWebhook = FoundQueue & { readonly webhook: Webhook };

/** @returns undefined if there is no such webhook, or its topic was deleted. */
export function findWebhook(
  { parts: { webhooks, queues } }: HasWebhooks,
  broker: BrokerState,
  name: string,
): FoundWebhook | undefined {
  const webhook = webhooks.byName.get(name);
  if (webhook === undefined) return undefined;
  const found = findQueue(queues, broker, webhook.queueId);
  return "ok" in found ? undefined : { ...found, webhook };
}

/** Forgets former secrets whose time is over. @returns how many. */
export function endSecrets(state: WebhooksState, now: number, max: number): number {
  let ended = 0;
  for (; ended < max; ended++) {
    const end = state.due.take(now);
    if (end === null) break;
    const webhook = state.byName.get(end.name);
    if (webhook !== undefined) state.set({ ...webhook, previous: null });
  }
  return ended;
}

/** The secrets that sign at `now`, the newest first. */
export function signingSecrets({ secret, previous }: Webhook, now: number): readonly Uint8Array[] {
  return previous !== null && previous.until > now
    ? [secret.bytes, previous.bytes]
    : [secret.bytes];
}

export type WebhookRejectCode =
  | "webhook_not_found"
  | "webhook_exists"
  | "too_many_webhooks"
  | "topic_not_found"
  | "too_many_partitions";

export type WebhookRejected<Code extends WebhookRejectCode = WebhookRejectCode> =
  CommandRejected<Code>;

export const webhookRejected: Rejecting<WebhookRejectCode> = commandRejected;
