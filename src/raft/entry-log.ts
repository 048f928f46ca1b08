/**
 * The log as the core sees it. Watermarks, in order of index where they are comparable:
 *
 *     compacted <= evicted <= applied <= applying <= commit <= last
 *                                        durable <= emitted <= last
 *
 * Terms are known from `compacted` on, payloads are in memory above `evicted`. While a snapshot is
 * being installed, `durable` trails `compacted`.
 */
import { assert } from "../lib/assert.ts";
import { minIndex } from "./indexes.ts";
import { TermRuns } from "./term-runs.ts";
import {
  type Entry,
  INDEX_0,
  type LogIndex,
  type SnapshotMeta,
  TERM_0,
  type Term,
  type TermRun,
} from "./types.ts";

/** The size of an entry in a message, in addition to its data. */
const ENTRY_OVERHEAD_BYTES = 8;
/**
 * The array is shortened once it has at least this many evicted slots at its start, so that the
 * cost of the copy is amortized.
 */
const CUT_SLOTS_MIN = 1024;
const NO_ENTRIES: readonly Entry[] = [];
/** The content of a slot whose entry left memory. */
const EVICTED: Entry = {
  index: INDEX_0,
  term: TERM_0,
  type: "normal",
  data: new Uint8Array(0),
};

export class EntryLog {
  /** The payload window: `#entries[#head]` is the entry after `evictedIndex`. */
  #entries: Entry[] = [];
  #head = 0;
  readonly #terms = new TermRuns();
  /** The indexes of the membership changes above `applied`, ascending. */
  #confIndexes: LogIndex[] = [];
  #compacted: LogIndex;
  #compactedTerm: Term;
  #evicted: LogIndex;
  #last: LogIndex;
  #lastTerm: Term;
  /** All entries up to this index are on this node's disk. */
  durable: LogIndex;
  /** All entries up to this index were given to the driver to be written. */
  emitted: LogIndex;
  commit: LogIndex;
  /** All entries up to this index were given to the driver to be applied. */
  applying: LogIndex;
  applied: LogIndex;
  /** A snapshot that was received but is not durable yet. No entry is applied meanwhile. */
  pendingSnapshot: SnapshotMeta | null = null;

  /**
   * @param start the position after the snapshot: the snapshot covers everything up to `index`. It
   * is (0, 0) for an empty log.
   */
  constructor(start: { index: LogIndex; term: Term } = { index: INDEX_0, term: TERM_0 }) {
    this.#compacted = start.index;
    this.#compactedTerm = start.term;
    this.#evicted = start.index;
    this.#last = start.index;
    this.#lastTerm = start.term;
    this.durable = start.index;
    this.emitted = start.index;
    this.commit = start.index;
    this.applying = start.index;
    this.applied = start.index;
  }

  get firstIndex(): LogIndex {
    return (this.#compacted + 1) as LogIndex;
  }
  get compactedIndex(): LogIndex {
    return this.#compacted;
  }
  get evictedIndex(): LogIndex {
    return this.#evicted;
  }
  get lastIndex(): LogIndex {
    return this.#last;
  }
  get lastTerm(): Term {
    return this.#lastTerm;
  }
  get termRuns(): readonly TermRun[] {
    return this.#terms.list;
  }

  /** @returns undefined if the index is beyond the log or was compacted. */
  termAt(index: LogIndex): Term | undefined {
    if (index === this.#last) return this.#lastTerm;
    if (index === this.#compacted) return this.#compactedTerm;
    if (index > this.#last || index < this.#compacted) return undefined;
    return this.#terms.termAt(index);
  }

  matches(index: LogIndex, term: Term): boolean {
    return this.termAt(index) === term;
  }

  /**
   * Tells whether a log that ends in (`index`, `term`) is at least as complete as this one (paper
   * 5.4.1).
   */
  isUpToDate(index: LogIndex, term: Term): boolean {
    return term > this.#lastTerm || (term === this.#lastTerm && index >= this.#last);
  }

  /**
   * Returns the first of `entries` that this log lacks or has with another term. Returns null if
   * the log has all of them.
   */
  findConflict(entries: readonly Entry[]): Entry | null {
    for (const entry of entries) if (!this.matches(entry.index, entry.term)) return entry;
    return null;
  }

  /**
   * Returns the highest index at or below `index` whose term is at most `term`. Two logs may agree
   * there.
   *
   * @returns term 0 if the index is compacted, so that its term is unknown.
   */
  findConflictByTerm(index: LogIndex, term: Term): { index: LogIndex; term: Term } {
    let at = index;
    for (;;) {
      const own = this.termAt(at);
      if (own === undefined) return { index: at, term: TERM_0 };
      if (own <= term || at === this.#compacted)
        return { index: at, term: own <= term ? own : TERM_0 };
      at = ((this.#terms.startOf(at) ?? this.firstIndex) - 1) as LogIndex;
    }
  }

  /** Appends an entry, which must come right after the last one. */
  push(entry: Entry): void {
    assert(entry.index === this.#last + 1, "entries are contiguous");
    this.#entries.push(entry);
    this.#terms.append(entry.index, entry.term);
    this.#last = entry.index;
    this.#lastTerm = entry.term;
    if (entry.type === "conf_change") this.#confIndexes.push(entry.index);
  }

  /** Removes `index` and all entries above it. Called only if a leader's log differs there. */
  truncate(index: LogIndex): void {
    assert(index > this.commit, "committed entries are never truncated");
    assert(index > this.#evicted, "evicted entries are applied, thus never truncated");
    const last = (index - 1) as LogIndex;
    this.#entries.length = this.#head + (last - this.#evicted);
    this.#terms.truncate(index);
    this.#last = last;
    this.#lastTerm = last === this.#compacted ? this.#compactedTerm : this.#knownTerm(last);
    this.durable = minIndex(this.durable, last);
    this.emitted = minIndex(this.emitted, last);
    while ((this.#confIndexes.at(-1) ?? 0) > last) this.#confIndexes.pop();
  }

  commitTo(index: LogIndex): void {
    if (index <= this.commit) return;
    assert(index <= this.#last, "commit beyond the log: acknowledged entries were lost");
    this.commit = index;
  }

  appliedTo(index: LogIndex): void {
    assert(index >= this.applied && index <= this.applying, "applied follows what was handed out");
    this.applied = index;
    while ((this.#confIndexes[0] ?? index + 1) <= index) this.#confIndexes.shift();
  }

  /**
   * Returns the first membership change above `index`, which must not be applied yet. Returns
   * undefined if there is none.
   */
  nextConfChange(index: LogIndex): LogIndex | undefined {
    for (const at of this.#confIndexes) if (at > index) return at;
    return undefined;
  }

  /** @param index above `evictedIndex` */
  entryAt(index: LogIndex): Entry {
    const entry = this.#entries[this.#head + (index - this.#evicted - 1)];
    assert(entry !== undefined, "the payload is in memory");
    return entry;
  }

  /**
   * Returns entries `from … to`. The result ends before it exceeds `maxBytes`, but has at least one
   * entry.
   */
  slice(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] {
    if (from > to) return NO_ENTRIES;
    assert(from > this.#evicted && to <= this.#last, "the payloads are in memory");
    const start = this.#head + (from - this.#evicted - 1);
    const endMax = start + (to - from + 1);
    let bytes = 0;
    let end = start;
    for (; end < endMax; end++) {
      bytes += (this.#entries[end] as Entry).data.length + ENTRY_OVERHEAD_BYTES;
      if (bytes > maxBytes && end > start) break;
    }
    return this.#entries.slice(start, end);
  }

  /**
   * Lets payloads at or below `index` leave memory. The index is clamped to what is applied and
   * durable.
   */
  evict(index: LogIndex): void {
    const to = minIndex(minIndex(index, this.applied), this.durable);
    if (to <= this.#evicted) return;
    const head = this.#head + (to - this.#evicted);
    // References are dropped at once, because a payload may be large. The slots are removed in
    // bulk.
    this.#entries.fill(EVICTED, this.#head, head);
    this.#evicted = to;
    this.#head = head;
    if (head >= CUT_SLOTS_MIN || head === this.#entries.length) {
      this.#entries.splice(0, head);
      this.#head = 0;
    }
  }

  /** Removes entries and terms at or below `index`. The term of `index` itself stays known. */
  compact(index: LogIndex): void {
    if (index <= this.#compacted) return;
    assert(index <= this.applied && index <= this.durable, "only applied, durable entries go");
    const term = this.#knownTerm(index);
    this.evict(index);
    this.#terms.dropThrough(index, this.#last);
    this.#compacted = index;
    this.#compactedTerm = term;
  }

  /** Replaces the whole log with the snapshot. */
  restore(snapshot: SnapshotMeta): void {
    assert(snapshot.index > this.commit, "a snapshot never moves the commit index back");
    // Committed entries stay as they are on disk until the snapshot is durable.
    this.durable = minIndex(this.durable, this.commit);
    this.#reset(snapshot.index, snapshot.term);
    this.emitted = snapshot.index;
    this.commit = snapshot.index;
    this.pendingSnapshot = snapshot;
  }

  /** Records that the disk and the machine are at the snapshot. */
  snapshotPersisted(index: LogIndex): void {
    if (this.durable < index) this.durable = index;
    if (this.pendingSnapshot?.index !== index) return;
    this.pendingSnapshot = null;
    this.applying = index;
    this.applied = index;
  }

  /**
   * Restores, at start, the terms of entries whose payloads stay in the journal. The entries must
   * be applied.
   */
  loadEvicted(through: LogIndex, runs: readonly TermRun[]): void {
    assert(
      (runs[0]?.first ?? through + 1) <= this.firstIndex,
      "term runs begin right after the snapshot",
    );
    for (const [i, run] of runs.entries()) {
      const next = runs[i + 1]?.first ?? through + 1;
      assert(run.first < next, "term runs ascend, and end with what is evicted");
      this.#terms.append(run.first, run.term);
    }
    this.#evicted = through;
    this.#last = through;
    this.#lastTerm = this.#knownTerm(through);
  }

  #knownTerm(index: LogIndex): Term {
    const term = index === this.#compacted ? this.#compactedTerm : this.#terms.termAt(index);
    assert(term !== undefined, "the term of an index within the log is known");
    return term;
  }

  #reset(index: LogIndex, term: Term): void {
    this.#entries = [];
    this.#head = 0;
    this.#confIndexes = [];
    this.#terms.truncate(INDEX_0);
    this.#compacted = index;
    this.#compactedTerm = term;
    this.#evicted = index;
    this.#last = index;
    this.#lastTerm = term;
  }
}
