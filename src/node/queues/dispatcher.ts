import type { Clock } from "../../env/clock.ts";
import type { Machine } from "../../machine/machine.ts";
import { type Candidate, receive } from "../../queue/commands/receive.ts";
import { QUEUE_ITEMS_MAX, QUEUE_SPAN_MAX } from "../../queue/definition.ts";
import { atWork, type FoundQueue, findQueue, type LeaseRef } from "../../queue/find.ts";
import { NO_KEY, type QueueItem, type QueueState } from "../../queue/state.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { Rejected, Result } from "../api.ts";
import type { Blocked, Received, ReceiveReject, ReceiveRequest } from "../queue-api.ts";
import type { Commander } from "../writes/commander.ts";
import { type Budget, type Feed, KeyedFeed, OpenFeed, type Taken } from "./feed.ts";
import { receiptOf } from "./receipts.ts";
import { readRecord } from "./records.ts";

/** Keys, values and headers of one answer, unless a single message is larger. */
const RECEIVE_BYTES = 2 * 1024 * 1024;
/** A command names its candidates with a few bytes each. */
const COMMAND_BYTES = 256;

type Outcome = Result<Received, ReceiveReject>;
type Waiting = {
  readonly request: ReceiveRequest;
  /** Time of the monotonic clock. */
  readonly untilMs: number;
  readonly done: (outcome: Outcome) => void;
};

export type DispatcherOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
  readonly queueId: number;
  readonly onError: (error: unknown) => void;
};

/**
 * Gives the records of one queue to the requests that wait for them, first come, first served. The
 * leader has one for each queue that is in use.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #feeds: Feed[] = [];
  #waiting: Waiting[] = [];
  /** Records in commands that are not applied yet. */
  #reserved = 0;
  #isPumping = false;
  #pumpsAgain = false;
  #firstPartition = 0;
  #cancelTimer: (() => void) | null = null;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** True if no request waits and no command is in flight. */
  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#reserved === 0 && !this.#isPumping;
  }

  receive(request: ReceiveRequest): Promise<Outcome> {
    return new Promise((resolve) => {
      const waiting: Waiting = {
        request,
        untilMs: this.#nowMs() + request.waitMs,
        done: (outcome) => {
          request.signal?.removeEventListener("abort", abort);
          resolve(outcome);
        },
      };
      const abort = () => {
        if (!this.#waiting.includes(waiting)) return;
        this.#waiting = this.#waiting.filter((each) => each !== waiting);
        waiting.done(this.#nothing(null));
      };
      request.signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.push(waiting);
      if (request.signal?.aborted === true) abort();
      this.pump();
    });
  }

  /** Called when there may be something to give out. */
  pump(): void {
    if (this.#waiting.length === 0) return;
    this.#pumpsAgain = true;
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#pump().then(
      () => {
        this.#isPumping = false;
        if (this.#pumpsAgain) this.pump();
      },
      (error: unknown) => this.#options.onError(error),
    );
  }

  /** Ends all waits. */
  stop(code: ReceiveReject): void {
    this.#cancelTimer?.();
    for (const { done } of this.#waiting.splice(0)) done({ ok: false, code });
  }

  async #pump(): Promise<void> {
    while (this.#pumpsAgain) {
      this.#pumpsAgain = false;
      while (this.#waiting.length > 0 && (await this.#serveFirst())) {
        // The next request gets the next records.
      }
    }
    this.#endLate();
    this.#arm();
  }

  /** @returns false if there is nothing to give out now. */
  async #serveFirst(): Promise<boolean> {
    const found = this.#find();
    if (found === null) {
      this.stop("queue_not_found");
      return false;
    }
    const [first] = this.#waiting;
    if (first === undefined) return false;
    const taken = await this.#select(found, first.request.max);
    if (taken instanceof PartitionDamaged) {
      this.#waiting.shift()?.done({ ok: false, code: "data_damaged" });
      return true;
    }
    if (taken.length === 0) return false;
    // The first one may have left while records were read.
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#release(found, taken);
    else this.#propose(found, waiting, taken.slice(0, waiting.request.max), taken);
    return true;
  }

  #propose(
    found: FoundQueue,
    waiting: Waiting,
    given: readonly Taken[],
    taken: readonly Taken[],
  ): void {
    const { queue, topic } = found;
    this.#release(found, taken.slice(given.length));
    const visibilityMs = waiting.request.visibilityMs ?? queue.definition.visibilityMs;
    const { queueId } = queue;
    this.#options.commander.start(
      {
        kind: receive,
        fields: { queueId, visibilityMs, candidates: given.map(candidateOf) },
        bytes: COMMAND_BYTES,
        done: ({ leases, visibleAt }) => ({ ok: true, leases, visibleAt }) as const,
      },
      (outcome) => {
        this.#release(found, given);
        if (!outcome.ok) waiting.done(outcome as Rejected<ReceiveReject>);
        else if (outcome.leases.length === 0) this.#again(waiting);
        else {
          const messages = messagesOf(queueId, outcome.leases, given);
          const { visibleAt: visibleAtMs } = outcome;
          waiting.done({ ok: true, topic: topic.name, messages, visibleAtMs, blocked: null });
        }
      },
    );
  }

  /** Nothing of what was selected could be given out when the command was applied. */
  #again(waiting: Waiting): void {
    if (waiting.request.signal?.aborted === true) {
      waiting.done(this.#nothing(null));
      return;
    }
    this.#waiting.unshift(waiting);
    this.pump();
  }

  /** Reserves records for a request: first those that are given out again. */
  async #select(found: FoundQueue, max: number): Promise<Taken[] | PartitionDamaged> {
    const records = Math.min(max, this.#room(found));
    const budget: Budget = { records, bytes: RECEIVE_BYTES };
    const taken: Taken[] = [];
    if (records <= 0) return taken;
    try {
      await this.#takeRetries(found, budget, taken);
      const { length } = found.topic.partitions;
      const start = this.#firstPartition++ % length;
      for (let i = 0; i < length; i++) {
        if (budget.records <= 0 || (budget.bytes <= 0 && taken.length > 0)) break;
        const at = (start + i) % length;
        const [mine, its] = [found.queue.partitions[at], found.topic.partitions[at]];
        if (mine === undefined || its === undefined) continue;
        const fresh = await this.#feed(found.queue, at).take(mine, its, budget);
        this.#reserved += fresh.length;
        taken.push(...fresh);
      }
    } catch (error) {
      if (!(error instanceof PartitionDamaged)) throw error;
      // The readable ones are given out. The damaged one is repaired, or it answers the next request.
      if (taken.length === 0) return error;
    }
    return taken;
  }

  async #takeRetries({ queue, topic }: FoundQueue, budget: Budget, taken: Taken[]): Promise<void> {
    for (const { partition, offset } of this.#retries(queue, budget.records)) {
      const its = topic.partitions[partition.partition];
      const feed = this.#feed(queue, partition.partition);
      if (its === undefined || (budget.bytes <= 0 && taken.length > 0)) return;
      feed.reserved.add(offset);
      this.#reserved++;
      const record = await readRecord(its, offset).catch((error: unknown) => {
        this.#reserved--;
        feed.reserved.delete(offset);
        throw error;
      });
      if (record === undefined) {
        this.#reserved--;
        feed.reserved.delete(offset);
        continue;
      }
      budget.records--;
      budget.bytes -= record.bytes;
      taken.push({ record, key: NO_KEY });
    }
  }

  /** The items that can be given out again, as far as this leader knows. */
  #retries(queue: QueueState, max: number): QueueItem[] {
    const items: QueueItem[] = [];
    const { maxDeliveries } = queue.definition;
    const add = (item: QueueItem): void => {
      const { reserved } = this.#feed(queue, item.partition.partition);
      if (item.attempts < maxDeliveries && !reserved.has(item.offset)) items.push(item);
    };
    for (const item of queue.ready) {
      if (items.length >= max) return items;
      add(item);
    }
    for (const item of queue.timed.due(this.#options.clock.now())) {
      if (items.length >= max) return items;
      add(item);
    }
    return items;
  }

  /** Number of records that may be leased in addition. */
  #room(found: FoundQueue): number {
    const { machine, clock } = this.#options;
    if (machine.parts.queues.items >= QUEUE_ITEMS_MAX) return 0;
    const { definition, inFlight } = found.queue;
    const room = definition.maxInFlight - inFlight - this.#reserved;
    return room > 0 ? room : room + inFlight - atWork(found, clock.now()).inFlight;
  }

  #release({ queue }: FoundQueue, taken: readonly Taken[]): void {
    for (const each of taken) {
      const { partition } = each.record;
      const mine = queue.partitions[partition];
      if (mine !== undefined) this.#feed(queue, partition).release(mine, each);
      this.#reserved--;
    }
  }

  /** Answers the requests whose time is over. */
  #endLate(): void {
    const nowMs = this.#nowMs();
    const late = this.#waiting.filter(({ untilMs }) => untilMs <= nowMs);
    if (late.length === 0) return;
    this.#waiting = this.#waiting.filter(({ untilMs }) => untilMs > nowMs);
    const found = this.#find();
    const blocked = found === null ? null : this.#blocked(found);
    for (const { done } of late) done(this.#nothing(blocked));
  }

  /** Wakes up when the next request is late, or when the next lease or wait is over. */
  #arm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (this.#waiting.length === 0) return;
    const { clock } = this.#options;
    const lateInMs = Math.min(...this.#waiting.map(({ untilMs }) => untilMs)) - this.#nowMs();
    const dueInMs = (this.#find()?.queue.timed.nextAt() ?? Number.POSITIVE_INFINITY) - clock.now();
    // Records that are due already could not be given out: something else has to happen first.
    const delayMs = Math.min(lateInMs, dueInMs > 0 ? dueInMs : Number.POSITIVE_INFINITY);
    this.#cancelTimer = clock.after(Math.max(1, Math.ceil(delayMs)), () => this.pump());
  }

  #blocked(found: FoundQueue): Blocked | null {
    const { queue, topic } = found;
    if (this.#room(found) <= 0) return "max_in_flight";
    const isFull = queue.partitions.some(
      ({ partition, low }) => (topic.partitions[partition]?.endOffset ?? 0) - low > QUEUE_SPAN_MAX,
    );
    return isFull ? "oldest_unacknowledged" : null;
  }

  #nothing(blocked: Blocked | null): Outcome {
    const topic = this.#find()?.topic.name ?? "";
    return { ok: true, topic, messages: [], visibleAtMs: 0, blocked };
  }

  #feed({ definition }: QueueState, partition: number): Feed {
    const feed = this.#feeds[partition];
    if (feed !== undefined) return feed;
    const created = definition.order === "key" ? new KeyedFeed() : new OpenFeed();
    this.#feeds[partition] = created;
    return created;
  }

  #find(): FoundQueue | null {
    const { machine, queueId } = this.#options;
    const found = findQueue(machine.parts.queues, machine.broker, queueId);
    return "ok" in found ? null : found;
  }

  #nowMs(): number {
    return this.#options.clock.monotonic() / 1000;
  }
}

const candidateOf = ({ record: { partition, offset }, key }: Taken): Candidate => ({
  partition,
  offset,
  key,
});

function messagesOf(queueId: number, leases: readonly LeaseRef[], given: readonly Taken[]) {
  // The leases are in the order of the candidates, and some may be missing.
  let at = 0;
  return leases.map((lease) => {
    while (!isOf(given[at] as Taken, lease)) at++;
    const { partition, offset, timestampMs, key, value, headers } = (given[at] as Taken).record;
    const receipt = receiptOf(queueId, lease);
    return { partition, offset, timestampMs, key, value, headers, attempt: lease.attempt, receipt };
  });
}

const isOf = ({ record }: Taken, { partition, offset }: LeaseRef): boolean =>
  record.partition === partition && record.offset === offset;
