import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import type { NodeId } from "../../lib/ids.ts";
import { putMember, removeMember } from "../../machine/members.ts";
import type { Core } from "../../raft/core.ts";
import type { Configuration, LogIndex, MembershipChange, Term } from "../../raft/types.ts";
import type { Meeting } from "../../transport/transport.ts";
import type { AddMemberRequest, MemberReject, Membership, MembershipNode, Result } from "../api.ts";
import type { Commander } from "../writes/commander.ts";
import { hostAndPort, idsOf, type MemberAddress, type MemberBook } from "./members.ts";

/** A learner that lacks at most this many entries may be promoted. */
const CAUGHT_UP_ENTRIES = 1_000;
const WAIT_STEP_MS = 10;
/** A preferred leader must be fit for this long, and this is the time between two transfers. */
const PREFERRED_STABLE_MS = 5_000;
const TRANSFER_REST_MS = 60_000;
/** A member that lacks committed entries and got none for this long is not healthy. */
const STANDSTILL_MS = 5_000;

export type MembersOptions = {
  readonly core: Core;
  readonly clock: Clock;
  readonly commander: Commander;
  readonly book: MemberBook;
  readonly storageId: string;
  readonly timeoutMs: number;
  readonly isUp: (id: NodeId) => boolean;
  /** Closes the links with a node. It may connect again. */
  readonly expel: (id: NodeId) => void;
  readonly deferIteration: () => void;
};

/** Changes and reports membership and leadership. */
export class Members {
  readonly #options: MembersOptions;
  /** The disk of each peer at the last handshake, with the peer's membership version. */
  readonly #met = new Map<NodeId, Pick<Meeting, "storageId" | "membershipVersion">>();
  /** On a leader: since when each member that lacks committed entries has made no progress. */
  readonly #standstills = new Map<NodeId, { readonly match: number; readonly sinceMs: number }>();
  #preferredSinceMs: number | null = null;
  #transferredMs = Number.NEGATIVE_INFINITY;
  #leader: NodeId | null = null;
  /** Time of the last change of leader. The first leader since the start does not count. */
  #leaderChangedMs = Number.NEGATIVE_INFINITY;
  #epoch = 0;

  constructor(options: MembersOptions) {
    this.#options = options;
  }

  /** Called when the membership in force has changed. */
  changed(): void {
    this.#epoch++;
    const { core, book, expel } = this.#options;
    for (const [id, { storageId, membershipVersion }] of this.#met) {
      const known = book.storageIdOf(id);
      if (known === null || known === storageId || membershipVersion > core.appliedIndex) continue;
      // Two disks presented the same node id, and the log has the other one.
      this.#met.delete(id);
      expel(id);
    }
  }

  describe(): Membership {
    const { core } = this.#options;
    const { configuration } = core;
    const ids = idsOf(configuration);
    return {
      epoch: this.#epoch,
      jointActive: configuration.votersOutgoing.length > 0,
      nodes: ids.map((id, index) => this.#describeNode(id, index)),
      leaderId: core.leader,
      term: core.term,
    };
  }

  /** Writes the known addresses and disks of all members into the log once. */
  record(): void {
    const { core, book, commander } = this.#options;
    for (const id of idsOf(core.configuration)) {
      const address = book.find(id);
      const known = book.storageIdOf(id);
      const disk = this.#diskOf(id);
      const isKnown = known !== null && (id !== core.id || known === disk);
      if (address === null || (isKnown && !book.lacksAddress(id))) continue;
      if (disk === null && book.isRecorded(id)) continue;
      commander.housekeep(putMember, { ...address, storageId: disk, resetStorageId: false });
    }
  }

  /** Most handshakes come before the first leader. Without a link, the disk of a peer is unknown. */
  #diskOf(id: NodeId): string | null {
    const { core, storageId, isUp } = this.#options;
    if (id === core.id) return storageId;
    return isUp(id) ? (this.#met.get(id)?.storageId ?? null) : null;
  }

  /** The disk at the last handshake. Null: there was no handshake. */
  metDisk(id: NodeId): string | null {
    return this.#met.get(id)?.storageId ?? null;
  }

  /** Records the disk of a member at its first handshake. It identifies the member from then on. */
  met({ peer: id, storageId, membershipVersion }: Meeting): void {
    const { core, book, commander } = this.#options;
    this.#met.set(id, { storageId, membershipVersion });
    if (core.role !== "leader" || book.storageIdOf(id) !== null) return;
    const address = book.find(id);
    if (address === null || !idsOf(core.configuration).includes(id)) return;
    commander.housekeep(putMember, { ...address, storageId, resetStorageId: false });
  }

  async add(request: AddMemberRequest): Promise<Result<object, MemberReject>> {
    const { core, book } = this.#options;
    const id = request.nodeId as NodeId;
    const endUs = this.#deadlineUs();
    if (core.role !== "leader") return { ok: false, code: "not_leader" };
    if (idsOf(core.configuration).includes(id)) {
      return { ok: false, code: "member_exists", message: `${id} is a member already` };
    }
    const before = book.find(id);
    const address: MemberAddress = {
      id,
      host: request.host,
      raftPort: request.raftPort,
      httpPort: request.httpPort ?? request.raftPort + 1,
      priority: request.priority ?? before?.priority ?? 0,
    };
    const put = await this.#put(address);
    if (!put.ok) return put;
    return this.#change([{ type: "add_learner", id }], endUs);
  }

  promote(nodeId: string): Promise<Result<object, MemberReject>> {
    const refusal = this.#whyNotPromoted(nodeId as NodeId);
    if (refusal !== null) return Promise.resolve(refusal);
    return this.#change([{ type: "add_voter", id: nodeId as NodeId }]);
  }

  /** Null: the node may be promoted to voter. */
  #whyNotPromoted(id: NodeId): Result<object, MemberReject> | null {
    const { core, book } = this.#options;
    if (core.role !== "leader") return { ok: false, code: "not_leader" };
    if (core.configuration.voters.includes(id)) return { ok: true };
    if (!core.configuration.learners.includes(id)) return unknownMember(id);
    const match = core.matchIndex(id) ?? 0;
    const lacking = core.commitIndex - match;
    // Every log begins above 0, so 0 means that the node has not answered yet.
    if (match === 0 && !faultPoint("unknown-learner-promoted")) {
      return notCaughtUp(`${id} has not been heard of yet`, lacking);
    }
    // The disk must be in the log, so that no member accepts another disk for this voter.
    if (book.storageIdOf(id) === null) return notCaughtUp(`${id} has just been met`, lacking);
    if (lacking <= CAUGHT_UP_ENTRIES) return null;
    const allowed = `at most ${CAUGHT_UP_ENTRIES} are allowed`;
    return notCaughtUp(`${id} lacks ${lacking} entries; ${allowed}`, lacking);
  }

  async remove(nodeId: string): Promise<Result<object, MemberReject>> {
    const { core, commander } = this.#options;
    const id = nodeId as NodeId;
    if (core.role !== "leader") return { ok: false, code: "not_leader" };
    if (!idsOf(core.configuration).includes(id)) return unknownMember(id);
    if (isLastVoter(core.configuration, id)) return lastVoter(id);
    const removed = await this.#change([{ type: "remove", id }]);
    if (removed.ok) commander.housekeep(removeMember, { id });
    return removed;
  }

  transfer(nodeId: string | null): Result<{ target: string }, MemberReject> {
    const { core, deferIteration } = this.#options;
    if (core.role !== "leader") return { ok: false, code: "not_leader" };
    const target = (nodeId ?? this.#fittest()) as NodeId | null;
    if (target === null)
      return { ok: false, code: "no_quorum", message: "There is no other voter" };
    if (!core.configuration.voters.includes(target)) return unknownMember(target);
    core.transferLeadership(target);
    deferIteration();
    return { ok: true, target };
  }

  leaderChanged(leader: NodeId): void {
    if (leader === this.#leader) return;
    if (this.#leader !== null) this.#leaderChangedMs = this.#options.clock.monotonic() / 1000;
    this.#leader = leader;
  }

  /** Called once a second. Transfers leadership to a preferred fit node, with a minimum interval. */
  preferBetterLeader(): void {
    const { core, clock, isUp, deferIteration } = this.#options;
    const nowMs = clock.monotonic() / 1000;
    const preferred = core.role === "leader" ? core.status().preferredLeader : null;
    if (preferred === null || !isUp(preferred)) {
      this.#preferredSinceMs = null;
      return;
    }
    this.#preferredSinceMs ??= nowMs;
    if (nowMs - this.#preferredSinceMs < PREFERRED_STABLE_MS) return;
    // All reachable members have the last change, so any of them may lead.
    const lastMs = Math.max(this.#transferredMs, this.#leaderChangedMs);
    if (nowMs - lastMs < TRANSFER_REST_MS) return;
    this.#transferredMs = nowMs;
    core.transferLeadership(preferred);
    deferIteration();
  }

  #describeNode(id: NodeId, index: number): MembershipNode {
    const { core, book, isUp } = this.#options;
    const { configuration } = core;
    const address = book.find(id);
    const isLeader = core.leader === id;
    const isVoter = configuration.voters.includes(id) || configuration.votersOutgoing.includes(id);
    return {
      index,
      nodeId: id,
      advertiseAddr: address === null ? "" : hostAndPort(address.host, address.raftPort),
      httpAddr: address === null ? "" : hostAndPort(address.host, address.httpPort),
      priority: address?.priority ?? 0,
      isVoter,
      isLearner: !isVoter,
      role: isLeader ? "leader" : isVoter ? "follower" : "learner",
      matchIndex: id === core.id ? core.durableIndex : core.matchIndex(id),
      healthy: id === core.id || (isUp(id) && !this.#standsStill(id)),
    };
  }

  /** Called once a second. Records which members lack committed entries and made no progress. */
  watchProgress(): void {
    const { core, clock } = this.#options;
    if (core.role !== "leader") {
      this.#standstills.clear();
      return;
    }
    const members = idsOf(core.configuration);
    for (const id of this.#standstills.keys()) {
      if (!members.includes(id)) this.#standstills.delete(id);
    }
    for (const id of members) {
      const match = core.matchIndex(id) ?? 0;
      if (id === core.id || match >= core.commitIndex) this.#standstills.delete(id);
      else if (this.#standstills.get(id)?.match !== match) {
        this.#standstills.set(id, { match, sinceMs: clock.monotonic() / 1000 });
      }
    }
  }

  #standsStill(id: NodeId): boolean {
    const { core, clock } = this.#options;
    const since = this.#standstills.get(id);
    if (since === undefined || since.match !== core.matchIndex(id)) return false;
    return clock.monotonic() / 1000 - since.sinceMs >= STANDSTILL_MS;
  }

  async #put(address: MemberAddress): Promise<Result<object, MemberReject>> {
    return await this.#options.commander.run({
      kind: putMember,
      // A new member has a new disk, even if its id was used before.
      fields: { ...address, storageId: null, resetStorageId: true },
      bytes: 256,
      done: () => ({ ok: true }),
    });
  }

  /** Both steps of an addition share it: a follower that forwards the request waits no longer. */
  #deadlineUs(): number {
    const { clock, timeoutMs } = this.#options;
    return clock.monotonic() + timeoutMs * 1000;
  }

  /** Proposes a change and waits until it is in force or known to be lost. */
  async #change(
    changes: readonly MembershipChange[],
    endUs = this.#deadlineUs(),
  ): Promise<Result<object, MemberReject>> {
    const { core, clock, deferIteration } = this.#options;
    const proposed = core.proposeConfChange(changes);
    if (!proposed.ok) {
      if (proposed.code === "not_leader") return { ok: false, code: "not_leader" };
      const reason = proposed.code === "invalid_change" ? proposed.reason : proposed.code;
      return { ok: false, code: "change_in_progress", message: `Not now: ${reason}` };
    }
    deferIteration();
    while (clock.monotonic() < endUs) {
      if (core.appliedIndex >= proposed.index) {
        if (this.#isCutOff(proposed, changes)) return { ok: false, code: "not_leader" };
        if (core.configuration.votersOutgoing.length === 0) return { ok: true };
      }
      await new Promise<void>((resolve) => clock.after(WAIT_STEP_MS, resolve));
    }
    return { ok: false, code: "commit_timeout" };
  }

  /** True if another leader has replaced the applied entry by one of its own, or by a snapshot. */
  #isCutOff(
    { index, term }: { readonly index: LogIndex; readonly term: Term },
    changes: readonly MembershipChange[],
  ): boolean {
    const { core } = this.#options;
    const applied = core.termAt(index);
    return applied === null ? !isInForce(core.configuration, changes) : applied !== term;
  }

  /** The other voter with the most complete log. */
  #fittest(): NodeId | null {
    const { core } = this.#options;
    let best: NodeId | null = null;
    for (const id of core.configuration.voters) {
      if (id === core.id) continue;
      if (best === null || (core.matchIndex(id) ?? 0) > (core.matchIndex(best) ?? 0)) best = id;
    }
    return best;
  }
}

const notCaughtUp = (message: string, lag: number) =>
  ({ ok: false, code: "not_caught_up", message, details: { lag } }) as const;

/** True if the configuration is as it is after the changes. */
function isInForce(configuration: Configuration, changes: readonly MembershipChange[]): boolean {
  const { voters, learners } = configuration;
  return changes.every(({ type, id }) => {
    if (type === "remove") return !idsOf(configuration).includes(id);
    return voters.includes(id) || (type === "add_learner" && learners.includes(id));
  });
}

const isLastVoter = ({ voters, votersOutgoing }: Configuration, id: NodeId): boolean =>
  votersOutgoing.length === 0 && voters.length === 1 && voters[0] === id;

const lastVoter = (id: string) =>
  ({
    ok: false,
    code: "last_voter",
    message: `${id} is the only voter, and without one nothing could be written or changed any more: add another node and promote it first`,
  }) as const;

const unknownMember = (id: string) =>
  ({ ok: false, code: "member_not_found", message: `${id} is not a member` }) as const;
