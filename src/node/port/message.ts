/** Messages of a worker port: all calls or outcomes of an event-loop iteration in one message. */

import { ByteWriter } from "../../lib/bytes.ts";

/**
 * `items` is a flat sequence of kinds and their values, at a third of the cost of one object each.
 * Byte values are concatenated in `bytes` in the order of the items, or are separate in `large`.
 */
export type PortMessage = {
  readonly items: readonly unknown[];
  readonly bytes: Uint8Array<ArrayBuffer> | null;
  readonly large: readonly Uint8Array[];
  /** Set by the node's side only. */
  readonly leader: KnownLeader | null;
};

/** The leader as the node's side told it. A higher version is newer, whichever way it came. */
export type KnownLeader = {
  readonly version: number;
  /** Null if the node leads itself, or no leader is known. */
  readonly url: string | null;
  /** `NodeApi.forwardsByLink`. */
  readonly byLink: boolean;
};
export const NO_LEADER_KNOWN: KnownLeader = { version: 0, url: null, byLink: false };

export type Post = (message: PortMessage, transfer: ArrayBuffer[]) => void;

/** Kinds of items. After each kind come the id of the call and the values listed here. */
export const KIND = {
  /** topic, partition, key, idempotency key, records, count, logicalBytes, hasHeaders, timeoutMs, rocket, traced, producer */
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
  /** no values: the caller does not wait any more */
  abort: 6,
  /** partition, firstOffset, count, duplicate, payloadMatches, committed, batchId, synced, ackedBy, queueUs, syncWaitUs */
  produced: 7,
  /** cas, batchId, synced, ackedBy */
  kvWritten: 8,
  /** topicId, startOffset, committedOffset, lowWatermark, endOffset, offset and position of `first`, all slices as one */
  page: 9,
  /** value, cas, ttlMs */
  kvValue: 10,
  /** the outcome of any other call, or a rejection */
  outcome: 11,
  /** bytes or null */
  bytes: 12,
  /** the text of the thrown error */
  failed: 13,
  /** In a ring only. In place of an id the version, then the URL or an empty text */
  leader: 14,
  /** In place of an id the number of a block, then its shared memory */
  block: 15,
  /** In place of an id the number of a block that no page names any more */
  freed: 16,
  /** In a ring only: code, message, details */
  rejected: 17,
  /** Asks the caller's side to read: number of the block to fill, descriptor, position, seed, base offset */
  readWindow: 18,
  /** From the caller's side: the end offset, or null if the node's side has to read */
  windowRead: 19,
} as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** Byte values from this size on are transferred instead of copied, if possible. */
const LARGE_BYTES = 32 * 1024;
const FIRST_BYTES = 64 * 1024;
/** A buffer that a burst made larger than this is not retained. */
const KEPT_BYTES_MAX = 1024 * 1024;
/** Special lengths: null, and from `FIRST_LARGE` down the positions in `large`. */
const NULL = -1;
const FIRST_LARGE = -2;

/** Collects the items of one side until the event-loop iteration ends. */
export class Outbox {
  readonly #post: Post;
  readonly #defer: (run: () => void) => void;
  readonly #leader: () => KnownLeader | null;
  #items: unknown[] = [];
  #bytes = new ByteWriter(FIRST_BYTES);
  #large: Uint8Array<ArrayBuffer>[] = [];
  #scheduled = false;

  /** @param defer the same as in `Clock`: runs once, after the events that are ready now. */
  constructor(
    post: Post,
    defer: (run: () => void) => void,
    leader: () => KnownLeader | null = () => null,
  ) {
    this.#post = post;
    this.#defer = defer;
    this.#leader = leader;
  }

  /** Returns the array for the next item. It is sent when the event-loop iteration ends. */
  get items(): unknown[] {
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#defer(() => this.flush());
    }
    return this.#items;
  }

  /** Copies bytes. @returns the value that represents them in `items`. */
  copy(bytes: Uint8Array | null): number {
    if (bytes === null) return NULL;
    const { length } = bytes;
    if (length >= LARGE_BYTES) return this.#hand(bytes.slice());
    this.#bytes.raw(bytes);
    return length;
  }

  /** Takes ownership of bytes. No other array may use their buffer afterwards. */
  give(bytes: Uint8Array<ArrayBuffer>): number {
    return bytes.length >= LARGE_BYTES ? this.#hand(bytes) : this.copy(bytes);
  }

  flush(): void {
    this.#scheduled = false;
    const bytes = this.#bytes.length === 0 ? null : this.#bytes.take();
    const transfer = this.#large.map(({ buffer }) => buffer);
    if (bytes !== null) transfer.push(bytes.buffer);
    const message = { items: this.#items, bytes, large: this.#large, leader: this.#leader() };
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

/** Reads a message. Values must be taken in the order in which they were pushed. */
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

  /** Returns the next value. The kind of the item determines its type. */
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
