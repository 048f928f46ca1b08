import { DiskFull } from "../../env/disk.ts";
import { Machine } from "../../machine/machine.ts";
import { decodeConfiguration } from "../../raft/config-codec.ts";
import {
  type Entry,
  type HardState,
  INDEX_0,
  type LogIndex,
  type SnapshotMeta,
  type Term,
} from "../../raft/types.ts";
import type { LoadedCheckpoint } from "../../storage/checkpoints/reader.ts";
import { closeScan, scanCheckpoints } from "../../storage/checkpoints/scan.ts";
import { type CheckpointStore, factsOf } from "../../storage/checkpoints/store.ts";
import { HardStateDamaged, HardStateFile, type HardStateOpened } from "../../storage/hard-state.ts";
import type { Journal } from "../../storage/journal/journal.ts";
import { abandonJournal } from "../../storage/journal/truncated-log.ts";
import { reserveOn } from "../disk-reserve.ts";
import { decideHardState, decideState } from "./decide.ts";
import { writeFirst } from "./first-checkpoint.ts";
import { Generation } from "./generation.ts";
import { EntryCollector, readAll } from "./log-entries.ts";
import { restoreState } from "./machine-state.ts";
import { openJournal } from "./open-journal.ts";
import { type RecoveryOptions, repaired } from "./options.ts";
import { type ShardScan, scanShard } from "./scan.ts";
import { openStores, type Storage } from "./storage.ts";

/** The recovered state, from which a node continues. */
export type Recovered = {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly hardState: HardState;
  readonly snapshot: SnapshotMeta | null;
  /** Durable entries after the snapshot. They are passed to the core and not retained. */
  readonly entries: readonly Entry[];
};

/**
 * Scans the disk, decides, and executes: the newest usable checkpoint becomes machine and partition
 * logs, and the journal after it becomes the entries. If data cannot be recovered and no other copy
 * exists, the start fails with a message that names file and position.
 */
export async function recover(asked: RecoveryOptions): Promise<Recovered> {
  const { totalBytes } = await asked.disk.space();
  const diskReserveBytes = reserveOn(totalBytes, asked.storage.diskReserveBytes);
  const options = { ...asked, storage: { ...asked.storage, diskReserveBytes } };
  const scan = await scanShard(options);
  try {
    return await recoverFrom(options, scan);
  } catch (error) {
    await closeScan(scan.checkpoints);
    throw error;
  }
}

async function recoverFrom(options: RecoveryOptions, scan: ShardScan): Promise<Recovered> {
  checkHardState(options, scan);
  const { store, ...stores } = openStores(options);
  const newest = scan.checkpoints.names[0]?.index ?? 0;
  const collected = new EntryCollector(newest);
  const opened = await openJournal(options, scan, collected);
  const hardState = await settleHardState(options, scan, opened, collected);
  const { checkpoints } = stores;
  const blank = { checkpoints, journal: opened, hardState: hardState.state };
  const begun = await maybeBootstrap(options, scan, blank);
  const { journal, loaded } = await loadState(options, begun, checkpoints, opened);
  // A bootstrap or an installation may have been interrupted after its checkpoint was in place.
  await checkpoints.settleJournal(journal);
  await finishInstall(options, checkpoints);
  const machine = loaded === null ? new Machine() : new Machine(await restoreState(loaded));
  const snapshot = loaded === null ? null : snapshotOf(loaded);
  await recordCluster(options, loaded);
  const base = snapshot?.index ?? 0;
  if (loaded !== null && base < newest) {
    options.log.error(
      "newest checkpoint is damaged, recovering from an older one and the journal",
      {
        damaged: newest,
        used: base,
      },
    );
    repaired(options, "checkpoint");
  }
  const isCollected = base === newest;
  const entries = isCollected
    ? collected.upTo(journal.lastIndex)
    : await readAll(journal, (base + 1) as LogIndex);
  options.log.info("recovered", {
    checkpoint: base,
    entries: entries.length,
    last_index: journal.lastIndex,
    topics: machine.broker.topicsById.size,
  });
  return {
    machine,
    storage: {
      ...stores,
      generation: new Generation(machine, store),
      journal,
      hardStateFile: hardState.file,
    },
    hardState: hardState.state,
    snapshot,
    entries,
  };
}

/** Without space the shard finishes it before its first append, and waits for space. */
async function finishInstall(
  { log }: RecoveryOptions,
  checkpoints: CheckpointStore,
): Promise<void> {
  try {
    await checkpoints.finishInstall();
  } catch (error) {
    if (!(error instanceof DiskFull)) throw error;
    log.warn("not enough disk space to finish the installation of a snapshot", {
      error: error.message,
    });
  }
}

/** @throws HardStateDamaged for a member of a cluster, before anything is changed. */
function checkHardState(options: RecoveryOptions, { hardState, hasPeers }: ShardScan): void {
  if (hardState instanceof HardStateDamaged) {
    const unread = { hasHardState: false, hasPeers, changesMembership: false };
    if (decideHardState(unread) === "refuse") throw hardState;
  } else if (hardState.repaired !== null) {
    options.log.warn("hard state repaired", { detail: hardState.repaired });
    repaired(options, "hard_state");
  }
}

/** @throws HardStateDamaged if other voters may exist according to the log. */
async function settleHardState(
  options: RecoveryOptions,
  { hardState, hasPeers }: ShardScan,
  journal: Journal,
  collected: EntryCollector,
): Promise<HardStateOpened> {
  if (!(hardState instanceof HardStateDamaged)) return hardState;
  const log = collected.upTo(journal.lastIndex);
  const changesMembership = log.some(({ type }) => type === "conf_change");
  const outcome = decideHardState({ hasHardState: false, hasPeers, changesMembership });
  if (outcome === "refuse") throw hardState;
  return await renewHardState(options, hardState, journal);
}

/**
 * Terms to skip. A learner may have entries of a later term that the disk of the sole voter has lost.
 * No voter has campaigned this many times since the last entry.
 */
const TERMS_SKIPPED = 1_000_000;

/** Writes a new hard state, above the term of the last entry. */
async function renewHardState(
  { disk, dataDir, shard, log, instruments }: RecoveryOptions,
  damaged: HardStateDamaged,
  journal: Journal,
): Promise<HardStateOpened> {
  const path = dataDir.shard(shard).hardState;
  const identity = dataDir.checksumIdentity(shard);
  const term = (journal.lastTerm + TERMS_SKIPPED) as Term;
  await HardStateFile.create(disk, path, identity, { term, vote: null, commit: INDEX_0 });
  log.error("term and vote were lost; this node is the only voter, it continues in a later term", {
    detail: damaged.message,
    term,
  });
  repaired({ instruments }, "hard_state");
  return await HardStateFile.open(disk, path, identity);
}

/** @returns the state that is on the disk now. */
async function maybeBootstrap(
  { initialMembers, newClusterId, dataDir, disk, shard }: RecoveryOptions,
  scan: ShardScan,
  blank: { checkpoints: CheckpointStore; journal: Journal; hardState: HardState },
): Promise<Loadable> {
  const { checkpoints, hasPeers } = scan;
  if (initialMembers === null) return { checkpoints, hasPeers };
  if (dataDir.identity.clusterId === null) await dataDir.recordClusterId(newClusterId());
  const clusterId = dataDir.identity.clusterId ?? "";
  const first = { clusterId, configuration: initialMembers, machine: new Machine() };
  if (!(await writeFirst(blank, first))) return { checkpoints, hasPeers };
  return { checkpoints: await scanCheckpoints(disk, dataDir.shard(shard).checkpoints), hasPeers };
}

type Loadable = Pick<ShardScan, "checkpoints" | "hasPeers">;

/** With peers, a node without a usable checkpoint abandons its log and fetches their state. */
async function loadState(
  options: RecoveryOptions,
  { checkpoints: scan, hasPeers }: Loadable,
  checkpoints: CheckpointStore,
  journal: Journal,
): Promise<{ journal: Journal; loaded: LoadedCheckpoint | null }> {
  const { firstIndex: first, lastIndex: last, lastTerm } = journal;
  const { namesPeers } = options;
  const facts = { hasPeers, namesPeers, checkpoints: factsOf(scan), journal: { first, last } };
  const outcome = decideState(facts);
  if (outcome.kind === "use") return { journal, loaded: await checkpoints.restore(scan, outcome) };
  if (outcome.kind === "refuse") throw outcome.damage;
  await closeScan(scan);
  const { disk, dataDir, shard, log } = options;
  log.error("no intact checkpoint, the state will be fetched from a peer", {
    detail: outcome.damage.message,
  });
  await journal.close();
  const { journal: directory, checkpoints: checkpointDirectory } = dataDir.shard(shard);
  const end = { index: last, term: lastTerm };
  await abandonJournal(disk, directory, dataDir.checksumIdentity(shard), end);
  await checkpoints.startOver();
  repaired(options, "checkpoint");
  const left = { hasPeers, checkpoints: await scanCheckpoints(disk, checkpointDirectory) };
  return { journal: await openJournal(options, left, new EntryCollector(0)), loaded: null };
}

/** A bootstrap may have been interrupted after its checkpoint was in place. */
async function recordCluster(
  { dataDir }: RecoveryOptions,
  loaded: LoadedCheckpoint | null,
): Promise<void> {
  if (loaded === null || dataDir.identity.clusterId !== null) return;
  await dataDir.recordClusterId(loaded.meta.clusterId);
}

const snapshotOf = ({ meta }: LoadedCheckpoint): SnapshotMeta => ({
  index: meta.index as LogIndex,
  term: meta.term as Term,
  configuration: decodeConfiguration(meta.configuration),
});
