/**
 * The Raft core of one shard: deterministic, without clock or I/O. Input by methods, output by
 * `drain`. What the caller owes it, and the driver loop, are in DESIGN.md.
 */
import { assert } from "../lib/assert.ts";
import { stepOwnVoteDurable } from "./candidate.ts";
import { maybeReleaseClaim } from "./claim.ts";
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
import {
  type Configuration,
  type Entry,
  type HardState,
  INDEX_0,
  type LogClaim,
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
  /** Ticks without a leader before a campaign: drawn from this to twice this. Above heartbeatTicks. */
  readonly electionTimeoutTicks: number;
  readonly heartbeatTicks: number;
  /** The only source of chance. `u32()` returns an integer of 0 … 2^32-1. */
  readonly random: { u32(): number };
  /** @default true */
  readonly preVote?: boolean;
  /**
   * A leader that hears no quorum for an election timeout steps down. Without it one that is cut off
   * leads on, and keeps its own reads until it hears of another.
   *
   * @default true
   */
  readonly checkQuorum?: boolean;
  /** By member, higher is preferred, absent is 0. Biases election timeouts and transfer, never votes. */
  readonly priority?: ReadonlyMap<NodeId, number>;
  /** Data and a little more per entry in one append; one entry always fits. @default 1 MiB */
  readonly maxAppendBytes?: number;
  /** Unanswered appends per follower. @default 256 */
  readonly maxInflightMessages?: number;
  /** Data in unanswered appends per follower, 0: no limit. @default 64 MiB */
  readonly maxInflightBytes?: number;
  /** Proposed data that is not committed yet. @default 256 MiB */
  readonly maxUncommittedBytes?: number;
  /** Data in `committed` of one output; one entry always fits. @default 16 MiB */
  readonly maxCommittedBytes?: number;
};

export type InitialState = {
  /** @default term 0, no vote, commit at the snapshot */
  readonly hardState?: HardState | null;
  /** Membership in force at `applied`. No voters: a node that is to be added by others. Not copied. */
  readonly configuration: Configuration;
  /** The newest checkpoint. `configuration`: as of its index, if other than the one above. */
  readonly snapshot?: {
    readonly index: LogIndex;
    readonly term: Term;
    readonly configuration?: Configuration;
  };
  /**
   * Entries whose payloads stay in the journal, with their terms. They must be applied, and reach at
   * least to the snapshot. `after`: what comes before them; the first run begins right behind it, or
   * earlier. @default the snapshot
   */
  readonly evicted?: {
    readonly after?: { readonly index: LogIndex; readonly term: Term };
    readonly through: LogIndex;
    readonly runs: readonly TermRun[];
  };
  /** The durable entries after the snapshot (and after `evicted`), contiguous. */
  readonly entries?: readonly Entry[];
  /**
   * The end of the log was cut off for damage, and this is how far it went. Not for a sole voter:
   * only others can bring it back. @default null
   */
  readonly claim?: LogClaim | null;
  /** What the machine holds already. @default the snapshot's index */
  readonly applied?: LogIndex;
};

export type ReadIndexResult = { readonly ok: true } | Rejection<"no_leader">;

/** See the methods of `createCore` for what each does. */
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
  /** Set while this disk holds less than it has acknowledged: it neither campaigns nor leads. */
  readonly claim: LogClaim | null;
  /** The checkpoint that is offered to peers, with the membership as of its index. */
  readonly snapshot: SnapshotMeta;
  /** `drain` would return something. */
  readonly hasOutput: boolean;

  /** On an empty disk: the group begins with this checkpoint, to be installed as one of a leader. */
  found(snapshot: SnapshotMeta): void;
  /** A message from a peer. The sender's identity is the transport's business. */
  step(message: Message): void;
  /** One unit of time passed. */
  tick(): void;
  /** Stand for election now, as if the election timer had run out. */
  campaign(): void;
  /** Leader only; appends one entry. The bytes belong to the log from now on. */
  propose(data: Uint8Array): ProposeResult;
  /** One change at a time. None: leave the joint configuration. */
  proposeConfChange(
    changes: readonly MembershipChange[],
    transition?: Transition,
  ): ProposeConfChangeResult;
  /** On a follower the order is passed on to the leader. */
  transferLeadership(target: NodeId): TransferResult;
  /** The answer is a `readState` with the same context, or the context in `readsDropped`. */
  readIndex(context: unknown): ReadIndexResult;
  /** The peer's connection broke: appends in flight are probably lost. */
  reportUnreachable(id: NodeId): void;
  /** The transfer of the snapshot that was offered to `id` ended. */
  reportSnapshot(id: NodeId, ok: boolean): void;
  /** A checkpoint at `index` (applied) is durable; it is the one offered from now on. */
  snapshotCreated(index: LogIndex): void;
  /** Forgets entries up to `index` (applied and durable); implies `snapshotCreated(index)`. */
  compact(index: LogIndex): void;
  /** Payloads up to `index` may leave memory; clamped to what is applied and durable. */
  evict(index: LogIndex): void;
  /** Answers a `FetchRequest` with at least one entry from `from` on; stale answers are ignored. */
  fetched(peer: NodeId, from: LogIndex, entries: readonly Entry[]): void;
  /** The payloads cannot be read: the peer gets a snapshot. */
  fetchFailed(peer: NodeId, from: LogIndex): void;
  /** Everything to do since the last call. */
  drain(): Output;
  /** The write with this token, and all before it, are durable; snapshots in them are installed. */
  persisted(token: number): void;
  /** The machine has applied all up to `index`; membership changes come into force. */
  applied(index: LogIndex): void;
  /**
   * This node is not fit to lead for now (slow disk, long pause): no campaign for two timeouts,
   * neither by `campaign` nor at the leader's word.
   */
  stepDown(): void;
  /** As in the config: the membership has told others. In force from the next deadline on. */
  setPriorities(priority: ReadonlyMap<NodeId, number>): void;
  /** Campaign after this many ticks without a leader; until the deadline is next drawn. */
  setElectionTimeout(ticks: number): void;
  /** The disk of `id` is known to agree with the log up to here; null if not leader or a stranger. */
  matchIndex(id: NodeId): LogIndex | null;
  /**
   * For a leader: the first entry that each peer still needs of this log, as far as it is known.
   * Those who get a snapshot whatever is kept are left out.
   */
  neededFrom(): ReadonlyMap<NodeId, LogIndex>;
  /** Null if compacted away or beyond the log. */
  termAt(index: LogIndex): Term | null;
  status(): Status;
};

const MIB = 1024 * 1024;

/** @throws AssertionError if config or state contradict themselves. */
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
    get claim() {
      return raft.claim;
    },
    get snapshot() {
      return raft.snapshot;
    },
    get hasOutput() {
      return hasOutput(raft);
    },
    found: (snapshot) => found(raft, snapshot),
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

function found(raft: Raft, snapshot: SnapshotMeta): void {
  const { log, term, vote } = raft;
  assert(log.lastIndex === 0 && term === 0 && vote === null, "a group is founded on an empty disk");
  assertExactPosition(snapshot);
  assert(snapshot.index > 0 && snapshot.term > 0, "a group begins at index 1 and term 1, or later");
  const broken = checkConfiguration(snapshot.configuration);
  assert(broken === null, `the first configuration is not valid: ${broken}`);
  assert(snapshot.configuration.voters.length > 0, "a group begins with a voter");
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
  const claimed = initial.claim ?? null;
  const claim = claimed && { ...claimed, commit: hard.commit, verified: INDEX_0 };
  const atSnapshot = initial.snapshot?.configuration ?? configuration;
  const brokenThen = checkConfiguration(atSnapshot);
  assert(brokenThen === null, `the snapshot's configuration is not valid: ${brokenThen}`);
  const raft: Raft = {
    settings,
    id: settings.id,
    log,
    writes: new WriteQueue({ ...hard, commit: maxIndex(log.commit, claim?.commit ?? INDEX_0) }),
    out: newOutbox(),
    term: hard.term,
    vote: hard.vote,
    role: newFollower(null),
    claim,
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
    // Not from zero: an answer to this node's former life must not answer a read of this one.
    nextRequestId: settings.random.u32() * 2 ** 20,
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
  // What is applied was committed, whatever commit index made it to disk.
  const known = (initial.claim ?? null) === null ? initial.hardState?.commit : undefined;
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
  if (raft.holdTicks > 0 || !isPromotable(raft)) return;
  if (raft.electionElapsed < raft.electionDeadline && !isAlone(raft)) return;
  raft.electionElapsed = 0;
  maybeCampaign(raft, raft.settings.preVote ? "pre" : "real");
}

/** A sole voter has nobody to wait for, and nobody to disturb. */
function isAlone(raft: Raft): boolean {
  const { voters, votersOutgoing } = raft.configuration;
  return voters.length === 1 && votersOutgoing.length === 0 && raft.role.name === "follower";
}

function persisted(raft: Raft, token: number): void {
  const { log, writes } = raft;
  const before = log.durable;
  writes.complete(token, log);
  maybeReleaseClaim(raft);
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
