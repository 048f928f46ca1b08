import { CheckpointStore } from "../../storage/checkpoints/store.ts";
import type { HardStateFile } from "../../storage/hard-state.ts";
import type { Journal } from "../../storage/journal/journal.ts";
import { PartitionStore } from "../../storage/partitions/store.ts";
import { SnapshotInstall } from "../../storage/snapshots/install.ts";
import type { RecoveryOptions } from "./options.ts";

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

/** Partition logs and checkpoints, empty until a checkpoint is recovered. */
export function openStores(
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
