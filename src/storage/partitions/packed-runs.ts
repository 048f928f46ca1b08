import { assert } from "../../lib/assert.ts";

/** Runs are copied into slabs of this size. A longer run has a slab of its own. */
const SLAB_BYTES = 256 * 1024;
/** Before each run: its key and its length. */
const HEADER_BYTES = 12;
const LENGTH_AT = 8;
/** A place is the number of a slab and a position in it. */
const POSITIONS = 2 ** 32;

/** Bytes below `used` never change. */
type Slab = { readonly bytes: Uint8Array; readonly view: DataView; used: number; live: number };

/** The runs of one moment. Later changes are not seen in it. */
export interface CapturedRuns {
  readonly length: number;
  /** The sum of their lengths. */
  readonly bytes: number;
  /** @param index at most `length` - 1. */
  at(index: number): Uint8Array;
}

/**
 * Short runs of bytes by numeric keys, back to back in a few large buffers. An array for each would take
 * a few hundred bytes more, which is most of the memory of a small partition that is not in use.
 */
export class PackedRuns {
  readonly #places = new Map<number, number>();
  /** By number. Null: the number is free. */
  readonly #slabs: (Slab | null)[] = [];
  readonly #free: number[] = [];
  /** The slab that gets the next run, or -1. */
  #current = -1;
  /** With their headers. */
  #liveBytes = 0;
  #slabBytes = 0;

  get size(): number {
    return this.#places.size;
  }

  /** The sum of the lengths of all runs. */
  get runBytes(): number {
    return this.#liveBytes - HEADER_BYTES * this.size;
  }

  /** The memory of all slabs. */
  get allocatedBytes(): number {
    return this.#slabBytes;
  }

  keys(): IterableIterator<number> {
    return this.#places.keys();
  }

  has(key: number): boolean {
    return this.#places.has(key);
  }

  /** Returns the run, which never changes, or null. */
  get(key: number): Uint8Array | null {
    const place = this.#places.get(key);
    return place === undefined ? null : runAt(this.#slabs, place);
  }

  /** Adds a copy of a run. The key must not have one. */
  add(key: number, run: Uint8Array): void {
    assert(!this.#places.has(key), "a key has one run");
    this.#places.set(key, this.#store(key, run));
    this.#compact();
  }

  delete(key: number): void {
    const place = this.#places.get(key);
    if (place === undefined) return;
    this.#places.delete(key);
    this.#release(place);
    this.#compact();
  }

  capture(): CapturedRuns {
    const places = Float64Array.from(this.#places.values());
    const slabs = this.#slabs.slice();
    return {
      length: places.length,
      bytes: this.runBytes,
      at: (index) => runAt(slabs, places[index] as number),
    };
  }

  #store(key: number, run: Uint8Array): number {
    const size = HEADER_BYTES + run.length;
    const number = this.#slabFor(size);
    const slab = this.#slabs[number] as Slab;
    const at = slab.used;
    slab.view.setFloat64(at, key);
    slab.view.setUint32(at + LENGTH_AT, run.length);
    slab.bytes.set(run, at + HEADER_BYTES);
    slab.used += size;
    slab.live += size;
    this.#liveBytes += size;
    return number * POSITIONS + at;
  }

  #slabFor(size: number): number {
    const current = this.#slabs[this.#current] ?? null;
    if (current !== null && current.used + size <= current.bytes.length) return this.#current;
    if (size > SLAB_BYTES) return this.#newSlab(size);
    const last = this.#current;
    this.#current = this.#newSlab(SLAB_BYTES);
    // A slab that is not filled any more may have lost all of its runs.
    if (current?.live === 0) this.#drop(last);
    return this.#current;
  }

  #newSlab(bytes: number): number {
    const memory = new Uint8Array(bytes);
    const slab = { bytes: memory, view: new DataView(memory.buffer), used: 0, live: 0 };
    const number = this.#free.pop() ?? this.#slabs.length;
    this.#slabs[number] = slab;
    this.#slabBytes += bytes;
    return number;
  }

  #release(place: number): void {
    const number = Math.floor(place / POSITIONS);
    const slab = this.#slabs[number] as Slab;
    const size = sizeAt(slab, place % POSITIONS);
    slab.live -= size;
    this.#liveBytes -= size;
    if (slab.live === 0 && number !== this.#current) this.#drop(number);
  }

  #drop(number: number): void {
    this.#slabBytes -= (this.#slabs[number] as Slab).bytes.length;
    this.#slabs[number] = null;
    this.#free.push(number);
  }

  /** Moves the runs of one slab if more than half of the memory is unused, so that no call takes long. */
  #compact(): void {
    if (this.#slabBytes <= 2 * this.#liveBytes + 2 * SLAB_BYTES) return;
    const number = this.#emptiest();
    const slab = this.#slabs[number];
    if (slab === undefined || slab === null) return;
    for (let at = 0; at < slab.used; at += sizeAt(slab, at)) {
      const key = slab.view.getFloat64(at);
      const place = number * POSITIONS + at;
      if (this.#places.get(key) !== place) continue;
      this.#places.set(key, this.#store(key, runIn(slab, at)));
      this.#release(place);
    }
  }

  #emptiest(): number {
    let found = -1;
    let least = Number.POSITIVE_INFINITY;
    for (const [number, slab] of this.#slabs.entries()) {
      if (slab === null || number === this.#current || slab.live >= least) continue;
      found = number;
      least = slab.live;
    }
    return found;
  }
}

const sizeAt = ({ view }: Slab, at: number): number =>
  HEADER_BYTES + view.getUint32(at + LENGTH_AT);

const runIn = (slab: Slab, at: number): Uint8Array =>
  slab.bytes.subarray(at + HEADER_BYTES, at + sizeAt(slab, at));

function runAt(slabs: readonly (Slab | null)[], place: number): Uint8Array {
  const slab = slabs[Math.floor(place / POSITIONS)];
  assert(slab !== undefined && slab !== null, "a run that is there is in a slab");
  return runIn(slab, place % POSITIONS);
}
