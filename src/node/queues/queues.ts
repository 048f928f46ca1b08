import { findTopic } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import type { Machine } from "../../machine/machine.ts";
import type { WorkSample } from "../../metrics/sources.ts";
import { defineQueue } from "../../queue/commands/define-queue.ts";
import { deleteQueue } from "../../queue/commands/delete-queue.ts";
import { purgeQueue } from "../../queue/commands/purge-queue.ts";
import { extendLeases, nackMessages, type Settled } from "../../queue/commands/settle.ts";
import { isOwnedQueue } from "../../queue/definition.ts";
import { type FoundQueue, findQueueByName, type LeaseRef } from "../../queue/find.ts";
import type { Rejected, Result, WriteReject } from "../api.ts";
import type { Emit } from "../events.ts";
import type {
  QueueApi,
  QueueReject,
  QueueSummary,
  QueueTopics,
  Received,
  ReceiveReject,
  ReceiveRequest,
  Settlement,
  SettleRequest,
} from "../queue-api.ts";
import type { Commander } from "../writes/commander.ts";
import { type AckOutcome, Acks, settlementOf } from "./acks.ts";
import { Burials } from "./burials.ts";
import { EXHAUSTED, REJECTED } from "./dead-letter.ts";
import { Dispatcher } from "./dispatcher.ts";
import { leaseOfReceipt } from "./receipts.ts";
import { Redriver } from "./redriver.ts";
import { describe, liveQueues, summaryOf } from "./stats.ts";
import { Sweeper } from "./sweeper.ts";

const COMMAND_BYTES = 512;
/** Queues with series of their own. */
const SAMPLES_MAX = 100;
const LEASE_BYTES = 16;

export type QueuesOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  /** Runs `propose` before the next entry is closed. */
  readonly loop: { wake(): void };
  /** The cluster time. */
  readonly clock: Clock;
  readonly replica: { readonly isLeader: boolean };
  readonly emit: Emit;
};

/** Queues on this node. The leader gives out their records. */
export class Queues implements QueueApi {
  readonly #options: QueuesOptions;
  readonly #dispatchers = new Map<number, Dispatcher>();
  readonly #acks = new Map<number, Acks>();
  readonly #burials: Burials;
  readonly #redriver: Redriver;
  readonly #sweeper: Sweeper;

  constructor(options: QueuesOptions) {
    this.#options = options;
    this.#burials = new Burials(options);
    this.#redriver = new Redriver(options);
    const [burials, redriver] = [this.#burials, this.#redriver];
    this.#sweeper = new Sweeper({ ...options, burials, redriver, propose: () => this.propose() });
  }

  start(): void {
    this.#sweeper.start();
  }

  readonly define: QueueApi["define"] = (name, definition) =>
    this.#options.commander.run({
      kind: defineQueue,
      fields: { name, definition },
      bytes: COMMAND_BYTES,
      grows: true,
      done: ({ created }) => ({ ok: true, created }),
    }) as ReturnType<QueueApi["define"]>;

  readonly deleteQueue: QueueApi["deleteQueue"] = async (name) => {
    const found = await this.#current(name);
    if ("code" in found) return found;
    return await this.#options.commander.run({
      kind: deleteQueue,
      fields: { name },
      bytes: COMMAND_BYTES,
      done: () => ({ ok: true }),
    });
  };

  readonly purge: QueueApi["purge"] = async (name) => {
    const found = await this.#current(name);
    if ("code" in found) return found;
    return await this.#options.commander.run({
      kind: purgeQueue,
      fields: { name },
      bytes: COMMAND_BYTES,
      done: ({ purged }) => ({ ok: true, purged }),
    });
  };

  readonly receive: QueueApi["receive"] = (request) => {
    const found = this.#now(request.queue);
    return found === null ? this.#receiveLater(request) : this.#receive(found, request);
  };

  readonly settle: QueueApi["settle"] = (request) => {
    const { queue, receipts, how } = request;
    const found = how.kind === "ack" ? this.#now(queue) : null;
    return found === null
      ? this.#settleLater(request)
      : this.#ack(found, leasesOf(found, receipts));
  };

  async #receiveLater(request: ReceiveRequest): Promise<Result<Received, ReceiveReject>> {
    const found = await this.#current(request.queue);
    return "code" in found ? found : await this.#receive(found, request);
  }

  #receive({ queue }: FoundQueue, request: ReceiveRequest) {
    const outcome = this.#dispatcher(queue.queueId).receive(request);
    this.#options.loop.wake();
    return outcome;
  }

  #ack(
    { queue: { queueId } }: FoundQueue,
    leases: readonly (LeaseRef | null)[],
  ): ReturnType<QueueApi["settle"]> {
    const isKnown = (all: readonly (LeaseRef | null)[]): all is readonly LeaseRef[] =>
      !all.includes(null);
    const known = isKnown(leases) ? leases : leases.filter((lease) => lease !== null);
    return new Promise((resolve) => {
      const done = (outcome: AckOutcome): void => {
        if ("code" in outcome) resolve(outcome);
        else resolve({ ok: true, results: inOrder(leases, outcome) });
      };
      if (known.length === 0) return done([]);
      const acks = this.#acks.get(queueId) ?? new Acks(queueId);
      this.#acks.set(queueId, acks);
      acks.add(known, done);
      if (acks.isFull) acks.propose(this.#options.commander);
      this.#options.loop.wake();
    });
  }

  async #settleLater(request: SettleRequest): ReturnType<QueueApi["settle"]> {
    const found = await this.#current(request.queue);
    if ("code" in found) return found;
    const leases = leasesOf(found, request.receipts);
    const { how } = request;
    if (how.kind === "ack") return await this.#ack(found, leases);
    const isLast = leases.map(
      (lease) => how.kind === "nack" && lease !== null && isExhausted(found, lease),
    );
    const settled = leases.filter((lease, at) => lease !== null && !isLast[at]) as LeaseRef[];
    const buried = leases.filter((lease, at) => lease !== null && isLast[at]) as LeaseRef[];
    // Both are proposed in one event-loop iteration if the records are in memory.
    const [results, others] = await Promise.all([
      settled.length === 0 ? [] : this.#settle(found, how, settled),
      this.#bury(found, buried, EXHAUSTED),
    ]);
    if ("code" in results) return results;
    if ("code" in others) return others as Rejected<QueueReject>;
    return { ok: true, results: merge(leases, isLast, results, others) };
  }

  readonly reject: QueueApi["reject"] = async ({ queue, receipts, reason }) => {
    const found = await this.#current(queue);
    if ("code" in found) return found;
    const leases = leasesOf(found, receipts);
    const known = leases.filter((lease) => lease !== null);
    const buried = await this.#bury(found, known, reason ?? REJECTED);
    if ("code" in buried) return buried;
    return {
      ok: true,
      results: merge(
        leases,
        leases.map(() => true),
        [],
        buried,
      ),
    };
  };

  readonly redrive: QueueApi["redrive"] = async ({ queue, max, perSecond }) => {
    const found = await this.#current(queue);
    if ("code" in found) return found;
    const { queueId } = found.queue;
    return perSecond === null
      ? await this.#redriver.redrive(queueId, max)
      : await this.#redriver.begin(queueId, perSecond, max);
  };

  readonly stopRedrive: QueueApi["stopRedrive"] = async (name) => {
    const found = await this.#current(name);
    if ("code" in found) return found;
    const ended = await this.#redriver.end(found.queue.queueId);
    return "code" in ended ? ended : { ok: true, stopped: ended.replaced };
  };

  readonly listQueues = async (): Promise<readonly QueueSummary[]> => {
    const list: QueueSummary[] = [];
    for (const found of [...liveQueues(this.#options.machine)]) {
      if (isOwnedQueue(found.queue.name)) continue;
      list.push(await summaryOf(this.#options.machine, found, this.#options.clock.now()));
    }
    return list.sort((a, b) => (a.queue < b.queue ? -1 : 1));
  };

  readonly describeQueue: QueueApi["describeQueue"] = async (name) => {
    const found = this.#find(name);
    if (found === undefined) return { ok: false, code: "queue_not_found" };
    const { machine, clock } = this.#options;
    return { ok: true, ...(await describe(machine, found, clock.now())) };
  };

  readonly topicsOfQueue = (name: string): QueueTopics | null => {
    const { topic, deadLetter } = this.#find(name)?.queue.definition ?? {};
    return topic === undefined || deadLetter === undefined ? null : { topic, deadLetter };
  };

  readonly hasTopic = (name: string): boolean =>
    findTopic(this.#options.machine.broker, name) !== undefined;

  /** Samples for metrics: the queues with the most to do. */
  async sample(): Promise<Pick<WorkSample, "queues">> {
    const all = await this.listQueues();
    const workOf = ({ ready, delayed, inFlight, dead }: QueueSummary) =>
      ready + delayed + inFlight + dead;
    const most = [...all].sort((a, b) => workOf(b) - workOf(a)).slice(0, SAMPLES_MAX);
    const queues = most.map(
      ({ queue, ready, inFlight, delayed, dead, acked, lost, oldestAgeMs }) => ({
        ...{ queue, ready, inFlight, delayed, dead, acked, lost },
        oldestSeconds: oldestAgeMs / 1000,
      }),
    );
    return { queues };
  }

  /** Called right before an entry is closed: proposes what has arrived since the last one. */
  propose(): void {
    for (const acks of this.#acks.values()) acks.propose(this.#options.commander);
    for (const dispatcher of this.#dispatchers.values()) dispatcher.give();
  }

  /** Called at most once per event-loop iteration, after the machine has applied entries. */
  applied(): void {
    const { byId } = this.#options.machine.parts.queues;
    for (const [queueId, dispatcher] of this.#dispatchers) {
      if (dispatcher.isIdle && !byId.has(queueId)) this.#dispatchers.delete(queueId);
      else dispatcher.give();
    }
    for (const [queueId, acks] of this.#acks) {
      if (acks.isEmpty && !byId.has(queueId)) this.#acks.delete(queueId);
    }
  }

  /** Called when this node begins or ceases to lead: nothing that it remembers is certain then. */
  roleChanged(): void {
    this.#drop("not_leader");
  }

  stop(): void {
    this.#sweeper.stop();
    this.#drop("shutting_down");
  }

  #drop(code: "not_leader" | "shutting_down"): void {
    const dispatchers = [...this.#dispatchers.values()];
    this.#dispatchers.clear();
    for (const dispatcher of dispatchers) dispatcher.stop(code);
    const acks = [...this.#acks.values()];
    this.#acks.clear();
    for (const each of acks) each.reject(code);
  }

  #dispatcher(queueId: number): Dispatcher {
    const { machine, commander, clock, emit } = this.#options;
    const existing = this.#dispatchers.get(queueId);
    if (existing !== undefined) return existing;
    const onError = (error: unknown) => emit({ type: "failed", error });
    const created = new Dispatcher({ machine, commander, clock, queueId, onError });
    this.#dispatchers.set(queueId, created);
    return created;
  }

  /** The queue, if this leader knows it for certain without a wait; null otherwise. */
  #now(name: string): FoundQueue | null {
    return this.#options.commander.isCurrent ? (this.#find(name) ?? null) : null;
  }

  /** The queue as this leader knows it. */
  async #current(name: string): Promise<FoundQueue | Rejected<WriteReject | "queue_not_found">> {
    const refusal = await this.#options.commander.whenCurrent();
    if (refusal !== null) return { ok: false, code: refusal };
    return this.#find(name) ?? { ok: false, code: "queue_not_found" };
  }

  #find(name: string): FoundQueue | undefined {
    const { machine } = this.#options;
    return findQueueByName(machine.parts.queues, machine.broker, name);
  }

  #settle(
    { queue: { queueId } }: FoundQueue,
    how: Exclude<SettleRequest["how"], { readonly kind: "ack" }>,
    leases: readonly LeaseRef[],
  ): Promise<Settlement[] | Rejected<QueueReject>> {
    const { commander } = this.#options;
    const bytes = COMMAND_BYTES + leases.length * LEASE_BYTES;
    const done = ({ settled }: { readonly settled: Settled }) => settled.map(settlementOf);
    switch (how.kind) {
      case "nack": {
        const fields = { queueId, leases, delayMs: how.delayMs };
        return commander.run({ kind: nackMessages, fields, bytes, done });
      }
      case "extend": {
        const fields = { queueId, leases, byMs: how.byMs };
        return commander.run({ kind: extendLeases, fields, bytes, done });
      }
    }
  }

  /** @returns the first rejection if one is rejected; others may be put aside then. */
  async #bury(found: FoundQueue, leases: readonly LeaseRef[], reason: string) {
    const outcomes = await this.#burials.bury(found, leases, reason, true);
    const results: Settlement[] = [];
    for (const outcome of outcomes) {
      if (typeof outcome === "object" && outcome !== null) return outcome;
      results.push(outcome);
    }
    return results;
  }
}

const leasesOf = ({ queue }: FoundQueue, receipts: readonly string[]): (LeaseRef | null)[] =>
  receipts.map((receipt) => leaseOfReceipt(queue.queueId, receipt));

/** True if the delivery is the last one of the record. */
function isExhausted({ queue }: FoundQueue, { partition, offset, attempt }: LeaseRef): boolean {
  const item = queue.partitions[partition]?.items.get(offset);
  return item?.attempts === attempt && attempt >= queue.definition.maxDeliveries;
}

/** The results in the order of the receipts. */
function inOrder(
  leases: readonly (LeaseRef | null)[],
  results: readonly Settlement[],
): readonly Settlement[] {
  if (results.length === leases.length) return results;
  const next = results.values();
  return leases.map((lease) => (lease === null ? "unknown_receipt" : (next.next().value ?? null)));
}

/** The results of two commands in the order of the receipts. */
function merge(
  leases: readonly (LeaseRef | null)[],
  isBuried: readonly boolean[],
  settled: readonly Settlement[],
  buried: readonly Settlement[],
): Settlement[] {
  const [nextSettled, nextBuried] = [settled.values(), buried.values()];
  return leases.map((lease, at) => {
    if (lease === null) return "unknown_receipt";
    return (isBuried[at] ? nextBuried : nextSettled).next().value ?? null;
  });
}
