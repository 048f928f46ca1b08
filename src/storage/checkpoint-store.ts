import { type Disk, DiskFailure, DiskFull } from "../env/disk.ts";
import { assert } from "../lib/assert.ts";
import { CheckpointDamaged } from "./checkpoint-damaged.ts";
import {
  type CheckpointMeta,
  checkpointIndex,
  checkpointName,
  encodeHead,
  FrameWriter,
  KIND_END,
  KIND_HEAD,
  KIND_MACHINE,
  KIND_MANIFEST,
} from "./checkpoint-format.ts";
import { type LoadedCheckpoint, openCheckpoint } from "./checkpoint-reader.ts";
import { type CheckpointFile, manifestFiles } from "./partition-manifest.ts";
import type { PartitionCut, PartitionStore } from "./partition-store.ts";

const MANIFEST_FRAME_BYTES = 1024 * 1024;
const NO_BYTES = new Uint8Array(0);

export type CheckpointStoreOptions = {
  readonly disk: Disk;
  /** Such as `shards/0/checkpoints`. */
  readonly directory: string;
  readonly partitions: PartitionStore;
  /** Such as `shards/0/partitions`, as the partition store has it. */
  readonly partitionsDirectory: string;
  /** Resolves in a later turn of the event loop: small writes alone do not leave the present one. */
  readonly nextTurn: () => Promise<void>;
};

/** The machine's snapshot, cut in pieces of at most 64 MiB; called once per turn. */
export interface SnapshotChunks {
  next(): Uint8Array | null;
}

/** What the journal can still replay: entries `first` to `last`, none if `last` is `first − 1`. */
export type JournalReach = { readonly first: number; readonly last: number };

/** A checkpoint whose files stay unchanged until `release`. */
export type HeldCheckpoint = {
  readonly index: number;
  /** The checkpoint file, then the segment files that it names. */
  readonly files: readonly CheckpointFile[];
  release(): Promise<void>;
};

type Kept = {
  readonly index: number;
  readonly path: string;
  readonly length: number;
  /** Null for one of an earlier life that was not loaded. */
  readonly cut: PartitionCut | null;
  holders: number;
  superseded: boolean;
};

/**
 * Checkpoints of a shard: the machine's state at an index, and which bytes of which segments
 * belong to it. The newest is kept with its predecessor, so that damage to one file can be healed
 * from the journal; the caller keeps the journal from `journalNeededFrom` on.
 */
export class CheckpointStore {
  readonly #options: CheckpointStoreOptions;
  /** Durable ones, oldest first. */
  #kept: Kept[] = [];
  /** Superseded, but held. */
  readonly #held = new Set<Kept>();
  #taking = false;
  #swept = false;
  #directoryReady = false;
  /** The predecessor of the newest was given up. */
  #dropped = false;

  constructor(options: CheckpointStoreOptions) {
    this.#options = options;
  }

  /** Indexes of the durable checkpoints, oldest first. */
  get indexes(): number[] {
    return this.#kept.map(({ index }) => index);
  }

  /** The first journal entry that recovery may need: older ones may go. */
  get journalNeededFrom(): number {
    const alone = this.#kept.length < 2 && !this.#dropped;
    return alone ? 1 : (this.#kept[0]?.index ?? 0) + 1;
  }

  /**
   * Finds the newest checkpoint that is whole, and restores the partition store from it; the caller
   * then feeds the chunks to the machine, closes it, and applies the journal from `meta.index + 1`.
   * An older one, or none at all, is used only if the journal reaches from it to beyond the
   * damaged one.
   *
   * @returns null if there is no checkpoint: the journal must begin at 1.
   * @throws CheckpointDamaged if damage cannot be healed in this way.
   */
  async recover(journal: JournalReach): Promise<LoadedCheckpoint | null> {
    const indexes = await this.#available();
    let damage: CheckpointDamaged | null = null;
    for (let index = indexes.pop(); index !== undefined; index = indexes.pop()) {
      const loaded = await this.#open(index);
      if (loaded instanceof CheckpointDamaged) {
        damage ??= loaded;
        if (journal.last < index) throw damage;
        continue;
      }
      if (damage !== null && journal.first > index + 1) {
        await loaded.close();
        throw damage;
      }
      if (damage !== null) await this.#setAside(index);
      const predecessor = indexes.pop();
      if (predecessor !== undefined) this.#kept.push(this.#entry(predecessor, 0, null));
      const cut = this.#options.partitions.restore(loaded.manifest);
      this.#kept.push(this.#entry(index, loaded.length, cut));
      return loaded;
    }
    if (damage === null) return null;
    if (journal.first > 1) throw damage;
    await this.#setAside(0);
    return null;
  }

  /**
   * Takes a checkpoint of this instant. The cut is made before this returns its promise: begin the
   * machine's snapshot and call this in one synchronous step, with `meta.index` the last applied
   * entry, which must be durable in the journal.
   *
   * @returns once the checkpoint is durable and what it supersedes is gone.
   * @throws DiskFull if there was no room: nothing changed, and it may be tried again.
   */
  take(meta: CheckpointMeta, machine: SnapshotChunks): Promise<void> {
    assert(!this.#taking, "one checkpoint at a time");
    const newest = this.#kept[this.#kept.length - 1];
    assert(newest === undefined || newest.index < meta.index, "checkpoints go forward");
    this.#taking = true;
    const cut = this.#options.partitions.beginCut();
    return this.#take(meta, machine, cut).finally(() => {
      this.#taking = false;
    });
  }

  /** Gives up the older of two, to free the files that only it names. The journal may follow. */
  async dropPredecessor(): Promise<void> {
    if (this.#kept.length === 0) return;
    this.#dropped = true;
    while (this.#kept.length > 1) await this.#dropOldest();
  }

  /** Keeps the newest checkpoint and its files unchanged, to be sent to a follower. */
  hold(): HeldCheckpoint | null {
    const kept = this.#kept[this.#kept.length - 1];
    if (kept === undefined || kept.cut === null) return null;
    kept.holders++;
    const segments = manifestFiles(this.#options.partitionsDirectory, kept.cut.manifest);
    let released = false;
    return {
      index: kept.index,
      files: [{ path: kept.path, length: kept.length }, ...segments],
      release: async () => {
        if (released) return;
        released = true;
        kept.holders--;
        if (kept.superseded && kept.holders === 0) await this.#remove(kept);
      },
    };
  }

  async #take(meta: CheckpointMeta, machine: SnapshotChunks, cut: PartitionCut): Promise<void> {
    const { disk, directory } = this.#options;
    const temporary = `${directory}/${checkpointName(meta.index)}.tmp`;
    try {
      await this.#prepareDirectory();
      // Side by side: the shorter the machine's snapshot lives, the less of it has to be copied.
      const blob = this.#write(temporary, meta, machine, cut.manifest);
      const [flushed, written] = await Promise.allSettled([cut.flush(), blob]);
      if (flushed.status === "rejected") throw flushed.reason;
      if (written.status === "rejected") throw written.reason;
      await disk.rename(temporary, this.#path(meta.index));
      await syncDirectory(disk, directory);
      this.#kept.push(this.#entry(meta.index, written.value, cut));
      this.#dropped = false;
    } catch (error) {
      cut.release();
      if (error instanceof DiskFull) await disk.remove(temporary);
      throw error;
    }
    while (this.#kept.length > 2) await this.#dropOldest();
    await this.#sweepOnce();
  }

  /** @returns the length of the file, which is durable under its temporary name. */
  async #write(
    path: string,
    meta: CheckpointMeta,
    machine: SnapshotChunks,
    manifest: Uint8Array,
  ): Promise<number> {
    const file = await this.#options.disk.open(path, "truncate");
    try {
      const frames = new FrameWriter(file, meta.index);
      await frames.write(KIND_HEAD, encodeHead(meta));
      for (let at = 0; at < manifest.length; at += MANIFEST_FRAME_BYTES) {
        await frames.write(KIND_MANIFEST, manifest.subarray(at, at + MANIFEST_FRAME_BYTES));
      }
      for (let chunk = machine.next(); chunk !== null; chunk = machine.next()) {
        await frames.write(KIND_MACHINE, chunk);
        await this.#options.nextTurn();
      }
      await frames.write(KIND_END, NO_BYTES);
      await file.sync().catch(failedSync);
      return frames.position;
    } finally {
      await file.close();
    }
  }

  async #available(): Promise<number[]> {
    const indexes: number[] = [];
    for (const name of await this.#options.disk.list(this.#options.directory)) {
      const index = checkpointIndex(name);
      if (index !== null) indexes.push(index);
      else if (name.endsWith(".tmp")) {
        await this.#options.disk.remove(`${this.#options.directory}/${name}`);
      }
    }
    return indexes.sort((a, b) => a - b);
  }

  async #open(index: number): Promise<LoadedCheckpoint | CheckpointDamaged> {
    try {
      return await openCheckpoint(this.#options.disk, this.#path(index), index);
    } catch (error) {
      if (error instanceof CheckpointDamaged) return error;
      throw error;
    }
  }

  /** Renames what is newer than `index` and damaged, before its segments are written anew. */
  async #setAside(index: number): Promise<void> {
    const { disk, directory } = this.#options;
    for (const newer of await this.#available()) {
      if (newer <= index) continue;
      await disk.rename(this.#path(newer), `${this.#path(newer)}.damaged`);
    }
    await syncDirectory(disk, directory);
  }

  #entry(index: number, length: number, cut: PartitionCut | null): Kept {
    return { index, path: this.#path(index), length, cut, holders: 0, superseded: false };
  }

  async #dropOldest(): Promise<void> {
    const kept = this.#kept.shift();
    if (kept === undefined) return;
    kept.superseded = true;
    if (kept.holders === 0) await this.#remove(kept);
    else this.#held.add(kept);
  }

  /** First the file, durably, then what only it names: never a checkpoint without its segments. */
  async #remove(kept: Kept): Promise<void> {
    const { disk, directory } = this.#options;
    this.#held.delete(kept);
    await disk.remove(kept.path);
    await syncDirectory(disk, directory);
    kept.cut?.release();
  }

  /** Once per life, when no checkpoint of an earlier one is left that was not loaded. */
  async #sweepOnce(): Promise<void> {
    if (this.#swept || this.#kept.some(({ cut }) => cut === null)) return;
    this.#swept = true;
    const { disk, directory, partitions } = this.#options;
    const oldest = this.#kept[0]?.index ?? 0;
    for (const name of await disk.list(directory)) {
      const index = checkpointIndex(name.replace(/\.damaged$/, ""));
      const stray = index === null || index < oldest || name.endsWith(".damaged");
      if (stray) await disk.remove(`${directory}/${name}`);
    }
    await partitions.sweep();
  }

  async #prepareDirectory(): Promise<void> {
    if (this.#directoryReady) return;
    const { disk, directory } = this.#options;
    await disk.makeDirectory(directory);
    const parts = directory.split("/");
    for (let depth = parts.length - 1; depth >= 0; depth--) {
      await syncDirectory(disk, parts.slice(0, depth).join("/"));
    }
    this.#directoryReady = true;
  }

  #path(index: number): string {
    return `${this.#options.directory}/${checkpointName(index)}`;
  }
}

const syncDirectory = (disk: Disk, path: string): Promise<void> =>
  disk.syncDirectory(path).catch(failedSync);

function failedSync(cause: unknown): never {
  if (!(cause instanceof DiskFull)) throw cause;
  throw new DiskFailure("no space left at a sync", { cause });
}
