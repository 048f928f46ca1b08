/**
 * Goal: under loss, repetition and reordering of messages, asynchronous disks, crashes that lose
 * what was not synced, compaction, eviction, membership changes and transfers, the properties of
 * figure 3 of the paper hold, and afterwards the cluster makes progress.
 * Method: random events on real cores; a ghost that sees all checks after each of them.
 */
import { expect } from "bun:test";
import { configurationOf, EMPTY_CONFIGURATION } from "../../../src/raft/membership.ts";
import { jointVote } from "../../../src/raft/quorum.ts";
import type { Entry, Message, NodeId, Persist } from "../../../src/raft/types.ts";
import type { Random } from "../random.ts";
import { type Applied, bytes, Cluster, ids, index, type Member, term } from "./harness.ts";

export type Faults = {
  readonly loss: number;
  readonly repeat: number;
  readonly crash: number;
  readonly membership: boolean;
  readonly compaction: boolean;
  readonly partitions: boolean;
  /** The disk of one member at a time loses the end of its log. */
  readonly damage: boolean;
};

const INITIAL_MEMBERS = "n1 n2 n3";
const NAMES = "n1 n2 n3 n4 n5";
const START: Applied = { index: 1, term: 1, data: "" };

/** The counters of a run before its first event. */
export const noCounts = () => ({
  elections: 0,
  applied: 0,
  reads: 0,
  crashes: 0,
  changes: 0,
  snapshots: 0,
  damaged: 0,
});

export class Chaos {
  readonly cluster: Cluster;
  readonly #random: Random;
  readonly #faults: Faults;
  readonly #leaders = new Map<number, NodeId>();
  /** Ghost: what was applied at each index by whoever came first. */
  readonly #truth: Applied[] = [START];
  readonly #commits = new Map<NodeId, number>();
  #proposals = 0;
  #isolated: NodeId | null = null;
  /** Reads under way: how much was applied anywhere when they began. */
  readonly #reads = new Map<string, number>();
  readonly counts = noCounts();

  constructor(random: Random, faults: Faults) {
    this.#random = random;
    this.#faults = faults;
    this.cluster = new Cluster("", {
      random,
      preVote: random.below(4) > 0,
      checkQuorum: random.below(4) > 0,
      maxAppendBytes: 1 + random.below(200),
      maxInflightMessages: 1 + random.below(5),
      maxInflightBytes: random.below(2) * 300,
      maxCommittedBytes: 1 + random.below(100),
    });
    for (const name of ids(faults.membership ? NAMES : INITIAL_MEMBERS)) this.#found(name);
    this.cluster.machineAt = (at) => this.#truth.slice(0, at);
  }

  /** All begin with entry 1 in a snapshot, so that a new member learns of them from a snapshot. */
  #found(name: NodeId): void {
    const member = this.cluster.add(name, EMPTY_CONFIGURATION);
    if (!ids(INITIAL_MEMBERS).includes(name)) return;
    const configuration = configurationOf(ids(INITIAL_MEMBERS));
    member.store.snapshot = { index: index(1), term: term(1), configuration };
    member.applied = [START];
    member.restart();
  }

  run(events: number): this {
    for (let i = 0; i < events; i++) this.#event();
    return this;
  }

  #event(): void {
    const random = this.#random;
    const member = random.pick([...this.cluster.members.values()]);
    const dice = random.below(100);
    if (dice < 40) this.#deliver();
    else if (dice < 55) member.core.tick();
    else if (dice < 75) this.#sync(member);
    else if (dice < 85) this.#propose(member);
    else if (dice < 88) this.#read(member);
    else this.#rare(member, random.below(1000));
    this.#turn(member);
  }

  #rare(member: Member, dice: number): void {
    const { crash, membership, compaction, partitions, damage } = this.#faults;
    if (dice < crash) this.#crash(member);
    else if (dice < crash + 15 && damage) this.#damage(member);
    else if (dice < 150 && membership) this.#change(member);
    else if (dice < 170) member.core.transferLeadership(this.#anyone());
    else if (dice < 190 && partitions) this.#partition();
    else if (dice < 300 && compaction) this.#compact(member);
    else if (dice < 400) member.core.evict(index(this.#below(member.core.appliedIndex)));
    else if (dice < 420) member.core.reportUnreachable(this.#anyone());
    else if (dice < 440) member.core.reportSnapshot(this.#anyone(), dice % 2 === 0);
    else if (dice < 445) member.core.stepDown();
  }

  #anyone = (): NodeId => this.#random.pick([...this.cluster.members.keys()]);
  #below = (at: number): number => Math.max(0, at - this.#random.below(8));

  #deliver(): void {
    const { wire } = this.cluster;
    if (wire.length === 0) return;
    const at = this.#random.below(wire.length);
    const message = wire[at] as Message;
    if (this.#random.below(100) >= this.#faults.repeat) wire.splice(at, 1);
    if (this.#random.below(100) < this.#faults.loss) return;
    if (this.#isolated !== null && [message.from, message.to].includes(this.#isolated)) return;
    this.cluster.deliver(message);
    this.#turn(this.cluster.get(message.to));
  }

  /** Writes finish in order, several at once as a group commit does. */
  #sync(member: Member): void {
    const count = 1 + this.#random.below(member.unsynced.length + 1);
    const done = member.unsynced.splice(0, count);
    const last = done.at(-1);
    if (last === undefined) return;
    for (const { persist } of done) this.#write(member, persist);
    member.core.persisted(last.persist.token);
    for (const { messages } of done) this.#send(member, messages);
  }

  #write(member: Member, persist: Persist): void {
    if (persist.snapshot !== null) this.counts.snapshots++;
    this.cluster.write(member, persist);
  }

  #propose(member: Member): void {
    if (member.core.role !== "leader") return;
    this.#proposals++;
    member.core.propose(bytes(`p${this.#proposals}`));
  }

  #read(member: Member): void {
    const context = `${member.name}/${this.#reads.size}`;
    this.#reads.set(context, this.#truth.length);
    member.core.readIndex(context);
  }

  #change(member: Member): void {
    const changes = Array.from({ length: 1 + this.#random.below(2) }, () => ({
      type: this.#random.pick(["add_voter", "add_voter", "add_learner", "remove"] as const),
      id: this.#anyone(),
    }));
    const transition = this.#random.pick(["auto", "joint_implicit", "joint_explicit"] as const);
    if (member.core.proposeConfChange(changes, transition).ok) this.counts.changes++;
    else member.core.proposeConfChange([]);
  }

  #compact(member: Member): void {
    const { core, store } = member;
    const at = this.#below(core.appliedIndex);
    if (at <= core.snapshot.index) return;
    core.snapshotCreated(index(at));
    // Sometimes the log is kept for a while, for those who lag.
    if (this.#random.below(2) > 0) core.compact(index(at));
    const base = store.snapshot?.index ?? 0;
    store.snapshot = core.snapshot;
    store.entries = store.entries.slice(core.snapshot.index - base);
    // Writes under way are cut alike: what the checkpoint holds need not be written.
  }

  #partition(): void {
    this.#isolated = this.#isolated === null ? this.#anyone() : null;
  }

  /** Any prefix of the writes that were not synced may have reached the disk. */
  #crash(member: Member): void {
    this.counts.crashes++;
    const kept = member.unsynced.slice(0, this.#random.below(member.unsynced.length + 1));
    for (const { persist } of kept) this.#write(member, persist);
    member.restart();
    this.#commits.delete(member.name);
  }

  /** A cut for damage: never where others could not make up for it. */
  #damage(member: Member): void {
    const { voters, votersOutgoing } = member.core.configuration;
    const isOther = ({ store }: Member) => store.marker !== null && store !== member.store;
    if (voters.length < 3 || votersOutgoing.length > 0) return;
    if ([...this.cluster.members.values()].some(isOther)) return;
    for (const { persist } of member.unsynced.splice(0)) this.#write(member, persist);
    member.loseEnd(this.#random.below(member.store.entries.length + 1));
    if (member.store.marker !== null) this.counts.damaged++;
    this.#crash(member);
  }

  #turn(member: Member): void {
    const { core, store } = member;
    if (store.marker !== null && core.marker === null) store.marker = null;
    this.#checkCommit(member);
    if (core.role === "leader") this.#checkLeader(member);
    for (let i = 0; core.hasOutput && i < 100; i++) {
      const output = core.drain();
      this.#send(member, output.messages);
      const { persist, messagesAfterPersist: messages } = output;
      if (persist !== null) member.unsynced.push({ persist, messages });
      else expect(messages).toEqual([]);
      const before = member.applied.length;
      this.cluster.apply(member, output);
      for (let at = before; at < member.applied.length; at++) this.#checkApplied(member, at);
    }
    this.#checkReads(member);
  }

  /** Nothing leaves before the term it speaks for is durable; only a pre-vote binds nobody. */
  #send(member: Member, messages: readonly Message[]): void {
    const durable = member.store.hardState?.term ?? member.store.snapshot?.term ?? 0;
    for (const message of messages) {
      if (!message.type.startsWith("pre_vote"))
        expect<number>(message.term <= durable ? 0 : 1).toBe(0);
      // A later term may share its sync with the vote.
      if (message.type === "vote_response" && message.granted && message.term === durable) {
        expect(member.store.hardState).toMatchObject({ term: message.term, vote: message.to });
      }
    }
    this.cluster.carry(messages);
  }

  /** Election safety and leader completeness. */
  #checkLeader({ core, name, store, unsynced }: Member): void {
    const known = this.#leaders.get(core.term);
    if (known !== undefined) {
      expect(name).toBe(known);
      return;
    }
    this.#leaders.set(core.term, name);
    this.counts.elections++;
    const view = new Map<number, Entry>(store.entries.map((entry) => [entry.index, entry]));
    for (const { persist } of unsynced) {
      for (const at of view.keys())
        if (at >= (persist.entries[0]?.index ?? at + 1)) view.delete(at);
      for (const entry of persist.entries) view.set(entry.index, entry);
    }
    const base = store.snapshot?.index ?? 0;
    for (const { index: at, term: expected } of this.#truth.slice(base)) {
      expect<number | undefined>(view.get(at)?.term).toBe(expected);
    }
  }

  /** The commit index never moves back, and what commits by counting is on the disks of a quorum. */
  #checkCommit({ core, name }: Member): void {
    const commit = core.commitIndex;
    const before = this.#commits.get(name) ?? 0;
    expect(commit).toBeGreaterThanOrEqual(before);
    this.#commits.set(name, commit);
    // A commit index learnt by votes, at the moment of winning, is not of this leader's making.
    const wasLeader = this.#leaders.get(core.term) === name;
    if (commit === before || core.role !== "leader" || !wasLeader) return;
    const holds = (voter: NodeId): boolean => {
      const store = this.cluster.members.get(voter)?.store;
      const base = store?.snapshot?.index ?? 0;
      // A lost entry may be committed: no node is elected without it.
      if (store !== undefined && store.marker !== null) return true;
      return base >= commit || store?.entries[commit - base - 1]?.term === core.term;
    };
    expect(jointVote(core.configuration, holds)).toBe("won");
  }

  /** State machine safety. */
  #checkApplied(member: Member, at: number): void {
    const entry = member.applied[at] as Applied;
    expect(entry.index).toBe(at + 1);
    if (this.#truth.length > at) expect(entry).toEqual(this.#truth[at] as Applied);
    else this.#truth.push(entry);
    this.counts.applied++;
  }

  /** A read sees all that anyone had applied before it began. */
  #checkReads(member: Member): void {
    for (const read of member.reads.splice(0)) {
      expect(read.index).toBeGreaterThanOrEqual(this.#reads.get(read.context as string) ?? 0);
      this.counts.reads++;
    }
  }

  /** No more faults: a leader emerges, all members of the last configuration get everything. */
  heal(): this {
    this.#isolated = null;
    const members = [...this.cluster.members.values()];
    for (const member of members) this.#crash(member);
    this.cluster.wire.length = 0;
    let applied = 0;
    for (let i = 0; i < 400; i++) {
      for (const member of this.cluster.members.values()) member.core.tick();
      this.#quiesce();
      const leader = [...this.cluster.members.values()].find(({ core }) => core.role === "leader");
      if (leader === undefined || i < 100) continue;
      if (applied === 0 && leader.core.propose(bytes("end")).ok) applied = leader.core.lastIndex;
      if (applied > 0 && this.#allAt(leader, applied)) return this;
    }
    // Two voters of whom one waits for what nobody else ever had: an operator has to help.
    if (this.#faults.membership && members.some(({ core }) => core.marker !== null)) return this;
    throw new Error(
      `no progress after the faults ended\n${members.map(({ core }) => JSON.stringify({ ...core.status(), progress: [...(core.status().progress ?? [])] })).join("\n")}`,
    );
  }

  #quiesce(): void {
    for (let round = 0; round < 200; round++) {
      let busy = this.cluster.wire.length > 0;
      for (const message of this.cluster.wire.splice(0)) this.cluster.deliver(message);
      for (const member of this.cluster.members.values()) {
        busy = busy || member.core.hasOutput || member.unsynced.length > 0;
        this.#turn(member);
        while (member.unsynced.length > 0) this.#sync(member);
      }
      if (!busy) return;
    }
  }

  #allAt({ core }: Member, at: number): boolean {
    const { voters, learners } = core.configuration;
    return [...voters, ...learners].every((name) => this.cluster.get(name).core.appliedIndex >= at);
  }
}

export const anyFaults = (random: Random): Faults => ({
  loss: random.pick([0, 5, 30]),
  repeat: random.pick([0, 5, 20]),
  crash: random.pick([0, 20, 60]),
  membership: random.below(2) > 0,
  compaction: random.below(2) > 0,
  partitions: random.below(2) > 0,
  damage: random.below(2) > 0,
});
