/** The members of a group, who changes it from outside, and how it has to end. */
import { utf8 } from "../../../src/lib/bytes.ts";
import type { GroupDescription } from "../../../src/node/groups-api.ts";
import { BatchBuilder } from "../../../src/record/batch-builder.ts";
import { GroupMember } from "../groups/member.ts";
import { produced } from "../node/as-promises.ts";
import { outcomeOf, type SimClient } from "./client.ts";
import type { SimCluster } from "./cluster.ts";
import { simulatedLink } from "./group-link.ts";
import type { SimNode } from "./sim-node.ts";

const GROUP = "workers";
/** A topic that stays, and one that is deleted and created again with other partitions. */
const SHARED = "shared";
const RENEWED = "renewed";
const MEMBERS = {
  group: GROUP,
  topics: [SHARED, RENEWED],
  /** Shorter than the contract allows, so that many leases end in a run. */
  leasesMs: [400, 1000, 2500],
  waitsMs: [0, 20, 150],
  workMs: 20,
};
const POLL_MS = 25;
/** The longest effect of a fault. */
const LATE_MS = 2_500;
/** The leader looks for leases that are over ten times a second. */
const LOOK_MS = 120;
/** The time on top of the least one is drawn. Five in a hundred frames take longer than this many means. */
const SLOW_MEANS = 3;
/** Timers and clocks of the plans differ by at most this factor. */
const RATE_MAX = 1.06;

const GOALS = [
  () => "earliest" as const,
  () => "latest" as const,
  (offset: number) => ({ offset }),
] as const;

type Show = { readonly partition: number; readonly topic: string; readonly owner: string | null };

/** The group is not judged as settled. */
const NOBODY = () => null;

export class GroupTeam {
  readonly members: readonly GroupMember[];
  readonly #cluster: SimCluster;
  readonly #admin: SimClient;
  /** How many partitions the topic has that is created anew. */
  readonly #partitions: number;
  #isCalm = false;
  #disturbed: Promise<void> = Promise.resolve();
  #ids = 0;
  /** The last description of the group. */
  shown = "it was never described";

  constructor(cluster: SimCluster, clientOf: (name: string) => SimClient) {
    this.#cluster = cluster;
    this.#admin = clientOf("group admin");
    const { sharedPartitions, groupMembers } = cluster.plan;
    this.#partitions = sharedPartitions;
    const names = Array.from({ length: groupMembers }, (_, i) => `m${i + 1}`);
    const options = { ...MEMBERS, lateMs: cluster.plan.commitTimeoutMs };
    this.members = names.map((name) => new GroupMember(simulatedLink(clientOf(name)), options));
  }

  async create(): Promise<void> {
    for (const topic of [SHARED, RENEWED]) {
      while (!(await this.#createTopic(topic, this.#partitions))) await this.#admin.sleep(50);
    }
  }

  run(): Promise<unknown> {
    this.#disturbed = this.#disturb();
    return Promise.all([this.#disturbed, ...this.members.map((member) => member.run())]);
  }

  stop(): void {
    this.#isCalm = true;
    for (const member of this.members) member.stopped = true;
  }

  async #disturb(): Promise<void> {
    const { random } = this.#admin;
    const { thinkMs } = this.#cluster.plan;
    while (!this.#isCalm) {
      await this.#admin.sleep(random.below(thinkMs * 2000) / 1000);
      const dice = random.below(100);
      if (dice < 60) await this.#produce(random.below(6) === 0 ? RENEWED : SHARED);
      else if (dice < 85) await this.#show(this.#admin.pick(), NOBODY);
      else if (dice < 90) await this.#seek();
      else if (dice < 92) await this.#renewTopic();
      else if (dice < 93) await this.#deleteGroup();
    }
  }

  async #produce(topic: string): Promise<void> {
    const { random, recorder, name } = this.#admin;
    const values = Array.from({ length: 1 + random.below(5) }, () => `${name}-${this.#ids++}`);
    const partition = random.below(this.#partitions);
    const builder = new BatchBuilder();
    for (const value of values) builder.add(null, utf8(value));
    const to = this.#admin.pick();
    const call = recorder.now();
    const records = builder.finish();
    const at = { topic, partition, key: null, idempotencyKey: null };
    const reply = await this.#admin.call(to, (node) =>
      produced(node, { ...at, records, timeoutMs: null, rocket: false }),
    );
    if (topic === RENEWED) return;
    const value = reply?.value.ok === true && reply.value.synced === true ? reply.value : null;
    const isProven = value !== null && this.#cluster.plan.writeConcern.kind !== "appended";
    const { firstOffset = 0, count = 0 } = value ?? {};
    const result = isProven
      ? { offset: firstOffset ?? 0, count, duplicate: false, payloadMatches: true }
      : null;
    const outcome = reply?.value.ok === true && !isProven ? "unknown" : outcomeOf(reply);
    this.#admin.add("produce", to, call, { topic, partition, key: null, values }, outcome, result);
    if (outcome !== "ok") this.#admin.forgetLeader();
  }

  async #seek(): Promise<void> {
    const { random, recorder } = this.#admin;
    const topic = random.pick([SHARED, RENEWED]);
    const partition = random.below(3) === 0 ? null : random.below(this.#partitions);
    const goal = random.pick(GOALS)(random.below(40));
    const call = recorder.now();
    const to = this.#admin.pick();
    const reply = await this.#admin.call(to, (node) =>
      node.groups.seek({ group: GROUP, topic, partition, to: goal }),
    );
    const offsets = reply?.value.ok === true ? reply.value.offsets : null;
    const told = offsets?.map(({ committedOffset: committed, ...at }) => ({ ...at, committed }));
    const result = told === undefined ? null : { offsets: told };
    if (result !== null) this.#cluster.count("group seek");
    this.#admin.add("group-seek", to, call, { group: GROUP, topic }, outcomeOf(reply), result);
  }

  /** Members that have joined with the topic share the partitions of the new one. */
  async #renewTopic(): Promise<void> {
    const call = this.#admin.recorder.now();
    const to = this.#admin.pick();
    const reply = await this.#admin.call(to, (node) => node.deleteTopic(RENEWED));
    const result = reply?.value.ok === true ? {} : null;
    const args = { group: null, topic: RENEWED };
    this.#admin.add("group-reset", to, call, args, outcomeOf(reply), result);
    if (result !== null) this.#cluster.count("group topic deleted");
    await this.#createTopic(RENEWED, 1 + this.#admin.random.below(this.#partitions + 2));
  }

  async #createTopic(topic: string, partitions: number): Promise<boolean> {
    const to = this.#admin.pick();
    const reply = await this.#admin.call(to, (node) => node.createTopic(topic, partitions));
    const isThere = reply?.value.ok === true || reply?.value.code === "topic_exists";
    if (!isThere) this.#admin.forgetLeader();
    return isThere;
  }

  async #deleteGroup(): Promise<void> {
    const call = this.#admin.recorder.now();
    const to = this.#admin.pick();
    const reply = await this.#admin.call(to, (node) => node.deleteGroup(GROUP));
    const result = reply?.value.ok === true ? {} : null;
    const args = { group: GROUP, topic: null };
    this.#admin.add("group-reset", to, call, args, outcomeOf(reply), result);
    if (result !== null) this.#cluster.count("group deleted");
  }

  /**
   * Describes the group as the node knows it; null without an answer.
   *
   * @param livingOf names the members that share the partitions of a group that is judged as settled.
   */
  async #show(to: SimNode, livingOf: (group: GroupDescription) => readonly string[] | null) {
    const call = this.#admin.recorder.now();
    const reply = await this.#admin.call(to, async (node) => {
      return { ok: true, group: await node.groups.describe(GROUP) };
    });
    const group = reply?.value.group ?? null;
    if (group === null) return null;
    this.shown = JSON.stringify(group);
    const partitions = group.partitions.map((each) => ({
      topic: each.topic,
      partition: each.partition,
      owner: each.owner,
      next: each.next,
      generation: each.generation,
      committed: each.committedOffset,
    }));
    const living = livingOf(group);
    this.#admin.add("group-show", to, call, { group: GROUP, living }, "ok", { partitions });
    return group;
  }

  /**
   * When all faults have ended: every partition has an owner, one of which falls silent while the
   * leader is killed, and its partitions go over in time. In the end all records are committed.
   */
  async settle(): Promise<void> {
    this.#isCalm = true;
    for (const member of this.members) member.isCalm = true;
    await this.#disturbed;
    await this.#untilShared(this.members);
    // Where clocks are wrong, time may stand still for long, so that leases do not end in time.
    const isTimeRight = !this.#cluster.plan.faults.includes("clock-jump");
    const [victim, ...rest] = this.members as readonly [GroupMember, ...GroupMember[]];
    if (isTimeRight) await this.#takeOver(victim);
    const living = isTimeRight ? rest : this.members;
    // In one description, since a lease may end between two of them.
    const settled = (group: GroupDescription) => {
      const isDone = group.partitions.every(({ lag }) => lag === 0);
      return isDone && isSharedBy(living, group) ? living.map(({ name }) => name) : null;
    };
    for (;;) {
      await this.#untilShared(living);
      const leader = this.#leader();
      const group = leader === null ? null : await this.#show(leader, settled);
      if (group !== null && settled(group) !== null) return;
      await this.#admin.sleep(POLL_MS);
    }
  }

  async #takeOver(victim: GroupMember): Promise<void> {
    const { plan } = this.#cluster;
    // Syncs that hang and frames that are late were begun before the faults ended.
    await this.#admin.sleep(LATE_MS);
    await this.#untilShared(this.members);
    const { name: member } = victim;
    victim.isSilent = true;
    victim.stopped = true;
    await this.#admin.sleep(this.#admin.random.below(victim.leaseMs / 2));
    const leader = this.#leader();
    const begun = { ms: this.#admin.recorder.now(), term: this.#term() };
    if (plan.nodes > 1 && leader !== null) {
      leader.kill();
      this.#cluster.startLater(leader);
    }
    for (let isTaken = false; !isTaken; await this.#admin.sleep(POLL_MS)) {
      const now = this.#leader();
      const group = now === null ? null : await this.#show(now, NOBODY);
      // Other members may have lost their leases too, and join later.
      const isEmpty = group?.members.length === 0;
      const isGone = ({ owner }: Show) => owner !== member && (isEmpty || owner !== null);
      isTaken = group?.partitions.every(isGone) === true;
    }
    const msMax = this.#takeOverMsMax(victim, begun);
    const args = { group: GROUP, member, msMax };
    this.#cluster.count("group takeover");
    this.#admin.add(
      "group-takeover",
      this.#cluster.nodes[0] as SimNode,
      victim.lastEndMs,
      args,
      "ok",
      {},
    );
  }

  /**
   * The lease ends while another leader is elected, or after it. Each further term is an election that
   * was lost, as with votes that were split or frames that were late, and takes as long.
   *
   * @param begun when the leader was killed, and in which term.
   */
  #takeOverMsMax(
    victim: GroupMember,
    begun: { readonly ms: number; readonly term: number },
  ): number {
    const { delays, syncMs, electionTimeoutMs, priorities, nodes } = this.#cluster.plan;
    const { leaseMsMax, lastEndMs, lateUntilMs } = victim;
    const overMs = Math.max(lastEndMs, lateUntilMs) + RATE_MAX * leaseMsMax;
    const elections = Math.max(nodes > 1 ? 1 : 0, this.#term() - begun.term);
    // A voter of lower priority waits half an election timeout longer.
    const electionMs = electionTimeoutMs * (priorities ? 2.5 : 2);
    const ledMs = begun.ms + RATE_MAX * elections * electionMs;
    // Answers and the entry that ends the lease take their way through the links and disks of the plan.
    const { baseMs, meanMs, slowOneIn } = delays;
    const wayMs = 10 * (baseMs + meanMs + syncMs);
    // Two frames that take ten times as long, one there and one back. Frames behind them wait.
    const slowMs = slowOneIn > 0 ? 2 * 10 * (baseMs + SLOW_MEANS * meanMs) : 0;
    return Math.max(overMs, ledMs) - lastEndMs + LOOK_MS + wayMs + slowMs;
  }

  #term(): number {
    return Math.max(...this.#cluster.nodes.map(({ node }) => node?.health().term ?? 0));
  }

  #leader(): SimNode | null {
    return this.#cluster.nodes.find(({ node }) => node?.health().role === "leader") ?? null;
  }

  /** All partitions are owned by these members, and none is about to move. */
  async #untilShared(members: readonly GroupMember[]): Promise<void> {
    for (;;) {
      const leader = this.#leader();
      const group = leader === null ? null : await this.#show(leader, NOBODY);
      if (group !== null && isSharedBy(members, group)) return;
      const names = new Set(members.map(({ name }) => name));
      const strangers = group?.members.filter(({ member }) => !names.has(member)) ?? [];
      if (this.#cluster.plan.faults.includes("clock-jump")) await this.#remove(strangers);
      // A deletion without an answer may have come later than the creation that followed.
      await this.#createTopic(RENEWED, this.#partitions);
      await this.#admin.sleep(POLL_MS);
    }
  }

  async #remove(strangers: readonly { readonly member: string }[]): Promise<void> {
    for (const { member } of strangers) await this.members[0]?.leave(member);
  }
}

/** True if all partitions are owned by these members and by nobody else, and none is about to move. */
function isSharedBy(members: readonly GroupMember[], group: GroupDescription): boolean {
  const names = new Set(members.map(({ name }) => name));
  const areJoined = group.members.every(
    ({ member, topics }) => names.has(member) && topics.length === MEMBERS.topics.length,
  );
  const areOwned = group.partitions.every(
    ({ owner, next }) => next === null && names.has(owner ?? ""),
  );
  return areOwned && areJoined && group.members.length === names.size;
}
