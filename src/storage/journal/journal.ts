/**
 * The append-only journal: this node's durable Raft log, and the only file that is synced before an
 * answer. DESIGN.md describes formats and reasons.
 */
import { feature as faultPoint } from "bun:bundle";
import { DiskFailure, DiskFull } from "../../env/disk.ts";
import { assert } from "../../lib/assert.ts";
import type { Entry, LogIndex, Term, TermRun } from "../../raft/types.ts";
import { JournalIndex } from "./entry-index.ts";
import {
  FRAME_HEADER_BYTES,
  FrameEncoder,
  frameBytes,
  KIND_RESET,
  KIND_WATERMARK,
  segmentSeed,
} from "./frame.ts";
import type { JournalOptions } from "./options.ts";
import { JournalFull, PreallocatedSegments } from "./preallocated.ts";
import { readEntries } from "./reader.ts";
import { type Recovered, recoverJournal } from "./recovery.ts";
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  SEGMENT_VERSION,
  type Segment,
} from "./segment.ts";
import { JournalSegments } from "./segments.ts";
import { type LogMarker, laterEnd, readMarker, removeMarker } from "./truncated-log.ts";

const SEGMENT_BYTES_DEFAULT = 32 * 1024 * 1024;
const RESERVE_BYTES_DEFAULT = 64 * 1024 * 1024;
const PREALLOCATED_COUNT = 2;
/** After this long without an append, the last one gets a watermark frame of its own. */
const IDLE_MS = 2;

export type { JournalOptions } from "./options.ts";

export type JournalOpened = {
  readonly journal: Journal;
  /** The incomplete append at the end that was removed; null after a clean end. */
  readonly torn: Recovered["torn"];
  /** The damage that the journal was cut for, with `cutDamaged`; see `Journal.marker`. */
  readonly salvaged: Recovered["salvaged"];
  /** The damage in the part that a checkpoint covers, which was skipped. */
  readonly covered: Recovered["covered"];
  readonly bytesRead: number;
};

export class Journal {
  readonly #options: JournalOptions;
  readonly #index: JournalIndex;
  readonly #segments: JournalSegments;
  readonly #preallocated: PreallocatedSegments;
  readonly #encoder = new FrameEncoder();
  #chain: number;
  #durableIndex: number;
  /** Everything before this position in the active segment is synced. */
  #syncedPosition: number;
  #busy = false;
  #releasing: Promise<void> | null = null;
  #marking: Promise<void> | null = null;
  #marked = true;
  #timer: (() => void) | null = null;
  #appends = 0;
  #failure: DiskFailure | null = null;
  #closed = false;
  #marker: LogMarker | null = null;
  /** The newest segment in which recovery found damage. */
  #damaged: Segment | null = null;

  /**
   * Opens the journal in the directory, which must exist.
   *
   * @throws JournalDamaged if durable entries cannot be read; nothing was changed then.
   * @throws JournalUnsupported if a later version wrote it or it belongs to another node.
   * @throws DiskFailure
   */
  static async open(options: JournalOptions): Promise<JournalOpened> {
    const index = new JournalIndex();
    const recovered = await recoverJournal({
      disk: options.disk,
      directory: options.directory,
      identity: options.identity,
      index,
      onEntries: options.onEntries ?? null,
      cutDamaged: options.cutDamaged ?? false,
      ...(options.covered === undefined ? {} : { covered: options.covered }),
    });
    const journal = new Journal(options, index, recovered);
    journal.#marker = await readMarker(options.disk, options.directory, options.identity);
    if (recovered.segments.length === 0) await journal.#preallocated.prepareFirst();
    journal.#preallocated.refill();
    journal.#armIdle();
    const { torn, salvaged, covered, bytesRead } = recovered;
    if (covered !== null) journal.#damaged = recovered.segments.at(-1) ?? null;
    return { journal, torn, salvaged, covered, bytesRead };
  }

  private constructor(options: JournalOptions, index: JournalIndex, recovered: Recovered) {
    this.#options = options;
    this.#index = index;
    const { segments } = recovered;
    this.#segments = new JournalSegments(options.disk, options.directory, index, segments);
    this.#chain = recovered.chain;
    this.#durableIndex = index.lastIndex;
    this.#syncedPosition = recovered.segments.at(-1)?.end ?? 0;
    this.#marked = recovered.segments.length === 0;
    this.#preallocated = new PreallocatedSegments(
      {
        disk: options.disk,
        directory: options.directory,
        segmentBytes: options.segmentBytes ?? SEGMENT_BYTES_DEFAULT,
        reserveBytes: options.reserveBytes ?? RESERVE_BYTES_DEFAULT,
        count: PREALLOCATED_COUNT,
        onSpaceLow: options.onSpaceLow ?? (() => {}),
        onFailure: (failure) => void this.#fail(failure),
      },
      recovered.preallocated,
      recovered.nextId,
    );
  }

  /** The first entry that can be read; `lastIndex + 1` if there is none. */
  get firstIndex(): LogIndex {
    return this.#index.firstIndex as LogIndex;
  }

  /** The term of entry `firstIndex − 1`. */
  get baseTerm(): Term {
    return this.#index.baseTerm as Term;
  }

  get lastIndex(): LogIndex {
    return this.#index.lastIndex as LogIndex;
  }

  get lastTerm(): Term {
    return this.#index.lastTerm as Term;
  }

  /** All entries up to this index are on stable storage. */
  get durableIndex(): LogIndex {
    return this.#durableIndex as LogIndex;
  }

  /**
   * The truncated-log marker: the last entry that this journal is known to have held before it was
   * cut for damage. Null if it was never cut, or the marker was released. While it is set, the node
   * must not campaign, nor vote for a log that ends before it.
   */
  get marker(): LogMarker | null {
    return this.#marker;
  }

  /**
   * The entry that a checkpoint must cover before damaged segments can be released. Null if there
   * are none, or if the journal has not continued after them yet.
   */
  get damagedUpTo(): LogIndex | null {
    const damaged = this.#damaged;
    if (damaged === null || damaged.released || damaged === this.#segments.active) return null;
    return (this.#index.lastIn(damaged) ?? this.#index.firstIndex - 1) as LogIndex;
  }

  /**
   * Removes the truncated-log marker if the durable log reaches it.
   *
   * @returns true if there is none.
   */
  async releaseMarker(): Promise<boolean> {
    this.#check();
    const marker = this.#marker;
    if (marker === null) return true;
    const index = this.durableIndex;
    const end = { index, term: this.#index.termAt(index) ?? this.baseTerm };
    if (laterEnd(end, marker) !== end) return false;
    await removeMarker(this.#options.disk, this.#options.directory);
    this.#marker = null;
    return true;
  }

  /**
   * No further segment could be prepared. Produce must be refused, and requests that free space may
   * continue.
   */
  get spaceLow(): boolean {
    return this.#preallocated.spaceLow;
  }

  /** Bytes of all files except preallocated segments. */
  get bytes(): number {
    return this.#segments.bytes;
  }

  /** Returns the bytes of the files that must stay to retain entry `index`. */
  readonly bytesFrom = (index: LogIndex): number => this.#segments.bytesFrom(index);

  /** @returns null for an entry that is not here. `firstIndex − 1` has a term. */
  termAt(index: LogIndex): Term | null {
    return this.#index.termAt(index);
  }

  /** Returns the terms of all entries. */
  termRuns(): TermRun[] {
    return this.#index.termRuns();
  }

  /**
   * Appends with one write and one fdatasync. Calls must not overlap.
   *
   * @param entries contiguous. If the first is not above `lastIndex`, they replace it and all
   * entries after it.
   * @returns the last index, which is durable.
   * @throws JournalFull if no segment could be prepared; nothing was written, and the call may be
   * repeated.
   * @throws DiskFailure on any other error, and on every later call: once fsync has failed, the
   * kernel may drop the pages and report success on the next try (Rebello et al., USENIX ATC 2020).
   */
  async append(entries: readonly Entry[]): Promise<LogIndex> {
    this.#enter();
    try {
      // The write starts in the same event-loop iteration: the disk works while the caller
      // continues.
      if (this.#marking !== null) await this.#settleMark();
      const bytes = this.#checkBatch(entries);
      const first = entries[0]?.index ?? 0;
      const ready = this.#segmentFor(bytes, first - 1, this.#termBefore(first));
      const segment = ready instanceof Promise ? await ready : ready;
      const start = this.#encode(segment, entries);
      await this.#commit(segment, start);
      this.#durableIndex = this.#index.lastIndex;
      return this.#index.lastIndex as LogIndex;
    } catch (failure) {
      throw this.#fail(failure);
    } finally {
      this.#busy = false;
      this.#armIdle();
    }
  }

  /**
   * Empties the journal after a snapshot was installed. It continues after `index`.
   *
   * @throws JournalFull if there is no space: the call may be repeated.
   */
  async resetTo(index: LogIndex, term: Term): Promise<void> {
    this.#enter();
    try {
      await this.#settleMark();
      while (this.#releasing !== null) await this.#releasing;
      await this.#makeRoomForReset();
      const segment = await this.#roll(FRAME_HEADER_BYTES, index, term);
      this.#encoder.setSynced(this.#durableIndex, 0);
      this.#encoder.mark(KIND_RESET, index, term);
      this.#index.reset(index, term);
      await this.#commit(segment, 0);
      this.#durableIndex = index;
      await this.#segments.dropOlder();
    } catch (failure) {
      throw this.#fail(failure);
    } finally {
      this.#busy = false;
    }
    this.#preallocated.refill();
  }

  /**
   * Reads live, durable entries `from … to`: at most about `maxBytes` of payload, but at least one
   * entry.
   *
   * @throws JournalDamaged if a checksum is wrong.
   */
  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<Entry[]> {
    this.#check();
    assert(from >= this.#index.firstIndex, "read begins at or after firstIndex");
    const end = Math.min(to, this.#durableIndex);
    if (from > end) return [];
    const entries = await readEntries(this.#index, from, end, maxBytes);
    // A truncation during the read invalidated later entries.
    while ((entries.at(-1)?.index ?? 0) > this.#index.lastIndex) entries.pop();
    return entries;
  }

  /** Releases segments whose entries are all at or below `upTo`, which a checkpoint covers. */
  async release(upTo: LogIndex): Promise<void> {
    this.#check();
    while (this.#releasing !== null) await this.#releasing;
    this.#check();
    this.#releasing = this.#segments.release(upTo);
    try {
      await this.#releasing;
    } catch (failure) {
      throw this.#fail(failure);
    } finally {
      this.#releasing = null;
    }
    this.#preallocated.refill();
  }

  /** Retries the preparation of segments. @returns whether there is space now. */
  retrySpace(): Promise<boolean> {
    this.#check();
    return this.#preallocated.retry();
  }

  /** Writes the watermark of the last append now instead of after the idle time. */
  async noteIdle(): Promise<void> {
    this.#check();
    if (this.#busy || this.#marked) return;
    this.#marking ??= this.#mark();
    await this.#marking;
  }

  /**
   * Closes the journal after a durable watermark that covers the last append.
   *
   * @throws DiskFailure if the disk fails meanwhile; not again for an earlier failure.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    const failed = this.#failure;
    assert(!this.#busy, "the journal is closed between appends");
    this.#timer?.();
    this.#timer = null;
    if (this.#marking !== null) await this.#marking;
    if (this.#failure === null) {
      await this.noteIdle();
      await this.#segments.active?.file.sync();
    }
    this.#closed = true;
    if (this.#releasing !== null) await this.#releasing;
    await this.#preallocated.close();
    await this.#segments.close();
    if (this.#failure !== failed) throw this.#failure;
  }

  /** On most paths nothing is pending, so nothing is awaited. */
  #settleMark(): Promise<void> | null {
    return this.#marking === null ? null : this.#marking.then(() => this.#check());
  }

  #checkBatch(entries: readonly Entry[]): number {
    let next = entries[0]?.index ?? 0;
    assert(next > 0, "a batch is not empty");
    assert(next <= this.#index.lastIndex + 1, "the journal has no gaps");
    assert(next >= this.#index.firstIndex, "entries that a checkpoint covers are never replaced");
    let bytes = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      assert(entry !== undefined && entry.index === next, "a batch has no gaps");
      bytes += frameBytes(entry.data.length);
      next++;
    }
    return bytes;
  }

  #termBefore(first: number): number {
    const term = this.#index.termAt(first - 1);
    assert(term !== null, "the entry before a batch has a term");
    return term;
  }

  /**
   * Returns the active segment, or a new one if the batch does not fit or replaces entries of older
   * segments.
   */
  #segmentFor(bytes: number, baseIndex: number, baseTerm: number): Segment | Promise<Segment> {
    const active = this.#segments.active;
    if (
      active !== undefined &&
      active.end + bytes <= active.capacity &&
      baseIndex >= active.baseIndex
    ) {
      this.#encoder.begin(active.seed, active.end, this.#chain);
      return active;
    }
    return this.#roll(bytes, baseIndex, baseTerm);
  }

  /**
   * Prepares a segment without leaving space for others. If the disk is full, the space comes from
   * the old segments, all of which the durable snapshot covers: a crash in between leaves a journal
   * that is reset again.
   */
  async #makeRoomForReset(): Promise<void> {
    try {
      await this.#preallocated.prepareFirst();
    } catch (failure) {
      if (!(failure instanceof DiskFull)) throw failure;
      await this.#segments.dropAll();
      await this.#preallocated.prepareFirst().catch((still: unknown) => {
        if (!(still instanceof DiskFull)) throw still;
        throw new JournalFull("no space for a segment after a snapshot", { cause: still });
      });
    }
  }

  /**
   * Continues in the next preallocated segment. Its header is written with the frames that follow.
   */
  async #roll(bytes: number, baseIndex: number, baseTerm: number): Promise<Segment> {
    const active = this.#segments.active;
    // The new header names the last frame before it, so an unsynced watermark must not be lost.
    if (active !== undefined && active.end > this.#syncedPosition) {
      await active.file.sync();
      this.#syncedPosition = active.end;
    }
    const next = await this.#preallocated.take(SEGMENT_HEADER_BYTES + bytes);
    const seed = segmentSeed(this.#options.identity, next.id);
    const header = encodeSegmentHeader({
      version: SEGMENT_VERSION,
      capacity: next.size,
      id: next.id,
      baseIndex,
      baseTerm,
      watermark: Math.min(this.#durableIndex, baseIndex),
      identity: this.#options.identity,
      previousChain: this.#chain,
    });
    const segment: Segment = {
      id: next.id,
      path: next.path,
      file: next.file,
      seed,
      capacity: next.size,
      end: 0,
      baseIndex,
      readers: 0,
      released: false,
      durable: false,
    };
    if (faultPoint("released-before-the-next-is-durable")) segment.durable = true;
    this.#segments.add(segment);
    this.#syncedPosition = 0;
    this.#encoder.begin(seed, 0, 0);
    this.#encoder.raw(header, decodeSegmentHeader(header)?.checksum ?? 0);
    this.#preallocated.refill();
    return segment;
  }

  /**
   * Adds the frames to the buffer and the entries to the index.
   *
   * @returns the position of the first.
   */
  #encode(segment: Segment, entries: readonly Entry[]): number {
    const first = entries[0]?.index ?? 0;
    this.#index.truncateTo(first - 1);
    this.#durableIndex = Math.min(this.#durableIndex, first - 1);
    if (faultPoint("durable-watermark-missing")) this.#encoder.setSynced(0, 0);
    else this.#encoder.setSynced(this.#durableIndex, this.#syncedPosition);
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      if (entry === undefined) continue;
      assert(entry.term >= this.#index.lastTerm, "terms never go back");
      this.#index.add(segment, entry.index, entry.term, this.#encoder.position);
      this.#encoder.entry(entry);
    }
    return segment.end;
  }

  async #commit(segment: Segment, start: number): Promise<void> {
    const encoder = this.#encoder;
    const written = segment.file.write(start, encoder.view());
    if (written !== null) await written;
    this.#chain = encoder.chain;
    segment.end = encoder.position;
    if (faultPoint("fsync-error-retried")) await segment.file.sync().catch(() => undefined);
    await segment.file.sync();
    segment.durable = true;
    this.#syncedPosition = segment.end;
    this.#appends++;
    this.#marked = false;
  }

  /**
   * Writes an unsynced watermark after the last append, so that later damage to that append is
   * recognized.
   */
  async #mark(): Promise<void> {
    const segment = this.#segments.active;
    this.#marked = true;
    if (segment === undefined || segment.end + FRAME_HEADER_BYTES > segment.capacity) return;
    try {
      const encoder = this.#encoder;
      encoder.begin(segment.seed, segment.end, this.#chain);
      encoder.setSynced(this.#durableIndex, this.#syncedPosition);
      encoder.mark(KIND_WATERMARK, this.#index.lastIndex, this.#index.lastTerm);
      await segment.file.write(segment.end, encoder.view());
      this.#chain = encoder.chain;
      segment.end = encoder.position;
    } catch (failure) {
      this.#fail(failure);
    } finally {
      this.#marking = null;
    }
  }

  /** One timer serves many appends: it starts again while they continue. */
  #armIdle(): void {
    const clock = this.#options.clock;
    if (clock === undefined || this.#timer !== null || this.#marked) return;
    if (this.#failure !== null || this.#closed) return;
    const seen = this.#appends;
    this.#timer = clock.after(IDLE_MS, () => {
      this.#timer = null;
      if (this.#closed || this.#failure !== null || this.#marked) return;
      if (this.#busy || this.#appends !== seen) return this.#armIdle();
      this.#marking ??= this.#mark();
    });
  }

  #enter(): void {
    this.#check();
    assert(!this.#busy, "appends do not overlap");
    this.#busy = true;
  }

  #check(): void {
    assert(!this.#closed, "a closed journal is not used");
    if (this.#failure !== null) {
      throw new DiskFailure("the journal is not used after an earlier failure", {
        cause: this.#failure,
      });
    }
  }

  /**
   * Records the first failure of the disk. Lack of space before anything was written is not a
   * failure.
   */
  #fail(failure: unknown): unknown {
    if (!(failure instanceof DiskFailure)) return failure;
    if (failure instanceof JournalFull) return failure;
    if (this.#failure === null) {
      this.#failure = failure;
      this.#options.onFailure?.(failure);
    }
    return failure;
  }
}
