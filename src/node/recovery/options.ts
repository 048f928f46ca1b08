import type { Clock } from "../../env/clock.ts";
import type { Disk } from "../../env/disk.ts";
import type { Blocks } from "../../lib/blocks.ts";
import type { NodeId, ShardId } from "../../lib/ids.ts";
import type { DamageKind, Instruments } from "../../metrics/instruments.ts";
import type { Logger } from "../../metrics/log.ts";
import type { Configuration } from "../../raft/types.ts";
import type { DataDir } from "../../storage/data-dir.ts";
import type { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { ReadThreads } from "../../storage/partitions/read-threads.ts";

export type StorageOptions = {
  /** Maximum number of open segment files of partitions. @default 256 */
  readonly segmentFilesMax?: number;
  readonly journalSegmentBytes: number;
  readonly segmentBytes: number;
  readonly tailBytes: number;
  /** @default 32 MiB */
  readonly readCacheBytes?: number;
  /** Memory for both. Default: that of this thread alone. */
  readonly blocks?: Blocks;
  /** Threads that read windows of files for this one. They share the memory of `blocks`. */
  readonly readThreads?: ReadThreads;
  readonly diskReserveBytes: number;
  /** Number of partitions from which on small ones share files. @default SHARE_FROM_DEFAULT */
  readonly shareFrom?: number;
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
  /** Members of a cluster that this node may bootstrap on an empty disk. Null: it must not. */
  readonly initialMembers: Configuration | null;
  readonly newClusterId: () => string;
  /** True if the settings name other nodes. */
  readonly namesPeers: boolean;
  readonly onSpace: (blocked: boolean) => void;
  /** Whether small partitions may share files: every member can read them. */
  readonly mayShare: () => boolean;
  /** Repairs damaged records from peers. */
  readonly repair: (damage: PartitionDamaged) => Promise<boolean>;
  readonly onFailure: (error: unknown) => void;
};

/** Damage of this kind was found. It does not stop the start. */
export function repaired(
  { instruments }: Pick<RecoveryOptions, "instruments">,
  kind: DamageKind,
): void {
  instruments.damage[kind].value++;
  instruments.repairs[kind].value++;
}
