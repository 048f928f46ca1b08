/**
 * The Raft core of one shard. It is deterministic and has no clock and no I/O: input comes by
 * method calls, output is returned by `drain`. The obligations of the caller and the driver loop
 * are in DESIGN.md.
 */
import { feature as faultPoint } from "bun:bundle";
import { assert } from "../lib/assert.ts";
import { stepOwnVoteDurable } from "./candidate.ts";
import { drain, hasOutput } from "./drain.ts";
import { isPromotable, maybeCampaign } from "./election.ts";
import { EntryLog } from "./entry-log.ts";
import { startFrom, tickFollower } from "./follower.ts";
import { maxIndex } from "./indexes.ts";
import {
  type ProposeConfChangeResult,
  type ProposeResult,
  propose,
  proposeConfChange,
  stepOwnDurable,
  type TransferResult,
  tickLeader,
  transferLeadership,
} from "./leader.ts";
import { checkConfiguration } from "./membership.ts";
import { neededFrom } from "./needed.ts";
import { assertExactPosition, assertExactStart } from "./number-bounds.ts";
import { stepApplied } from "./reconfigure.ts";
import { admitRead, stepFetched } from "./replication.ts";
import { stepCompact, stepSnapshotCreated, stepSnapshotReport } from "./snapshot.ts";
import {
  becomeFollower,
  drawElectionDeadline,
  leaderOf,
  newFollower,
  newOutbox,
  type Raft,
  type Settings,
  send,
} from "./state.ts";
import { type Status, statusOf } from "./status.ts";
import { stepMessage } from "./step.ts";
import { maybeRemoveMarker } from "./truncated-log.ts";
import {
  type Configuration,
  type Entry,
  type HardState,
  INDEX_0,
  type LogEnd,
  type LogIndex,
  type MembershipChange,
  type Message,
  type NodeId,
  type Output,
  type Rejection,
  type RoleName,
  type SnapshotMeta,
  TERM_0,
  type Term,
  type TermRun,
  type Transition,
} from "./types.ts";
import { WriteQueue } from "./write-queue.ts";

export type { ProposeConfChangeResult, ProposeResult, TransferResult } from "./leader.ts";
export type { Status } from "./status.ts";

export type CoreConfig = {
  readonly id: NodeId;
  /**
   * Election timeout in ticks. The actual timeout is drawn from this to twice this. Must exceed
   * `heartbeatTicks`.
   */
  readonly electionTimeoutTicks: number;
  readonly heartbeatTicks: number;
  /** The only source of randomness. `u32()` returns an integer of 0 … 2^32-1. */
  readonly random: { u32(): number };
  /** @default true */
  readonly preVote?: boolean;
  /**
   * A leader that does not hear from a quorum for an election timeout steps down. Without this, a
   * leader that is cut off keeps its role and its own pending reads until it hears of another
   * leader.
   *
   * @default true
   */
  readonly checkQuorum?: boolean;
  /**
   * Priority by member. Higher is preferred, absent means 0. It biases election timeouts and
   * transfers, but never votes.
   */
  readonly priority?: ReadonlyMap<NodeId, number>;
  /**
   * Bytes of one append (data and a small overhead per entry). One entry always fits. @default 1
   * MiB
   */
  readonly maxAppendBytes?: number;
  /** Maximum number of unanswered appends per follower. @default 256 */
  readonly maxInflightMessages?: number;
  /** Maximum bytes of data in unanswered appends per follower. 0 means no limit. @default 64 MiB */
  readonly maxInflightBytes?: number;
  /** Maximum bytes of proposed data that is not committed yet. @default 256 MiB */
  readonly maxUncommittedBytes?: number;
  /** Maximum bytes of data in `committed` of one output. One entry always fits. @default 16 MiB */
  readonly maxCommittedBytes?: number;
};

export type InitialState = {
  /** @default term 0, no vote, commit at the snapshot */
  readonly hardState?: HardState | null;
  /**
   * Membership in force at `applied`; not copied. It has no voters on a node that others will add.
   */
  readonly configuration: Configuration;
  /**
   * The newest checkpoint. `configuration` is the membership as of its index, if it differs from
   * the one above.
   */
  readonly snapshot?: {
    readonly index: LogIndex;
    readonly term: Term;
    readonly configuration?: Configuration;
  };
  /**
   * Terms of entries whose payloads stay in the journal. The entries must be applied and must reach
   * at least to the snapshot. `after` is the position before them; the first run begins right after
   * it, or earlier.
   *
   * @default the snapshot
   */
  readonly evicted?: {
    readonly after?: { readonly index: LogIndex; readonly term: Term };
    readonly through: LogIndex;
    readonly runs: readonly TermRun[];
  };
  /** The durable entries after the snapshot (and after `evicted`), contiguous. */
  readonly entries?: readonly Entry[];
  /**
   * The end of the log before it was cut for damage. Not allowed for a sole voter, since only other
   * members can restore the entries.
   *
   * @default null
   */
  readonly marker?: LogEnd | null;
  /** The index that the machine has applied. @default the snapshot's index */
  readonly applied?: LogIndex;
};

export type ReadIndexResult = { readonly ok: true } | Rejection<"no_leader">;

/** The methods are documented at `createCore`. */
export type Core = {
  readonly id: NodeId;
  readonly term: Term;
  readonly role: RoleName;
  readonly leader: NodeId | null;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly durableIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly firstIndex: LogIndex;
  readonly evictedIndex: LogIndex;
  readonly configuration: Configuration;
  /**
   * Set while this disk has fewer entries than it has acknowledged. Such a member neither campaigns
   * nor leads.
   */
  readonly marker: LogEnd | null;
  /** The checkpoint that is offered to peers, with the membership as of its index. */
  readonly snapshot: SnapshotMeta;
  /** Tells whether `drain` would return any output. */
  readonly hasOutput: boolean;

  /**
   * Bootstraps the Raft group on an empty disk with this checkpoint, which is installed like one
   * from a leader.
   */
  bootstrap(snapshot: SnapshotMeta): void;
  /** Handles a message from a peer. The transport is responsible for the identity of the sender. */
  step(message: Message): void;
  /** Advances the logical clock by one tick. */
  tick(): void;
  /** Campaigns now, as if the election timer had expired. */
  campaign(): void;
  /** Appends one entry; leader only. The log owns the bytes from now on. */
  propose(data: Uint8Array): ProposeResult;
  /**
   * Proposes a membership change; only one may be pending. No changes means: leave the joint
   * configuration.
   */
  proposeConfChange(
    changes: readonly MembershipChange[],
    transition?: Transition,
  ): ProposeConfChangeResult;
  /** Transfers leadership. A follower forwards the request to the leader. */
  transferLeadership(target: NodeId): TransferResult;
  /**
   * Requests a read index. The result is a `readState` with the same context, or the context in
   * `readsDropped`.
   */
  readIndex(context: unknown): ReadIndexResult;
  /** Reports that the connection to the peer broke, so that appends in flight are probably lost. */
  reportUnreachable(id: NodeId): void;
  /** Reports the result of the transfer of the snapshot that was offered to `id`. */
  reportSnapshot(id: NodeId, ok: boolean): void;
  /**
   * Reports a durable checkpoint at `index`, which must be applied. It is offered to peers from now
   * on.
   */
  snapshotCreated(index: LogIndex): void;
  /**
   * Removes entries up to `index` (applied and durable) from the log. Implies
   * `snapshotCreated(index)`.
   */
  compact(index: LogIndex): void;
  /**
   * Allows payloads up to `index` to leave memory. The index is clamped to what is applied and
   * durable.
   */
  evict(index: LogIndex): void;
  /**
   * Answers a `FetchRequest` with at least one entry, starting at `from`. Stale answers are
   * ignored.
   */
  fetched(peer: NodeId, from: LogIndex, entries: readonly Entry[]): void;
  /** Reports that the payloads cannot be read. The peer gets a snapshot instead. */
  fetchFailed(peer: NodeId, from: LogIndex): void;
  /** Returns everything that the driver has to do since the last call. */
  drain(): Output;
  /**
   * Reports that the write with this token and all earlier ones are durable. Snapshots in them are
   * installed.
   */
  persisted(token: number): void;
  /**
   * Reports that the machine has applied entries up to `index`. Membership changes up to it take
   * effect.
   */
  applied(index: LogIndex): void;
  /**
   * Steps down because this node is not fit to lead for now (slow disk, long pause). It does not
   * campaign for two election timeouts, neither by `campaign` nor by a leadership transfer.
   */
  stepDown(): void;
  /**
   * Replaces the priorities of the config. They take effect when the next election deadline is
   * drawn.
   */
  setPriorities(priority: ReadonlyMap<NodeId, number>): void;
  /**
   * Campaigns after this many ticks without a leader. Valid until the next election deadline is
   * drawn.
   */
  setElectionTimeout(ticks: number): void;
  /**
   * Returns the index up to which the disk of `id` is known to agree with the log. Null if this
   * node is not the leader or `id` is not a member.
   */
  matchIndex(id: NodeId): LogIndex | null;
  /**
   * Returns, on a leader, the first entry of this log that each peer still needs, as far as it is
   * known. Peers that need a snapshot in any case are left out.
   */
  neededFrom(): ReadonlyMap<NodeId, LogIndex>;
  /** Returns null if the index is compacted or beyond the end of the log. */
  termAt(index: LogIndex): Term | null;
  status(): Status;
};

const MIB = 1024 * 1024;

/** @throws AssertionError if the config or the initial state is inconsistent. */
export function createCore(config: CoreConfig, initial: InitialState): Core {
  const raft = newRaft(settingsOf(config), initial);
  return {
    get id() {
      return raft.id;
    },
    get term() {
      return raft.term;
    },
    get role() {
      return raft.role.name;
    },
    get leader() {
      return leaderOf(raft);
    },
    get commitIndex() {
      return raft.log.commit;
    },
    get appliedIndex() {
      return raft.log.applied;
    },
    get durableIndex() {
      return raft.log.durable;
    },
    get lastIndex() {
      return raft.log.lastIndex;
    },
    get firstIndex() {
      return raft.log.firstIndex;
    },
    get evictedIndex() {
      return raft.log.evictedIndex;
    },
    get configuration() {
      return raft.configuration;
    },
    get marker() {
      return raft.marker;
    },
    get snapshot() {
      return raft.snapshot;
    },
    get hasOutput() {
      return hasOutput(raft);
    },
    bootstrap: (snapshot) => bootstrap(raft, snapshot),
    step: (message) => stepMessage(raft, message),
    tick: () => tick(raft),
    campaign: () => maybeCampaign(raft, raft.settings.preVote ? "pre" : "real"),
    propose: (data) => propose(raft, data),
    proposeConfChange: (changes, transition = "auto") =>
      proposeConfChange(raft, { transition, changes }),
    transferLeadership: (target) => transfer(raft, target),
    readIndex: (context) => readIndex(raft, context),
    reportUnreachable: (id) => reportUnreachable(raft, id),
    reportSnapshot: (id, ok) => stepSnapshotReport(raft, id, ok),
    snapshotCreated: (index) => stepSnapshotCreated(raft, index),
    compact: (index) => stepCompact(raft, index),
    evict: (index) => raft.log.evict(index),
    fetched: (peer, from, entries) => fetched(raft, peer, from, entries),
    fetchFailed: (peer, from) => fetched(raft, peer, from, []),
    drain: () => drain(raft),
    persisted: (token) => persisted(raft, token),
    applied: (index) => stepApplied(raft, index),
    stepDown: () => stepDown(raft),
    setPriorities: (priority) => {
      raft.settings.priority = priority;
    },
    setElectionTimeout: (ticks) => setElectionTimeout(raft, ticks),
    matchIndex: (id) => matchIndex(raft, id),
    neededFrom: () => (raft.role.name === "leader" ? neededFrom(raft, raft.role) : new Map()),
    termAt: (index) => raft.log.termAt(index) ?? null,
    status: () => statusOf(raft),
  };
}

function bootstrap(raft: Raft, snapshot: SnapshotMeta): void {
  const { log, term, vote } = raft;
  assert(
    log.lastIndex === 0 && term === 0 && vote === null,
    "a Raft group is bootstrapped on an empty disk",
  );
  assertExactPosition(snapshot);
  assert(
    snapshot.index > 0 && snapshot.term > 0,
    "a Raft group begins at index 1 and term 1, or later",
  );
  const broken = checkConfiguration(snapshot.configuration);
  assert(broken === null, `the first configuration is not valid: ${broken}`);
  assert(snapshot.configuration.voters.length > 0, "a Raft group begins with a voter");
  startFrom(raft, snapshot);
}

function settingsOf(config: CoreConfig): Settings {
  const settings: Settings = {
    id: config.id,
    electionTimeoutTicks: config.electionTimeoutTicks,
    heartbeatTicks: config.heartbeatTicks,
    random: config.random,
    preVote: config.preVote ?? true,
    checkQuorum: config.checkQuorum ?? true,
    priority: config.priority ?? new Map(),
    maxAppendBytes: config.maxAppendBytes ?? MIB,
    maxInflightMessages: config.maxInflightMessages ?? 256,
    maxInflightBytes: config.maxInflightBytes ?? 64 * MIB,
    maxUncommittedBytes: config.maxUncommittedBytes ?? 256 * MIB,
    maxCommittedBytes: config.maxCommittedBytes ?? 16 * MIB,
  };
  assert(settings.id.length > 0, "a member has an id");
  const counts = ["heartbeatTicks", "electionTimeoutTicks", "maxInflightMessages"] as const;
  for (const name of counts) {
    const value = settings[name];
    assert(Number.isSafeInteger(value) && value > 0, `${name} is a whole number above 0`);
  }
  const limits = [
    "maxAppendBytes",
    "maxInflightBytes",
    "maxUncommittedBytes",
    "maxCommittedBytes",
  ] as const;
  for (const name of limits) assert(settings[name] >= 0, `${name} is not below 0`);
  assert(
    settings.electionTimeoutTicks > settings.heartbeatTicks,
    "elections are slower than heartbeats",
  );
  return settings;
}

function newRaft(settings: Settings, initial: InitialState): Raft {
  assertExactStart(initial);
  const start = initial.snapshot ?? { index: INDEX_0, term: TERM_0 };
  const { configuration } = initial;
  const broken = checkConfiguration(configuration);
  assert(broken === null, `the initial configuration is not valid: ${broken}`);
  const log = newLog(initial, start);
  const hard = initial.hardState ?? { term: start.term, vote: null, commit: start.index };
  const restored = initial.marker ?? null;
  const marker = restored && { ...restored, commit: hard.commit, verified: INDEX_0 };
  const atSnapshot = initial.snapshot?.configuration ?? configuration;
  const brokenThen = checkConfiguration(atSnapshot);
  assert(brokenThen === null, `the snapshot's configuration is not valid: ${brokenThen}`);
  const raft: Raft = {
    settings,
    id: settings.id,
    log,
    writes: new WriteQueue({ ...hard, commit: maxIndex(log.commit, marker?.commit ?? INDEX_0) }),
    out: newOutbox(),
    term: hard.term,
    vote: hard.vote,
    role: newFollower(null),
    marker,
    configuration,
    configurationHistory: [
      { index: start.index, configuration: atSnapshot },
      { index: log.applied, configuration },
    ],
    membershipKnownFrom: atSnapshot === configuration ? start.index : log.applied,
    snapshot: { index: start.index, term: start.term, configuration: atSnapshot },
    electionElapsed: 0,
    electionDeadline: 0,
    holdTicks: 0,
    failedRounds: 0,
    // The first request id is random, so that a late answer to an earlier process does not answer a
    // read of this one.
    nextRequestId: faultPoint("readindex-id-reused") ? 0 : settings.random.u32() * 2 ** 20,
  };
  drawElectionDeadline(raft);
  return raft;
}

function newLog(initial: InitialState, start: { index: LogIndex; term: Term }): EntryLog {
  const { evicted } = initial;
  const log = new EntryLog(evicted?.after ?? start);
  if (evicted !== undefined && evicted.through > log.lastIndex) {
    log.loadEvicted(evicted.through, evicted.runs);
  }
  assert(log.compactedIndex <= start.index, "the log begins at or before the snapshot");
  assert(log.lastIndex >= start.index, "the log reaches to the snapshot");
  for (const entry of initial.entries ?? []) log.push(entry);
  log.durable = log.lastIndex;
  log.emitted = log.lastIndex;
  const applied = initial.applied ?? start.index;
  assert(applied >= log.evictedIndex && applied <= log.lastIndex, "applied is within the log");
  // Applied entries are committed, even if the commit index on disk is lower.
  const isWhole = (initial.marker ?? null) === null;
  const known =
    isWhole || faultPoint("cut-journal-believes-its-commit-index")
      ? initial.hardState?.commit
      : undefined;
  log.commitTo(known ?? start.index);
  log.commitTo(applied);
  log.applying = applied;
  log.appliedTo(applied);
  return log;
}

function tick(raft: Raft): void {
  const { role } = raft;
  if (raft.holdTicks > 0) raft.holdTicks--;
  if (role.name === "leader") {
    tickLeader(raft, role);
    return;
  }
  if (role.name === "follower") tickFollower(raft, role);
  raft.electionElapsed++;
  if (raft.holdTicks > 0) return;
  if (!isPromotable(raft)) {
    forgetSilentLeader(raft);
    return;
  }
  if (raft.electionElapsed < raft.electionDeadline && !isAlone(raft)) return;
  raft.electionElapsed = 0;
  maybeCampaign(raft, raft.settings.preVote ? "pre" : "real");
}

/**
 * Gives up a leader that was not heard of for an election timeout. A voter does so by campaigning.
 * Without this, a learner and a node that was removed would name a leader that is gone for ever.
 */
function forgetSilentLeader(raft: Raft): void {
  const { role } = raft;
  if (role.name !== "follower" || role.leader === null) return;
  if (raft.electionElapsed >= raft.electionDeadline) becomeFollower(raft, raft.term, null);
}

/** A sole voter does not wait for an election timeout, since it has no other voter to disturb. */
function isAlone(raft: Raft): boolean {
  const { voters, votersOutgoing } = raft.configuration;
  return voters.length === 1 && votersOutgoing.length === 0 && raft.role.name === "follower";
}

function persisted(raft: Raft, token: number): void {
  const { log, writes } = raft;
  const before = log.durable;
  writes.complete(token, log);
  maybeRemoveMarker(raft);
  const { role } = raft;
  if (role.name === "leader") {
    if (log.durable > before) stepOwnDurable(raft, role);
  } else if (
    role.name === "candidate" &&
    writes.durableTerm === raft.term &&
    writes.durableVote === raft.id
  ) {
    stepOwnVoteDurable(raft, role);
  }
}

function transfer(raft: Raft, target: NodeId): TransferResult {
  const { role } = raft;
  if (role.name === "leader") return transferLeadership(raft, role, target);
  const to = leaderOf(raft);
  if (to === null) return { ok: false, code: "not_leader" };
  send(raft, { type: "transfer_request", from: raft.id, to, term: raft.term, target });
  return { ok: true };
}

function readIndex(raft: Raft, context: unknown): ReadIndexResult {
  const { role } = raft;
  if (role.name === "leader") {
    admitRead(raft, role, { peer: null, requestId: 0, context });
    return { ok: true };
  }
  if (role.name !== "follower" || role.leader === null) return { ok: false, code: "no_leader" };
  raft.nextRequestId++;
  const requestId = raft.nextRequestId;
  role.reads.add(requestId, context);
  send(raft, {
    type: "read_index_request",
    from: raft.id,
    to: role.leader,
    term: raft.term,
    requestId,
  });
  return { ok: true };
}

function reportUnreachable(raft: Raft, id: NodeId): void {
  const progress = raft.role.name === "leader" ? raft.role.progress.get(id) : undefined;
  if (progress?.state === "replicate") progress.becomeProbe();
}

function fetched(raft: Raft, peer: NodeId, from: LogIndex, entries: readonly Entry[]): void {
  const progress = raft.role.name === "leader" ? raft.role.progress.get(peer) : undefined;
  if (progress !== undefined) stepFetched(raft, peer, progress, from, entries);
}

function stepDown(raft: Raft): void {
  raft.holdTicks = 2 * raft.settings.electionTimeoutTicks;
  if (raft.role.name !== "follower") becomeFollower(raft, raft.term, null);
}

function setElectionTimeout(raft: Raft, ticks: number): void {
  assert(Number.isSafeInteger(ticks) && ticks > 0, "an election timeout is at least one tick");
  raft.electionDeadline = ticks;
}

function matchIndex(raft: Raft, id: NodeId): LogIndex | null {
  if (raft.role.name !== "leader") return null;
  const match = raft.role.matchOf(id);
  return match < 0 ? null : (match as LogIndex);
}
