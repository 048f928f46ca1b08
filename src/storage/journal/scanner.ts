import { feature as faultPoint } from "bun:bundle";
import type { Disk } from "../../env/disk.ts";
import type { Entry, LogIndex, Term } from "../../raft/types.ts";
import { JournalDamaged, JournalUnsupported, type LogEnd } from "./damage.ts";
import type { JournalIndex } from "./entry-index.ts";
import { flippedEntry, hasFlippedHeader } from "./flip.ts";
import {
  entryTypeOf,
  FRAME_HEADER_BYTES,
  FrameDecoder,
  frameBytes,
  KIND_ENTRY,
  KIND_RESET,
  KIND_WATERMARK,
  PAYLOAD_BYTES_MAX,
} from "./frame.ts";
import { scanFrames } from "./frame-scan.ts";
import type { CoveredEnd, Rest } from "./remainder.ts";
import {
  type Opened,
  SEGMENT_HEADER_BYTES,
  SEGMENT_VERSION,
  type Segment,
  type SegmentHeader,
  segmentPath,
} from "./segment.ts";

const SLICE_BYTES = 1024 * 1024;

export type ScanOptions = {
  readonly disk: Disk;
  readonly directory: string;
  readonly identity: number;
  /** Filled with the entries of the last reading. */
  readonly index: JournalIndex;
  /**
   * Retain the readable entries and record the previous end of the log, instead of refusing the
   * journal.
   */
  readonly cutDamaged: boolean;
  /**
   * Called after damage that must not be cut. Returns the part that need not be read; null if all
   * of it is needed.
   */
  readonly covered?: () => Promise<CoveredEnd | null>;
  /**
   * Entries in the order of the file. One whose index is not new replaces all entries from there
   * on.
   */
  readonly onEntries: ((entries: readonly Entry[]) => void | Promise<void>) | null;
};

/** The result of one pass over the files. */
export type Reading = {
  /** The first files, which belong to the journal. The others are unused. */
  readonly used: number;
  /** Header checksum of the last frame. */
  readonly chain: number;
  /** The durable data that is missing; null if there is no evidence of any. */
  readonly damage: JournalDamaged | null;
};

/** The position where reading stopped, and the reason. */
type Stop = {
  readonly segment: Segment;
  readonly position: number;
  readonly reason: string;
  /** There are only zeros, as at the end of an intact segment. */
  readonly clean: boolean;
};

/** The watermarks that a frame carries: what was durable when it was written. */
type SyncInfo = { readonly synced: number; readonly watermark: number };

/** Reads a journal at start, without changing anything on disk. */
export class Scanner {
  readonly #options: ScanOptions;
  readonly #files: readonly Opened[];
  readonly #index: JournalIndex;
  /** Null: all of it is read. */
  readonly #rest: Rest | null;
  readonly #decoder = new FrameDecoder();
  #chain = 0;
  bytesRead = 0;
  #batch: Entry[] = [];

  constructor(options: ScanOptions, files: readonly Opened[], rest: Rest | null = null) {
    this.#options = options;
    this.#files = files;
    this.#index = options.index;
    this.#rest = rest;
  }

  /**
   * Reads everything that must be intact, and looks for evidence of missing durable data.
   *
   * @throws JournalUnsupported, DiskFailure
   */
  async read(): Promise<Reading> {
    try {
      return { ...(await this.#read()), damage: null };
    } catch (failure) {
      if (!(failure instanceof JournalDamaged)) throw failure;
      return { used: 0, chain: this.#chain, damage: failure };
    }
  }

  async #read(): Promise<Omit<Reading, "damage">> {
    let used = this.#rest?.file ?? 0;
    for (const file of this.#files.slice(used)) this.#checkHeader(file);
    let stop = this.#rest === null ? null : await this.#enterRest(this.#rest);
    if (stop !== null) used++;
    for (; used < this.#files.length; used++) {
      const opened = this.#files[used];
      if (opened?.header === null || opened === undefined) break;
      if (used > 0 && !this.#follows(opened, opened.header, used)) break;
      stop = await this.#enter(opened, opened.header, used === 0);
    }
    await this.#proveNothingMissing(used, stop);
    return { used, chain: this.#chain };
  }

  #headerProblem({ segment, header, size }: Opened): { position: number; reason: string } | null {
    if (header === null) return null;
    if (header.id !== segment.id) {
      return { position: 0, reason: `this is segment ${header.id} by its header` };
    }
    if (size >= header.capacity) return null;
    return { position: size, reason: `the file has ${size} bytes instead of ${header.capacity}` };
  }

  #checkHeader(opened: Opened): void {
    const { segment, header } = opened;
    if (header === null) return;
    if (header.version !== SEGMENT_VERSION) {
      throw new JournalUnsupported(
        `${segment.path} has journal format ${header.version}; this version reads ${SEGMENT_VERSION}`,
      );
    }
    if (header.identity !== this.#options.identity) {
      throw new JournalUnsupported(`${segment.path} belongs to the journal of another node`);
    }
    const problem = this.#headerProblem(opened);
    if (problem !== null) {
      this.#damaged(segment.path, problem.position, header.watermark, problem.reason);
    }
    segment.capacity = header.capacity;
  }

  /** Tells whether a segment continues exactly where the previous one ended. */
  #follows(opened: Opened, header: SegmentHeader, used: number): boolean {
    const before = this.#files[used - 1];
    return before?.segment.id === opened.segment.id - 1 && header.previousChain === this.#chain;
  }

  /** Begins within a file, or in one without a header. Earlier data is not needed. */
  async #enterRest({ file, position, chain, end }: Rest): Promise<Stop> {
    const segment = this.#files[file]?.segment;
    if (segment === undefined) throw new Error("the rest lies in one of the files");
    for (const opened of this.#files) opened.segment.end = SEGMENT_HEADER_BYTES;
    segment.end = position;
    this.#index.reset(end.index, end.term);
    this.#batch = [];
    this.#chain = chain;
    return await this.#readSegment(segment);
  }

  async #enter({ segment }: Opened, header: SegmentHeader, isFirst: boolean): Promise<Stop> {
    // Frames below the base: the remaining entries of older segments are dead.
    if (isFirst || header.baseIndex < this.#index.firstIndex - 1) {
      this.#index.reset(header.baseIndex, header.baseTerm);
    }
    this.#chain = header.checksum;
    return await this.#readSegment(segment);
  }

  /** Reads all valid frames. @returns where and why it stopped. */
  async #readSegment(segment: Segment): Promise<Stop> {
    let wanted = SLICE_BYTES;
    for (;;) {
      const start = segment.end;
      const length = Math.min(wanted, segment.capacity - start);
      this.#load(await segment.file.read(start, length), start, segment);
      const next = this.#readSlice(segment, start);
      await this.#handOver();
      if (typeof next === "string") {
        const clean = this.#decoder.isZero(segment.end - start);
        return { segment, position: segment.end, reason: next, clean };
      }
      wanted = next;
    }
  }

  /** Reads the frames of one slice. @returns how much to read next, or why it stopped. */
  #readSlice(segment: Segment, start: number): number | string {
    for (;;) {
      const at = segment.end - start;
      if (segment.end + FRAME_HEADER_BYTES > segment.capacity) return "the segment is full";
      if (at + FRAME_HEADER_BYTES > this.#decoder.available) {
        return at > 0 ? SLICE_BYTES : "short file";
      }
      const next = this.#readFrame(segment, at);
      if (next !== 0) return next;
    }
  }

  /**
   * @returns 0 if the frame was read, otherwise how many bytes are needed to read it, or the reason
   * why not.
   */
  #readFrame(segment: Segment, at: number): number | string {
    const frame = this.#decoder;
    if (!frame.header(at)) return "no valid frame";
    const size = frameBytes(frame.length);
    if (frame.length > PAYLOAD_BYTES_MAX || segment.end + size > segment.capacity) {
      return `a frame of ${size} bytes reaches beyond the segment`;
    }
    if (at + size > frame.available) return Math.max(size, SLICE_BYTES);
    const problem = this.#take(segment, at);
    if (problem !== null) return problem;
    segment.end += size;
    return 0;
  }

  #load(bytes: Uint8Array, start: number, segment: Segment): void {
    this.bytesRead += bytes.length;
    this.#decoder.load(bytes, start, segment.seed);
  }

  /** Handles the frame whose header was just read. @returns the problem, or null. */
  #take(segment: Segment, at: number): string | null {
    const frame = this.#decoder;
    if (frame.chain !== this.#chain) return "the frame does not follow the one before it";
    if (frame.kind === KIND_ENTRY) {
      const problem = this.#takeEntry(segment, at);
      if (problem !== null) return problem;
    } else if (frame.kind === KIND_RESET) {
      this.#index.reset(frame.index, frame.term);
    } else if (frame.kind !== KIND_WATERMARK) {
      throw new JournalUnsupported(
        `${segment.path} at byte ${segment.end}: frame of unknown kind ${frame.kind}`,
      );
    }
    this.#chain = frame.checksum;
    return null;
  }

  #takeEntry(segment: Segment, at: number): string | null {
    const { index, term, typeCode } = this.#decoder;
    const data = this.#decoder.payload(at);
    if (data === null) return `entry ${index}: wrong payload checksum`;
    const type = entryTypeOf(typeCode);
    if (type === null) {
      throw new JournalUnsupported(`${segment.path}: entry ${index} of unknown type ${typeCode}`);
    }
    if (index < this.#index.firstIndex || index > this.#index.lastIndex + 1) {
      // The frame is as it was written. No crash causes this, so the journal is not cut.
      const reason = `entry ${index} follows entry ${this.#index.lastIndex}`;
      this.#damaged(segment.path, segment.end, index, reason);
    }
    this.#index.truncateTo(index - 1);
    this.#index.add(segment, index, term, segment.end);
    if (this.#options.onEntries !== null) {
      this.#batch.push({ index: index as LogIndex, term: term as Term, type, data });
    }
    return null;
  }

  async #handOver(): Promise<void> {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    await this.#options.onEntries?.(batch);
  }

  /** Looks after the end for data that can only have been written later. */
  async #proveNothingMissing(used: number, stop: Stop | null): Promise<void> {
    for (const { segment, header, size } of this.#files.slice(used)) {
      if (header !== null) this.#missing(used, stop, header.watermark, `${segment.path} follows`);
      const sync = await this.#newestSync(segment, SEGMENT_HEADER_BYTES, size);
      if (sync === null || this.#isTornActivation(segment, used, sync)) {
        await this.#proveNoFlippedHeader(segment, used);
        continue;
      }
      this.#missing(used, stop, sync.watermark, `${segment.path} has later frames`);
    }
    this.#checkNoGap();
    if (stop === null) return;
    const { segment, position, reason } = stop;
    const sync = await this.#newestSync(segment, position, segment.capacity);
    const isAcknowledged = sync !== null && sync.synced > position;
    if (isAcknowledged && !faultPoint("mid-log-crc-treated-as-tail")) {
      this.#damaged(segment.path, position, sync.watermark, reason);
    }
    if (!faultPoint("flip-taken-for-torn")) await this.#proveNoFlippedFrame(stop);
  }

  /** The last append may have been acknowledged although no later frame follows it. */
  async #proveNoFlippedFrame({ segment, position, reason, clean }: Stop): Promise<void> {
    const held = clean ? null : await flippedEntry(segment, position, this.#chain);
    if (held === null) return;
    this.#damaged(segment.path, position, held.index, `${reason}; one bit was flipped`, held);
  }

  async #proveNoFlippedHeader({ id, path, file }: Segment, used: number): Promise<void> {
    if (id !== this.#files[used]?.segment.id) return;
    if (!(await hasFlippedHeader(file, id, this.#chain))) return;
    this.#damaged(path, 0, 0, "no valid segment header; one bit was flipped");
  }

  /**
   * Segments are created in sequence and removed oldest first, so no crash removes one between two
   * others.
   */
  #checkNoGap(): void {
    for (let i = 1 + (this.#rest?.file ?? 0); i < this.#files.length; i++) {
      const id = (this.#files[i - 1]?.segment.id ?? 0) + 1;
      if (this.#files[i]?.segment.id === id) continue;
      this.#damaged(segmentPath(this.#options.directory, id), 0, 0, "the file is missing");
    }
  }

  /**
   * The first write of the next segment is torn. Its frames prove that the older segments are
   * intact.
   */
  #isTornActivation(segment: Segment, used: number, sync: SyncInfo): boolean {
    const before = this.#files[used - 1]?.segment;
    return (
      segment === this.#files[used]?.segment &&
      (before === undefined || before.id + 1 === segment.id) &&
      sync.synced === 0 &&
      sync.watermark <= this.#index.lastIndex
    );
  }

  #missing(used: number, stop: Stop | null, watermark: number, evidence: string): never {
    const next = this.#files[used];
    if (next === undefined) throw new Error("evidence lies in a later segment");
    if (stop === null) {
      this.#damaged(next.segment.path, 0, watermark, `no valid segment header; ${evidence}`);
    }
    const { segment, position, reason } = stop;
    if (next.segment.id !== segment.id + 1) {
      const path = segmentPath(this.#options.directory, segment.id + 1);
      this.#damaged(path, 0, watermark, `the file is missing; ${evidence}`);
    }
    if (next.header === null && stop.clean) {
      this.#damaged(next.segment.path, 0, watermark, `no valid segment header; ${evidence}`);
    }
    this.#damaged(segment.path, position, watermark, `${reason}; ${evidence}`);
  }

  #damaged(
    file: string,
    position: number,
    watermark: number,
    reason: string,
    held: LogEnd | null = null,
  ): never {
    const next = this.#index.lastIndex + 1;
    // A damaged entry that replaces others invalidates them too.
    const from = Math.min(next, held?.index ?? next) as LogIndex;
    const to = Math.max(watermark, from) as LogIndex;
    throw new JournalDamaged({ file, position, from, to, reason }, held);
  }

  /** Returns the newest watermark in the journal: the entries up to it are needed from peers. */
  async lastWatermark(): Promise<number> {
    const last = this.#files.findLast((file) => file.header !== null);
    if (last === undefined) return 0;
    const sync = await this.#newestSync(last.segment, SEGMENT_HEADER_BYTES, last.size);
    return sync?.watermark ?? last.header?.watermark ?? 0;
  }

  /**
   * Among all valid frame headers in a range, returns the watermarks of the one with the highest
   * synced position.
   */
  async #newestSync(segment: Segment, from: number, to: number): Promise<SyncInfo | null> {
    let newest: SyncInfo | null = null;
    this.bytesRead += await scanFrames(segment, from, to, ({ synced, watermark }) => {
      if (newest === null || synced > newest.synced) newest = { synced, watermark };
    });
    return newest;
  }

  /** Reads up to the first damage, without looking for missing data after it. */
  async readPrefix(): Promise<Reading> {
    return { used: await this.#readPrefix(), chain: this.#chain, damage: null };
  }

  /** @returns the number of segments to use. */
  async #readPrefix(): Promise<number> {
    this.#index.reset(0, 0);
    this.#chain = 0;
    this.#batch = [];
    for (const { segment } of this.#files) segment.end = SEGMENT_HEADER_BYTES;
    for (let used = 0; used < this.#files.length; used++) {
      const opened = this.#files[used];
      const header = opened?.header ?? null;
      if (opened === undefined || header === null || this.#headerProblem(opened) !== null) {
        return used;
      }
      if (used > 0 && !this.#follows(opened, header, used)) return used;
      try {
        await this.#enter(opened, header, used === 0);
      } catch (failure) {
        if (!(failure instanceof JournalDamaged)) throw failure;
        await this.#handOver();
        return used + 1;
      }
    }
    return this.#files.length;
  }
}
