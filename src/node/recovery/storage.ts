import { CheckpointStore } from "../../storage/checkpoints/store.ts";
import type { HardStateFile } from "../../storage/hard-state.ts";
import type { Journal } from "../../storage/journal/journal.ts";
import { PartitionStore } from "../../storage/partitions/store.ts";
import { SnapshotInstall } from "../../storage/snapshots/install.ts";
import type { Generation } from "./generation.ts";
import type { RecoveryOptions } from "./options.ts";

/** The open files of a shard, by purpose. */
export type Storage = {
  /** The partition logs, with the state that they belong to. */
  readonly generation: Generation;
  readonly checkpoints: CheckpointStore;
  readonly journal: Journal;
  readonly hardStateFile: HardStateFile;
  /** Creates an empty store, for a snapshot that replaces the state. */
  readonly newStore: () => PartitionStore;
  readonly newInstall: () => SnapshotInstall;
};

/** Approximate size of a snapshot in bytes. */
export const snapshotBytesOf = ({ generation, checkpoints }: Storage): number =>
  generation.store.describe().storedBytes + checkpoints.newestBytes;

/** Opens partition logs and checkpoints. They are empty until a checkpoint is recovered. */
export function openStores(
  options: RecoveryOptions,
): Pick<Storage, "checkpoints" | "newStore" | "newInstall"> & { readonly store: PartitionStore } {
  const { disk, dataDir, shard, clock, storage, onSpace, mayShare, repair, onFailure } = options;
  const nextTurn = () => new Promise<void>((resolve) => clock.defer(resolve));
  const { partitions, checkpoints: directory } = dataDir.shard(shard);
  const prepareShared = () => dataDir.allowShared();
  const newStore = () =>
    new PartitionStore({
      disk,
      directory: partitions,
      segmentBytes: storage.segmentBytes,
      tailBytes: storage.tailBytes,
      ...(storage.readCacheBytes === undefined ? {} : { readCacheBytes: storage.readCacheBytes }),
      ...(storage.blocks === undefined ? {} : { blocks: storage.blocks }),
      ...(storage.readThreads === undefined ? {} : { readThreads: storage.readThreads }),
      ...(storage.segmentFilesMax === undefined ? {} : { openFiles: storage.segmentFilesMax }),
      mayShare,
      prepareShared,
      onDiskFull: onSpace,
      repair,
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
      prepareShared,
    });
  return { store, checkpoints, newStore, newInstall };
}
