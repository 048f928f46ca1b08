import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import type { Disk, DiskFailure } from "../../env/disk.ts";
import type { NodeId, ShardId } from "../../lib/ids.ts";
import { Machine } from "../../machine/machine.ts";
import { SnapshotRestorer } from "../../machine/snapshot-restorer.ts";
import type { MachineState } from "../../machine/state.ts";
import type { DamageKind, Instruments } from "../../metrics/instruments.ts";
import type { Logger } from "../../metrics/log.ts";
import { decodeConfiguration, encodeConfiguration } from "../../raft/config-codec.ts";
import {
  type Configuration,
  type Entry,
  type HardState,
  INDEX_0,
  type LogIndex,
  type SnapshotMeta,
  type Term,
} from "../../raft/types.ts";
import { CheckpointDamaged } from "../../storage/checkpoints/damaged.ts";
import { parseCheckpointName } from "../../storage/checkpoints/names.ts";
import {
  checkpointsIn,
  type LoadedCheckpoint,
  newestWhole,
  readCheckpointHead,
} from "../../storage/checkpoints/reader.ts";
import { CheckpointStore } from "../../storage/checkpoints/store.ts";
import type { DataDir } from "../../storage/data-dir.ts";
import { HardStateDamaged, HardStateFile, type HardStateOpened } from "../../storage/hard-state.ts";
import { Journal } from "../../storage/journal/journal.ts";
import { abandonJournal } from "../../storage/journal/truncated-log.ts";
import type { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import { PartitionStore } from "../../storage/partitions/store.ts";
import { SnapshotInstall } from "../../storage/snapshots/install.ts";
import { reserveOn } from "../disk-reserve.ts";

const READ_BYTES = 4 * 1024 * 1024;
const FIRST_CHUNK_BYTES = 64 * 1024;

export type StorageOptions = {
  /** Segment files of partitions that are open at a time. @default 256 */
  readonly segmentFilesMax?: number;
  readonly journalSegmentBytes: number;
  readonly segmentBytes: number;
  readonly tailBytes: number;
  readonly diskReserveBytes: number;
};

export type RecoveryOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Logger;
  readonly instruments: Pick<Instruments, "damage" | "repairs">;
  readonly dataDir: DataDir;
  readonly shard: ShardId;
  readonly nodeId: NodeId;
  readonly storage: StorageOptions;
  /** Members of a cluster that this node may found on an empty disk; null: it may not. */
  readonly founders: Configuration | null;
  readonly newClusterId: () => string;
  /** The settings name other nodes. */
  readonly namesPeers: boolean;
  readonly onSpace: (blocked: boolean) => void;
  /** Brings damaged records back from peers. */
  readonly heal: (damage: PartitionDamaged) => Promise<boolean>;
  readonly onFailure: (error: unknown) => void;
};

/** The open files of a shard, by duty. A snapshot from the leader brings others. */
export type Storage = {
  store: PartitionStore;
  readonly checkpoints: CheckpointStore;
  readonly journal: Journal;
  readonly hardStateFile: HardStateFile;
  /** An empty one, for a snapshot that takes the place of everything. */
  readonly newStore: () => PartitionStore;
  readonly newInstall: () => SnapshotInstall;
};

/** About what a snapshot of all that is here has. */
export const snapshotBytesOf = ({ store, checkpoints }: Storage): number =>
  store.describe().storedBytes + checkpoints.newestBytes;

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
 * the journal is cut. So is all behind damage if there are peers to bring it back; else damage to what
 * no checkpoint has stops the start with a message that names file and position.
 */
export async function recover(asked: RecoveryOptions): Promise<Recovered> {
  const { totalBytes } = await asked.disk.space();
  const diskReserveBytes = reserveOn(totalBytes, asked.storage.diskReserveBytes);
  const options = { ...asked, storage: { ...asked.storage, diskReserveBytes } };
  const { disk, dataDir, shard, log } = options;
  const paths = dataDir.shard(shard);
  const read = await readHardState(options);

  const stores = openStores(options);
  const { checkpoints } = stores;
  const newest = await newestCheckpoint(disk, paths.checkpoints);
  const collected = new EntryCollector(newest);
  const opened = await openJournal(options, collected);
  const hardState =
    read instanceof HardStateDamaged
      ? await replaceHardState(options, read, opened, collected)
      : read;
  await maybeFound(options, { checkpoints, journal: opened, hardState: hardState.state });
  const { journal, loaded } = await loadCheckpoint(options, checkpoints, opened);
  const { lastIndex } = journal;
  // A founding or an installation that was cut short after its checkpoint was in place.
  await checkpoints.settle(journal);
  const machine = loaded === null ? new Machine() : new Machine(await restoreState(loaded));
  const snapshot = loaded === null ? null : snapshotOf(loaded);
  // A founding was cut short after its checkpoint was in place.
  if (loaded !== null && dataDir.identity.clusterId === null) {
    await dataDir.recordClusterId(loaded.meta.clusterId);
  }
  const base = snapshot?.index ?? 0;
  if (loaded !== null && base < newest) {
    log.error("newest checkpoint is damaged, recovering from an older one and the journal", {
      damaged: newest,
      used: base,
    });
    repaired(options, "checkpoint");
  }
  const entries =
    base === newest
      ? collected.upTo(journal.lastIndex)
      : await readAll(journal, (base + 1) as LogIndex);
  log.info("recovered", {
    checkpoint: base,
    entries: entries.length,
    last_index: lastIndex,
    topics: machine.broker.topicsById.size,
  });
  return {
    machine,
    storage: { ...stores, journal, hardStateFile: hardState.file },
    hardState: hardState.state,
    snapshot,
    entries,
  };
}

/**
 * Returns the error instead of the state if both slots are lost and the newest checkpoint says that
 * this node is the only voter: then no vote is needed for safety.
 *
 * @throws HardStateDamaged for a member of a cluster, which may have voted.
 */
async function readHardState(
  options: RecoveryOptions,
): Promise<HardStateOpened | HardStateDamaged> {
  const { disk, dataDir, shard, log } = options;
  const path = dataDir.shard(shard).hardState;
  try {
    const opened = await HardStateFile.open(disk, path, dataDir.checksumIdentity(shard));
    if (opened.mended !== null) {
      log.warn("hard state repaired", { detail: opened.mended });
      repaired(options, "hard_state");
    }
    return opened;
  } catch (error) {
    if (error instanceof HardStateDamaged && (await knownPeers(options)) === false) return error;
    throw error;
  }
}

/**
 * A learner may hold entries of a later term, which the disk of the only voter has lost with its
 * term. No voter has campaigned this often since the last entry.
 */
const TERMS_SKIPPED = 1_000_000;

/**
 * Writes a new hard state for a node that is its cluster's only voter, above the term of its last
 * entry.
 *
 * @throws HardStateDamaged if the log behind the checkpoint changes the membership: then others may
 *   vote.
 */
async function replaceHardState(
  options: RecoveryOptions,
  damaged: HardStateDamaged,
  journal: Journal,
  collected: EntryCollector,
): Promise<HardStateOpened> {
  const { disk, dataDir, shard, log } = options;
  if (collected.upTo(journal.lastIndex).some(({ type }) => type === "conf_change")) throw damaged;
  const path = dataDir.shard(shard).hardState;
  const identity = dataDir.checksumIdentity(shard);
  const term = (journal.lastTerm + TERMS_SKIPPED) as Term;
  await HardStateFile.create(disk, path, identity, { term, vote: null, commit: INDEX_0 });
  log.error("term and vote were lost; this node is the only voter, it continues in a later term", {
    detail: damaged.message,
    term,
  });
  repaired(options, "hard_state");
  return await HardStateFile.open(disk, path, identity);
}

/** With peers, a node without a whole checkpoint lets go of all that it had and gets theirs. */
async function loadCheckpoint(
  options: RecoveryOptions,
  checkpoints: CheckpointStore,
  journal: Journal,
): Promise<{ journal: Journal; loaded: LoadedCheckpoint | null }> {
  const { disk, dataDir, shard, log } = options;
  const { firstIndex, lastIndex, lastTerm } = journal;
  try {
    return { journal, loaded: await checkpoints.recover({ first: firstIndex, last: lastIndex }) };
  } catch (error) {
    const canStartOver = (await knownPeers(options)) ?? options.namesPeers;
    if (!(error instanceof CheckpointDamaged) || !canStartOver) throw error;
    log.error("no intact checkpoint, the state will be fetched from a peer", {
      detail: error.message,
    });
    await journal.close();
    const end = { index: lastIndex, term: lastTerm };
    const { journal: directory } = dataDir.shard(shard);
    await abandonJournal(disk, directory, dataDir.checksumIdentity(shard), end);
    await checkpoints.startOver();
    repaired(options, "checkpoint");
    return { journal: await openJournal(options, new EntryCollector(0)), loaded: null };
  }
}

function repaired({ instruments }: RecoveryOptions, kind: DamageKind): void {
  instruments.damage[kind].value++;
  instruments.repairs[kind].value++;
}

/** A cluster begins with a checkpoint of nothing but its first members. */
async function maybeFound(
  { founders, newClusterId, dataDir }: RecoveryOptions,
  blank: { checkpoints: CheckpointStore; journal: Journal; hardState: HardState },
): Promise<void> {
  if (founders === null) return;
  if (dataDir.identity.clusterId === null) await dataDir.recordClusterId(newClusterId());
  const clusterId = dataDir.identity.clusterId ?? "";
  await writeFirst(blank, { clusterId, configuration: founders, machine: new Machine() });
}

export type FirstCheckpoint = {
  readonly clusterId: string;
  readonly configuration: Configuration;
  /** Nothing was applied to it. */
  readonly machine: Machine;
};

/** @returns false if the disk is not empty. */
export function writeFirst(
  blank: { checkpoints: CheckpointStore; journal: Journal; hardState: HardState },
  { clusterId, configuration, machine }: FirstCheckpoint,
): Promise<boolean> {
  const first = machine.beginSnapshot();
  const meta = { clusterId, configuration: encodeConfiguration(configuration) };
  return blank.checkpoints.found(blank, meta, { next: () => first.next(FIRST_CHUNK_BYTES) });
}

/** Partition logs and checkpoints, empty until a checkpoint is recovered. */
function openStores(
  options: RecoveryOptions,
): Pick<Storage, "store" | "checkpoints" | "newStore" | "newInstall"> {
  const { disk, dataDir, shard, clock, storage, onSpace, heal, onFailure } = options;
  const nextTurn = () => new Promise<void>((resolve) => clock.defer(resolve));
  const { partitions, checkpoints: directory } = dataDir.shard(shard);
  const newStore = () =>
    new PartitionStore({
      disk,
      directory: partitions,
      segmentBytes: storage.segmentBytes,
      tailBytes: storage.tailBytes,
      ...(storage.segmentFilesMax === undefined ? {} : { openFiles: storage.segmentFilesMax }),
      onDiskFull: onSpace,
      heal,
      onFailure,
      nextTurn,
    });
  const store = newStore();
  const checkpoints = new CheckpointStore({
    disk,
    directory,
    partitions: store,
    partitionsDirectory: partitions,
    nextTurn,
  });
  const newInstall = () =>
    new SnapshotInstall({
      disk,
      directory,
      partitionsDirectory: partitions,
      clusterId: dataDir.identity.clusterId,
      reserveBytes: storage.diskReserveBytes,
      nextTurn,
    });
  return { store, checkpoints, newStore, newInstall };
}

async function openJournal(options: RecoveryOptions, collected: EntryCollector): Promise<Journal> {
  const { disk, dataDir, shard, storage, clock, log, onSpace, onFailure } = options;
  const paths = dataDir.shard(shard);
  const { journal, torn, salvaged, covered } = await Journal.open({
    disk,
    directory: paths.journal,
    identity: dataDir.checksumIdentity(shard),
    segmentBytes: storage.journalSegmentBytes,
    reserveBytes: storage.diskReserveBytes,
    clock,
    cutDamaged: (await knownPeers(options)) ?? false,
    covered: () => newestWhole(disk, paths.checkpoints),
    onEntries: (entries) => collected.add(entries),
    onSpaceLow: onSpace,
    onFailure: (failure: DiskFailure) => onFailure(failure),
  });
  if (torn !== null) {
    log.warn("truncated an incomplete append at the end of the journal", torn);
  }
  if (salvaged !== null) {
    log.error(
      "journal was damaged and truncated, missing entries will be fetched from peers",
      salvaged,
    );
    repaired(options, "journal");
  }
  if (covered !== null) {
    const { file, position, reason } = covered;
    log.error(
      "the journal is damaged; nothing is lost, because a checkpoint covers the damaged part; check the health of this disk",
      { file, position, reason, checkpoint: journal.firstIndex - 1 },
    );
    options.instruments.damage.journal.value++;
  }
  if (journal.marker !== null) {
    log.warn("this node does not campaign until its log is complete again", journal.marker);
  }
  return journal;
}

/**
 * Whether others hold what this node acknowledged, as its newest checkpoint knows the members: a
 * node that becomes the only voter takes one at once.
 *
 * @returns null if there is no checkpoint, or none says so much.
 */
async function knownPeers({ disk, dataDir, shard, nodeId }: RecoveryOptions) {
  const { checkpoints: directory } = dataDir.shard(shard);
  for (const { path, index } of await checkpointsIn(disk, directory)) {
    const head = await readCheckpointHead(disk, path, index);
    if (head === null) continue;
    const { voters, votersOutgoing } = decodeConfiguration(head.configuration);
    if (faultPoint("journal-of-a-node-alone-is-cut")) return true;
    return [...voters, ...votersOutgoing].some((id) => id !== nodeId);
  }
  return null;
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
  for (const text of await disk.list(directory)) {
    const name = parseCheckpointName(text);
    if (name !== null && name.state !== "part") newest = Math.max(newest, name.index);
  }
  return newest;
}

/** Reads the machine's part of a checkpoint, and closes it. */
export async function restoreState(loaded: LoadedCheckpoint): Promise<MachineState> {
  try {
    const restorer = new SnapshotRestorer();
    for (let chunk = await loaded.next(); chunk !== null; chunk = await loaded.next()) {
      restorer.push(chunk);
    }
    return restorer.finish();
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
