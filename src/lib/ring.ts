/** A queue of byte entries in shared memory from one thread to another. Neither of them ever waits. */
import { ByteCursor } from "./byte-cursor.ts";

/** Each number of the header has a cache line of its own. */
const WORDS_APART = 16;
const TAIL = 0;
const HEAD = WORDS_APART;
const ASLEEP = 2 * WORDS_APART;
const HEADER_BYTES = 4 * WORDS_APART * Int32Array.BYTES_PER_ELEMENT;
/** Entries begin at multiples of this. */
const ALIGNMENT = 8;
const LENGTH_BYTES = 4;
/** In place of a length: the next entry is at the start of the memory. */
const SKIP = 0xffff_ffff;
/** A long drain releases room after this many entries. */
const RELEASE_EVERY = 32;

/** The memory of a ring is not in the form that its writer leaves. The process must end. */
export class RingCorrupted extends Error {
  override readonly name = "RingCorrupted";
}

/** @param bytes of all entries that are not read yet: a power of two. */
export const ringMemory = (bytes: number): SharedArrayBuffer =>
  new SharedArrayBuffer(HEADER_BYTES + bytes);

const sizeOf = (length: number): number =>
  (LENGTH_BYTES + length + ALIGNMENT - 1) & ~(ALIGNMENT - 1);

/**
 * Positions count all bytes ever written, modulo 2³². Their difference is what is not read yet, and
 * their lower bits are a place in the memory.
 */
class Ring {
  /** The words that the two threads share. */
  readonly words: Int32Array;
  readonly cursor: ByteCursor;
  readonly capacity: number;

  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory, 0, HEADER_BYTES / Int32Array.BYTES_PER_ELEMENT);
    this.cursor = new ByteCursor(new Uint8Array(memory, HEADER_BYTES));
    this.capacity = memory.byteLength - HEADER_BYTES;
  }

  placeOf(position: number): number {
    return position & (this.capacity - 1);
  }

  lengthAt(place: number): number {
    this.cursor.range(place, place + LENGTH_BYTES);
    return this.cursor.u32();
  }

  setLength(place: number, length: number): void {
    this.cursor.range(place, place + LENGTH_BYTES);
    this.cursor.putU32(length);
  }
}

/** The end of a ring that writes. */
export class RingWriter {
  readonly #ring: Ring;
  #tail: number;
  /** The last known value; the real one is at least as large. */
  #head: number;

  constructor(memory: SharedArrayBuffer) {
    this.#ring = new Ring(memory);
    this.#tail = Atomics.load(this.#ring.words, TAIL) >>> 0;
    this.#head = Atomics.load(this.#ring.words, HEAD) >>> 0;
  }

  /**
   * Returns where to write an entry. `publish` ends it.
   *
   * @param bytes upper bound of its length.
   * @returns null if the ring is full.
   */
  reserve(bytes: number): ByteCursor | null {
    const { cursor, capacity } = this.#ring;
    const size = sizeOf(bytes);
    let place = this.#ring.placeOf(this.#tail);
    const skipped = place + size > capacity ? capacity - place : 0;
    if (!this.#hasRoom(skipped + size)) return null;
    if (skipped > 0) {
      this.#ring.setLength(place, SKIP);
      this.#tail = (this.#tail + skipped) >>> 0;
      place = 0;
    }
    cursor.range(place + LENGTH_BYTES, place + LENGTH_BYTES + bytes);
    return cursor;
  }

  /** Gives the reader the entry that was begun, which ends where the cursor is. */
  publish(): void {
    const { cursor, words } = this.#ring;
    const place = this.#ring.placeOf(this.#tail);
    const length = cursor.at - place - LENGTH_BYTES;
    this.#ring.setLength(place, length);
    this.#tail = (this.#tail + sizeOf(length)) >>> 0;
    Atomics.store(words, TAIL, this.#tail | 0);
  }

  /** Returns true, once for each sleep, if the reader sleeps: it must be woken by other means. */
  takeSleeper(): boolean {
    const { words } = this.#ring;
    return Atomics.load(words, ASLEEP) === 1 && Atomics.compareExchange(words, ASLEEP, 1, 0) === 1;
  }

  #hasRoom(bytes: number): boolean {
    const { capacity, words } = this.#ring;
    if (((this.#tail - this.#head) >>> 0) + bytes <= capacity) return true;
    this.#head = Atomics.load(words, HEAD) >>> 0;
    return ((this.#tail - this.#head) >>> 0) + bytes <= capacity;
  }
}

/** The end of a ring that reads. */
export class RingReader {
  readonly #ring: Ring;
  #head: number;

  constructor(memory: SharedArrayBuffer) {
    this.#ring = new Ring(memory);
    this.#head = Atomics.load(this.#ring.words, HEAD) >>> 0;
  }

  get isEmpty(): boolean {
    return Atomics.load(this.#ring.words, TAIL) >>> 0 === this.#head;
  }

  /**
   * Takes the entries that were published before the call.
   *
   * @param take reads one entry completely. Views of it are valid until it returns.
   * @returns how many there were.
   * @throws RingCorrupted, and what `take` throws.
   */
  drain(take: (entry: ByteCursor) => void): number {
    const { words, cursor, capacity } = this.#ring;
    const tail = Atomics.load(words, TAIL) >>> 0;
    let taken = 0;
    while (this.#head !== tail) {
      const place = this.#ring.placeOf(this.#head);
      const left = (tail - this.#head) >>> 0;
      const length = this.#ring.lengthAt(place);
      if (length === SKIP) {
        this.#advance(capacity - place, left);
        continue;
      }
      const size = sizeOf(length);
      if (length > capacity || size > left || place + size > capacity) {
        throw new RingCorrupted(`an entry of ${length} bytes at ${place}, with ${left} bytes left`);
      }
      cursor.range(place + LENGTH_BYTES, place + LENGTH_BYTES + length);
      take(cursor);
      this.#head = (this.#head + size) >>> 0;
      if (++taken % RELEASE_EVERY === 0) this.#release();
    }
    this.#release();
    return taken;
  }

  /**
   * Announces that this thread does not look again until it is woken.
   *
   * @returns false if there is something to read. It is then not announced.
   */
  sleep(): boolean {
    const { words } = this.#ring;
    Atomics.store(words, ASLEEP, 1);
    if (this.isEmpty) return true;
    Atomics.store(words, ASLEEP, 0);
    return false;
  }

  #advance(bytes: number, left: number): void {
    if (bytes > left) throw new RingCorrupted(`a skip of ${bytes} bytes, with ${left} bytes left`);
    this.#head = (this.#head + bytes) >>> 0;
  }

  #release(): void {
    Atomics.store(this.#ring.words, HEAD, this.#head | 0);
  }
}
