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

  /** Of the files, as far as they are written. */
  get bytes(): number {
    let bytes = 0;
    for (const segment of this.#segments) bytes += segment.end;
    return bytes;
  }

  /** Of those that `release(index - 1)` would leave. */
  bytesFrom(index: number): number {
    const { firstIndex, lastIndex } = this.#index;
    if (index > lastIndex) return this.active?.end ?? 0;
    const oldest = this.#index.find(Math.max(index, firstIndex)).segment;
    let bytes = 0;
    for (const segment of this.#segments) if (segment.id >= oldest.id) bytes += segment.end;
    return bytes;
  }

  add(segment: Segment): void {
    this.#segments.push(segment);
  }

  /**
   * Lets those go whose entries are all at or below `upTo`; never the active one, nor the one before
   * it while the first write to the active one is under way: a crash would leave no journal at all.
   */
  async release(upTo: number): Promise<void> {
    for (;;) {
      const [oldest, next] = this.#segments;
      if (oldest === undefined || next === undefined || !next.durable) return;
      if ((this.#index.lastIn(oldest) ?? 0) > upTo) return;
      await this.#dropOldest();
    }
  }

  /** Leaves the active one alone. */
  async dropOlder(): Promise<void> {
    while (this.#segments.length > 1) await this.#dropOldest();
  }

  async close(): Promise<void> {
    for (const segment of this.#segments) await segment.file.close();
  }

  /** Oldest first and each made durable: after a crash those left follow each other. */
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
