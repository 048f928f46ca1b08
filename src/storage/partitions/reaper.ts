import type { Disk } from "../../env/disk.ts";
import type { PartitionLog } from "./log.ts";
import type { SegmentFiles } from "./segment-files.ts";
import type { SegmentIndexes } from "./segment-indexes.ts";
import { indexName, type SegmentState, segmentName } from "./segment-state.ts";
import type { SharedFile } from "./shared-file.ts";

type Doomed = {
  readonly createdCut: number;
  /** The newest consistent point when the file was dropped. Later ones do not name it. */
  readonly lastCut: number;
} & (
  | {
      readonly log: PartitionLog;
      /** Null means the whole partition. */
      readonly segment: SegmentState | null;
      readonly shared: null;
    }
  | { readonly log: null; readonly segment: null; readonly shared: SharedFile }
);

export type ReaperOptions = {
  readonly disk: Disk;
  readonly files: SegmentFiles;
  readonly indexes: SegmentIndexes;
  readonly onFailure: (error: unknown) => void;
};

/**
 * Removes files of trimmed segments and deleted partitions. A file is removed once no checkpoint
 * that may still be loaded names it and no reader or writer uses it.
 */
export class PartitionReaper {
  readonly #options: ReaperOptions;
  #doomed: Doomed[] = [];
  /** The numbers of the consistent points whose files must stay. */
  readonly #liveCuts = new Set<number>();
  readonly #removals = new Set<Promise<void>>();
  pendingBytes = 0;

  constructor(options: ReaperOptions) {
    this.#options = options;
  }

  keepCut(cut: number): void {
    this.#liveCuts.add(cut);
  }

  releaseCut(cut: number): void {
    if (this.#liveCuts.delete(cut)) this.reap();
  }

  doomSegments(log: PartitionLog, segments: readonly SegmentState[], lastCut: number): void {
    for (const segment of ownOf(segments)) {
      segment.whenFree = () => this.reap();
      const { createdCut } = segment;
      this.#doomed.push({ log, segment, shared: null, createdCut, lastCut });
      this.pendingBytes += segment.length;
    }
    this.reap();
  }

  /** @param shared a file without pieces, which gets no further ones. */
  doomShared(shared: SharedFile, lastCut: number): void {
    const { createdCut } = shared;
    shared.whenFree = () => this.reap();
    this.#doomed.push({ log: null, segment: null, shared, createdCut, lastCut });
    this.pendingBytes += shared.length;
    this.reap();
  }

  doomPartition(log: PartitionLog, lastCut: number): void {
    for (const segment of ownOf(log.segments)) {
      segment.whenFree = () => this.reap();
      this.pendingBytes += segment.length;
    }
    this.#doomed.push({ log, segment: null, shared: null, createdCut: log.createdCut, lastCut });
    this.reap();
  }

  /** Removes all files that are no longer needed. */
  reap(): void {
    if (this.#doomed.length === 0) return;
    const ready = this.#doomed.filter((doomed) => this.#mayGo(doomed));
    if (ready.length === 0) return;
    this.#doomed = this.#doomed.filter((doomed) => !ready.includes(doomed));
    const removal = this.#removeAll(ready).catch(this.#options.onFailure);
    this.#removals.add(removal);
    void removal.finally(() => this.#removals.delete(removal));
  }

  /** Resolves when the removals in progress are done. */
  async settled(): Promise<void> {
    while (this.#removals.size > 0) await Promise.all(this.#removals);
  }

  /** Tells whether the file waits here for its removal. */
  keeps(log: PartitionLog, name: string): boolean {
    return this.#doomed.some(
      ({ log: owner, segment }) =>
        owner === log &&
        segment !== null &&
        (name === segmentName(segment.baseOffset) || name === indexName(segment.baseOffset)),
    );
  }

  keepsDirectory(directory: string): boolean {
    return this.#doomed.some(
      ({ log, segment }) => segment === null && log?.directory === directory,
    );
  }

  keepsShared(path: string): boolean {
    return this.#doomed.some(({ shared }) => shared?.path === path);
  }

  #mayGo({ log, segment, shared, createdCut, lastCut }: Doomed): boolean {
    for (const cut of this.#liveCuts) if (createdCut < cut && cut <= lastCut) return false;
    if (shared !== null) return !shared.pinned && shared.writtenTo === shared.length;
    if (segment === null) {
      return (
        log.flush.isDiscarded &&
        log.flush.flushing === null &&
        !ownOf(log.segments).some((one) => one.pinned)
      );
    }
    return !segment.pinned && (log.tail.flushedTo >= segment.end || log.flush.isDiscarded);
  }

  async #removeAll(ready: readonly Doomed[]): Promise<void> {
    for (const { log, segment, shared } of ready) {
      if (shared !== null) await this.#removeShared(shared);
      else if (segment !== null) await this.#removeSegment(segment);
      else await this.#removePartition(log);
    }
  }

  async #removeShared(shared: SharedFile): Promise<void> {
    this.pendingBytes -= shared.length;
    await this.#options.files.drop(shared.path);
    await this.#options.disk.remove(shared.path);
  }

  async #removePartition(log: PartitionLog): Promise<void> {
    for (const one of ownOf(log.segments)) await this.#forget(one);
    // Partitions in shared files only have no directory.
    if (log.flush.hasDirectory) await this.#options.disk.removeTree(log.directory);
  }

  async #removeSegment(segment: SegmentState): Promise<void> {
    await this.#forget(segment);
    await this.#options.disk.remove(segment.path);
    await this.#options.disk.remove(segment.indexPath);
  }

  async #forget(segment: SegmentState): Promise<void> {
    this.pendingBytes -= segment.length;
    this.#options.indexes.forget(segment);
    await this.#options.files.drop(segment.path);
  }
}

/** The segments with files of their own. */
const ownOf = (segments: readonly SegmentState[]): SegmentState[] =>
  segments.filter(({ shared }) => shared === null);
