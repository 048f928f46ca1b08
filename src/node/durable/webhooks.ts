import { noteDelivery } from "../../durable/subscriptions/commands.ts";
import type { SubscriptionState } from "../../durable/subscriptions/state.ts";
import { wakeInfos } from "../../durable/subscriptions/wakes.ts";
import type { Clock } from "../../env/clock.ts";
import type { Random } from "../../env/random.ts";
import type { WebhookSender } from "../../env/webhook-sender.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Logger } from "../../metrics/log.ts";
import type { Commander } from "../writes/commander.ts";
import { signatureOf } from "./signing.ts";

const CALLS_MAX = 32;
/** Time for the whole call. */
const CALL_MS = 10_000;
/** The rest of a longer answer is not read. */
const ANSWER_BYTES_MAX = 64 * 1024;
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** Retries of several webhooks are spread by this part of their delay. */
const JITTER = 0.2;

export type WebhooksOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
  readonly random: Random;
  readonly replica: { readonly isLeader: boolean };
  readonly sender: WebhookSender;
  readonly log: Logger;
  readonly instruments: Pick<Instruments, "subscriptionCalls" | "subscriptionCallsFailed">;
  readonly tokenOf: (of: { serial: number; generation: number }, nowMs: number) => string;
};

/**
 * The leader calls the webhooks whose subscriptions have been woken. A call is repeated until it
 * succeeds, also by the next leader, so a webhook may be called twice for one wake.
 */
export class Webhooks {
  readonly #options: WebhooksOptions;
  /** Calls under way, by serial and generation. */
  readonly #calls = new Set<string>();
  /** The state and its version as of the last look. */
  #seen: { readonly state: object; readonly deliveries: number } | null = null;
  #cancelTimer: (() => void) | null = null;
  #stopped = false;

  constructor(options: WebhooksOptions) {
    this.#options = options;
  }

  /** Called after entries were applied, and when the role of this node has changed. */
  applied(): void {
    const { machine, replica } = this.#options;
    const state = machine.parts.durable;
    if (!replica.isLeader || this.#stopped) {
      this.#seen = null;
      return;
    }
    const { deliveries } = state;
    if (this.#seen?.state === state && this.#seen.deliveries === deliveries) return;
    this.#seen = { state, deliveries };
    this.#look();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
  }

  #look(): void {
    const { machine, clock, replica } = this.#options;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (this.#stopped || !replica.isLeader) return;
    const now = clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const subscription of machine.parts.durable.subscriptions.values()) {
      if (subscription.deliverAt === 0 || this.#calls.has(callOf(subscription))) continue;
      if (subscription.deliverAt > now) next = Math.min(next, subscription.deliverAt);
      else if (this.#calls.size < CALLS_MAX) void this.#call(subscription);
    }
    if (Number.isFinite(next)) this.#cancelTimer = clock.after(next - now, () => this.#look());
  }

  async #call(subscription: SubscriptionState): Promise<void> {
    const { commander, instruments } = this.#options;
    const { config, serial, generation, failures } = subscription;
    const call = callOf(subscription);
    this.#calls.add(call);
    try {
      const outcome = await this.#post(subscription);
      const { subscriptionCalls, subscriptionCallsFailed } = instruments;
      (outcome === "failed" ? subscriptionCallsFailed : subscriptionCalls).value++;
      const retryInMs = this.#retryIn(failures);
      const fields = { id: config.id, serial, generation, outcome, retryInMs };
      await commander.run({ kind: noteDelivery, fields, bytes: 128, done: () => null });
    } finally {
      this.#calls.delete(call);
      this.#look();
    }
  }

  async #post(subscription: SubscriptionState): Promise<"taken" | "done" | "failed"> {
    const { machine, clock, sender, log, tokenOf } = this.#options;
    const { config, serial, generation, wakeId } = subscription;
    const { keys } = machine.parts.durable;
    if (config.webhookUrl === null || keys === null) return "failed";
    const nowMs = clock.now();
    const body = JSON.stringify({
      subscription_id: config.id,
      wake_id: wakeId,
      generation,
      streams: this.#listed(subscription),
      callback_url: `${config.origin}/v1/stream/__ds/subscriptions/${encodeURIComponent(config.id)}/callback`,
      callback_token: tokenOf({ serial, generation }, nowMs),
    });
    const headers = {
      "content-type": "application/json",
      "webhook-signature": signatureOf(keys.signing, body, Math.floor(nowMs / 1000)),
    };
    try {
      const answer = await sender.send({
        ...{ url: config.webhookUrl, headers, body, needsBody: true },
        timeoutMs: CALL_MS,
        answerBytesMax: ANSWER_BYTES_MAX,
      });
      if (answer.status >= 200 && answer.status < 300)
        return isDone(Buffer.from(answer.body).toString()) ? "done" : "taken";
      log.warn("webhook failed", { subscription: config.id, status: answer.status });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.warn("webhook failed", { subscription: config.id, error: reason });
    }
    return "failed";
  }

  #listed(subscription: SubscriptionState): readonly object[] {
    const { machine } = this.#options;
    const context = { durable: machine.parts.durable, broker: machine.broker };
    return wakeInfos(context, subscription).map(({ path, byName, acked, tail, pending }) => ({
      path,
      link_type: byName ? "explicit" : "glob",
      acked_offset: acked,
      tail_offset: tail,
      has_pending: pending,
    }));
  }

  #retryIn(failures: number): number {
    const delay = Math.min(RETRY_FIRST_MS * 2 ** Math.min(failures, 30), RETRY_MAX_MS);
    const spread = (this.#options.random.u32() / 2 ** 32) * 2 - 1;
    return Math.round(delay * (1 + JITTER * spread));
  }
}

const callOf = ({ serial, generation }: SubscriptionState): string => `${serial}/${generation}`;

function isDone(body: string): boolean {
  try {
    const parsed: unknown = JSON.parse(body);
    return (
      typeof parsed === "object" && parsed !== null && "done" in parsed && parsed.done === true
    );
  } catch {
    return false;
  }
}
