import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import type { WebhookSender } from "../../env/webhook-sender.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Logger } from "../../metrics/log.ts";
import type { RecordFilter } from "../../stream/record-filter.ts";
import { pauseWebhook } from "../../webhook/commands/pause-webhook.ts";
import { skipRecords } from "../../webhook/commands/skip-records.ts";
import { queueNameOf } from "../../webhook/definition.ts";
import { type FoundWebhook, findWebhook, type Webhook } from "../../webhook/state.ts";
import { handleOf } from "../partition-handle.ts";
import { detached, type QueueApi, type ReceivedMessage } from "../queue-api.ts";
import { Dispatcher } from "../queues/dispatcher.ts";
import type { WebhookAttempt } from "../webhook-api.ts";
import type { Commander } from "../writes/commander.ts";
import { attemptOf, type Called, callReceiver, outcomeOf, verdictOfCall } from "./call.ts";
import type { DeliveryLog } from "./delivery-log.ts";
import { Skipped, webhookFeed } from "./feed.ts";
import { type Outgoing, recordRequest } from "./request.ts";
import type { Slots } from "./slots.ts";
import type { Verdict } from "./verdict.ts";

/** Pause before an outcome that the log refused is proposed again. */
const PROPOSE_AGAIN_MS = 200;
/** Refusals that may end. The outcome counts once, also if it was stored without an answer. */
const REFUSALS: ReadonlySet<string> = new Set(["overloaded", "disk_full", "commit_timeout"]);
/** The queue would deliver at once what a receiver wants to have later. */
const RETRY_AFTER_MS_MIN = 1_000;

export type WorkerOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
  readonly queues: Pick<QueueApi, "settle">;
  readonly sender: WebhookSender;
  readonly slots: Slots;
  readonly deliveries: DeliveryLog;
  readonly log: Logger;
  readonly onAttempt: (attempt: WebhookAttempt) => void;
  /** Called when a delivery has ended: the worker of the present definition may begin another one. */
  readonly onEnd: () => void;
  readonly onError: (error: unknown) => void;
};

/** Delivers the records of one webhook while this node leads and the definition stays the same. */
export class WebhookWorker {
  readonly #options: WorkerOptions;
  readonly #webhook: Webhook;
  readonly #canFilter: boolean;
  readonly #skipped: Skipped[] = [];
  readonly #dispatcher: Dispatcher;
  readonly #unwatch: (() => void)[] = [];
  readonly #stop = new AbortController();
  readonly #wake = (): void => this.wake();
  #inFlight = 0;
  #isRetired = false;
  #isFailing = false;
  #isRunning = false;
  #runsAgain = false;
  /** The receiver wants nothing before this time. */
  #holdUntilMs = 0;
  #cancelTimer: (() => void) | null = null;
  /** The log has refused a command, such as for overload, so nothing else may wake the worker. */
  #isRefused = false;
  #stepping: Promise<boolean> = Promise.resolve(false);
  readonly #predecessor: Promise<void>;

  /**
   * @param filter of the definition. Null: every record passes. Undefined: this version cannot read
   *   it, so nothing is delivered.
   * @param predecessor of an earlier definition, which may still be about to begin deliveries.
   */
  constructor(
    found: FoundWebhook,
    filter: RecordFilter | null | undefined,
    options: WorkerOptions,
    predecessor: WebhookWorker | undefined,
  ) {
    this.#predecessor = predecessor?.quiet() ?? Promise.resolve();
    this.#options = options;
    this.#canFilter = filter !== undefined;
    this.#webhook = found.webhook;
    const { machine, commander, clock, onError } = options;
    const { queueId, definition } = found.webhook;
    this.#dispatcher = new Dispatcher({
      ...{ machine, commander, clock, queueId, onError },
      feedOf: (partition) => {
        const skipped = new Skipped();
        this.#skipped[partition] = skipped;
        return webhookFeed(definition.order, filter ?? null, skipped);
      },
    });
    for (const partition of found.topic.partitions) {
      this.#unwatch.push(handleOf(partition).waits.watch(this.#wake));
    }
  }

  /** False if the webhook has another definition now, or another webhook has its name. */
  isFor({ queueId, definition }: Webhook): boolean {
    return queueId === this.#webhook.queueId && definition === this.#webhook.definition;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Called when there may be something to deliver. */
  wake(): void {
    if (this.#isRetired) return;
    this.#runsAgain = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#run().then(
      () => {
        this.#isRunning = false;
        if (this.#runsAgain) this.wake();
      },
      (error: unknown) => this.#options.onError(error),
    );
  }

  /** Resolves when the deliveries of all records that were leased before have begun. */
  async quiet(): Promise<void> {
    await this.#predecessor;
    await this.#stepping.catch(() => false);
  }

  /** Ends all deliveries. Their leases end by themselves, or with the outcome that comes. */
  stop(): void {
    this.retire();
    this.#stop.abort();
    this.#dispatcher.stop("not_leader");
  }

  /** Begins no further delivery. Those under way go on. */
  retire(): void {
    for (const unwatch of this.#unwatch.splice(0)) unwatch();
    this.#options.slots.forget(this.#wake);
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#isRetired = true;
  }

  async #run(): Promise<void> {
    while (this.#runsAgain && !this.#isRetired) {
      this.#runsAgain = false;
      this.#stepping = this.#step();
      if (await this.#stepping) this.#runsAgain = true;
    }
    this.#arm();
  }

  /** Takes records and begins to deliver them. @returns true if there may be more. */
  async #step(): Promise<boolean> {
    const { slots, commander } = this.#options;
    // A new leader may not know of a pause that an earlier one has answered.
    this.#isRefused = !commander.isCurrent && (await commander.whenCurrent()) !== null;
    const found = this.#find();
    if (this.#isRefused || found === null || !this.#mayDeliver(found)) return false;
    const wanted = this.#wanted(found);
    const taken = wanted === 0 ? 0 : slots.take(wanted, this.#wake);
    if (taken === 0) return false;
    const messages = await this.#receive(taken);
    slots.give(taken - messages.length);
    for (const message of messages) this.#deliver(message);
    const looked = await this.#skip();
    if (this.#isRefused) return false;
    if (messages.length > 0) return true;
    // Others go on before the next records are looked at.
    if (looked) await new Promise<void>((resolve) => this.#options.clock.defer(resolve));
    return looked;
  }

  #mayDeliver({ webhook }: FoundWebhook): boolean {
    if (webhook.paused !== null && !faultPoint("webhook-pauses-are-ignored")) return false;
    const isFree = this.#canFilter && this.#inFlight < webhook.definition.maxInFlight;
    return isFree && this.#options.clock.now() >= this.#holdUntilMs;
  }

  /** At most as many as there are records, so that other webhooks get the remaining slots. */
  #wanted({ webhook, queue, topic }: FoundWebhook): number {
    const free = webhook.definition.maxInFlight - this.#inFlight;
    let unfinished = 0;
    for (const mine of queue.partitions) {
      const its = topic.partitions[mine.partition];
      if (its !== undefined) unfinished += mine.unfinished(its);
    }
    return Math.max(0, Math.min(free, unfinished - this.#inFlight));
  }

  async #receive(max: number): Promise<readonly ReceivedMessage[]> {
    const outcome = this.#dispatcher.receive({
      queue: queueNameOf(this.#webhook.name),
      max,
      waitMs: 0,
      visibilityMs: null,
      signal: null,
    });
    const cancel = this.#giveUntilAnswered();
    // A copy, so that a slow receiver does not keep whole batches in memory.
    const received = detached(await outcome);
    cancel();
    if (!received.ok) this.#isRefused = true;
    return received.ok && !this.#stop.signal.aborted ? received.messages : [];
  }

  /**
   * A command may find that none of its records can be given out any more. The request is then served
   * again.
   *
   * @returns a function that ends it.
   */
  #giveUntilAnswered(): () => void {
    const { clock } = this.#options;
    const give = (): void => {
      cancel = clock.after(LOOK_MS, give);
      this.#dispatcher.give();
    };
    let cancel = () => {};
    give();
    return () => cancel();
  }

  /**
   * Finishes the records that the filter has left out.
   *
   * @returns true if records were looked at, so that there may be more behind them.
   */
  async #skip(): Promise<boolean> {
    const { commander } = this.#options;
    const { name, queueId } = this.#webhook;
    let looked = false;
    for (const [partition, skipped] of this.#skipped.entries()) {
      if (skipped === undefined) continue;
      looked ||= skipped.looked;
      skipped.looked = false;
      if (skipped.size === 0) continue;
      const runs = skipped.take();
      const refused = await commander.run({
        kind: skipRecords,
        fields: { name, queueId, partition, runs },
        bytes: 64 + runs.length * 8,
        done: () => null,
      });
      if (refused === null) continue;
      skipped.giveBack(runs);
      this.#isRefused = true;
    }
    return looked;
  }

  #deliver(message: ReceivedMessage): void {
    this.#inFlight++;
    this.#attempt(message)
      .catch(this.#options.onError)
      .finally(() => {
        this.#inFlight--;
        this.#options.slots.give(1);
        this.#options.onEnd();
      });
  }

  async #attempt(message: ReceivedMessage): Promise<void> {
    const { clock } = this.#options;
    const webhook = this.#find()?.webhook;
    // The webhook was deleted since the command was proposed.
    if (webhook === undefined) return;
    const request = recordRequest(webhook, message, clock.now());
    if (faultPoint("webhook-acknowledges-before-it-sends")) {
      await this.#settle(message.receipt, { kind: "delivered" });
    }
    const called = await this.#call(request);
    if (this.#stop.signal.aborted) return;
    const verdict = verdictOfCall(called, clock.now());
    const { maxDeliveries } = webhook.definition;
    const isLast = message.attempt >= maxDeliveries;
    const { partition, offset, attempt } = message;
    this.#note(called, { partition, offset, attempt }, outcomeOf(verdict, isLast));
    if (verdict.kind === "gone") await this.#pause(webhook);
    await this.#settle(message.receipt, verdict);
  }

  #call(request: Outgoing): Promise<Called> {
    return callReceiver(this.#options, this.#webhook.definition, request, this.#stop.signal);
  }

  /** Remembers an attempt. @param record null: it was a test. */
  #note(
    called: Called,
    record: WebhookAttempt["record"],
    outcome: WebhookAttempt["outcome"],
  ): WebhookAttempt {
    const { deliveries, onAttempt } = this.#options;
    const attempt = attemptOf(called, record, outcome);
    deliveries.add(this.#webhook.queueId, attempt);
    onAttempt(attempt);
    this.#logChange(attempt);
    return attempt;
  }

  /** Logs the first failure in a row, and the success after it. */
  #logChange({ id, status, error, outcome }: WebhookAttempt): void {
    const { log } = this.#options;
    const { name: webhook } = this.#webhook;
    const isFailing = outcome !== "delivered";
    if (isFailing === this.#isFailing) return;
    this.#isFailing = isFailing;
    if (!isFailing) log.info("webhook delivers again", { webhook, id });
    else log.warn("webhook failed", { webhook, id, ...(status === null ? { error } : { status }) });
  }

  /** Sends a request without a record. */
  async test(request: Outgoing): Promise<WebhookAttempt> {
    const called = await this.#call(request);
    const verdict = verdictOfCall(called, this.#options.clock.now());
    return this.#note(called, null, outcomeOf(verdict, false));
  }

  async #pause({ name, queueId, definition }: Webhook): Promise<void> {
    const { commander, log } = this.#options;
    // The receiver of another URL has not said that it is gone.
    if (this.#find()?.webhook.definition.url !== definition.url) return;
    log.warn("webhook paused, its receiver answered 410", { webhook: name });
    await commander.run({
      kind: pauseWebhook,
      fields: { name, queueId, reason: "gone" },
      bytes: 128,
      done: () => null,
    });
  }

  /** Tells the queue the outcome, again if the log refuses it, until the lease is over. */
  async #settle(receipt: string, verdict: Verdict): Promise<void> {
    const { queues, clock } = this.#options;
    const queue = queueNameOf(this.#webhook.name);
    const delayMs = this.#delayOf(verdict);
    const how =
      verdict.kind === "delivered"
        ? ({ kind: "ack" } as const)
        : ({ kind: "nack", delayMs } as const);
    for (;;) {
      const settled = await queues.settle({ queue, receipts: [receipt], how });
      if (settled.ok || !REFUSALS.has(settled.code)) return;
      await new Promise<void>((resolve) => clock.after(PROPOSE_AGAIN_MS, resolve));
      if (this.#stop.signal.aborted) return;
    }
  }

  /** The wait that the receiver asks for holds back all other deliveries too. */
  #delayOf(verdict: Verdict): number | null {
    if (verdict.kind !== "retry" || verdict.delayMs === null) return null;
    const delayMs = Math.max(verdict.delayMs, RETRY_AFTER_MS_MIN);
    this.#holdUntilMs = Math.max(this.#holdUntilMs, this.#options.clock.now() + delayMs);
    return delayMs;
  }

  /** Sets the timer for the next retry, or for the end of the wait that the receiver asked for. */
  #arm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const found = this.#isRetired ? null : this.#find();
    if (found === null) return;
    const { webhook, queue } = found;
    const { clock } = this.#options;
    if (this.#isRefused) {
      this.#cancelTimer = clock.after(PROPOSE_AGAIN_MS, this.#wake);
      return;
    }
    // The end of a delivery wakes the worker too.
    if (webhook.paused !== null || this.#inFlight >= webhook.definition.maxInFlight) return;
    const nowMs = clock.now();
    const lookMs = nowMs + LOOK_MS;
    const nextMs = queue.ready.size > 0 ? lookMs : Math.max(queue.timed.nextAt(), lookMs);
    const atMs = this.#holdUntilMs > nowMs ? this.#holdUntilMs : nextMs;
    if (Number.isFinite(atMs)) this.#cancelTimer = clock.after(atMs - nowMs, this.#wake);
  }

  #find(): FoundWebhook | null {
    const { machine } = this.#options;
    const found = findWebhook(machine, machine.broker, this.#webhook.name);
    return found?.webhook.queueId === this.#webhook.queueId ? found : null;
  }
}

/** Records that are due and cannot be given out are about to be put aside. */
const LOOK_MS = 50;
