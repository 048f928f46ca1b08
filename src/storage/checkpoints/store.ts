import { feature as faultPoint } from "bun:bundle";
import { type Disk, DiskFailure, DiskFull } from "../../env/disk.ts";
import { assert } from "../../lib/assert.ts";
import { ByteWriter } from "../../lib/bytes.ts";
import { parentOf } from "../../lib/path.ts";
import type { HardState, LogIndex, Term } from "../../raft/types.ts";
import { makeDurableDirectory, syncDirectory } from "../durable.ts";
import { JournalDamaged } from "../journal/damage.ts";
import type { Journal } from "../journal/journal.ts";
import { NO_PARTITIONS, writeManifestHead } from "../partitions/manifest.ts";
import type { PartitionCut, PartitionStore } from "../partitions/store.ts";
import {
  type CheckpointChoice,
  type CheckpointFact,
  chooseCheckpoint,
  type JournalReach,
} from "./choose.ts";
import { CheckpointDamaged } from "./damaged.ts";
import type { CheckpointMeta } from "./format.ts";
import { type HeldCheckpoint, heldFiles } from "./held.ts";
import { incomingRoot, removeRecord } from "./incoming.ts";
import {
  type CheckpointName,
  checkpointName,
  parseCheckpointName,
  type RootNumber,
  rootDirectory,
} from "./names.ts";
import { type LoadedCheckpoint, openCheckpoint } from "./reader.ts";
import {
  type CheckpointScan,
  checkpointNames,
  closeScan,
  intactOf,
  scanCheckpoints,
} from "./scan.ts";
import { removeStaleRoots } from "./stale-roots.ts";
import { type SnapshotChunks, writeCheckpoint } from "./writer.ts";

export type CheckpointStoreOptions = {
  readonly disk: Disk;
  /** The directory of checkpoints, such as `shards/0/checkpoints`. */
  readonly directory: string;
  /** An empty store. `recover` and `adopt` set the directory of its root. */
  readonly partitions: PartitionStore;
  /** The directory of root 0, such as `shards/0/partitions`. Other roots are next to it. */
  readonly partitionsDirectory: string;
  /**
   * Resolves in a later event-loop iteration, which small synchronous writes alone do not cause.
   */
  readonly nextTurn: () => Promise<void>;
};

/** The part of a journal that `settle` needs. */
export type SettlingJournal = Pick<
  Journal,
  "firstIndex" | "lastIndex" | "termAt" | "resetTo" | "marker"
>;

/** A snapshot of another node that `SnapshotInstall.commit` has installed. */
export type CommittedSnapshot = CheckpointName & { readonly term: number };

/** The files that must be absent for a cluster to be bootstrapped on this disk. */
export type BlankEvidence = {
  readonly journal: { readonly firstIndex: number; readonly lastIndex: number };
  readonly hardState: HardState;
};

type Kept = {
  name: CheckpointName;
  readonly length: number;
  /** Null for a checkpoint of an earlier process that was not loaded. */
  readonly cut: PartitionCut | null;
  readonly term: number;
  holders: number;
  superseded: boolean;
};

/**
 * Checkpoints of a shard: the machine's state at an index, and the bytes of segments that belong to
 * it. The newest is retained with its predecessor, so that damage to one file can be repaired from
 * the journal. The caller retains the journal from `journalNeededFrom` on.
 */
export class CheckpointStore {
  readonly #options: CheckpointStoreOptions;
  #partitions: PartitionStore;
  /** The root of the partition store, which names of new checkpoints contain. */
  #root: RootNumber = 0;
  /** The durable checkpoints of this root, oldest first. */
  #kept: Kept[] = [];
  /** Checkpoints that are superseded but held. */
  readonly #held = new Set<Kept>();
  #taking = false;
  #swept = false;
  #directoryReady = false;
  /** The predecessor of the newest checkpoint was dropped. */
  #dropped = false;

  constructor(options: CheckpointStoreOptions) {
    this.#options = options;
    this.#partitions = options.partitions;
  }

  /** Returns the indexes of the durable checkpoints, oldest first. */
  get indexes(): number[] {
    return this.#kept.map(({ name }) => name.index);
  }

  /** The size of the newest checkpoint file, which holds the machine's state. */
  get newestBytes(): number {
    return this.#kept.at(-1)?.length ?? 0;
  }

  /** Returns the first journal entry that recovery may need. Older entries may be removed. */
  get journalNeededFrom(): number {
    if (faultPoint("compact-too-far")) return (this.#kept.at(-1)?.name.index ?? 0) + 3;
    const alone = this.#kept.length < 2 && !this.#dropped;
    return alone ? 1 : (this.#kept[0]?.name.index ?? 0) + 1;
  }

  /**
   * Writes the checkpoint from which a new cluster begins: index 1, term 1, no topics. Must be
   * called before `recover`; `settle` then makes the journal continue after it. A crash at any time
   * leaves a disk that is either blank or bootstrapped.
   *
   * @param machine the snapshot of a machine that has applied nothing.
   * @returns false if this disk already has data, which is then used.
   */
  async bootstrap(
    { journal, hardState }: BlankEvidence,
    meta: Pick<CheckpointMeta, "clusterId" | "configuration">,
    machine: SnapshotChunks,
  ): Promise<boolean> {
    if ((await this.#available()).length > 0) return false;
    if (journal.firstIndex > 1 || journal.lastIndex > 0) return false;
    if (hardState.term > 0 || hardState.vote !== null) return false;
    const { disk, nextTurn } = this.#options;
    await this.#prepareDirectory();
    const manifest = new ByteWriter(8);
    writeManifestHead(manifest, NO_PARTITIONS);
    const path = this.#path({ index: 1, root: 0, state: "install" });
    const content = { meta: { ...meta, index: 1, term: 1 }, manifest: manifest.view(), machine };
    await writeCheckpoint(disk, `${path}.tmp`, content, nextTurn);
    await disk.rename(`${path}.tmp`, path);
    await syncDirectory(disk, this.#options.directory);
    return true;
  }

  /**
   * Finds the newest intact checkpoint and restores the partition store from it. The caller then
   * calls `settle`, feeds the chunks to the machine, closes the reader, and applies the journal
   * from `meta.index + 1`. An older checkpoint, or none, is used only if the journal reaches from
   * it to beyond the damaged one.
   *
   * @param scan the result of a scan of the directory, if there is one already.
   * @returns null if there is no checkpoint: the journal must begin at 1.
   * @throws CheckpointDamaged if the damage cannot be repaired in this way.
   */
  async recover(journal: JournalReach, scan?: CheckpointScan): Promise<LoadedCheckpoint | null> {
    const { disk, directory } = this.#options;
    const found = scan ?? (await scanCheckpoints(disk, directory));
    const choice = chooseCheckpoint(factsOf(found), journal);
    if (choice.kind === "lost") {
      await closeScan(found);
      throw choice.damage;
    }
    return await this.restore(found, choice);
  }

  /** Restores the partition store from the chosen checkpoint and removes unfinished files. */
  async restore(
    scan: CheckpointScan,
    { index, setAside }: Extract<CheckpointChoice, { kind: "use" }>,
  ): Promise<LoadedCheckpoint | null> {
    await this.#removeUnfinished();
    await this.#forgetInstalled(scan.names);
    if (setAside) await this.#setAside(index);
    const loaded = intactOf(scan);
    const name = scan.names[scan.read.length - 1];
    if (loaded === null || name === undefined) return null;
    const predecessor = scan.names[scan.read.length];
    // A checkpoint of another root was replaced by an installed snapshot.
    if (predecessor?.root === name.root) this.#kept.push(entry(predecessor, 0, 0, null));
    this.#restore(name, loaded);
    return loaded;
  }

  /**
   * Abandons all checkpoints after `recover` has thrown, so that a snapshot of a peer can replace
   * them. The journal must be abandoned before. Otherwise it would have no checkpoint to continue.
   */
  async startOver(): Promise<void> {
    this.#kept = [];
    await this.#setAside(0);
  }

  /**
   * Makes the journal continue the checkpoint after `recover` or `adopt`, and finishes an
   * installation. Otherwise does nothing, so it may be called at every start.
   *
   * @returns whether the journal was reset.
   * @throws JournalDamaged if the journal lacks entries that it had when the checkpoint was taken.
   * @throws DiskFull if there is no space: the call may be repeated.
   */
  async settle(journal: SettlingJournal): Promise<boolean> {
    const wasReset = await this.settleJournal(journal);
    await this.finishInstall();
    return wasReset;
  }

  /** The first step of `settle`. `finishInstall` must follow before anything is appended. */
  async settleJournal(journal: SettlingJournal): Promise<boolean> {
    const newest = this.#kept[this.#kept.length - 1];
    if (newest === undefined) return false;
    const { name, term } = newest;
    const behind = journal.termAt(name.index as LogIndex) !== term;
    // A journal that was truncated for damage is known to lack entries.
    if (name.state === "ckpt" && behind && journal.marker === null) {
      throw missingJournal(this.#path(name), name.index, journal);
    }
    if (behind && !faultPoint("log-not-reset-after-snapshot")) {
      await journal.resetTo(name.index as LogIndex, term as Term);
    }
    return behind;
  }

  /** True if the newest checkpoint still has the name that allows the journal to be reset. */
  get isInstalling(): boolean {
    return this.#kept[this.#kept.length - 1]?.name.state === "install";
  }

  /**
   * Renames an installed snapshot to an ordinary checkpoint: from then on, a journal without its
   * entry is damaged.
   */
  async finishInstall(): Promise<void> {
    const newest = this.#kept[this.#kept.length - 1];
    if (newest === undefined || newest.name.state !== "install") return;
    const settled: CheckpointName = { ...newest.name, state: "ckpt" };
    const { disk, directory } = this.#options;
    await disk.rename(this.#path(newest.name), this.#path(settled));
    newest.name = settled;
    await syncDirectory(disk, directory);
  }

  /**
   * Switches to a snapshot that `SnapshotInstall.commit` has installed. No checkpoint may be in
   * progress. The caller then restores the machine, calls `settle`, replaces the old partition
   * store with `partitions`, closes the old one, and calls `removeStale`.
   *
   * @param partitions an empty store; it gets the directory of the snapshot's root.
   */
  async adopt(name: CommittedSnapshot, partitions: PartitionStore): Promise<LoadedCheckpoint> {
    assert(!this.#taking, "no checkpoint is taken while another is adopted");
    assert(name.index > (this.indexes.at(-1) ?? 0), "a snapshot goes forward");
    const loaded = await this.#open(name);
    if (loaded instanceof CheckpointDamaged) throw loaded;
    for (const kept of this.#kept) {
      kept.superseded = true;
      if (kept.holders > 0) this.#held.add(kept);
    }
    this.#kept = [];
    this.#partitions = partitions;
    this.#directoryReady = true;
    this.#dropped = true;
    this.#restore(name, loaded);
    return loaded;
  }

  /**
   * Takes a checkpoint of the current state. The consistent point is taken before this returns its
   * promise: begin the machine's snapshot and call this in one synchronous step. `meta.index` is
   * the last applied entry, which must be durable in the journal.
   *
   * @returns once the checkpoint is durable and the superseded files are removed.
   * @throws DiskFull if there is no space: nothing changed, and the call may be repeated.
   */
  take(meta: CheckpointMeta, machine: SnapshotChunks): Promise<void> {
    assert(!this.#taking, "one checkpoint at a time");
    assert((this.indexes.at(-1) ?? 0) < meta.index, "checkpoints go forward");
    this.#taking = true;
    const cut = this.#partitions.beginCut();
    return this.#take(meta, machine, cut).finally(() => {
      this.#taking = false;
    });
  }

  /**
   * Drops the older of two checkpoints, to free the files that only it names. The journal may be
   * released too.
   */
  async dropPredecessor(): Promise<void> {
    if (this.#kept.length === 0) return;
    this.#dropped = true;
    while (this.#kept.length > 1) await this.#dropOldest();
  }

  /**
   * Holds the newest checkpoint and its files unchanged, so that they can be sent to a follower.
   */
  hold(): HeldCheckpoint | null {
    const kept = this.#kept[this.#kept.length - 1];
    if (kept === undefined || kept.cut === null) return null;
    const { name, length, term, cut } = kept;
    // The checkpoint file is about to be renamed.
    if (name.state === "install") return null;
    kept.holders++;
    const root = rootDirectory(this.#options.partitionsDirectory, name.root);
    const files = heldFiles(
      this.#options.disk,
      { path: this.#path(name), index: name.index, length },
      { root, manifest: cut.manifest },
    );
    cut.forget();
    let released = false;
    return {
      index: name.index,
      term,
      files,
      release: async () => {
        if (released) return;
        released = true;
        await this.#release(kept);
      },
    };
  }

  /** Reads all retained checkpoints. @returns the indexes of the damaged ones. */
  async findDamaged(): Promise<number[]> {
    const damaged: number[] = [];
    for (const kept of [...this.#kept]) {
      if (kept.superseded) continue;
      kept.holders++;
      try {
        const loaded = await this.#open(kept.name);
        if (loaded instanceof CheckpointDamaged) damaged.push(kept.name.index);
        else await loaded.close();
      } catch (error) {
        if (!(error instanceof DiskFailure)) throw error;
        damaged.push(kept.name.index);
      } finally {
        await this.#release(kept);
      }
    }
    return damaged;
  }

  async #release(kept: Kept): Promise<void> {
    kept.holders--;
    if (kept.superseded && kept.holders === 0) await this.#remove(kept);
  }

  /**
   * Removes roots that an installed snapshot replaced, with their checkpoints, and data of
   * abandoned transfers. Runs in the background, at any time after `settle`.
   */
  async removeStale(): Promise<void> {
    const { disk, directory, partitionsDirectory } = this.#options;
    const inUse = [this.#root, ...[...this.#held].map(({ name }) => name.root)];
    await removeStaleRoots({ disk, checkpoints: directory, partitionsDirectory, inUse });
  }

  async #take(meta: CheckpointMeta, machine: SnapshotChunks, cut: PartitionCut): Promise<void> {
    const { disk, directory, nextTurn } = this.#options;
    const name: CheckpointName = { index: meta.index, root: this.#root, state: "ckpt" };
    const temporary = `${this.#path(name)}.tmp`;
    try {
      await this.#prepareDirectory();
      await cut.prepare();
      // Both run concurrently: the shorter the machine's snapshot lives, the less of it has to be
      // copied.
      const content = { meta, manifest: cut.manifest, machine };
      const blob = writeCheckpoint(disk, temporary, content, nextTurn);
      const [flushed, written] = await Promise.allSettled([cut.flush(), blob]);
      if (flushed.status === "rejected") throw flushed.reason;
      if (written.status === "rejected") throw written.reason;
      await disk.rename(temporary, this.#path(name));
      await syncDirectory(disk, directory);
      cut.forget();
      this.#kept.push(entry(name, meta.term, written.value, cut));
      this.#dropped = false;
    } catch (error) {
      cut.release();
      if (error instanceof DiskFull) await disk.remove(temporary);
      throw error;
    }
    while (this.#kept.length > 2) await this.#dropOldest();
    await this.#sweepOnce();
  }

  #restore(name: CheckpointName, loaded: LoadedCheckpoint): void {
    const directory = rootDirectory(this.#options.partitionsDirectory, name.root);
    const cut = this.#partitions.restore(loaded.manifest, directory);
    this.#root = name.root;
    const { index, root, state } = name;
    this.#kept.push(entry({ index, root, state }, loaded.meta.term, loaded.length, cut));
  }

  #available(): Promise<CheckpointName[]> {
    return checkpointNames(this.#options.disk, this.#options.directory);
  }

  /** A crash may leave a partly written checkpoint. */
  async #removeUnfinished(): Promise<void> {
    const { disk, directory } = this.#options;
    for (const text of await disk.list(directory)) {
      if (text.endsWith(".tmp")) await disk.remove(`${directory}/${text}`);
    }
  }

  /** A crash may leave the record of a transfer that ended with its installation. */
  async #forgetInstalled(names: readonly CheckpointName[]): Promise<void> {
    const { disk, partitionsDirectory } = this.#options;
    const shard = parentOf(partitionsDirectory);
    const incoming = await incomingRoot(disk, shard);
    if (names.some(({ root }) => root === incoming)) await removeRecord(disk, shard);
  }

  async #open(name: CheckpointName): Promise<LoadedCheckpoint | CheckpointDamaged> {
    try {
      return await openCheckpoint(this.#options.disk, this.#path(name), name.index);
    } catch (error) {
      if (error instanceof CheckpointDamaged) return error;
      throw error;
    }
  }

  /** Renames damaged checkpoints newer than `index`, before their segments are written again. */
  async #setAside(index: number): Promise<void> {
    const { disk, directory } = this.#options;
    for (const newer of await this.#available()) {
      if (newer.index <= index) continue;
      await disk.rename(this.#path(newer), `${this.#path(newer)}.damaged`);
    }
    await syncDirectory(disk, directory);
  }

  async #dropOldest(): Promise<void> {
    const kept = this.#kept.shift();
    if (kept === undefined) return;
    kept.superseded = true;
    if (kept.holders === 0) await this.#remove(kept);
    else this.#held.add(kept);
  }

  /**
   * Removes the file durably first and then what only it names, so that no checkpoint ever lacks
   * its segments.
   */
  async #remove(kept: Kept): Promise<void> {
    const { disk, directory } = this.#options;
    this.#held.delete(kept);
    if (kept.name.root !== this.#root) return this.removeStale();
    await disk.remove(this.#path(kept.name));
    await syncDirectory(disk, directory);
    kept.cut?.release();
  }

  /**
   * Runs once per process, when no checkpoint of an earlier process is left that was not loaded.
   */
  async #sweepOnce(): Promise<void> {
    if (this.#swept || this.#kept.some(({ cut }) => cut === null)) return;
    this.#swept = true;
    const { disk, directory } = this.#options;
    const oldest = this.#kept[0]?.name.index ?? 0;
    for (const text of await disk.list(directory)) {
      const name = parseCheckpointName(text.replace(/\.damaged$/, ""));
      // Files in another root or of a transfer are left to `removeStale`.
      if (name !== null && (name.root !== this.#root || name.state === "part")) continue;
      const stray = name === null || name.index < oldest || text.endsWith(".damaged");
      if (stray) await disk.remove(`${directory}/${text}`);
    }
    await this.#partitions.sweep();
    await this.removeStale();
  }

  async #prepareDirectory(): Promise<void> {
    if (this.#directoryReady) return;
    await makeDurableDirectory(this.#options.disk, this.#options.directory);
    this.#directoryReady = true;
  }

  #path({ index, root, state }: CheckpointName): string {
    return `${this.#options.directory}/${checkpointName(index, root, state)}`;
  }
}

/** The results of reading each checkpoint, without its content. */
export const factsOf = ({ read }: CheckpointScan): CheckpointFact[] =>
  read.map(({ name, content }) => ({
    index: name.index,
    damage: content instanceof CheckpointDamaged ? content : null,
  }));

const entry = (
  name: CheckpointName,
  term: number,
  length: number,
  cut: PartitionCut | null,
): Kept => ({ name, term, length, cut, holders: 0, superseded: false });

function missingJournal(path: string, index: number, journal: SettlingJournal): JournalDamaged {
  const { firstIndex, lastIndex } = journal;
  const from = (lastIndex < index ? lastIndex + 1 : index) as LogIndex;
  const reason = `entry ${index} of its term was durable when this checkpoint was taken, and the journal has ${firstIndex} to ${lastIndex}`;
  return new JournalDamaged({ file: path, position: 0, from, to: index as LogIndex, reason });
}
