import { assert } from "../lib/assert.ts";
import { type ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import { SECTION_BYTES_TARGET } from "../lib/state-part.ts";
import type { Offset } from "../record/offset.ts";
import {
  PRODUCER_CHUNK_ENTRIES,
  ProducerChunk,
  type ProducerEntry,
  type ProducerPlace,
} from "./producer-chunk.ts";
import { UseOrder } from "./producer-order.ts";
import { checkedProducerId, type LastWrite, PRODUCER_WINDOW_MS } from "./producer-sequence.ts";

/** A piece of a snapshot is complete when it has this many bytes. */
/** Limit of entries that one write drops for lack of room. */
const EVICTIONS_PER_WRITE = 64;

/** Entries of a topic. Null: any. */
type Wanted = {
  readonly topicId: number;
  readonly partition: number | null;
  readonly id: string | null;
};

/**
 * The last write of each idempotent producer in each partition, in the order of the writes. An entry
 * is dropped when `PRODUCER_WINDOW_MS` has passed since the write, when there are too many entries,
 * or with its topic. Look-ups ignore entries whose time has passed and that are not dropped yet.
 */
export class ProducersState {
  readonly #partitions = new Map<string, Map<string, number>>();
  #chunks: ProducerChunk[] = [];
  readonly #order = new UseOrder();
  readonly #free: number[] = [];
  #size = 0;
  /** Chunks that were last changed in an older epoch may be shared with a snapshot. */
  #epoch = 0;
  /** Not replicated: number of entries that were dropped for lack of room. */
  droppedEarly = 0;

  get size(): number {
    return this.#size;
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** Machine time of the oldest last write; `Infinity` without entries. */
  get oldestAt(): number {
    const { oldest } = this.#order;
    return oldest < 0 ? Number.POSITIVE_INFINITY : this.#chunkOf(oldest).at(slotOf(oldest));
  }

  /** @returns the last write, or null if there is none within the window. */
  find({ topicId, partition, id }: ProducerPlace, now: number): ProducerEntry | null {
    const index = this.#partitions.get(nameOf(topicId, partition))?.get(id);
    if (index === undefined) return null;
    const chunk = this.#chunkOf(index);
    if (isExpired(chunk.at(slotOf(index)), now)) return null;
    return chunk.read(slotOf(index));
  }

  /**
   * Remembers a write as the last one of its producer. The producers that did not write for the
   * longest time are dropped while there are more than `entriesMax`.
   */
  remember(place: ProducerPlace, last: LastWrite, now: number, entriesMax: number): void {
    const index = this.#indexOf(place);
    this.#owned(index).setLast(slotOf(index), last, now);
    this.#order.push(index);
    for (let i = 0; i < EVICTIONS_PER_WRITE && this.#size > Math.max(1, entriesMax); i++) {
      const { oldest } = this.#order;
      if (!isExpired(this.#chunkOf(oldest).at(slotOf(oldest)), now)) this.droppedEarly++;
      this.#drop(oldest);
    }
  }

  /**
   * Drops entries whose time has passed.
   *
   * @param max maximum number of entries to drop.
   * @returns how many were dropped.
   */
  expire(now: number, max: number): number {
    let dropped = 0;
    while (dropped < max && isExpired(this.oldestAt, now)) {
      this.#drop(this.#order.oldest);
      dropped++;
    }
    return dropped;
  }

  /** Drops the entries of a producer in some partitions of a topic. @returns how many. */
  forget(topicId: number, partitions: readonly number[], id: string): number {
    let dropped = 0;
    for (const partition of partitions) {
      const index = this.#partitions.get(nameOf(topicId, partition))?.get(id);
      if (index === undefined) continue;
      this.#drop(index);
      dropped++;
    }
    return dropped;
  }

  /** Drops all entries of a topic with this many partitions, which is deleted. */
  forgetTopic(topicId: number, partitions: number): void {
    for (let i = 0; i < partitions; i++) {
      const ids = this.#partitions.get(nameOf(topicId, i));
      if (ids !== undefined) for (const index of [...ids.values()]) this.#drop(index);
    }
  }

  /** Number of entries of a topic, with those whose time has passed and that are not dropped yet. */
  countOfTopic(topicId: number, partitions: number): number {
    let count = 0;
    for (let i = 0; i < partitions; i++) {
      count += this.#partitions.get(nameOf(topicId, i))?.size ?? 0;
    }
    return count;
  }

  /** Returns entries of a topic, the last write first. @param max at most this many. */
  latest({ topicId, partition, id }: Wanted, max: number, now: number): ProducerEntry[] {
    const found: ProducerEntry[] = [];
    let index = this.#order.newest;
    for (; index >= 0 && found.length < max; index = this.#order.before(index)) {
      const entry = this.#chunkOf(index).read(slotOf(index));
      if (entry.topicId !== topicId || isExpired(entry.at, now)) continue;
      if (partition !== null && entry.partition !== partition) continue;
      if (id === null || entry.id === id) found.push(entry);
    }
    return found;
  }

  /** All entries, oldest first. */
  *entries(): Generator<ProducerEntry, void> {
    for (let index = this.#order.oldest; index >= 0; index = this.#order.after(index)) {
      yield this.#chunkOf(index).read(slotOf(index));
    }
  }

  /** The entries as they are now, in pieces that may be taken while entries change. */
  capture(): Iterator<Uint8Array> {
    this.#epoch++;
    return pieces(this.#chunks.slice(), this.#order.slots(this.#size));
  }

  static restorer(): ProducersRestorer {
    return new ProducersRestorer();
  }

  /** Adds all entries in the order of their last writes. Equal for equal states. */
  digest(writer: ByteWriter, flush: () => void = () => undefined): void {
    writer.u64(this.#size);
    for (const entry of this.entries()) {
      writeEntry(writer, entry);
      flush();
    }
  }

  /** Numbers for the checksum of the state. */
  counts(): [number, number] {
    const { newest } = this.#order;
    return [this.#size, newest < 0 ? 0 : this.#chunkOf(newest).at(slotOf(newest))];
  }

  /** Finds the entry and takes it out of the order, or makes a new one. */
  #indexOf(place: ProducerPlace): number {
    const name = nameOf(place.topicId, place.partition);
    let ids = this.#partitions.get(name);
    if (ids === undefined) {
      ids = new Map();
      this.#partitions.set(name, ids);
    }
    const known = ids.get(place.id);
    if (known !== undefined) {
      this.#order.remove(known);
      return known;
    }
    const index = this.#free.pop() ?? this.#size;
    ids.set(place.id, index);
    this.#size++;
    this.#owned(index).set(slotOf(index), place);
    return index;
  }

  #drop(index: number): void {
    const chunk = this.#owned(index);
    const { topicId, partition, id } = chunk.read(slotOf(index));
    const name = nameOf(topicId, partition);
    const ids = this.#partitions.get(name);
    assert(ids?.get(id) === index, "the index has every entry");
    ids.delete(id);
    if (ids.size === 0) this.#partitions.delete(name);
    chunk.clear(slotOf(index));
    this.#order.remove(index);
    this.#free.push(index);
    this.#size--;
    if (this.#size > 0) return;
    this.#chunks = [];
    this.#free.length = 0;
  }

  #chunkOf(index: number): ProducerChunk {
    return this.#chunks[chunkNumber(index)] as ProducerChunk;
  }

  /** The chunk, copied if a snapshot may hold it. */
  #owned(index: number): ProducerChunk {
    const number = chunkNumber(index);
    const chunk = this.#chunks[number];
    if (chunk !== undefined && chunk.epoch === this.#epoch) return chunk;
    const owned = new ProducerChunk(this.#epoch, chunk);
    this.#chunks[number] = owned;
    return owned;
  }
}

/** Builds the state from the pieces of a snapshot, and checks that they are one that it wrote. */
export class ProducersRestorer {
  readonly #state = new ProducersState();
  #at = 0;

  /** @throws DecodeError */
  push(piece: ByteReader): void {
    while (piece.remaining > 0) {
      const entry = readEntry(piece);
      const { topicId, partition, id, at } = entry;
      if (at < this.#at) throw new DecodeError("producers are not in the order of their writes");
      if (this.#state.find({ topicId, partition, id }, 0) !== null) {
        throw new DecodeError("a producer is there twice");
      }
      this.#at = at;
      this.#state.remember(entry, entry, at, Number.POSITIVE_INFINITY);
    }
  }

  finish(): ProducersState {
    return this.#state;
  }
}

function* pieces(
  chunks: readonly ProducerChunk[],
  order: Uint32Array,
): Generator<Uint8Array, void> {
  const writer = new ByteWriter(SECTION_BYTES_TARGET + 1024);
  for (const index of order) {
    const chunk = chunks[chunkNumber(index)] as ProducerChunk;
    writeEntry(writer, chunk.read(slotOf(index)));
    if (writer.length < SECTION_BYTES_TARGET) continue;
    yield writer.take();
    writer.clear();
  }
  if (writer.length > 0) yield writer.take();
}

function writeEntry(writer: ByteWriter, entry: ProducerEntry): void {
  writer.varint(entry.topicId);
  writer.varint(entry.partition);
  writer.text(entry.id);
  writer.varint(entry.epoch);
  writer.varint(entry.seq);
  writer.varint(entry.firstOffset);
  writer.varint(entry.count);
  writer.u32(entry.payload);
  writer.varint(entry.at);
}

function readEntry(reader: ByteReader): ProducerEntry {
  const entry = {
    topicId: reader.varint(),
    partition: reader.varint(),
    id: checkedProducerId(reader.text()),
    epoch: reader.varint(),
    seq: reader.varint(),
    firstOffset: reader.varint() as Offset,
    count: reader.varint(),
    payload: reader.u32(),
    at: reader.varint(),
  };
  if (entry.topicId === 0) throw new DecodeError("a producer of no topic");
  if (entry.count === 0 || entry.count >= 2 ** 32) {
    throw new DecodeError(`a producer wrote ${entry.count} records`);
  }
  return entry;
}

const nameOf = (topicId: number, partition: number): string => `${topicId}/${partition}`;
const chunkNumber = (index: number): number => Math.floor(index / PRODUCER_CHUNK_ENTRIES);
const slotOf = (index: number): number => index % PRODUCER_CHUNK_ENTRIES;
const isExpired = (at: number, now: number): boolean => now - at >= PRODUCER_WINDOW_MS;
