import type { Disk } from "../../env/disk.ts";
import type { Blocks } from "../../lib/blocks.ts";
import type { PartitionDamaged } from "./damaged.ts";
import type { ReadThreads } from "./read-threads.ts";

export type PartitionStoreOptions = {
  readonly disk: Disk;
  /** The directory of the store, such as `shards/0/partitions`. */
  readonly directory: string;
  /** A segment is sealed before it would grow beyond this. Default 64 MiB. */
  readonly segmentBytes?: number;
  /** Memory for the newest bytes of all partitions. Default 64 MiB. */
  readonly tailBytes?: number;
  /** Unflushed bytes of all partitions that start background writes. Default a quarter of the tail. */
  readonly unflushedBytes?: number;
  /** Memory for windows of segment files that were read. Default 32 MiB; 0: none. */
  readonly readCacheBytes?: number;
  /** Memory for both. Default: that of this thread alone. */
  readonly blocks?: Blocks;
  /** Threads that read windows for this one. They share the memory of `blocks`. Default: none. */
  readonly readThreads?: ReadThreads;
  /**
   * Whether small partitions may share files now. Default: no. The other nodes must be able to read
   * shared files, because they may get them in a snapshot.
   */
  readonly mayShare?: () => boolean;
  /** Called before the first shared file is created. It must then be refused to earlier versions. */
  readonly prepareShared?: () => Promise<void>;
  /** Number of partitions from which on those that are not in use are parked. Default 4096. */
  readonly warmMax?: number;
  /** Default 256. */
  readonly openFiles?: number;
  /** Points of loaded indexes, 32 bytes each. Default 262,144, which is 8 MiB. */
  readonly indexPoints?: number;
  /** Maximum number of concurrent background writes, and of syncs at a checkpoint. Default 2. */
  readonly concurrency?: number;
  /**
   * Resolves in a later event-loop iteration, which small synchronous writes alone do not cause.
   */
  readonly nextTurn: () => Promise<void>;
  /** Tries to repair damaged bytes by `repair`. @returns whether to read again. */
  readonly repair?: (damage: PartitionDamaged) => Promise<boolean>;
  /**
   * The disk is full, or has space again. No data is lost: the bytes are in memory and in the
   * journal.
   */
  readonly onDiskFull?: (full: boolean) => void;
  /** The disk failed, or damage was found, in the background. The process must end. */
  readonly onFailure: (error: unknown) => void;
};

/** A consistent point of all partitions, as one checkpoint records it. */
export type PartitionCut = {
  readonly number: number;
  /** Joined at its first use, unless `prepare` was awaited. */
  readonly manifest: Uint8Array;
  /** Joins the manifest in slices, because there may be very many partitions. */
  prepare(): Promise<void>;
  /** Frees the memory of the manifest, which is joined again when it is needed. */
  forget(): void;
  /** Resolves when everything that the manifest names is durable. */
  flush(): Promise<void>;
  /** Drops an aborted or superseded checkpoint, so that files that only it names may be removed. */
  release(): void;
};

export type PartitionStoreSizes = {
  readonly partitions: number;
  readonly segments: number;
  readonly storedBytes: number;
  readonly tailBytes: number;
  readonly unflushedBytes: number;
  /** Bytes of trimmed segments and deleted partitions whose files wait for a newer checkpoint. */
  readonly pendingRemovalBytes: number;
  readonly openFiles: number;
  readonly diskFull: boolean;
};
