import type { SharedBlocks } from "../../lib/blocks.ts";
import type { ByteCursor } from "../../lib/byte-cursor.ts";
import type {
  ConsumePage,
  ConsumeReject,
  KvGetOutcome,
  KvPutOutcome,
  ProduceOutcome,
  ProducerNumber,
  Rejected,
  Result,
} from "../api.ts";
import {
  type AnyCall,
  CALLS,
  type OpenBackups,
  type Served,
  SIGNALLED_CALLS,
  type Side,
} from "./calls.ts";
import { readConsume, readKvGet, readKvPut, readProduce } from "./codec.ts";
import { Inbox, KIND, type Kind, Outbox, type PortMessage, type Post } from "./message.ts";
import { OutcomeRing, ToldLeader } from "./outcome-ring.ts";
import { type RingEnds, RingLink } from "./ring-link.ts";
import { NamedBlocks } from "./shared-pages.ts";
import { WindowCalls } from "./window-reads.ts";

export type PortServerOptions = {
  readonly post: Post;
  /** The same as in `Clock`. */
  readonly defer: (run: () => void) => void;
  /** Frequent outcomes go this way. Absent: all go by message. */
  readonly rings?: RingEnds;
  /** The memory of stored batches, if the caller reads it where it lies. Absent: it gets copies. */
  readonly blocks?: SharedBlocks;
};

/** The node's side of a port: executes calls and sends their outcomes back. */
export class PortServer {
  readonly #served: Served;
  readonly #outbox: Outbox;
  readonly #backups: OpenBackups = new Map();
  /** Calls in progress that can be aborted, by id. */
  readonly #aborts = new Map<number, AbortController>();
  readonly #leader: ToldLeader;
  readonly #rings: RingLink | null = null;
  /** Outcomes that cross in the ring. */
  readonly #ring: OutcomeRing | null = null;
  /** Reads of files by the caller's thread. Null: it shares no memory. */
  readonly windows: WindowCalls | null = null;

  constructor(served: Served, { post, defer, rings, blocks }: PortServerOptions) {
    this.#served = served;
    this.#leader = new ToldLeader(served.node);
    this.#outbox = new Outbox(post, defer, () => this.#leader.newest);
    if (rings === undefined) return;
    this.#rings = new RingLink(rings, defer, (entry) => this.#take(entry));
    const named = blocks === undefined ? null : this.#named(blocks);
    this.#ring = new OutcomeRing(this.#rings, this.#leader, named);
    this.windows = named === null ? null : new WindowCalls(this.#outbox, named);
  }

  /** Blocks that the caller is told about by messages. */
  #named(blocks: SharedBlocks): NamedBlocks {
    return new NamedBlocks(
      blocks,
      (number, memory) => this.#outbox.items.push(KIND.block, number, memory),
      (number) => this.#outbox.items.push(KIND.freed, number),
    );
  }

  /** Sends the leader's URL if it has changed since it was last sent. */
  refresh(): void {
    if (!this.#leader.isTold) this.#outbox.flush();
  }

  /** Executes a call from the ring. */
  #take(entry: ByteCursor): void {
    const kind = entry.u8();
    const id = entry.number();
    const run = this.#readEntry(kind, id, entry);
    entry.checkEnd();
    this.#run(id, run);
  }

  #readEntry(kind: number, id: number, entry: ByteCursor): () => void {
    switch (kind) {
      case KIND.produce: {
        const request = readProduce(entry);
        return () => this.#served.node.produce(request, (outcome) => this.#produced(id, outcome));
      }
      case KIND.kvPut: {
        const request = readKvPut(entry);
        return () => this.#served.node.kvPut(request, (outcome) => this.#kvWritten(id, outcome));
      }
      case KIND.consume: {
        const request = readConsume(entry);
        return () =>
          this.#then(id, this.#served.node.consume(request), (page) => this.#page(id, page));
      }
      case KIND.kvGet: {
        const request = readKvGet(entry);
        return () =>
          this.#then(id, this.#served.node.kvGet(request), (value) => this.#kvValue(id, value));
      }
      case KIND.windowRead: {
        const endOffset = entry.numberOrNull();
        return () => this.windows?.ended(id, endOffset);
      }
      default:
        throw new Error(`the ring brought a call of the unknown kind ${kind}`);
    }
  }

  #run(id: number, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#failed(id, error);
    }
  }

  /** Called when the other side has woken this one: there are entries in the ring. */
  woken(): void {
    this.#rings?.woken();
  }

  receive(message: PortMessage): void {
    this.#rings?.drain();
    const inbox = new Inbox(message);
    while (!inbox.isEmpty) {
      const kind = inbox.next<Kind>();
      const id = inbox.next<number>();
      this.#run(id, this.#read(kind, id, inbox));
    }
  }

  /** Reads all values of an item before it executes the call, so that the next item is found. */
  #read(kind: Kind, id: number, inbox: Inbox): () => void {
    switch (kind) {
      case KIND.produce:
        return this.#produce(id, inbox);
      case KIND.kvPut:
        return this.#kvPut(id, inbox);
      case KIND.consume:
        return this.#consume(id, inbox);
      case KIND.kvGet:
        return this.#kvGet(id, inbox);
      case KIND.call: {
        const call = CALLS[inbox.next<keyof typeof CALLS>()] as AnyCall;
        const given = inbox.next<readonly unknown[]>();
        return () => this.#answer(id, call(this.#side(id), ...given));
      }
      case KIND.signalled: {
        const call = SIGNALLED_CALLS[inbox.next<keyof typeof SIGNALLED_CALLS>()] as AnyCall;
        const given = inbox.next<readonly unknown[]>();
        return () => this.#runSignalled(id, call, given);
      }
      case KIND.abort:
        return () => this.#aborts.get(id)?.abort();
      case KIND.windowRead: {
        const endOffset = inbox.next<number | null>();
        return () => this.windows?.ended(id, endOffset);
      }
      default:
        throw new Error(`the port brought an item of the unknown kind ${kind}`);
    }
  }

  #produce(id: number, inbox: Inbox): () => void {
    const topic = inbox.next<string>();
    const partition = inbox.next<number | null>();
    const key = inbox.bytesOrNull();
    const idempotencyKey = inbox.bytesOrNull();
    const bytes = inbox.bytes();
    const count = inbox.next<number>();
    const logicalBytes = inbox.next<number>();
    const hasHeaders = inbox.next<boolean>();
    const timeoutMs = inbox.next<number | null>();
    const rocket = inbox.next<boolean>();
    const traced = inbox.next<boolean>();
    const producer = inbox.next<ProducerNumber | null>();
    const records = { bytes, count, logicalBytes, hasHeaders };
    const request = {
      topic,
      partition,
      key,
      idempotencyKey,
      records,
      timeoutMs,
      rocket,
      traced,
      producer,
    };
    return () => this.#served.node.produce(request, (outcome) => this.#produced(id, outcome));
  }

  #produced(id: number, outcome: ProduceOutcome): void {
    if (!outcome.ok) {
      this.#rejected(id, outcome);
      return;
    }
    if (this.#ring?.produced(id, outcome) === true) return;
    this.#outbox.items.push(
      KIND.produced,
      id,
      outcome.partition,
      outcome.firstOffset,
      outcome.count,
      outcome.duplicate,
      outcome.payloadMatches,
      outcome.committed,
      outcome.batchId,
      outcome.synced,
      outcome.ackedBy,
      outcome.queueUs,
      outcome.syncWaitUs,
    );
  }

  #kvPut(id: number, inbox: Inbox): () => void {
    const namespace = inbox.next<string>();
    const key = inbox.next<string>();
    const value = inbox.bytes();
    const cas = inbox.next<number | null>();
    const ttlMs = inbox.next<number | null>();
    const timeoutMs = inbox.next<number | null>();
    const request = { namespace, key, value, cas, ttlMs, timeoutMs };
    return () => this.#served.node.kvPut(request, (outcome) => this.#kvWritten(id, outcome));
  }

  #kvWritten(id: number, outcome: KvPutOutcome): void {
    if (!outcome.ok) {
      this.#rejected(id, outcome);
      return;
    }
    if (this.#ring?.kvWritten(id, outcome) === true) return;
    const { cas, batchId, synced, ackedBy } = outcome;
    this.#outbox.items.push(KIND.kvWritten, id, cas, batchId, synced, ackedBy);
  }

  #consume(id: number, inbox: Inbox): () => void {
    const request = {
      topic: inbox.next<string>(),
      partition: inbox.next<number>(),
      group: inbox.next<string>(),
      offset: inbox.next<number | null>(),
      topicId: inbox.next<number | null>(),
      limit: inbox.next<number>(),
      maxBytes: inbox.next<number>(),
      linearizable: inbox.next<boolean>(),
    };
    return () => this.#then(id, this.#served.node.consume(request), (page) => this.#page(id, page));
  }

  #page(id: number, page: Result<ConsumePage, ConsumeReject>): void {
    if (!page.ok) {
      this.#rejected(id, page);
      return;
    }
    if (this.#ring?.page(id, page) === true) return;
    const { topicId, startOffset, committedOffset, lowWatermark, endOffset, slices } = page;
    const { items } = this.#outbox;
    items.push(KIND.page, id, topicId, startOffset, committedOffset, lowWatermark, endOffset);
    items.push(page.first?.offset ?? -1, page.first?.at ?? -1);
    // The slices are valid in this event-loop iteration only.
    const [first] = slices;
    if (slices.length <= 1) items.push(this.#outbox.copy(first ?? null));
    else items.push(this.#outbox.give(joined(slices)));
  }

  #kvGet(id: number, inbox: Inbox): () => void {
    const request = {
      namespace: inbox.next<string>(),
      key: inbox.next<string>(),
      linearizable: inbox.next<boolean>(),
    };
    return () =>
      this.#then(id, this.#served.node.kvGet(request), (value) => this.#kvValue(id, value));
  }

  #kvValue(id: number, outcome: KvGetOutcome): void {
    if (!outcome.ok) {
      this.#rejected(id, outcome);
      return;
    }
    if (this.#ring?.kvValue(id, outcome) === true) return;
    const { value, cas, ttlMs } = outcome;
    this.#outbox.items.push(KIND.kvValue, id, this.#outbox.copy(value), cas, ttlMs);
  }

  #runSignalled(id: number, call: AnyCall, given: readonly unknown[]): void {
    const abort = new AbortController();
    this.#aborts.set(id, abort);
    const ended = Promise.resolve(call(this.#side(id), abort.signal, ...given)).finally(() =>
      this.#aborts.delete(id),
    );
    this.#answer(id, ended);
  }

  #side(id: number): Side {
    return { ...this.#served, backups: this.#backups, id };
  }

  #answer(id: number, outcome: unknown): void {
    this.#then(id, outcome, (value) => {
      if (value instanceof Uint8Array) {
        this.#outbox.items.push(KIND.bytes, id, this.#outbox.copy(value));
      } else this.#outcome(id, value);
    });
  }

  /** Sends a synchronous outcome without a promise, in the same event-loop iteration. */
  #then<T>(id: number, outcome: T | Promise<T>, done: (outcome: T) => void): void {
    if (outcome instanceof Promise) outcome.then(done).catch((error) => this.#failed(id, error));
    else done(outcome);
  }

  #outcome(id: number, outcome: unknown): void {
    this.#outbox.items.push(KIND.outcome, id, outcome);
  }

  #rejected(id: number, rejected: Rejected): void {
    if (this.#ring?.rejected(id, rejected) !== true) this.#outcome(id, rejected);
  }

  #failed(id: number, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#outbox.items.push(KIND.failed, id, text);
  }
}

function joined(slices: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(slices.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const slice of slices) {
    bytes.set(slice, at);
    at += slice.length;
  }
  return bytes;
}
