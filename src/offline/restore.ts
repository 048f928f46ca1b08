/**
 * Creates the data directory of a new single-node cluster from a backup. The files are received like
 * a snapshot of another node, and verified. Then one removal makes them valid: that of the marker
 * which keeps nodes from starting in a directory that is being restored.
 */
import type { Disk } from "../env/disk.ts";
import { DecodeError } from "../lib/bytes.ts";
import { type NodeId, SHARD_0 } from "../lib/ids.ts";
import { Machine } from "../machine/machine.ts";
import type { MachineState } from "../machine/state.ts";
import { restoreState } from "../node/recovery/machine-state.ts";
import { encodeConfiguration } from "../raft/config-codec.ts";
import { EMPTY_CONFIGURATION } from "../raft/membership.ts";
import type { LogIndex, Term } from "../raft/types.ts";
import { BackupDamaged, type BackupHead } from "../storage/backup/format.ts";
import { BackupReader } from "../storage/backup/reader.ts";
import type { FrameSource } from "../storage/checkpoints/frame-chain.ts";
import { removeRecord } from "../storage/checkpoints/incoming.ts";
import { checkpointName } from "../storage/checkpoints/names.ts";
import type { LoadedCheckpoint } from "../storage/checkpoints/reader.ts";
import { writeCheckpoint } from "../storage/checkpoints/writer.ts";
import {
  abandonRestore,
  beginRestore,
  DataDir,
  type DataDirIdentity,
  endRestore,
  identityOf,
  type ShardPaths,
} from "../storage/data-dir.ts";
import { syncDirectory } from "../storage/durable.ts";
import { HardStateFile } from "../storage/hard-state.ts";
import { readManifest } from "../storage/partitions/manifest.ts";
import { SnapshotRefused } from "../storage/snapshots/check.ts";
import { SnapshotInstall, type VerifiedSnapshot } from "../storage/snapshots/install.ts";
import { compareWithMachine } from "./compare.ts";

/** The root directory of a first snapshot: `partitions@1`. */
const ROOT = 1;
const CHUNK_BYTES = 512 * 1024;

export type RestoreOptions = {
  /** Disk of the data directory. */
  readonly disk: Disk;
  readonly source: FrameSource;
  /** Name of the archive, for errors. */
  readonly archive: string;
  /** The one member of the new cluster. */
  readonly nodeId: NodeId;
  /** New cluster id and storage id. */
  readonly identity: DataDirIdentity & { readonly clusterId: string };
  readonly nextTurn: () => Promise<void>;
  /** Returns the process that uses the directory, or null. */
  readonly userOf?: () => number | null;
  /** Called when bytes arrive; may throw to abort. */
  readonly received: (bytes: number, ofBytes: number) => void;
};

export type Restored = {
  readonly head: BackupHead;
  readonly files: number;
  readonly bytes: number;
  readonly topics: number;
};

/**
 * @throws DataDirNotEmpty, BackupDamaged, DiskFull, DiskFailure. The directory is then unchanged.
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { disk, archive, source } = options;
  // Opened before the directory is changed, because a file that is not a backup fails here.
  const reader = await BackupReader.open(source, archive);
  await beginRestore(disk, options.userOf ?? (() => null));
  const restored = await fill(options, reader).catch(async (error: unknown) => {
    await abandonRestore(disk);
    throw error;
  });
  // If this fails, the data is complete, so nothing may be removed: the marker would be missing.
  await endRestore(disk);
  return restored;
}

async function fill(options: RestoreOptions, reader: BackupReader): Promise<Restored> {
  const { disk, identity, archive } = options;
  const dataDir = await DataDir.create(disk, identity);
  const paths = dataDir.shard(SHARD_0);
  const { manifest, state } = await asDamage(archive, reader, async () => {
    const verified = await receive(options, reader, paths);
    return await readVerified(await verified.open());
  });
  if (readManifest(manifest, () => undefined).nextShared > 0) await dataDir.allowShared();
  await bootstrap(options, reader.contents.head, { paths, manifest, state });
  const { head, files } = reader.contents;
  const bytes = files.reduce((sum, { length }) => sum + length, 0);
  return { head, files: files.length, bytes, topics: state.broker.topicsById.size };
}

/** Writes the files to their final places and verifies them against the manifest. */
async function receive(
  { disk, nextTurn, received }: RestoreOptions,
  reader: BackupReader,
  paths: ShardPaths,
): Promise<VerifiedSnapshot> {
  const { head, files } = reader.contents;
  const install = new SnapshotInstall({
    disk,
    directory: paths.checkpoints,
    partitionsDirectory: paths.partitions,
    clusterId: null,
    reserveBytes: 0,
    nextTurn,
    // The files are in force when the marker of the restore is removed.
    prepareShared: () => Promise.resolve(),
  });
  const ofBytes = files.reduce((sum, { length }) => sum + length, 0);
  let bytes = 0;
  await install.begin({ index: head.index, term: head.term, files }, { fresh: true });
  for (let piece = await reader.next(); piece !== null; piece = await reader.next()) {
    await install.write(piece.file, piece.position, piece.bytes);
    if (piece.isLast) await install.fileDone(piece.file);
    bytes += piece.bytes.length;
    received(bytes, ofBytes);
  }
  return await install.finish();
}

/** @throws DecodeError if machine and manifest describe different partitions. */
async function readVerified(loaded: LoadedCheckpoint) {
  const { manifest } = loaded;
  const state = await restoreState(loaded);
  const [wrong] = compareWithMachine(manifest, state);
  if (wrong !== undefined) throw new DecodeError(wrong);
  return { manifest, state };
}

type Received = {
  readonly paths: ShardPaths;
  readonly manifest: Uint8Array;
  readonly state: MachineState;
};

/**
 * Writes the first checkpoint of the new cluster: the same state at the same index, so that no number
 * is used twice, with this node as the only member.
 */
async function bootstrap(
  { disk, identity, nodeId, nextTurn }: RestoreOptions,
  { index, term }: BackupHead,
  { paths, manifest, state }: Received,
): Promise<void> {
  // The former members do not belong to the new cluster.
  state.members.clear();
  const snapshot = new Machine(state).beginSnapshot();
  const machine = { next: () => snapshot.next(CHUNK_BYTES) };
  const configuration = encodeConfiguration({ ...EMPTY_CONFIGURATION, voters: [nodeId] });
  const meta = { index, term, clusterId: identity.clusterId, configuration };
  // The journal is empty; the first start continues it after this checkpoint.
  const path = `${paths.checkpoints}/${checkpointName(index, ROOT, "install")}`;
  await writeCheckpoint(disk, `${path}.tmp`, { meta, manifest, machine }, nextTurn);
  await disk.rename(`${path}.tmp`, path);
  await disk.remove(`${paths.checkpoints}/${checkpointName(index, ROOT, "part")}`);
  await syncDirectory(disk, paths.checkpoints);
  await removeRecord(disk, paths.root);
  const checksum = identityOf(identity.storageId, SHARD_0);
  const { file } = await HardStateFile.open(disk, paths.hardState, checksum);
  await file.save({ term: term as Term, vote: null, commit: index as LogIndex });
  await file.close();
}

/** Reports errors of decoding as damage of the backup, because the checksums of its frames match. */
async function asDamage<T>(
  archive: string,
  reader: BackupReader,
  read: () => Promise<T>,
): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    const isWrong = cause instanceof SnapshotRefused || cause instanceof DecodeError;
    if (!isWrong) throw cause;
    throw new BackupDamaged(archive, reader.position, cause.message, { cause });
  }
}
