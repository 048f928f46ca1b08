import type { Group } from "./group-table.ts";
import { MinHeap } from "./min-heap.ts";
import { windowStart } from "./window.ts";

/** The windows that a view retains. */
export type Retention = {
  /** Maximum number of windows; null for as many as there is room for. */
  readonly windows: number | null;
  /** Maximum number of groups in all windows; null for as many as there is room for. */
  readonly groups: number | null;
  /** Time that a window is retained after its end; null for as long as there is room. */
  readonly ageMs: number | null;
};

/** Limits of all groups together. */
export type TableLimits = {
  readonly groupsMax: number;
  readonly bytesMax: number;
  /** Approximate length of the saved state. */
  readonly savedBytesMax: number;
};

export type GroupWindow = {
  /** Null without a window; then all groups share one. */
  readonly startMs: number | null;
  readonly groups: Map<string, Group>;
  bytes: number;
  savedBytes: number;
};

/** Counters of evicted windows and of dropped records. */
export type AgedOut = {
  /** Windows that start before this are evicted permanently; null if none is. */
  fromMs: number | null;
  /** Number of evicted groups. */
  evicted: number;
  /** Records dropped because their window was evicted. */
  late: number;
  /** Records dropped because there was no room for their group. */
  overflow: number;
  /** True if data that the definition retains was evicted for lack of room. */
  isCut: boolean;
};

/**
 * The groups of a table by window. With a retention, the oldest windows go when their bound is
 * reached, whole, and records that come for them later are left out. So the windows that remain
 * are complete, and which ones remain depends on the records, not on the order of partitions.
 */
export class GroupWindows {
  readonly #limits: TableLimits;
  readonly #retention: Retention | null;
  readonly #sizeMs: number;
  readonly #windows = new Map<number | null, GroupWindow>();
  readonly #starts = new MinHeap();
  readonly agedOut: AgedOut = { fromMs: null, evicted: 0, late: 0, overflow: 0, isCut: false };
  /** Newest time seen, as far as the records' own timestamps have come; null without an age. */
  newestMs: number | null = null;
  size = 0;
  bytes = 0;
  savedBytes = 0;

  /** @param retention null: nothing ages out, as in a query. */
  constructor(limits: TableLimits, retention: Retention | null, sizeMs: number) {
    this.#limits = limits;
    this.#retention = retention;
    this.#sizeMs = sizeMs;
  }

  get count(): number {
    return this.#windows.size;
  }

  windows(): IterableIterator<GroupWindow> {
    return this.#windows.values();
  }

  get(startMs: number | null): GroupWindow | undefined {
    return this.#windows.get(startMs);
  }

  /**
   * Whether a record of this window has a place; moves the age on. A clock that runs ahead must not
   * make everything else old, so a time counts only as far as the record's timestamp.
   */
  admits(startMs: number, timeMs: number, timestampMs: number): boolean {
    if (this.#retention === null) return true;
    const { ageMs } = this.#retention;
    if (ageMs !== null) this.#ageTo(Math.min(timeMs, timestampMs), ageMs);
    if (this.agedOut.fromMs === null || startMs >= this.agedOut.fromMs) return true;
    this.agedOut.late++;
    return false;
  }

  /** Puts a new group where it belongs, without a look at the bounds. */
  put(key: string, group: Group, bytes: number, savedBytes: number): void {
    let window = this.#windows.get(group.windowStartMs);
    if (window === undefined) {
      window = { startMs: group.windowStartMs, groups: new Map(), bytes: 0, savedBytes: 0 };
      this.#windows.set(group.windowStartMs, window);
      if (this.#retention !== null && group.windowStartMs !== null) {
        this.#starts.push(group.windowStartMs);
      }
    }
    window.groups.set(key, group);
    this.size++;
    this.grow(window, bytes, savedBytes);
  }

  grow(window: GroupWindow, bytes: number, savedBytes: number): void {
    window.bytes += bytes;
    window.savedBytes += savedBytes;
    this.bytes += bytes;
    this.savedBytes += savedBytes;
  }

  /** Removes the group that was added last. */
  remove(key: string, startMs: number | null, bytes: number, savedBytes: number): void {
    const window = this.#windows.get(startMs);
    if (window === undefined || !window.groups.delete(key)) return;
    this.size--;
    this.grow(window, -bytes, -savedBytes);
    // The heap holds its start only with a retention, and then this is not the only window.
    if (window.groups.size === 0 && this.#retention === null) this.#windows.delete(startMs);
  }

  /** Evicts the oldest windows until the remaining ones are within the limits. */
  evict(): void {
    const retention = this.#retention;
    if (retention === null) return;
    while (retention.windows !== null && this.#starts.size > retention.windows) this.#evictOldest();
    while (retention.groups !== null && this.size > retention.groups && this.#starts.size > 1) {
      this.#evictOldest();
    }
    while (this.isOver && this.#starts.size > 1) {
      this.#evictOldest();
      this.agedOut.isCut = true;
    }
  }

  /** True if the groups exceed their limits. */
  get isOver(): boolean {
    const { groupsMax, bytesMax, savedBytesMax } = this.#limits;
    const most = Math.min(groupsMax, this.#retention?.groups ?? groupsMax);
    return this.size > most || this.bytes > bytesMax || this.savedBytes > savedBytesMax;
  }

  /** Evicts the oldest windows until the saved state has about this length. */
  shrinkTo(savedBytes: number): void {
    while (this.savedBytes > savedBytes && this.#starts.size > 1) {
      this.#evictOldest();
      this.agedOut.isCut = true;
    }
  }

  /** Used part of the room; 1 is full. */
  get fill(): number {
    const { groupsMax, bytesMax, savedBytesMax } = this.#limits;
    return Math.max(this.size / groupsMax, this.bytes / bytesMax, this.savedBytes / savedBytesMax);
  }

  #ageTo(timeMs: number, ageMs: number): void {
    if (this.newestMs !== null && timeMs <= this.newestMs) return;
    this.newestMs = timeMs;
    // The oldest window that ends after the cut is the one that holds it.
    const fromMs = windowStart(timeMs - ageMs, this.#sizeMs);
    if (this.agedOut.fromMs !== null && fromMs <= this.agedOut.fromMs) return;
    while ((this.#starts.lowest ?? fromMs) < fromMs) this.#evictOldest();
    this.agedOut.fromMs = fromMs;
  }

  #evictOldest(): void {
    const startMs = this.#starts.pop();
    const window = startMs === undefined ? undefined : this.#windows.get(startMs);
    if (startMs === undefined || window === undefined) return;
    this.#windows.delete(startMs);
    this.size -= window.groups.size;
    this.bytes -= window.bytes;
    this.savedBytes -= window.savedBytes;
    this.agedOut.evicted += window.groups.size;
    const after = startMs + this.#sizeMs;
    this.agedOut.fromMs = Math.max(this.agedOut.fromMs ?? after, after);
  }
}
