/**
 * The metrics that are counted while the node runs: name, help, buckets. The hot path changes plain
 * numbers only; `registry.ts` passes them to prom-client at a scrape.
 */
import { FILE_GAUGES, newFileCells } from "./file-instruments.ts";
import { Cell, Histogram } from "./histogram.ts";

type Definition = { readonly name: string; readonly help: string };
type HistogramDefinition = Definition & { readonly buckets: readonly number[] };

const SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
const COUNTS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536];
const BYTES = [256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864];

export const HISTOGRAMS = {
  fsyncSeconds: {
    name: "ayder_journal_fsync_seconds",
    help: "Duration of one write and fdatasync of the journal",
    buckets: SECONDS,
  },
  batchRecords: {
    name: "ayder_journal_batch_records",
    help: "Records that shared one sync of the journal",
    buckets: COUNTS,
  },
  batchBytes: {
    name: "ayder_journal_batch_bytes",
    help: "Bytes that shared one sync of the journal",
    buckets: BYTES,
  },
  commitSeconds: {
    name: "ayder_commit_wait_seconds",
    help: "Time from accepting a proposal to its commit on this leader",
    buckets: SECONDS,
  },
  checkpointSeconds: {
    name: "ayder_checkpoint_write_seconds",
    help: "Duration of one checkpoint",
    buckets: SECONDS,
  },
  loopLagSeconds: {
    name: "ayder_event_loop_lag_seconds",
    help: "Delay of a timer on the event loop of consensus",
    buckets: SECONDS,
  },
  httpLoopLagSeconds: {
    name: "ayder_http_loop_lag_seconds",
    help: "Delay of a timer on the event loop of HTTP, if it is another thread",
    buckets: SECONDS,
  },
} as const satisfies Record<string, HistogramDefinition>;

export const COUNTERS = {
  producedRecords: {
    name: "ayder_produced_records_total",
    help: "Records acknowledged to producers, without duplicates",
  },
  producedBytes: {
    name: "ayder_produced_bytes_total",
    help: "Bytes of keys and values acknowledged to producers, without duplicates",
  },
  journalMergedWrites: {
    name: "ayder_journal_merged_writes_total",
    help: "Writes of the journal that waited for another one and shared a sync with the next",
  },
  consumedRecords: {
    name: "ayder_consumed_records_total",
    help: "Records in answers to consumers and in follow streams",
  },
  consumedBytes: {
    name: "ayder_consumed_bytes_total",
    help: "Bytes of keys and values in answers to consumers and in follow streams",
  },
  authFailures: {
    name: "ayder_auth_failures_total",
    help: "Requests refused for a missing or unknown token",
  },
  scopeRefusals: {
    name: "ayder_auth_forbidden_total",
    help: "Requests refused because the token's scope does not cover them",
  },
  rateLimited: {
    name: "ayder_auth_rate_limited_total",
    help: "Requests refused because a token's limit was used up",
  },
  overloadRejects: {
    name: "ayder_http_overload_rejects_total",
    help: "Requests answered 503 overloaded",
  },
  answersRefused: {
    name: "ayder_http_answers_refused_total",
    help: "Answers refused with 503 because too many bytes of answers were being sent",
  },
  bodiesRefused: {
    name: "ayder_http_bodies_refused_total",
    help: "Requests refused with 503 because too many bytes of request bodies were in memory",
  },
  stalledAnswers: {
    name: "ayder_http_stalled_answers_total",
    help: "Answers that were cut off because the client did not read for too long",
  },
  unansweredRequests: {
    name: "ayder_http_unanswered_requests_total",
    help: "Requests whose connection ended before their answer was ready",
  },
  unansweredWrites: {
    name: "ayder_http_unanswered_writes_total",
    help: "Writes among the requests whose connection ended early; they are stored, or may be",
  },
  compressedFromBytes: {
    name: "ayder_http_compression_input_bytes_total",
    help: "Bytes of compressed answers, before compression",
  },
  compressedToBytes: {
    name: "ayder_http_compression_output_bytes_total",
    help: "Bytes of compressed answers, after compression",
  },
  connectionsClosed: {
    name: "ayder_http_connections_closed_total",
    help: "Idle client connections that were closed because there were too many",
  },
  logLinesLost: {
    name: "ayder_log_lines_lost_total",
    help: "Log lines that could not be written: no reader, a slow reader, or a full disk",
  },
  keysForgottenEarly: {
    name: "ayder_idempotency_keys_forgotten_early_total",
    help: "Idempotency keys evicted for lack of room before their retention time had passed",
  },
  producersForgottenEarly: {
    name: "ayder_producers_forgotten_early_total",
    help: "Idempotent producers evicted for lack of room before their retention time had passed",
  },
  subscriptionCalls: {
    name: "ayder_subscription_calls_total",
    help: "Calls of webhooks of subscriptions that were answered with success",
  },
  subscriptionCallsFailed: {
    name: "ayder_subscription_calls_failed_total",
    help: "Calls of webhooks of subscriptions that failed; each is repeated",
  },
  webhookAttempts: {
    name: "ayder_webhook_deliveries_total",
    help: "Requests of webhooks that were answered with success",
  },
  webhookAttemptsFailed: {
    name: "ayder_webhook_failures_total",
    help: "Requests of webhooks that failed; most are repeated",
  },
  readCacheHits: {
    name: "ayder_read_cache_hits_total",
    help: "Reads of older records that were answered from memory, one for each window of a file",
  },
  readCacheMisses: {
    name: "ayder_read_cache_misses_total",
    help: "Reads of older records from a segment file, one for each window",
  },
  forwardedCommands: {
    name: "ayder_forwarded_commands_total",
    help: "Writes that this node sent to the leader over the link between the nodes",
  },
  forwardedBytes: {
    name: "ayder_forwarded_bytes_total",
    help: "Bytes of the writes that this node sent to the leader over the link between the nodes",
  },
  forwardedAgain: {
    name: "ayder_forwarded_again_total",
    help: "Forwarded writes that were refused by a node that does not lead, and sent again",
  },
  forwardedUnknown: {
    name: "ayder_forwarded_unknown_total",
    help: "Forwarded writes whose outcome is unknown: the link was lost, or no answer came in time",
  },
  forwardedUnsent: {
    name: "ayder_forwarded_unsent_total",
    help: "Writes that were not forwarded, because no leader was there in time; nothing was done",
  },
  forwardedServed: {
    name: "ayder_forwarded_served_total",
    help: "Writes that this node received from other nodes over the links between the nodes",
  },
  stateChecks: {
    name: "ayder_state_checks_total",
    help: "Comparisons of this node's state with the leader's that found no difference",
  },
} as const satisfies Record<string, Definition>;

export const GAUGES = {
  journalBytes: { name: "ayder_journal_size_bytes", help: "Bytes of all journal segments" },
  journalRetainedBytes: {
    name: "ayder_journal_kept_bytes",
    help: "Bytes of the journal retained only for lagging followers",
  },
  proposalsInFlight: {
    name: "ayder_node_proposals_in_flight",
    help: "Uncommitted proposals",
  },
  waiters: { name: "ayder_node_waiters", help: "Requests waiting for their write concern" },
  diskFreeBytes: {
    name: "ayder_disk_free_bytes",
    help: "Free bytes of the file system with the data directory",
  },
  diskSizeBytes: {
    name: "ayder_disk_size_bytes",
    help: "Size of the file system with the data directory",
  },
  clockSkewSeconds: {
    name: "ayder_clock_skew_seconds",
    help: "This node's wall clock minus that of a majority of the voters",
  },
  clockClampSeconds: {
    name: "ayder_clock_clamp_seconds",
    help: "This node's wall clock minus the cluster's time, by which things expire",
  },
  httpThreads: { name: "ayder_http_threads", help: "Threads that serve HTTP" },
  answerBytesInUse: {
    name: "ayder_http_answer_bytes",
    help: "Bytes of large answers that are being prepared or sent",
  },
  answerBytesMax: {
    name: "ayder_http_answer_bytes_limit",
    help: "Limit for bytes of large answers; more are refused with 503",
  },
  bodyBytesInUse: {
    name: "ayder_http_body_bytes",
    help: "Bytes of large request bodies in memory, until their requests are answered",
  },
  bodyBytesMax: {
    name: "ayder_http_body_bytes_limit",
    help: "Limit for bytes of large request bodies; more are refused with 503",
  },
  connections: {
    name: "ayder_http_connections",
    help: "Client connections at the last count",
  },
  connectionsMax: {
    name: "ayder_http_connections_limit",
    help: "Limit of client connections, beyond which idle ones are closed; 0 without a limit",
  },
  partitions: { name: "ayder_partitions", help: "Partitions of all topics" },
  partitionsMax: {
    name: "ayder_partitions_limit",
    help: "Limit of partitions, beyond which no topic is created",
  },
  groups: { name: "ayder_groups", help: "Consumer groups that have committed offsets" },
  groupsMax: {
    name: "ayder_groups_limit",
    help: "Limit of consumer groups, beyond which new groups cannot commit",
  },
  groupMembers: {
    name: "ayder_group_members",
    help: "Members of all groups that share partitions",
  },
  groupMembersMax: {
    name: "ayder_group_members_limit",
    help: "Limit of members, beyond which no member joins",
  },
  dueThings: {
    name: "ayder_due_things",
    help: "Keys, idempotency keys, leases, streams and producers that end at some time",
  },
  dueNextSeconds: {
    name: "ayder_due_next_seconds",
    help: "Time until the first of them ends; 0 if nothing does",
  },
  dueLatenessSeconds: {
    name: "ayder_due_lateness_seconds",
    help: "Time for which the first of them has been due; more than a second is too late",
  },
  committedOffsets: {
    name: "ayder_committed_offsets",
    help: "Committed offsets of all groups in all partitions",
  },
  offsetsMax: {
    name: "ayder_committed_offsets_limit",
    help: "Committed offsets beyond which no group commits in a partition that is new to it",
  },
  namespaces: { name: "ayder_kv_namespaces", help: "KV namespaces that were ever used" },
  namespacesMax: {
    name: "ayder_kv_namespaces_limit",
    help: "Limit of KV namespaces, beyond which new ones are refused; 0 without a limit",
  },
  kvBytes: { name: "ayder_kv_memory_bytes", help: "Memory of all keys and values" },
  kvBytesMax: {
    name: "ayder_kv_memory_bytes_limit",
    help: "Limit for the memory of keys and values, beyond which larger writes are refused; 0 without a limit",
  },
  dedupeKeys: { name: "ayder_idempotency_keys", help: "Idempotency keys of all partitions" },
  dedupeKeysTotal: {
    name: "ayder_idempotency_keys_limit",
    help: "Limit of idempotency keys, beyond which the partitions with the most keys retain fewer",
  },
  dedupeKeysMax: {
    name: "ayder_idempotency_keys_per_partition_limit",
    help: "Current limit of idempotency keys per partition; lower than the setting while there are too many in total",
  },
  producers: {
    name: "ayder_producers",
    help: "Idempotent producers, counted in each partition that they write to",
  },
  producersMax: {
    name: "ayder_producers_limit",
    help: "Limit of idempotent producers, beyond which those that did not write for the longest time are forgotten",
  },
  streams: {
    name: "ayder_streams",
    help: "Durable streams, with deleted ones that forks still need",
  },
  streamsMax: {
    name: "ayder_streams_limit",
    help: "Limit of durable streams, beyond which none is created",
  },
  subscriptions: { name: "ayder_subscriptions", help: "Subscriptions to durable streams" },
  subscriptionsMax: {
    name: "ayder_subscriptions_limit",
    help: "Limit of subscriptions, beyond which none is created",
  },
  webhookAttemptsInFlight: {
    name: "ayder_webhook_requests_in_flight",
    help: "Requests of webhooks that wait for their answers",
  },
  webhooks: { name: "ayder_webhooks", help: "Webhooks that deliver records of topics" },
  webhooksMax: {
    name: "ayder_webhooks_limit",
    help: "Limit of webhooks, beyond which none is created",
  },
  ...FILE_GAUGES,
  diskWaits: {
    name: "ayder_disk_waits_for_descriptors",
    help: "Disk operations wait for a file descriptor or memory and writes are refused: 1, otherwise 0",
  },
  forwardsInFlight: {
    name: "ayder_forwards_in_flight",
    help: "Writes and waiting reads on this node that wait for the leader, over the link between the nodes",
  },
  requestsInFlight: {
    name: "ayder_http_requests_in_flight",
    help: "Requests in progress, without follow streams",
  },
  followStreams: {
    name: "ayder_http_follow_streams",
    help: "Open follow streams (server-sent events, followed lines)",
  },
} as const satisfies Record<string, Definition>;

/** Kinds of files that are verified when they are read and repaired from a peer or another copy. */
export const DAMAGE_KINDS = ["journal", "hard_state", "checkpoint", "partition"] as const;
export type DamageKind = (typeof DAMAGE_KINDS)[number];
type DamageCells = Readonly<Record<DamageKind, Cell>>;

const newDamageCells = (): DamageCells => ({
  journal: new Cell(),
  hard_state: new Cell(),
  checkpoint: new Cell(),
  partition: new Cell(),
});

/** Counters of one route. The index of `counts` is the first digit of the status. */
export class RouteMeter {
  readonly route: string;
  readonly counts = [0, 0, 0, 0, 0, 0];
  readonly seconds = new Histogram(SECONDS);

  constructor(route: string) {
    this.route = route;
  }

  observe(status: number, seconds: number): void {
    const statusClass = (status / 100) | 0;
    this.counts[statusClass] = (this.counts[statusClass] ?? 0) + 1;
    this.seconds.observe(seconds);
  }
}

export type Instruments = { readonly [Name in keyof typeof HISTOGRAMS]: Histogram } & {
  readonly [Name in keyof typeof COUNTERS | keyof typeof GAUGES]: Cell;
} & {
  readonly damage: DamageCells;
  readonly repairs: DamageCells;
  /** One per route, created at the start; the number of routes is fixed. */
  readonly routes: RouteMeter[];
};

const newStreamCells = () => ({
  subscriptionCalls: new Cell(),
  subscriptionCallsFailed: new Cell(),
  streams: new Cell(),
  streamsMax: new Cell(),
  subscriptions: new Cell(),
  subscriptionsMax: new Cell(),
  webhookAttempts: new Cell(),
  webhookAttemptsFailed: new Cell(),
  webhookAttemptsInFlight: new Cell(),
  webhooks: new Cell(),
  webhooksMax: new Cell(),
});

const kvCells = () => ({
  namespaces: new Cell(),
  namespacesMax: new Cell(),
  kvBytes: new Cell(),
  kvBytesMax: new Cell(),
});

const forwardCells = () => ({
  forwardedCommands: new Cell(),
  forwardedBytes: new Cell(),
  forwardedAgain: new Cell(),
  forwardedUnknown: new Cell(),
  forwardedUnsent: new Cell(),
  forwardedServed: new Cell(),
  forwardsInFlight: new Cell(),
});

const groupCells = () => ({
  groupMembers: new Cell(),
  groupMembersMax: new Cell(),
  dueThings: new Cell(),
  dueNextSeconds: new Cell(),
  dueLatenessSeconds: new Cell(),
});

/** Creates the instruments of a node. */
export const createInstruments = (): Instruments => ({
  fsyncSeconds: new Histogram(HISTOGRAMS.fsyncSeconds.buckets),
  batchRecords: new Histogram(HISTOGRAMS.batchRecords.buckets),
  batchBytes: new Histogram(HISTOGRAMS.batchBytes.buckets),
  commitSeconds: new Histogram(HISTOGRAMS.commitSeconds.buckets),
  checkpointSeconds: new Histogram(HISTOGRAMS.checkpointSeconds.buckets),
  loopLagSeconds: new Histogram(HISTOGRAMS.loopLagSeconds.buckets),
  httpLoopLagSeconds: new Histogram(HISTOGRAMS.httpLoopLagSeconds.buckets),
  journalMergedWrites: new Cell(),
  producedRecords: new Cell(),
  producedBytes: new Cell(),
  consumedRecords: new Cell(),
  consumedBytes: new Cell(),
  authFailures: new Cell(),
  scopeRefusals: new Cell(),
  rateLimited: new Cell(),
  overloadRejects: new Cell(),
  answersRefused: new Cell(),
  bodiesRefused: new Cell(),
  stalledAnswers: new Cell(),
  unansweredRequests: new Cell(),
  unansweredWrites: new Cell(),
  compressedFromBytes: new Cell(),
  compressedToBytes: new Cell(),
  connectionsClosed: new Cell(),
  logLinesLost: new Cell(),
  keysForgottenEarly: new Cell(),
  producersForgottenEarly: new Cell(),
  readCacheHits: new Cell(),
  readCacheMisses: new Cell(),
  stateChecks: new Cell(),
  journalBytes: new Cell(),
  journalRetainedBytes: new Cell(),
  proposalsInFlight: new Cell(),
  waiters: new Cell(),
  diskFreeBytes: new Cell(),
  diskSizeBytes: new Cell(),
  clockSkewSeconds: new Cell(),
  clockClampSeconds: new Cell(),
  httpThreads: new Cell(),
  answerBytesInUse: new Cell(),
  answerBytesMax: new Cell(),
  bodyBytesInUse: new Cell(),
  bodyBytesMax: new Cell(),
  connections: new Cell(),
  connectionsMax: new Cell(),
  partitions: new Cell(),
  partitionsMax: new Cell(),
  groups: new Cell(),
  groupsMax: new Cell(),
  ...groupCells(),
  committedOffsets: new Cell(),
  offsetsMax: new Cell(),
  ...kvCells(),
  dedupeKeys: new Cell(),
  dedupeKeysTotal: new Cell(),
  dedupeKeysMax: new Cell(),
  producers: new Cell(),
  producersMax: new Cell(),
  ...newFileCells(),
  diskWaits: new Cell(),
  requestsInFlight: new Cell(),
  followStreams: new Cell(),
  ...newStreamCells(),
  ...forwardCells(),
  damage: newDamageCells(),
  repairs: newDamageCells(),
  routes: [],
});
