/** What goes over a worker port: many calls, or many outcomes, in one message a turn. */

import { ByteWriter } from "../../lib/bytes.ts";

/**
 * `items` holds kinds and their values back to back, as flat as they come: a third of the cost of
 * an object each. Bytes lie in `bytes` one behind the other, in the order of the items, or whole in
 * `large`.
 */
export type PortMessage = {
  readonly items: readonly unknown[];
  readonly bytes: Uint8Array<ArrayBuffer> | null;
  readonly large: readonly Uint8Array[];
  /** From the node's side only: where the leader is, if it is another node. */
  readonly leaderUrl: string | null;
};

export type Post = (message: PortMessage, transfer: ArrayBuffer[]) => void;

/** Kinds of items. Behind each: the id of the call, then the values, as the comments say. */
export const KIND = {
  /** topic, partition, key, idempotency key, records, count, logicalBytes, hasHeaders, timeoutMs, rocket, traced */
  produce: 0,
  /** namespace, key, value, cas, ttlMs, timeoutMs */
  kvPut: 1,
  /** topic, partition, group, offset, topicId, limit, maxBytes, linearizable */
  consume: 2,
  /** namespace, key, linearizable */
  kvGet: 3,
  /** name of the call, its arguments as an array */
  call: 4,
  /** the same, for a call that can be aborted */
  signalled: 5,
  /** nothing: nobody waits for the call any longer */
  abort: 6,
  /** partition, firstOffset, count, duplicate, payloadMatches, committed, batchId, synced, ackedBy, queueUs, syncWaitUs */
  produced: 7,
  /** cas, batchId, synced, ackedBy */
  kvWritten: 8,
  /** topicId, startOffset, committedOffset, lowWatermark, endOffset, all slices as one */
  page: 9,
  /** value, cas, ttlMs */
  kvValue: 10,
  /** what the call came to: any other outcome, and every rejection */
  outcome: 11,
  /** bytes or null */
  bytes: 12,
  /** what was thrown, as text */
  failed: 13,
} as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** From here on bytes are not gathered but handed over, where they may be. */
const LARGE_BYTES = 32 * 1024;
const FIRST_BYTES = 64 * 1024;
/** What a burst needed is not kept. */
const KEPT_BYTES_MAX = 1024 * 1024;
/** As lengths: no bytes at all; and from here down, those of `large`. */
const NULL = -1;
const FIRST_LARGE = -2;

/** Collects what one side has to say until its turn is over. */
export class Outbox {
  readonly #post: Post;
  readonly #defer: (run: () => void) => void;
  readonly #leaderUrl: () => string | null;
  #items: unknown[] = [];
  #bytes = new ByteWriter(FIRST_BYTES);
  #large: Uint8Array<ArrayBuffer>[] = [];
  #scheduled = false;

  /** @param defer as that of `Clock`: runs once, after the events that are ready now. */
  constructor(
    post: Post,
    defer: (run: () => void) => void,
    leaderUrl: () => string | null = () => null,
  ) {
    this.#post = post;
    this.#defer = defer;
    this.#leaderUrl = leaderUrl;
  }

  /** Where the next item is pushed to; it goes out at the end of the turn. */
  get items(): unknown[] {
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#defer(() => this.flush());
    }
    return this.#items;
  }

  /** Copies bytes that belong to others. @returns the value that stands for them. */
  copy(bytes: Uint8Array | null): number {
    if (bytes === null) return NULL;
    const { length } = bytes;
    if (length >= LARGE_BYTES) return this.#hand(bytes.slice());
    this.#bytes.raw(bytes);
    return length;
  }

  /** Takes bytes over: an array that is the only one of its buffer, or does not mind the loss. */
  give(bytes: Uint8Array<ArrayBuffer>): number {
    return bytes.length >= LARGE_BYTES ? this.#hand(bytes) : this.copy(bytes);
  }

  flush(): void {
    this.#scheduled = false;
    const bytes = this.#bytes.length === 0 ? null : this.#bytes.take();
    const transfer = this.#large.map(({ buffer }) => buffer);
    if (bytes !== null) transfer.push(bytes.buffer);
    const message = { items: this.#items, bytes, large: this.#large, leaderUrl: this.#leaderUrl() };
    this.#items = [];
    this.#large = [];
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#bytes = new ByteWriter(FIRST_BYTES);
    this.#bytes.clear();
    this.#post(message, transfer);
  }

  #hand(bytes: Uint8Array<ArrayBuffer>): number {
    this.#large.push(bytes);
    return FIRST_LARGE + 1 - this.#large.length;
  }
}

const NO_BYTES = new Uint8Array(0);

/** Walks a message; values must be taken in the order in which they were pushed. */
export class Inbox {
  readonly #message: PortMessage;
  #at = 0;
  #byteAt = 0;

  constructor(message: PortMessage) {
    this.#message = message;
  }

  get isEmpty(): boolean {
    return this.#at >= this.#message.items.length;
  }

  /** The caller knows from the kind what comes next. */
  next<T>(): T {
    return this.#message.items[this.#at++] as T;
  }

  bytesOrNull(): Uint8Array | null {
    const length = this.next<number>();
    if (length === NULL) return null;
    if (length <= FIRST_LARGE) return this.#message.large[FIRST_LARGE - length] ?? NO_BYTES;
    const from = this.#byteAt;
    this.#byteAt += length;
    return this.#message.bytes?.subarray(from, this.#byteAt) ?? NO_BYTES;
  }

  bytes(): Uint8Array {
    return this.bytesOrNull() ?? NO_BYTES;
  }
}
