import type { Clock } from "../../env/clock.ts";
import type { Random } from "../../env/random.ts";
import { NO_SENDER, type WebhookSender } from "../../env/webhook-sender.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Logger } from "../../metrics/log.ts";
import type { WorkSample } from "../../metrics/sources.ts";
import { parseRecordFilter, type RecordFilter } from "../../stream/record-filter.ts";
import { defineWebhook } from "../../webhook/commands/define-webhook.ts";
import { deleteWebhook } from "../../webhook/commands/delete-webhook.ts";
import { pauseWebhook } from "../../webhook/commands/pause-webhook.ts";
import { rotateSecret } from "../../webhook/commands/rotate-secret.ts";
import { queueNameOf, SECRET_BYTES } from "../../webhook/definition.ts";
import { type FoundWebhook, findWebhook, type PauseReason } from "../../webhook/state.ts";
import type { Rejected, WriteReject } from "../api.ts";
import type { Emit } from "../events.ts";
import type { QueueApi } from "../queue-api.ts";
import { describe, summaryOf } from "../queues/stats.ts";
import { type ReadBody, readStreamBody } from "../streams/body.ts";
import type { WebhookApi, WebhookAttempt, WebhookSummary } from "../webhook-api.ts";
import type { Commander } from "../writes/commander.ts";
import { DeliveryLog } from "./delivery-log.ts";
import { secretText, testRequest } from "./request.ts";
import { Slots } from "./slots.ts";
import { WebhookWorker } from "./worker.ts";

export type WebhookLimits = {
  readonly webhooksMax: number;
  /** Requests to receivers at a time. 0: nothing is delivered. */
  readonly concurrencyMax: number;
};
export const DEFAULT_WEBHOOK_LIMITS: WebhookLimits = { webhooksMax: 100, concurrencyMax: 64 };

const COMMAND_BYTES = 512;
const OFF = "This node delivers nothing: RF_WEBHOOK_CONCURRENCY is 0";
/** Webhooks with series of their own. */
const SAMPLES_MAX = 100;

export type WebhooksOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  /** The cluster time. */
  readonly clock: Clock;
  readonly random: Random;
  readonly replica: { readonly isLeader: boolean };
  readonly queues: Pick<QueueApi, "settle" | "redrive" | "purge">;
  readonly sender: WebhookSender;
  readonly limits: WebhookLimits;
  readonly log: Logger;
  readonly instruments: Pick<
    Instruments,
    "webhookAttempts" | "webhookAttemptsFailed" | "webhookAttemptsInFlight"
  >;
  readonly emit: Emit;
};

type PurgeOutcome = Awaited<ReturnType<WebhookApi["purge"]>>;

/** @param options of the node, which may lack a sender and limits. */
export const webhooksOf = (
  options: Pick<WebhooksOptions, "random" | "log" | "instruments"> & {
    readonly webhookSender?: WebhookSender;
    readonly webhookLimits?: WebhookLimits;
  },
  parts: Pick<WebhooksOptions, "machine" | "commander" | "clock" | "replica" | "emit" | "queues">,
): Webhooks =>
  new Webhooks({
    ...options,
    ...parts,
    sender: options.webhookSender ?? NO_SENDER,
    limits: options.webhookLimits ?? DEFAULT_WEBHOOK_LIMITS,
  });

/** Webhooks on this node. The leader delivers. */
export class Webhooks implements WebhookApi {
  readonly #options: WebhooksOptions;
  readonly #slots: Slots;
  readonly #deliveries = new DeliveryLog();
  /** By the id of their queue. */
  readonly #workers = new Map<number, WebhookWorker>();
  /** The state and its version as of the last look. */
  #seen: { readonly state: object; readonly version: number } | null = null;
  #stopped = false;

  constructor(options: WebhooksOptions) {
    this.#options = options;
    const { webhookAttemptsInFlight } = options.instruments;
    this.#slots = new Slots(options.limits.concurrencyMax, (used) => {
      webhookAttemptsInFlight.value = used;
    });
  }

  readonly define: WebhookApi["define"] = async (name, definition) => {
    const { commander, sender, machine, limits } = this.#options;
    const wrong = sender.check(definition.url);
    if (wrong !== null) return invalidUrl(wrong);
    const filter = filterOf(definition.filter);
    if (!filter.ok) return filter;
    const secret = this.#secret();
    const outcome = await commander.run({
      kind: defineWebhook,
      fields: { name, definition, secret },
      bytes: COMMAND_BYTES + definition.url.length + definition.filter.length,
      grows: true,
      check: () => {
        const { webhooksMax } = limits;
        const isNew = findWebhook(machine, machine.broker, name) === undefined;
        const isFull = isNew && this.#live().length >= webhooksMax;
        return isFull ? { ok: false, code: "too_many_webhooks", details: { webhooksMax } } : null;
      },
      done: ({ created }) =>
        ({ ok: true, created, secret: created ? secretText(secret) : null }) as const,
    });
    return outcome as Awaited<ReturnType<WebhookApi["define"]>>;
  };

  readonly deleteWebhook: WebhookApi["deleteWebhook"] = async (name) =>
    await this.#options.commander.run({
      kind: deleteWebhook,
      fields: { name },
      bytes: COMMAND_BYTES,
      done: () => ({ ok: true }),
    });

  readonly pause: WebhookApi["pause"] = (name) => this.#pause(name, "requested");
  readonly resume: WebhookApi["resume"] = (name) => this.#pause(name, null);

  readonly rotate: WebhookApi["rotate"] = async (name) => {
    const secret = this.#secret();
    return await this.#options.commander.run({
      kind: rotateSecret,
      fields: { name, secret },
      bytes: COMMAND_BYTES,
      done: ({ previousUntil }) => ({
        ok: true,
        secret: secretText(secret),
        previousUntilMs: previousUntil,
      }),
    });
  };

  readonly test: WebhookApi["test"] = async (name) => {
    const found = await this.#current(name);
    if ("code" in found) return found;
    if (this.#slots.max === 0) return { ok: false, code: "overloaded", message: OFF };
    await this.#slots.one();
    try {
      const request = testRequest(found.webhook, this.#options.clock.now());
      return { ok: true, attempt: await this.#worker(found).test(request) };
    } finally {
      this.#slots.give(1);
    }
  };

  readonly redrive: WebhookApi["redrive"] = async (name, limits) => {
    const redriven = await this.#options.queues.redrive({ queue: queueNameOf(name), ...limits });
    if (redriven.ok || redriven.code !== "queue_not_found") {
      return redriven as Awaited<ReturnType<WebhookApi["redrive"]>>;
    }
    return { ok: false, code: "webhook_not_found" };
  };

  readonly purge: WebhookApi["purge"] = async (name) => {
    const purged = await this.#options.queues.purge(queueNameOf(name));
    if (purged.ok || purged.code !== "queue_not_found") return purged as PurgeOutcome;
    return { ok: false, code: "webhook_not_found" };
  };

  readonly deliveries: WebhookApi["deliveries"] = async (name) => {
    const found = await this.#current(name);
    if ("code" in found) return found;
    return { ok: true, attempts: this.#deliveries.of(found.webhook.queueId) };
  };

  readonly listWebhooks = async (): Promise<readonly WebhookSummary[]> => {
    const list: WebhookSummary[] = [];
    for (const found of this.#live()) list.push(await this.#summary(found));
    return list.sort((a, b) => (a.name < b.name ? -1 : 1));
  };

  readonly describeWebhook: WebhookApi["describeWebhook"] = async (name) => {
    const found = this.#find(name);
    if (found === undefined) return { ok: false, code: "webhook_not_found" };
    const { machine, clock } = this.#options;
    const { partitions } = await describe(machine, found, clock.now());
    return { ok: true, ...(await this.#summary(found)), partitions };
  };

  readonly topicsOfWebhook = (name: string) => {
    const { topic, deadLetter } = this.#find(name)?.webhook.definition ?? {};
    return topic === undefined || deadLetter === undefined ? null : { topic, deadLetter };
  };

  /** Samples for metrics: the webhooks with the most to do. */
  async sample(): Promise<Pick<WorkSample, "webhooks">> {
    const all = await this.listWebhooks();
    const workOf = ({ ready, delayed, inFlight, dead }: WebhookSummary) =>
      ready + delayed + inFlight + dead;
    const most = [...all].sort((a, b) => workOf(b) - workOf(a)).slice(0, SAMPLES_MAX);
    return {
      webhooks: most.map(({ name, ready, inFlight, delayed, dead, acked, ...each }) => ({
        ...{ webhook: name, ready, inFlight, delayed, dead },
        delivered: acked,
        filtered: each.filtered,
        lost: each.lost,
        oldestSeconds: each.oldestAgeMs / 1000,
        paused: each.paused === null ? 0 : 1,
      })),
    };
  }

  /** Called after the machine has applied entries, and when the role of this node has changed. */
  applied(): void {
    const { machine, replica } = this.#options;
    const state = machine.parts.webhooks;
    if (!replica.isLeader || this.#stopped) return;
    const { version } = state;
    if (this.#seen?.state === state && this.#seen.version === version) return;
    this.#seen = { state, version };
    this.#followState();
  }

  /** Called when this node begins or ceases to lead. */
  roleChanged(): void {
    for (const worker of this.#workers.values()) worker.stop();
    this.#workers.clear();
    this.#deliveries.clear();
    this.#seen = null;
  }

  stop(): void {
    this.#stopped = true;
    this.roleChanged();
  }

  #followState(): void {
    const live = this.#live();
    const ids = new Set(live.map(({ webhook }) => webhook.queueId));
    for (const [queueId, worker] of this.#workers) {
      if (ids.has(queueId)) continue;
      worker.stop();
      this.#workers.delete(queueId);
      this.#deliveries.forget(queueId);
    }
    for (const found of live) this.#worker(found).wake();
  }

  /** The worker for the present definition. */
  #worker(found: FoundWebhook): WebhookWorker {
    const { webhook } = found;
    const before = this.#workers.get(webhook.queueId);
    if (before?.isFor(webhook) === true) return before;
    before?.retire();
    const filter = filterOf(webhook.definition.filter);
    const options = {
      ...this.#options,
      slots: this.#slots,
      deliveries: this.#deliveries,
      onEnd: () => this.#workers.get(webhook.queueId)?.wake(),
      onAttempt: (attempt: WebhookAttempt) => this.#count(attempt),
      onError: (error: unknown) => this.#options.emit({ type: "failed", error }),
    };
    const passes = filter.ok ? filter.request : undefined;
    const created = new WebhookWorker(found, passes, options, before);
    this.#workers.set(webhook.queueId, created);
    return created;
  }

  #count({ outcome }: WebhookAttempt): void {
    const { webhookAttempts, webhookAttemptsFailed } = this.#options.instruments;
    (outcome === "delivered" ? webhookAttempts : webhookAttemptsFailed).value++;
  }

  async #pause(name: string, reason: PauseReason | null): ReturnType<WebhookApi["pause"]> {
    const outcome = await this.#options.commander.run({
      kind: pauseWebhook,
      fields: { name, queueId: null, reason },
      bytes: COMMAND_BYTES,
      done: ({ changed }) => ({ ok: true, changed }) as const,
    });
    // Records that were leased before the pause are sent; no delivery begins after the answer.
    const queueId = this.#find(name)?.webhook.queueId;
    if (outcome.ok && queueId !== undefined) await this.#workers.get(queueId)?.quiet();
    return outcome;
  }

  async #summary(found: FoundWebhook): Promise<WebhookSummary> {
    const { webhook } = found;
    const {
      queue: _queue,
      definition: _definition,
      ...counts
    } = await summaryOf(this.#options.machine, found, this.#options.clock.now());
    const { name, definition, secret, previous, paused, filtered } = webhook;
    return {
      ...counts,
      ...{ name, definition, filtered },
      createdAtMs: webhook.createdAt,
      secretCreatedAtMs: secret.createdAt,
      previousSecretUntilMs: previous?.until ?? null,
      paused: paused === null ? null : { atMs: paused.at, reason: paused.reason },
    };
  }

  #live(): FoundWebhook[] {
    return [...this.#options.machine.parts.webhooks.byName.keys()].flatMap(
      (name) => this.#find(name) ?? [],
    );
  }

  #find(name: string): FoundWebhook | undefined {
    const { machine } = this.#options;
    return findWebhook(machine, machine.broker, name);
  }

  /** The webhook as this leader knows it. */
  async #current(
    name: string,
  ): Promise<FoundWebhook | Rejected<WriteReject | "webhook_not_found">> {
    const refusal = await this.#options.commander.whenCurrent();
    if (refusal !== null) return { ok: false, code: refusal };
    return this.#find(name) ?? { ok: false, code: "webhook_not_found" };
  }

  #secret(): Uint8Array {
    const words = new Uint32Array(SECRET_BYTES / 4);
    for (let i = 0; i < words.length; i++) words[i] = this.#options.random.u32();
    return new Uint8Array(words.buffer);
  }
}

const invalidUrl = (problem: string) =>
  ({
    ok: false,
    code: "invalid_field",
    message: `Field "url": ${problem}`,
    details: { field: "url" },
  }) as const;

function filterOf(text: string): ReadBody<RecordFilter | null> {
  if (text === "") return { ok: true, request: null };
  return readStreamBody(`{"filter":${text}}`, parseRecordFilter);
}
