import type { Clock } from "../../env/clock.ts";
import type { Machine } from "../../machine/machine.ts";
import { receive } from "../../queue/commands/receive.ts";
import { QUEUE_SPAN_MAX } from "../../queue/definition.ts";
import { type FoundQueue, findQueue, type LeaseRef } from "../../queue/find.ts";
import { lowOffset } from "../../queue/state.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { Rejected, Result } from "../api.ts";
import type {
  Blocked,
  Received,
  ReceivedMessage,
  ReceiveReject,
  ReceiveRequest,
} from "../queue-api.ts";
import type { Commander } from "../writes/commander.ts";
import { Delivery } from "./delivery.ts";
import type { Feed, Taken } from "./feed.ts";
import { Selector } from "./selector.ts";

/** Records of one command. Each is named with a few bytes. */
const COMMAND_RECORDS = 1_000;
const COMMAND_BYTES = 256;

type Outcome = Result<Received, ReceiveReject>;
/** A request that a command serves, and the number of records that are for it. */
type Share = { readonly waiting: Waiting; readonly count: number };

export type DispatcherOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
  readonly queueId: number;
  readonly onError: (error: unknown) => void;
  /** Makes the feed of a partition. Default: as the order of the queue says. */
  readonly feedOf?: (partition: number) => Feed;
};

/**
 * Gives the records of one queue to the requests that wait for them, first come, first served. The
 * leader has one for each queue that is in use. Requests that arrive while an entry is written share
 * a command of the next entry.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #selector: Selector;
  #waiting: Waiting[] = [];
  #isReading = false;
  /** False if a request came or was answered since the timer was set. */
  #isArmed = false;
  /** Time of the queue's first lease or wait when the timer was set, and when the timer ends. */
  #armedFor = 0;
  #wakesAtMs = 0;
  #cancelTimer: (() => void) | null = null;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#selector = new Selector(options);
  }

  /** True if no request waits and no command is in flight. */
  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#selector.reserved === 0 && !this.#isReading;
  }

  /** `give` must be called soon. */
  receive(request: ReceiveRequest): Promise<Outcome> {
    return new Promise((resolve) => {
      const untilMs = this.#nowMs() + request.waitMs;
      this.#waiting.push(new Waiting(request, untilMs, resolve));
      this.#isArmed = false;
    });
  }

  /** Called when there may be something to give out, or when a request may be late. */
  give(): void {
    if (this.#waiting.length === 0 || this.#isReading) return;
    for (;;) {
      const found = this.#find();
      if (found === null) {
        this.stop("queue_not_found");
        return;
      }
      const taken = this.#selector.select(found, this.#wanted());
      if (taken instanceof Promise) {
        this.#giveLater(taken);
        return;
      }
      if (!this.#distribute(found, taken)) break;
    }
    this.#rest();
  }

  /** There is nothing to give out now. */
  #rest(): void {
    const dueAt = this.#find()?.queue.timed.nextAt() ?? Number.POSITIVE_INFINITY;
    const isUnchanged = this.#isArmed && dueAt === this.#armedFor;
    // Many requests may wait while the queue is empty, so they are not looked at each time.
    if (isUnchanged && this.#nowMs() < this.#wakesAtMs) return;
    this.#endLate();
    for (const waiting of this.#waiting) waiting.follow(this.#left);
    this.#arm(dueAt);
  }

  /** The client of a request has disconnected. */
  readonly #left = (waiting: Waiting): void => {
    if (!this.#waiting.includes(waiting)) return;
    this.#waiting = this.#waiting.filter((each) => each !== waiting);
    waiting.done(this.#nothing(null));
  };

  /** Ends all waits. */
  stop(code: ReceiveReject): void {
    this.#cancelTimer?.();
    for (const waiting of this.#waiting.splice(0)) waiting.done({ ok: false, code });
  }

  #giveLater(taken: Promise<readonly Taken[] | PartitionDamaged>): void {
    this.#isReading = true;
    taken.then(
      (selected) => {
        this.#isReading = false;
        const found = this.#find();
        const isGiven = found !== null && this.#distribute(found, selected);
        if (found === null || isGiven) this.give();
        else this.#rest();
      },
      (error: unknown) => this.#options.onError(error),
    );
  }

  #wanted(): number {
    let wanted = 0;
    for (const { request } of this.#waiting) {
      wanted += request.max;
      if (wanted >= COMMAND_RECORDS) break;
    }
    return Math.min(wanted, COMMAND_RECORDS);
  }

  /** @returns false if nothing was selected, or if no request waits any more. */
  #distribute(found: FoundQueue, taken: readonly Taken[] | PartitionDamaged): boolean {
    if (taken instanceof PartitionDamaged) {
      this.#waiting.shift()?.done({ ok: false, code: "data_damaged" });
      return this.#waiting.length > 0;
    }
    if (taken.length === 0) return false;
    const visibilityOf = ({ request }: Waiting): number =>
      request.visibilityMs ?? found.queue.definition.visibilityMs;
    this.#isArmed = false;
    let given = 0;
    // Requests may have left while records were read.
    while (given < taken.length && this.#waiting.length > 0) {
      const visibilityMs = visibilityOf(this.#waiting[0] as Waiting);
      const shares: Share[] = [];
      const from = given;
      let next = this.#waiting[0];
      while (given < taken.length && next !== undefined && visibilityOf(next) === visibilityMs) {
        const count = Math.min(taken.length - given, next.request.max);
        shares.push({ waiting: next, count });
        given += count;
        next = this.#waiting[shares.length];
      }
      this.#waiting.splice(0, shares.length);
      this.#propose(found, visibilityMs, shares, taken.slice(from, given));
    }
    if (given < taken.length) this.#selector.release(found, taken.slice(given));
    return this.#waiting.length > 0;
  }

  /** One command for all shares. */
  #propose(
    found: FoundQueue,
    visibilityMs: number,
    shares: readonly Share[],
    taken: readonly Taken[],
  ): void {
    const { queueId } = found.queue;
    this.#options.commander.start(
      {
        kind: receive,
        fields: { queueId, visibilityMs, candidates: taken },
        bytes: COMMAND_BYTES,
        done: ({ leases, visibleAt }) => ({ ok: true, leases, visibleAt }) as const,
      },
      (outcome) => {
        this.#selector.release(found, taken);
        if (outcome.ok) this.#answer(found, shares, taken, outcome.leases, outcome.visibleAt);
        else for (const { waiting } of shares) waiting.done(outcome as Rejected<ReceiveReject>);
      },
    );
  }

  /** @param leases in the order of the records; some may be missing. */
  #answer(
    { queue: { queueId }, topic }: FoundQueue,
    shares: readonly Share[],
    taken: readonly Taken[],
    leases: readonly LeaseRef[],
    visibleAtMs: number,
  ): void {
    const empty: Waiting[] = [];
    let at = 0;
    let next = 0;
    for (const { waiting, count } of shares) {
      const messages: ReceivedMessage[] = [];
      for (const end = next + count; next < end; next++) {
        const { partition, offset, record } = taken[next] as Taken;
        const lease = leases[at];
        if (lease?.partition !== partition || lease.offset !== offset) continue;
        at++;
        messages.push(new Delivery(record, queueId, lease.attempt));
      }
      if (messages.length === 0) empty.push(waiting);
      else {
        const { name, topicId } = topic;
        waiting.done({ ok: true, topic: name, topicId, messages, visibleAtMs, blocked: null });
      }
    }
    if (empty.length > 0) this.#again(empty);
  }

  /** Nothing of what was selected for these could be given out when the command was applied. */
  #again(all: readonly Waiting[]): void {
    for (const waiting of all) if (waiting.isGone) waiting.done(this.#nothing(null));
    this.#waiting.unshift(...all.filter(({ isGone }) => !isGone));
    this.#isArmed = false;
  }

  /** Answers the requests whose time is over. */
  #endLate(): void {
    const nowMs = this.#nowMs();
    if (!this.#waiting.some(({ untilMs }) => untilMs <= nowMs)) return;
    const late = this.#waiting.filter(({ untilMs }) => untilMs <= nowMs);
    this.#waiting = this.#waiting.filter(({ untilMs }) => untilMs > nowMs);
    const found = this.#find();
    const blocked = found === null ? null : this.#blocked(found);
    for (const waiting of late) waiting.done(this.#nothing(blocked));
  }

  /** Wakes up when the next request is late, or when the next lease or wait is over. */
  #arm(dueAt: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (this.#waiting.length === 0) return;
    const { clock } = this.#options;
    const nowMs = this.#nowMs();
    let lateAtMs = Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.#waiting) lateAtMs = Math.min(lateAtMs, untilMs);
    const dueInMs = dueAt - clock.now();
    // Records that are due already could not be given out: something else has to happen first.
    const delayMs = Math.min(lateAtMs - nowMs, dueInMs > 0 ? dueInMs : Number.POSITIVE_INFINITY);
    const waitMs = Math.max(1, Math.ceil(delayMs));
    this.#isArmed = true;
    this.#armedFor = dueAt;
    this.#wakesAtMs = nowMs + waitMs;
    this.#cancelTimer = clock.after(waitMs, () => {
      this.#isArmed = false;
      this.give();
    });
  }

  #blocked(found: FoundQueue): Blocked | null {
    const { queue, topic } = found;
    if (this.#selector.room(found) <= 0) return "max_in_flight";
    const isFull = queue.partitions.some((mine) => {
      const its = topic.partitions[mine.partition];
      return its !== undefined && its.endOffset - lowOffset(mine, its) > QUEUE_SPAN_MAX;
    });
    return isFull ? "oldest_unacknowledged" : null;
  }

  #nothing(blocked: Blocked | null): Outcome {
    const { name = "", topicId = 0 } = this.#find()?.topic ?? {};
    return { ok: true, topic: name, topicId, messages: [], visibleAtMs: 0, blocked };
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

/** A request that waits for messages. */
class Waiting {
  readonly request: ReceiveRequest;
  /** Time of the monotonic clock. */
  readonly untilMs: number;
  readonly #resolve: (outcome: Outcome) => void;
  /** Null until the request is followed: most are answered before. */
  #signal: AbortSignal | null = null;
  #aborted: () => void = () => {};

  constructor(request: ReceiveRequest, untilMs: number, resolve: (outcome: Outcome) => void) {
    this.request = request;
    this.untilMs = untilMs;
    this.#resolve = resolve;
  }

  get isGone(): boolean {
    return this.#signal?.aborted === true;
  }

  /** Calls `left` when the client disconnects. */
  follow(left: (waiting: Waiting) => void): void {
    if (this.#signal !== null || this.request.signal === null) return;
    this.#signal = this.request.signal();
    this.#aborted = () => left(this);
    this.#signal.addEventListener("abort", this.#aborted, { once: true });
    if (this.#signal.aborted) left(this);
  }

  done(outcome: Outcome): void {
    this.#signal?.removeEventListener("abort", this.#aborted);
    this.#resolve(outcome);
  }
}
