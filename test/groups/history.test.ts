import { expect, test } from "bun:test";
import type { Slot } from "../../src/groups/state.ts";
import type { CommandResult } from "../../src/machine/commands.ts";
import { DUE_PER_TICK_MAX } from "../../src/machine/due.ts";
import { Machine } from "../../src/machine/machine.ts";
import { Bench, offset } from "../tools/machine/support.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const GROUP = "g";
const MEMBERS = ["a", "b", "c", "d", "e"];
const TOPICS = ["s", "t", "u"];

type Place = { readonly topic: string; readonly partition: number };
type Ownership = { readonly owner: string | null; readonly generation: number };
/** How the members of a partition handed it over since the last look. */
type Reasons = {
  /** Members that left, or whose leases ended, in this step. */
  readonly gone: ReadonlySet<string>;
  /** Partitions that their owner gave up in this step. */
  readonly released: ReadonlySet<string>;
  /** The topic was deleted or created, or the group was deleted. */
  readonly isReset: boolean;
};

const keyOf = ({ topic, partition }: Place): string => `${topic}/${partition}`;

/** A machine with one group, and what a client of it may rely on. */
class History {
  bench = new Bench();
  readonly random: Random;
  /** Leases as the model knows them: the end by member. */
  readonly leases = new Map<string, { until: number; leaseMs: number; topics: string[] }>();
  /** The one member that each generation of a partition belongs to. */
  readonly generations = new Map<string, string>();
  before = new Map<string, Ownership>();
  committed = new Map<string, number>();

  constructor(random: Random) {
    this.random = random;
    for (const topic of TOPICS) this.createTopic(topic);
  }

  get groups() {
    return this.bench.machine.parts.groups;
  }

  slots(): Slot[] {
    const group = this.groups.byName.get(GROUP);
    return [...(group?.topics.values() ?? [])].flatMap(({ slots }) => slots);
  }

  createTopic(name: string): void {
    const result = this.bench.createTopic(name, 1 + this.random.below(7));
    const topicId = result.ok && result.type === "create_topic" ? result.topicId : 0;
    for (const { partition } of this.bench.machine.broker.topicsById.get(topicId)?.partitions ??
      []) {
      this.bench.produce({ topicId, partition, count: 50 });
    }
  }

  topicIdOf = (topic: string): number =>
    this.bench.machine.broker.topicsByName.get(topic)?.topicId ?? 0;

  step(): void {
    const { random, bench } = this;
    bench.at += random.below(3_000);
    const roll = random.below(20);
    if (roll < 5) this.join();
    else if (roll < 7) this.leave();
    else if (roll < 14) this.commit();
    else if (roll < 16) this.tick();
    else if (roll < 17) this.seek();
    else if (roll < 18) this.restart();
    else if (roll < 19) this.resetTopic();
    else this.renew();
  }

  join(): void {
    const member = this.random.pick(MEMBERS);
    const present = this.leases.get(member);
    const keeps = present !== undefined && this.random.below(2) === 0;
    const some = TOPICS.filter(() => this.random.below(3) > 0);
    const topics = keeps ? present.topics : some.length === 0 ? ["t"] : some;
    const leaseMs = 1_000 * (1 + this.random.below(20));
    const targets = this.targets();
    const result = this.bench.do({ type: "join_group", group: GROUP, member, leaseMs, topics });
    expect(result.ok).toBe(true);
    if (keeps) expect(this.targets()).toEqual(targets);
    this.leases.set(member, { until: this.bench.at + leaseMs, leaseMs, topics });
    this.look({});
  }

  leave(): void {
    const member = this.random.pick(MEMBERS);
    const result = this.bench.do({ type: "leave_group", group: GROUP, member });
    expect(result.ok).toBe(this.leases.delete(member));
    this.look({ gone: new Set([member]) });
  }

  /** Any member commits any partitions, in generations that it had or never had. */
  commit(): void {
    const { random } = this;
    const member = random.pick(MEMBERS);
    const offsets = this.slots()
      .filter(() => random.below(2) === 0)
      .map(({ topic, partition, generation }) => ({
        topicId: topic.topicId,
        partition,
        generation: Math.max(0, generation - (random.below(3) === 0 ? 1 + random.below(3) : 0)),
        offset: offset(random.below(60)),
      }));
    const released = offsets.filter(() => random.below(2) === 0);
    const expected = offsets.map((commit) => this.mayCommit(member, commit));
    const before = this.before;
    const result = this.bench.do({
      type: "commit_member",
      group: GROUP,
      member,
      offsets,
      released,
    });
    this.checkCommit(result, member, expected, offsets);
    const freed = released.filter((ref) => this.mayCommit(member, ref, before));
    this.look({ released: new Set(freed.map((ref) => this.keyOfRef(ref))) });
  }

  keyOfRef({ topicId, partition }: { topicId: number; partition: number }): string {
    return keyOf({
      topic: this.bench.machine.broker.topicsById.get(topicId)?.name ?? "",
      partition,
    });
  }

  mayCommit(
    member: string,
    ref: { topicId: number; partition: number; generation: number },
    owned = this.before,
  ): boolean {
    const found = owned.get(this.keyOfRef(ref));
    return found?.owner === member && found.generation === ref.generation;
  }

  checkCommit(
    result: CommandResult,
    member: string,
    expected: readonly boolean[],
    offsets: readonly { topicId: number; partition: number; offset: number }[],
  ): void {
    const lease = this.leases.get(member);
    expect(result.ok).toBe(lease !== undefined);
    if (!result.ok || result.type !== "commit_member" || lease === undefined) return;
    lease.until = this.bench.at + lease.leaseMs;
    expect(result.results.map(({ ok }) => ok)).toEqual([...expected]);
    result.results.forEach((one, i) => {
      const commit = offsets[i];
      if (!one.ok || commit === undefined) return;
      const key = this.keyOfRef(commit);
      const value = Math.max(Math.min(commit.offset, 50), this.committed.get(key) ?? 0);
      expect(one.committedOffset).toBe(offset(value));
      this.committed.set(key, value);
    });
  }

  renew(): void {
    const member = this.random.pick(MEMBERS);
    const lease = this.leases.get(member);
    const result = this.bench.do({ type: "renew_member", group: GROUP, member, released: [] });
    expect(result.ok).toBe(lease !== undefined);
    if (lease !== undefined) lease.until = this.bench.at + lease.leaseMs;
    this.look({});
  }

  tick(): void {
    this.bench.do({ type: "tick" });
    const gone = new Set<string>();
    for (const [member, { until }] of [...this.leases]) {
      if (until > this.bench.at) continue;
      this.leases.delete(member);
      gone.add(member);
    }
    this.look({ gone });
  }

  seek(): void {
    const { random } = this;
    const targets = this.slots()
      .filter(() => random.below(3) === 0)
      .map(({ topic, partition }) => ({
        topicId: topic.topicId,
        partition,
        to: random.pick(["earliest", "latest", offset(20)] as const),
      }));
    const exists = this.groups.byName.has(GROUP) || this.committed.size > 0;
    const result = this.bench.do({ type: "seek_group", group: GROUP, targets });
    expect(result.ok).toBe(exists);
    if (!exists) return;
    for (const { to, ...ref } of targets) {
      this.committed.set(this.keyOfRef(ref), to === "earliest" ? 0 : to === "latest" ? 50 : 20);
    }
    this.look({});
  }

  /** Another node goes on from a snapshot. */
  restart(): void {
    const snapshot = this.bench.machine.beginSnapshot();
    const chunks: Uint8Array[] = [];
    for (let chunk = snapshot.next(100); chunk !== null; chunk = snapshot.next(100)) {
      chunks.push(chunk);
    }
    const machine = Machine.restore(chunks);
    expect(machine.digest()).toBe(this.bench.machine.digest());
    this.bench = new Bench(machine, this.bench.at);
    this.look({});
  }

  resetTopic(): void {
    const name = this.random.pick(TOPICS);
    this.bench.do({ type: "delete_topic", name });
    for (const key of [...this.committed.keys()]) {
      if (key.startsWith(`${name}/`)) this.committed.delete(key);
    }
    this.look({ isReset: true });
    this.createTopic(name);
    this.look({ isReset: true });
  }

  targets(): string[] {
    return this.slots().map(({ topic, partition, owner, target }) => {
      return `${topic.name}/${partition} ${owner?.name} ${target?.name}`;
    });
  }

  /** Checks all that must hold after a step, whatever the step was. */
  look(reasons: Partial<Reasons>): void {
    const { gone = new Set(), released = new Set(), isReset = false } = reasons;
    const now = new Map<string, Ownership>();
    for (const slot of this.slots()) {
      const { owner, generation, topic, partition } = slot;
      const key = keyOf({ topic: topic.name, partition });
      now.set(key, { owner: owner?.name ?? null, generation });
      const before = this.before.get(key);
      const wasFree = before === undefined || before.owner === null || isReset;
      const name = owner?.name ?? null;
      if (!wasFree && name !== before.owner) {
        // A partition leaves its owner only when that gave it up or is gone.
        expect(gone.has(before.owner ?? "") || released.has(key)).toBe(true);
      }
      if (name !== null) this.checkGeneration(`${key} ${topic.topicId} ${generation}`, name);
      if (before !== undefined && !isReset) {
        expect(generation).toBeGreaterThanOrEqual(before.generation);
      }
    }
    this.before = now;
    this.checkMembers();
    this.checkOwners();
    this.checkOffsets();
  }

  checkGeneration(key: string, owner: string): void {
    const known = this.generations.get(key) ?? owner;
    expect(`${key} ${known}`).toBe(`${key} ${owner}`);
    this.generations.set(key, owner);
  }

  checkMembers(): void {
    const members = [...(this.groups.byName.get(GROUP)?.members.values() ?? [])];
    const ends = members.map(({ name, dueAt }) => [name, dueAt] as const);
    const expected = [...this.leases].map(([name, { until }]) => [name, until] as const);
    expect(new Map(ends)).toEqual(new Map(expected));
    const owned = members.flatMap((member) => member.owned.map((slot) => [slot, member] as const));
    const owners = this.slots().flatMap((slot) =>
      slot.owner === null ? [] : ([[slot, slot.owner]] as const),
    );
    expect(new Map(owned)).toEqual(new Map(owners));
    expect(this.groups.slotCount).toBe(this.slots().length);
  }

  /** Every partition of a topic with subscribers has an owner, and the counts are about to be even. */
  checkOwners(): void {
    for (const topic of this.groups.byName.get(GROUP)?.topics.values() ?? []) {
      const subscribers = [...this.leases].filter(([, { topics }]) => topics.includes(topic.name));
      const counts = new Map(subscribers.map(([name]) => [name, 0]));
      for (const { owner, target } of topic.slots) {
        if (subscribers.length > 0) expect(owner).not.toBeNull();
        expect(target === null).toBe(subscribers.length === 0);
        if (target !== null) counts.set(target.name, (counts.get(target.name) ?? 0) + 1);
      }
      const values = [...counts.values()];
      if (values.length > 0) {
        expect(values).toHaveLength(subscribers.length);
        expect(Math.max(...values) - Math.min(...values)).toBeLessThanOrEqual(1);
      }
    }
  }

  checkOffsets(): void {
    const found = new Map<string, number>();
    for (const topic of this.bench.machine.broker.topicsById.values()) {
      for (const { partition, committed } of topic.partitions) {
        const value = committed.get(GROUP);
        if (value !== undefined) found.set(keyOf({ topic: topic.name, partition }), value);
      }
    }
    expect(found).toEqual(this.committed);
  }

  /** Members give up all that is revoked, as they do when they go on reading. */
  settle(): void {
    for (const member of this.leases.keys()) {
      const owned = this.groups.byName.get(GROUP)?.members.get(member)?.owned ?? [];
      const revoked = owned.filter(({ isRevoked }) => isRevoked);
      const released = revoked.map(({ topic, partition, generation }) => ({
        topicId: topic.topicId,
        partition,
        generation,
      }));
      const lease = this.leases.get(member);
      this.bench.do({ type: "renew_member", group: GROUP, member, released });
      if (lease !== undefined) lease.until = this.bench.at + lease.leaseMs;
      this.look({
        released: new Set(
          revoked.map((slot) => keyOf({ topic: slot.topic.name, partition: slot.partition })),
        ),
      });
    }
    expect(this.slots().filter(({ isRevoked }) => isRevoked)).toEqual([]);
  }
}

/**
 * Goal: whatever happens, commits of one member count for a partition, hand-overs have a reason, counts
 * are even, and every partition has an owner. Method: random histories, and a model of leases and offsets.
 */
test("partitions have one owner whose commits count, and no history leaves one without", () => {
  forEachSeed(120, (random) => {
    const history = new History(random);
    const steps = 20 + random.below(120);
    for (let i = 0; i < steps; i++) history.step();
    history.settle();
  });
});

test("many leases that end at once are ended a bounded number a tick", () => {
  const bench = new Bench();
  bench.createTopic("t", 8);
  const count = DUE_PER_TICK_MAX + 5;
  for (let i = 0; i < count; i++) {
    bench.do({ type: "join_group", group: "g", member: `m${i}`, leaseMs: 1_000, topics: ["t"] });
  }
  bench.at += 1_000;
  expect(bench.machine.nextExpiry()).toBe(2_000);
  expect(bench.do({ type: "tick" })).toMatchObject({ dueEnded: DUE_PER_TICK_MAX });
  expect(bench.do({ type: "tick" })).toMatchObject({ dueEnded: 5 });
  expect(bench.do({ type: "tick" })).toMatchObject({ dueEnded: 0 });
  expect(bench.machine.nextExpiry()).toBeNull();
  expect(bench.machine.parts.groups.byName.get("g")?.topics.get("t")?.slots[0]?.owner).toBeNull();
});
