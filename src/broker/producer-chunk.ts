import type { Offset } from "../record/offset.ts";
import type { LastWrite } from "./producer-sequence.ts";

/** A snapshot holds chunks as they were, and a write copies at most one chunk of this many entries. */
export const PRODUCER_CHUNK_ENTRIES = 1024;

/** A producer in one partition. */
export type ProducerPlace = {
  readonly topicId: number;
  readonly partition: number;
  readonly id: string;
};
export type ProducerEntry = ProducerPlace & LastWrite & { readonly at: number };

/** Columns of the entries of producers. A chunk that a snapshot holds is copied before a change. */
export class ProducerChunk {
  /** A chunk of an older epoch than the table's may be shared with a snapshot. */
  readonly epoch: number;
  readonly #ids: string[];
  /** Topic, partition, epoch, sequence number, first offset, time. */
  readonly #numbers: Float64Array;
  /** Count, payload. */
  readonly #words: Uint32Array;

  constructor(epoch: number, from: ProducerChunk | null = null) {
    this.epoch = epoch;
    this.#ids = from === null ? [] : from.#ids.slice();
    const numbers = PRODUCER_CHUNK_ENTRIES * NUMBERS;
    this.#numbers = from === null ? new Float64Array(numbers) : from.#numbers.slice();
    const words = PRODUCER_CHUNK_ENTRIES * WORDS;
    this.#words = from === null ? new Uint32Array(words) : from.#words.slice();
  }

  set(slot: number, { topicId, partition, id }: ProducerPlace): void {
    this.#ids[slot] = id;
    const at = slot * NUMBERS;
    this.#numbers[at] = topicId;
    this.#numbers[at + 1] = partition;
  }

  setLast(slot: number, last: LastWrite, now: number): void {
    const at = slot * NUMBERS;
    this.#numbers[at + 2] = last.epoch;
    this.#numbers[at + 3] = last.seq;
    this.#numbers[at + 4] = last.firstOffset;
    this.#numbers[at + 5] = now;
    this.#words[slot * WORDS] = last.count;
    this.#words[slot * WORDS + 1] = last.payload;
  }

  /** Releases the id. */
  clear(slot: number): void {
    this.#ids[slot] = "";
  }

  /** Machine time of the last write. */
  at(slot: number): number {
    return this.#numbers[slot * NUMBERS + 5] as number;
  }

  read(slot: number): ProducerEntry {
    const at = slot * NUMBERS;
    return {
      topicId: this.#numbers[at] as number,
      partition: this.#numbers[at + 1] as number,
      id: this.#ids[slot] as string,
      epoch: this.#numbers[at + 2] as number,
      seq: this.#numbers[at + 3] as number,
      firstOffset: this.#numbers[at + 4] as Offset,
      at: this.#numbers[at + 5] as number,
      count: this.#words[slot * WORDS] as number,
      payload: this.#words[slot * WORDS + 1] as number,
    };
  }
}

const NUMBERS = 6;
const WORDS = 2;
