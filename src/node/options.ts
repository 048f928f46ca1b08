import type { Clock } from "../env/clock.ts";
import type { Disk } from "../env/disk.ts";
import type { Random } from "../env/random.ts";
import type { WebhookSender } from "../env/webhook-sender.ts";
import type { NodeId } from "../lib/ids.ts";
import type { Instruments } from "../metrics/instruments.ts";
import type { Logger } from "../metrics/log.ts";
import type { DataDir } from "../storage/data-dir.ts";
import type { DurableLimits } from "./durable/writer.ts";
import type { ExportWriter } from "./exports/writer.ts";
import type { ClusterOptions } from "./peers/cluster.ts";
import type { StorageOptions } from "./recovery/options.ts";
import type { WebhookLimits } from "./webhooks/webhooks.ts";
import type { KvLimits } from "./writes/kv-access.ts";
import type { WriteConcern } from "./writes/write-concern.ts";

export type NodeOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  /** Accept the clock of this machine at the start, however far it is ahead. Default: false. */
  readonly acceptClock?: boolean;
  readonly random: Random;
  readonly log: Logger;
  readonly instruments: Instruments;
  readonly dataDir: DataDir;
  readonly nodeId: NodeId;
  readonly storage: StorageOptions;
  readonly checkpointBytes: number;
  /** Maximum bytes of journal that are retained for lagging followers. */
  readonly journalKeepBytes: number;
  /** Number of entries between two comparisons of the state checksum. @default 4096 */
  readonly checksumEntries?: number;
  /** Rate at which segments are read and checked. 0: only when a request reads their records. */
  readonly scrubBytesPerSecond: number;
  readonly autoCreateTopics: boolean;
  readonly defaultPartitions: number;
  readonly commitTimeoutMs: number;
  readonly cluster: ClusterOptions;
  /** A follower passes writes on to the leader. @default false: it refuses them. */
  readonly forwardWrites?: boolean;
  readonly writeConcern: WriteConcern;
  readonly queueBytesMax: number;
  readonly queueRequestsMax: number;
  /** Replicated, so that every node evicts the same keys. */
  readonly limits: {
    readonly dedupeWindowMs: number;
    readonly dedupeKeysMax: number;
    readonly partitionsMax: number;
  };
  /** Maximum idempotency keys of all partitions. Above it, the leader lowers `dedupeKeysMax`. */
  readonly dedupeKeysTotal: number;
  /** Maximum last writes of producers. Above it, those of the longest silence are dropped. */
  readonly producersMax: number;
  /** Maximum number of groups. A commit that would create another one is refused. */
  readonly groupsMax: number;
  /** Maximum number of committed offsets. A commit that would add another one is refused. */
  readonly offsetsMax: number;
  /** Default: none. */
  readonly kvLimits?: KvLimits;
  /** Default: `DEFAULT_DURABLE_LIMITS`. */
  readonly durableLimits?: DurableLimits;
  /** Default: `DEFAULT_WEBHOOK_LIMITS`. */
  readonly webhookLimits?: WebhookLimits;
  /** Default: webhooks cannot be called. */
  readonly webhookSender?: WebhookSender;
  /** Default: topics cannot be exported. */
  readonly exportWriter?: ExportWriter;
  /** Maximum number of exports. Default: that of the state. */
  readonly exportsMax?: number;
  /** Retention waits at most this long for exports that hold records. Default: it does not wait. */
  readonly exportHoldMs?: number;
  /** Called once if the disk failed or an invariant is broken. Logs it and ends the process. */
  readonly fault: (error: unknown) => void;
};
