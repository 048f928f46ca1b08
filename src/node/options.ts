import type { Clock } from "../env/clock.ts";
import type { Disk } from "../env/disk.ts";
import type { Random } from "../env/random.ts";
import type { NodeId } from "../lib/ids.ts";
import type { Instruments } from "../metrics/instruments.ts";
import type { Logger } from "../metrics/log.ts";
import type { DataDir } from "../storage/data-dir.ts";
import type { ClusterOptions } from "./peers/cluster.ts";
import type { StorageOptions } from "./recovery/options.ts";
import type { KvLimits } from "./writes/kv-access.ts";
import type { WriteConcern } from "./writes/write-concern.ts";

export type NodeOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  /** Believe the clock of this machine at the start, however far it is ahead. Default: false. */
  readonly acceptClock?: boolean;
  readonly random: Random;
  readonly log: Logger;
  readonly instruments: Instruments;
  readonly dataDir: DataDir;
  readonly nodeId: NodeId;
  readonly storage: StorageOptions;
  readonly checkpointBytes: number;
  /** Journal that stays, at most, for followers that lag. */
  readonly journalKeepBytes: number;
  /** States are compared after every so many entries. @default 4096 */
  readonly checksumEntries?: number;
  /** Segments are read and checked at this pace; 0: only when somebody asks for their records. */
  readonly scrubBytesPerSecond: number;
  readonly autoCreateTopics: boolean;
  readonly defaultPartitions: number;
  readonly commitTimeoutMs: number;
  readonly cluster: ClusterOptions;
  readonly writeConcern: WriteConcern;
  readonly queueBytesMax: number;
  readonly queueRequestsMax: number;
  /** Replicated: every node must evict alike. */
  readonly limits: {
    readonly dedupeWindowMs: number;
    readonly dedupeKeysMax: number;
    readonly partitionsMax: number;
  };
  /** Idempotency keys of all partitions together: above it, the leader lowers `dedupeKeysMax`. */
  readonly dedupeKeysTotal: number;
  /** A commit that would make one group more is refused. */
  readonly groupsMax: number;
  /** A commit of a group in a partition where it has not committed before is refused. */
  readonly offsetsMax: number;
  /** Default: none. */
  readonly kvLimits?: KvLimits;
  /** The disk failed or an invariant broke: log it and end the process. Called once. */
  readonly fault: (error: unknown) => void;
};
