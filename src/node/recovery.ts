import type { Clock } from "../env/clock.ts";
import type { Disk, DiskFailure } from "../env/disk.ts";
import type { ShardId } from "../lib/ids.ts";
import { Machine } from "../machine/machine.ts";
import { SnapshotRestorer } from "../machine/snapshot-restorer.ts";
import type { Logger } from "../metrics/log.ts";
import { decodeConfiguration } from "../raft/config-codec.ts";
import type { Entry, HardState, LogIndex, SnapshotMeta, Term } from "../raft/types.ts";
import { checkpointIndex } from "../storage/checkpoint-format.ts";
import type { LoadedCheckpoint } from "../storage/checkpoint-reader.ts";
import { CheckpointStore } from "../storage/checkpoint-store.ts";
import type { DataDir } from "../storage/data-dir.ts";
import { HardStateFile } from "../storage/hard-state.ts";
import { Journal } from "../storage/journal.ts";
import { PartitionStore } from "../storage/partition-store.ts";

const READ_BYTES = 4 * 1024 * 1024;

export type StorageOptions = {
  readonly journalSegmentBytes: number;
  readonly segmentBytes: number;
  readonly tailBytes: number;
  readonly diskReserveBytes: number;
};

export type RecoveryOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Logger;
  readonly dataDir: DataDir;
  readonly shard: ShardId;
  readonly storage: StorageOptions;
  readonly onSpace: (blocked: boolean) => void;
  readonly onFailure: (error: unknown) => void;
};

/** The open files of a shard, by duty. */
export type Storage = {
  readonly store: PartitionStore;
  readonly checkpoints: CheckpointStore;
  readonly journal: Journal;
  readonly hardStateFile: HardStateFile;
};

/** What was on the disk: all that a node needs to go on where it ended. */
export type Recovered = {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly hardState: HardState;
  readonly snapshot: SnapshotMeta | null;
  /** Durable entries after the snapshot. To be given to the core and not kept. */
  readonly entries: readonly Entry[];
};

/**
 * Newest whole checkpoint → machine and partition logs; then the journal behind it. A torn end of
 * the journal is cut; damage before it stops the start with a message that names file and position.
 */
export async function recover(options: RecoveryOptions): Promise<Recovered> {
  const { disk, dataDir, shard, clock, log, onFailure } = options;
  const nextTurn = () => new Promise<void>((resolve) => clock.soon(resolve));
  const paths = dataDir.shard(shard);
  const hardState = await HardStateFile.open(
    disk,
    paths.hardState,
    dataDir.checksumIdentity(shard),
  );
  if (hardState.mended !== null) log.warn("hard state mended", { detail: hardState.mended });

  const store = new PartitionStore({
    disk,
    directory: paths.partitions,
    segmentBytes: options.storage.segmentBytes,
    tailBytes: options.storage.tailBytes,
    onDiskFull: options.onSpace,
    onFailure,
    nextTurn,
  });
  const checkpoints = new CheckpointStore({
    disk,
    directory: paths.checkpoints,
    partitions: store,
    partitionsDirectory: paths.partitions,
    nextTurn,
  });
  const newest = await newestCheckpoint(disk, paths.checkpoints);
  const collected = new EntryCollector(newest);
  const journal = await openJournal(options, collected);
  const { firstIndex, lastIndex } = journal;
  const loaded = await checkpoints.recover({ first: firstIndex, last: lastIndex });
  const machine = loaded === null ? new Machine() : await restoreMachine(loaded);
  const snapshot = loaded === null ? null : snapshotOf(loaded);
  const base = snapshot?.index ?? 0;
  const entries =
    base === newest ? collected.upTo(lastIndex) : await readAll(journal, (base + 1) as LogIndex);
  log.info("recovered", {
    checkpoint: base,
    entries: entries.length,
    last_index: lastIndex,
    topics: machine.broker.topicsById.size,
  });
  return {
    machine,
    storage: { store, checkpoints, journal, hardStateFile: hardState.file },
    hardState: hardState.state,
    snapshot,
    entries,
  };
}

async function openJournal(options: RecoveryOptions, collected: EntryCollector): Promise<Journal> {
  const { disk, dataDir, shard, storage, clock, log, onSpace, onFailure } = options;
  const { journal, torn } = await Journal.open({
    disk,
    directory: dataDir.shard(shard).journal,
    identity: dataDir.checksumIdentity(shard),
    segmentBytes: storage.journalSegmentBytes,
    reserveBytes: storage.diskReserveBytes,
    clock,
    onEntries: (entries) => collected.add(entries),
    onSpaceLow: onSpace,
    onFailure: (failure: DiskFailure) => onFailure(failure),
  });
  if (torn !== null) {
    log.warn("cut the torn end of the journal: an append that was never answered", torn);
  }
  return journal;
}

/** Keeps what lies behind the newest checkpoint; what is before it was only read to be checked. */
class EntryCollector {
  #entries: Entry[] = [];
  readonly #after: number;

  constructor(after: number) {
    this.#after = after;
  }

  /** A crash while a snapshot was installed leaves entries behind that the journal disowns. */
  upTo(lastIndex: LogIndex): readonly Entry[] {
    while ((this.#entries.at(-1)?.index ?? 0) > lastIndex) this.#entries.pop();
    return this.#entries;
  }

  add(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.index <= this.#after) {
        this.#entries = [];
        continue;
      }
      // A leader's log took the place of this and of all behind it.
      while ((this.#entries.at(-1)?.index ?? 0) >= entry.index) this.#entries.pop();
      this.#entries.push(entry);
    }
  }
}

async function newestCheckpoint(disk: Disk, directory: string): Promise<number> {
  let newest = 0;
  for (const name of await disk.list(directory)) {
    newest = Math.max(newest, checkpointIndex(name) ?? 0);
  }
  return newest;
}

async function restoreMachine(loaded: LoadedCheckpoint): Promise<Machine> {
  try {
    const restorer = new SnapshotRestorer();
    for (let chunk = await loaded.next(); chunk !== null; chunk = await loaded.next()) {
      restorer.push(chunk);
    }
    return new Machine(restorer.finish());
  } finally {
    await loaded.close();
  }
}

const snapshotOf = ({ meta }: LoadedCheckpoint): SnapshotMeta => ({
  index: meta.index as LogIndex,
  term: meta.term as Term,
  configuration: decodeConfiguration(meta.configuration),
});

async function readAll(journal: Journal, from: LogIndex): Promise<Entry[]> {
  const entries: Entry[] = [];
  let next = from;
  while (next <= journal.lastIndex) {
    const some = await journal.read(next, journal.lastIndex, READ_BYTES);
    entries.push(...some);
    next = ((some.at(-1)?.index ?? journal.lastIndex) + 1) as LogIndex;
  }
  return entries;
}
