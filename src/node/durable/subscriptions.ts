import {
  claimWake,
  deleteSubscription,
  linkStreams,
  putSubscription,
  settleWake,
} from "../../durable/subscriptions/commands.ts";
import { lookOn, pendingOf } from "../../durable/subscriptions/links.ts";
import {
  KEY_BYTES,
  type SubscriptionKeys,
  type SubscriptionState,
} from "../../durable/subscriptions/state.ts";
import { linkInfos } from "../../durable/subscriptions/wakes.ts";
import type { Clock } from "../../env/clock.ts";
import type { Random } from "../../env/random.ts";
import type { WebhookSender } from "../../env/webhook-sender.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Result } from "../api.ts";
import type {
  ClaimedWake,
  ClaimWakeReject,
  LinkStreamsReject,
  PutSubscriptionReject,
  PutSubscriptionRequest,
  SettleWakeReject,
  SettleWakeRequest,
  StreamWriteReject,
  Subscription,
  SubscriptionReadReject,
  SubscriptionSummary,
  WebhookKey,
} from "../durable-api.ts";
import type { Linearizer } from "../reads/linearizer.ts";
import type { Commander } from "../writes/commander.ts";
import { checkWakeToken, wakeToken, webhookKeyOf } from "./signing.ts";
import type { DurableLimits } from "./writer.ts";

/** Streams that one subscription may name. */
export const NAMED_STREAMS_MAX = 1_000;
const SMALL_COMMAND_BYTES = 2_048;
/** Subscriptions that are looked at before other events are handled. */
const LOOKED_AT_ONCE = 100;
/** Buckets of links, of about 256 links each, that are looked at before other events are handled. */
const LOOKED_BUCKETS = 16;

export type SubscriptionsOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
  readonly random: Random;
  readonly linearizer: Pick<Linearizer, "confirm">;
  readonly limits: DurableLimits;
  readonly sender: WebhookSender;
};

/** Subscriptions: their definitions, and the work that they give out. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  /** The state whose links are looked at, or were. */
  #looked: object | null = null;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  async put(
    request: PutSubscriptionRequest,
  ): Promise<Result<{ created: boolean; subscription: Subscription }, PutSubscriptionReject>> {
    const { commander, limits, sender } = this.#options;
    const refusal = await commander.whenCurrent();
    if (refusal !== null) return { ok: false, code: refusal };
    const { subscriptions } = this.#state;
    const { subscriptionsMax } = limits;
    if (!subscriptions.has(request.id) && subscriptions.size >= subscriptionsMax) {
      return { ok: false, code: "too_many_subscriptions", details: { subscriptionsMax } };
    }
    const streams = [...new Set(request.streams)].sort();
    if (streams.length > NAMED_STREAMS_MAX) return TOO_MANY_LINKS;
    const problem = request.webhookUrl === null ? null : sender.check(request.webhookUrl);
    if (problem !== null) return { ok: false, code: "webhook_url_rejected", message: problem };
    const outcome = await commander.run({
      kind: putSubscription,
      fields: { config: { ...request, streams }, keys: this.#keys() },
      bytes: SMALL_COMMAND_BYTES,
      grows: true,
      done: ({ created }) => ({ ok: true as const, created }),
    });
    if (!outcome.ok) return outcome;
    const subscription = this.#state.subscriptions.get(request.id);
    // Deleted by a request that came right behind.
    if (subscription === undefined) return { ok: false, code: "subscription_exists" };
    return { ok: true, created: outcome.created, subscription: this.#view(subscription) };
  }

  async describe(id: string): Promise<Result<Subscription, SubscriptionReadReject>> {
    const outcome = await this.#options.linearizer.confirm();
    if (outcome !== "ok") return { ok: false, code: outcome };
    const subscription = this.#state.subscriptions.get(id);
    if (subscription === undefined) return { ok: false, code: "subscription_not_found" };
    return { ok: true, ...this.#view(subscription) };
  }

  /** There may be many, so other events are handled in between. */
  async list(): Promise<readonly SubscriptionSummary[]> {
    const list: SubscriptionSummary[] = [];
    let looked = 0;
    for (const subscription of [...this.#state.subscriptions.values()]) {
      const { config, awake, generation, holder, failures, links } = subscription;
      while (!lookOn(this.#scope, subscription, LOOKED_BUCKETS)) await this.#nextIteration();
      const pending = pendingOf(this.#scope, subscription).size;
      if (++looked % LOOKED_AT_ONCE === 0) await this.#nextIteration();
      const { id, kind, pattern } = config;
      const streams = links.size;
      list.push({ id, kind, pattern, streams, pending, awake, generation, holder, failures });
    }
    return list.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /**
   * Called after the machine has applied entries. In a state that was restored, it is not known yet which
   * streams have records that were not processed. It is found out in slices, before the first wake has to.
   */
  applied(): void {
    const state = this.#state;
    if (this.#looked === state) return;
    this.#looked = state;
    this.#lookOn();
  }

  #lookOn(): void {
    if (this.#looked !== this.#state) return;
    for (const subscription of this.#state.subscriptions.values()) {
      if (lookOn(this.#scope, subscription, LOOKED_BUCKETS)) continue;
      this.#options.clock.after(0, () => this.#lookOn());
      return;
    }
  }

  #nextIteration(): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(0, resolve);
    });
  }

  delete(id: string): Promise<Result<object, StreamWriteReject>> {
    return this.#options.commander.run({
      kind: deleteSubscription,
      fields: { id },
      bytes: SMALL_COMMAND_BYTES,
      done: () => ({ ok: true }),
    });
  }

  async link(request: {
    readonly id: string;
    readonly paths: readonly string[];
    readonly unlink: boolean;
  }): Promise<Result<object, LinkStreamsReject>> {
    const { id, paths, unlink } = request;
    const named = this.#state.subscriptions.get(id)?.links.names.size ?? 0;
    if (!unlink && named + paths.length > NAMED_STREAMS_MAX) return TOO_MANY_LINKS;
    return await this.#options.commander.run({
      kind: linkStreams,
      fields: { id, paths, unlink },
      bytes: SMALL_COMMAND_BYTES,
      done: () => ({ ok: true }),
    });
  }

  claim(id: string, worker: string): Promise<Result<ClaimedWake, ClaimWakeReject>> {
    const { clock } = this.#options;
    return this.#options.commander.run({
      kind: claimWake,
      fields: { id, worker },
      bytes: SMALL_COMMAND_BYTES,
      done: ({ serial, wakeId, generation, leaseMs, streams }) => {
        const token = this.tokenOf({ serial, generation }, clock.now());
        return { ok: true, wakeId, generation, token, leaseMs, streams };
      },
    });
  }

  async settle(
    request: SettleWakeRequest,
  ): Promise<Result<{ nextWake: boolean }, SettleWakeReject>> {
    const { commander, clock } = this.#options;
    const refusal = await commander.whenCurrent();
    if (refusal !== null) return { ok: false, code: refusal };
    const { id, pull, token, wakeId, generation, acks, done } = request;
    const { keys } = this.#state;
    const subscription = this.#state.subscriptions.get(id);
    if (subscription === undefined || keys === null) {
      return { ok: false, code: "subscription_not_found" };
    }
    if (pull && subscription.config.kind !== "pull-wake") {
      return { ok: false, code: "subscription_not_pull" };
    }
    const verdict = checkWakeToken(keys.token, subscription.serial, token, clock.now());
    if (!verdict.ok) return { ok: false, code: verdict.code };
    if (verdict.generation !== generation) return { ok: false, code: "fenced" };
    return await commander.run({
      kind: settleWake,
      fields: { id, pull, wakeId, generation, acks, done },
      bytes: SMALL_COMMAND_BYTES + acks.length * 64,
      done: ({ nextWake }) => ({ ok: true, nextWake }),
    });
  }

  /** Empty until there was a subscription. */
  webhookKeys(): readonly WebhookKey[] {
    const { keys } = this.#state;
    return keys === null ? [] : [webhookKeyOf(keys.signing)];
  }

  /** The token for a wake. Secrets exist as soon as there was a subscription. */
  tokenOf(of: { readonly serial: number; readonly generation: number }, nowMs: number): string {
    const { keys } = this.#state;
    return keys === null ? "" : wakeToken(keys.token, of, nowMs);
  }

  #view(subscription: SubscriptionState): Subscription {
    const { config, createdAt, failures } = subscription;
    const { id, kind, pattern, webhookUrl, wakeStream, leaseMs, description, origin } = config;
    return {
      id,
      kind,
      pattern,
      webhookUrl,
      wakeStream,
      leaseMs,
      description,
      origin,
      createdAtMs: createdAt,
      failures,
      names: [...subscription.links.names],
      streams: linkInfos(this.#scope, subscription),
      streamsTotal: subscription.links.size,
      keyId: this.webhookKeys()[0]?.kid ?? "",
    };
  }

  /** New secrets. They are used if the cluster has none. */
  #keys(): SubscriptionKeys {
    return { signing: this.#randomBytes(), token: this.#randomBytes() };
  }

  #randomBytes(): Uint8Array {
    const words = Uint32Array.from({ length: KEY_BYTES / 4 }, () => this.#options.random.u32());
    return new Uint8Array(words.buffer);
  }

  get #scope() {
    return { durable: this.#state, broker: this.#options.machine.broker };
  }

  get #state() {
    return this.#options.machine.parts.durable;
  }
}

const TOO_MANY_LINKS = {
  ok: false,
  code: "too_many_links",
  details: { namedStreamsMax: NAMED_STREAMS_MAX },
} as const;
