/** The segments of a journal that hold frames, oldest first. The last one is active. */
import type { Disk } from "../../env/disk.ts";
import type { JournalIndex } from "./entry-index.ts";
import type { Segment } from "./segment.ts";

export class JournalSegments {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #index: JournalIndex;
  readonly #segments: Segment[];

  constructor(disk: Disk, directory: string, index: JournalIndex, segments: Segment[]) {
    this.#disk = disk;
    this.#directory = directory;
    this.#index = index;
    this.#segments = segments;
  }

  get active(): Segment | undefined {
    return this.#segments.at(-1);
  }

  /** Bytes of the files, as far as they are written. */
  get bytes(): number {
    let bytes = 0;
    for (const segment of this.#segments) bytes += segment.end;
    return bytes;
  }

  /** Bytes of the files that `release(index - 1)` would retain. */
  bytesFrom(index: number): number {
    const { firstIndex, lastIndex } = this.#index;
    if (index > lastIndex || firstIndex > lastIndex) return this.active?.end ?? 0;
    const oldest = this.#index.find(Math.max(index, firstIndex)).segment;
    let bytes = 0;
    for (const segment of this.#segments) if (segment.id >= oldest.id) bytes += segment.end;
    return bytes;
  }

  add(segment: Segment): void {
    this.#segments.push(segment);
  }

  /**
   * Releases the segments whose entries are all at or below `upTo`. It retains the active one, and
   * the one before it while the first write to the active one is in progress: a crash would
   * otherwise leave no journal at all.
   */
  async release(upTo: number): Promise<void> {
    for (;;) {
      const [oldest, next] = this.#segments;
      if (oldest === undefined || next === undefined || !next.durable) return;
      if ((this.#index.lastIn(oldest) ?? 0) > upTo) return;
      await this.#dropOldest();
    }
  }

  /** Releases all segments but the active one. */
  async dropOlder(): Promise<void> {
    while (this.#segments.length > 1) await this.#dropOldest();
  }

  /** Releases all segments, after which the journal is empty. */
  async dropAll(): Promise<void> {
    while (this.#segments.length > 0) await this.#dropOldest();
  }

  async close(): Promise<void> {
    for (const segment of this.#segments) await segment.file.close();
  }

  /**
   * Removes the oldest first and syncs each removal, so that a crash leaves segments without gaps.
   */
  async #dropOldest(): Promise<void> {
    const oldest = this.#segments.shift();
    if (oldest === undefined) return;
    this.#index.dropSegment(oldest);
    oldest.released = true;
    if (oldest.readers === 0) await oldest.file.close();
    await this.#disk.remove(oldest.path);
    await this.#disk.syncDirectory(this.#directory);
  }
}
