/**
 * Records that wait, as rows of numbers in typed arrays: a million take about 50 MB, and the garbage
 * collector has nothing to follow in them.
 */
/** Records of one produce that wait together. Their bytes are in `PENDING_TOPIC`. */
export type Pending = {
  readonly id: number;
  readonly dueAt: number;
  readonly topicId: number;
  readonly partition: number;
  /** First offset in the partition of `PENDING_TOPIC`, and the number of records. */
  readonly offset: number;
  readonly count: number;
};

/** Rows of a chunk: 44 KiB. */
const ROWS = 1_024;
/** The place of a row that was removed. */
const REMOVED = 0xffff_ffff;
/** A table of fewer chunks is not rewritten, however few of its rows are left. */
const REWRITTEN_CHUNKS_MIN = 8;
/** A larger table is rewritten when fewer than one row of this many is left. */
const REWRITTEN_BELOW = 4;

/** Called when a row is elsewhere now. */
type Moved = (place: number, row: number) => void;

/** Rows are added at the end, and change in nothing but their place. */
class Chunk {
  readonly ids = new Float64Array(ROWS);
  readonly dueAts = new Float64Array(ROWS);
  readonly topicIds = new Float64Array(ROWS);
  readonly offsets = new Float64Array(ROWS);
  readonly partitions = new Uint32Array(ROWS);
  readonly counts = new Uint32Array(ROWS);
  /** Places in the heap of what falls due. */
  readonly places = new Uint32Array(ROWS);
  length = 0;

  at(row: number): Pending {
    return {
      id: this.ids[row] as number,
      dueAt: this.dueAts[row] as number,
      topicId: this.topicIds[row] as number,
      partition: this.partitions[row] as number,
      offset: this.offsets[row] as number,
      count: this.counts[row] as number,
    };
  }

  add({ id, dueAt, topicId, partition, offset, count }: Pending, place: number): void {
    const row = this.length++;
    this.ids[row] = id;
    this.dueAts[row] = dueAt;
    this.topicIds[row] = topicId;
    this.offsets[row] = offset;
    this.partitions[row] = partition;
    this.counts[row] = count;
    this.places[row] = place;
  }
}

/** A chunk as it was when it was captured: rows that were there have a place. */
type Captured = { readonly chunk: Chunk; readonly places: Uint32Array };

/**
 * The records of one class, in the order of their ids. A row has a number that stays the same until
 * the table is rewritten without the rows that were removed.
 */
export class PendingRows {
  #chunks: Chunk[] = [];
  #size = 0;

  /** @returns the number of the row. */
  add(pending: Pending, place: number): number {
    let last = this.#chunks.at(-1);
    if (last === undefined || last.length === ROWS) {
      last = new Chunk();
      this.#chunks.push(last);
    }
    last.add(pending, place);
    this.#size++;
    return (this.#chunks.length - 1) * ROWS + last.length - 1;
  }

  /** @returns the row of an id, or -1. */
  rowOf(id: number): number {
    const at = this.#chunkWith(id);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return -1;
    const row = firstFrom(chunk, id);
    const isThere = row < chunk.length && chunk.ids[row] === id && chunk.places[row] !== REMOVED;
    return isThere ? at * ROWS + row : -1;
  }

  at(row: number): Pending {
    return this.#chunk(row).at(row % ROWS);
  }

  idAt(row: number): number {
    return this.#chunk(row).ids[row % ROWS] as number;
  }

  dueAt(row: number): number {
    return this.#chunk(row).dueAts[row % ROWS] as number;
  }

  placeOf(row: number): number {
    return this.#chunk(row).places[row % ROWS] as number;
  }

  setPlace(row: number, place: number): void {
    this.#chunk(row).places[row % ROWS] = place;
  }

  /** @param moved is called for each row that has another number now. */
  remove(row: number, moved: Moved): void {
    this.setPlace(row, REMOVED);
    this.#size--;
    const { length } = this.#chunks;
    const isSparse = this.#size * REWRITTEN_BELOW < length * ROWS;
    if (isSparse && length >= REWRITTEN_CHUNKS_MIN) this.#rewrite(moved);
  }

  /** Yields the records with a higher id than `after`, in order. The table must not change. */
  *values(after = 0): Generator<Pending> {
    const chunks = this.#chunks;
    for (let at = Math.max(0, this.#chunkWith(after)); at < chunks.length; at++) {
      const chunk = chunks[at] as Chunk;
      for (let row = firstFrom(chunk, after + 1); row < chunk.length; row++) {
        if (chunk.places[row] !== REMOVED) yield chunk.at(row);
      }
    }
  }

  /** Returns the records as they are now, in order, whatever happens to the table afterwards. */
  capture(): Generator<Pending> {
    return valuesOf(
      this.#chunks.map((chunk) => ({ chunk, places: chunk.places.slice(0, chunk.length) })),
    );
  }

  #chunk(row: number): Chunk {
    return this.#chunks[Math.floor(row / ROWS)] as Chunk;
  }

  /** The last chunk that begins with at most this id, or -1. */
  #chunkWith(id: number): number {
    const chunks = this.#chunks;
    let low = 0;
    let high = chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (((chunks[middle] as Chunk).ids[0] as number) <= id) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The chunks of before do not change: they may be captured. */
  #rewrite(moved: Moved): void {
    const before = this.#chunks;
    this.#chunks = [];
    this.#size = 0;
    for (const chunk of before) {
      for (let row = 0; row < chunk.length; row++) {
        const place = chunk.places[row] as number;
        if (place !== REMOVED) moved(place, this.add(chunk.at(row), place));
      }
    }
  }
}

/** The first row with this id or a higher one. */
function firstFrom({ ids, length }: Chunk, id: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] as number) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

function* valuesOf(captured: readonly Captured[]): Generator<Pending> {
  for (const { chunk, places } of captured) {
    for (let row = 0; row < places.length; row++) if (places[row] !== REMOVED) yield chunk.at(row);
  }
}
