import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { Instruments } from "./instruments.ts";

/** Functions that return the samples of a scrape; other parts of the program provide them. */
export type MetricSources = {
  /** The largest partitions, and the sum of all others: see `cardinality.ts`. */
  partitions(): MaybePromise<readonly PartitionSample[]>;
  /** Groups and partitions with a committed offset that lag most, and the sum of all others. */
  groups(): MaybePromise<readonly GroupSample[]>;
  /** Every view of this node; their number is bounded. */
  views(): MaybePromise<readonly ViewSample[]>;
  /** Queues, schedules and exports. */
  work(): MaybePromise<WorkSample>;
  process(): ProcessSample;
  /** Open descriptors of the process and their limit; null if the system does not report them. */
  openFiles(): { readonly open: number; readonly max: number } | null;
  build(): BuildSample;
  ha(): MaybePromise<HaSample>;
  /** Counters of the other threads of the process, which are added to those of this thread. */
  threads(): MaybePromise<readonly ThreadSample[]>;
};

export type ThreadSample = {
  readonly instruments: Instruments;
  readonly heapUsedBytes: number;
  /** Seconds since 1970; the process began with the first of its threads. */
  readonly startedAtSeconds: number;
};

export type PartitionSample = {
  readonly topic: string;
  readonly partition: number;
  readonly lowWatermark: number;
  readonly endOffset: number;
  readonly bytes: number;
};
export type GroupSample = {
  readonly topic: string;
  readonly group: string;
  readonly partition: number;
  readonly lagRecords: number;
  /** Age of the first record that is not committed; 0 without one; null if it is not known. */
  readonly lagSeconds: number | null;
};
export type ViewSample = {
  readonly view: string;
  readonly lagRecords: number;
  /** Used part of the room for groups; 1 is full. */
  readonly fill: number;
  readonly evictedGroups: number;
};
export type WorkSample = {
  /** Those with the most to do; their number is bounded. */
  readonly queues: readonly {
    readonly queue: string;
    readonly ready: number;
    readonly inFlight: number;
    readonly delayed: number;
    readonly dead: number;
    readonly acked: number;
    readonly lost: number;
    readonly oldestSeconds: number;
  }[];
  /** Those with the most to do; their number is bounded. */
  readonly webhooks: readonly {
    readonly webhook: string;
    readonly ready: number;
    readonly inFlight: number;
    readonly delayed: number;
    readonly dead: number;
    readonly delivered: number;
    readonly filtered: number;
    readonly lost: number;
    readonly oldestSeconds: number;
    /** 1 or 0. */
    readonly paused: number;
  }[];
  /** Those that lag most; their number is bounded. */
  readonly exports: readonly ExportSample[];
  /** Requests whose records wait for their time. */
  readonly waiting: number;
  readonly lateSeconds: number;
  /** Their number is bounded. */
  readonly schedules: readonly {
    readonly schedule: string;
    readonly runs: number;
    readonly missed: number;
  }[];
};
export const NO_WORK: WorkSample = {
  queues: [],
  webhooks: [],
  waiting: 0,
  lateSeconds: 0,
  schedules: [],
  exports: [],
};

export type ExportSample = {
  readonly export: string;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  readonly lost: number;
  readonly lagRecords: number;
  readonly lagSeconds: number;
  /** Attempts in a row that failed; 0 on nodes that do not lead. */
  readonly failures: number;
};

export type ProcessSample = {
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** User and system time since the start. */
  readonly cpuSeconds: number;
  /** Seconds since 1970, as is `clockSeconds`: the wall clock of this machine, now. */
  readonly startedAtSeconds: number;
  readonly clockSeconds: number;
};
export type BuildSample = { readonly version: string; readonly commit: string };
export type HaRole = "leader" | "follower" | "candidate" | "learner";
export type HaSample = {
  readonly role: HaRole;
  readonly ready: boolean;
  readonly term: number;
  /** A majority has answered this leader, or the leader this follower, within an election timeout. */
  readonly freshQuorum: boolean;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly durableIndex: number;
  readonly electionsStarted: number;
  readonly heartbeatsSent: number;
  /** Connections to the Raft port that are not, or not yet, links of a member. */
  readonly peerConnectionsUnverified: number;
  readonly peerConnectionsRefused: number;
  readonly nodes: readonly HaNodeSample[];
};
export type HaNodeSample = {
  readonly nodeId: string;
  readonly httpAddr: string;
  readonly role: HaRole | "unknown";
  readonly isLeader: boolean;
  /** Entries that this node's log lacks, as the leader knows it; null if it is not known. */
  readonly lagEntries: number | null;
};
