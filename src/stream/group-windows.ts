import type { Group } from "./group-table.ts";
import { MinHeap } from "./min-heap.ts";
import { windowStart } from "./window.ts";

/** Which windows a view keeps. */
export type Retention = {
  /** Most windows; null: as many as there is room for. */
  readonly windows: number | null;
  /** Most groups in all windows together; null: as many as there is room for. */
  readonly groups: number | null;
  /** How long after its end a window is kept; null: as long as there is room for it. */
  readonly ageMs: number | null;
};

/** What all groups together may take. */
export type TableLimits = {
  readonly groupsMax: number;
  readonly bytesMax: number;
  /** Of the saved state, about. */
  readonly savedBytesMax: number;
};

export type GroupWindow = {
  /** Null without a window: then there is one for all groups. */
  readonly startMs: number | null;
  readonly groups: Map<string, Group>;
  bytes: number;
  savedBytes: number;
};

/** What aged out of a table, and what did not come in. */
export type AgedOut = {
  /** Windows that start before it are gone, and stay so; null: none is gone. */
  fromMs: number | null;
  /** Groups that are gone. */
  evicted: number;
  /** Records that came for a window that was gone. */
  late: number;
  /** Records of groups for which there was no room. */
  overflow: number;
  /** Something is gone that the definition would have kept: there was no room for it. */
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

  /** Takes back the group that was put last. */
  remove(key: string, startMs: number | null, bytes: number, savedBytes: number): void {
    const window = this.#windows.get(startMs);
    if (window === undefined || !window.groups.delete(key)) return;
    this.size--;
    this.grow(window, -bytes, -savedBytes);
    // The heap holds its start only with a retention, and then this is not the only window.
    if (window.groups.size === 0 && this.#retention === null) this.#windows.delete(startMs);
  }

  /** Lets the oldest windows go until the rest is within the bounds. */
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

  /** More than there is room for. */
  get isOver(): boolean {
    const { groupsMax, bytesMax, savedBytesMax } = this.#limits;
    const most = Math.min(groupsMax, this.#retention?.groups ?? groupsMax);
    return this.size > most || this.bytes > bytesMax || this.savedBytes > savedBytesMax;
  }

  /** Lets the oldest windows go until the saved state is about as short. */
  shrinkTo(savedBytes: number): void {
    while (this.savedBytes > savedBytes && this.#starts.size > 1) {
      this.#evictOldest();
      this.agedOut.isCut = true;
    }
  }

  /** The part of the room that is taken: 1 is full. */
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
