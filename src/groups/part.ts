/**
 * The groups in a snapshot: a sequence of items, each a kind and its fields, packed into sections.
 * Members and slots follow the group and the topic that they belong to.
 */
import { type ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import {
  check,
  type DigestSink,
  type PartRestorer,
  SECTION_BYTES_TARGET,
  type Section,
  type StatePart,
} from "../lib/state-part.ts";
import { indexTopic } from "./members.ts";
import { Group, GroupMember, type GroupsCapture, GroupsState, GroupTopic, Slot } from "./state.ts";

const SECTION_GROUPS = 20;
const ITEM = { counters: 0, group: 1, topic: 2, member: 3, slots: 4 } as const;
/** A run of slots that fits into a section. */
const SLOTS_PER_ITEM = 1_000;

export const groupsPart: StatePart<GroupsState> = {
  tags: [SECTION_GROUPS],
  empty: () => new GroupsState(),
  capture: (state) => (state.isEmpty ? [][Symbol.iterator]() : new Capture(state)),
  restorer: () => new Restorer(),
  digest(state, sink) {
    writeCounters(sink.writer, state);
    for (const group of state.byName.values()) writeGroup(group, sink);
  },
  counts: ({ leases, lastGeneration }) => [leases.size, lastGeneration],
};

function writeCounters(writer: ByteWriter, state: GroupsState): void {
  writer.u8(ITEM.counters);
  writer.varint(state.lastGroupId);
  writer.varint(state.lastMemberId);
  writer.varint(state.lastGeneration);
}

function writeGroup(group: Group, sink: DigestSink): void {
  const { writer } = sink;
  writer.u8(ITEM.group);
  writer.varint(group.id);
  writer.text(group.name);
  const topics = [...group.topics.values()];
  for (const topic of topics) {
    writer.u8(ITEM.topic);
    writer.text(topic.name);
    writer.varint(topic.topicId);
    writer.varint(topic.slots.length);
    sink.flush();
  }
  const topicNumbers = new Map(topics.map((topic, i) => [topic, i]));
  for (const member of group.members.values()) {
    writer.u8(ITEM.member);
    writer.varint(member.id);
    writer.text(member.name);
    writer.varint(member.leaseMs);
    writer.varint(member.dueAt);
    writer.varint(member.topics.length);
    for (const topic of member.topics) writer.varint(topicNumbers.get(topic) ?? 0);
    sink.flush();
  }
  const memberNumbers = new Map([...group.members.values()].map((member, i) => [member, i + 1]));
  topics.forEach((topic, number) => {
    writeSlots(topic, number, memberNumbers, sink);
  });
}

/** Members are written as their number from 1; 0 is nobody. */
function writeSlots(
  { slots }: GroupTopic,
  topicNumber: number,
  numbers: ReadonlyMap<GroupMember, number>,
  sink: DigestSink,
): void {
  const { writer } = sink;
  const numberOf = (member: GroupMember | null): number =>
    member === null ? 0 : (numbers.get(member) ?? 0);
  for (let first = 0; first < slots.length; first += SLOTS_PER_ITEM) {
    const run = slots.slice(first, first + SLOTS_PER_ITEM);
    writer.u8(ITEM.slots);
    writer.varint(topicNumber);
    writer.varint(first);
    writer.varint(run.length);
    for (const { owner, target, generation } of run) {
      writer.varint(numberOf(owner));
      writer.varint(numberOf(target));
      writer.varint(generation);
    }
    sink.flush();
  }
}

/** Encodes one group after the other, and each at the latest right before it changes. */
class Capture implements Iterator<Section>, GroupsCapture {
  readonly #state: GroupsState;
  readonly #pending: Set<Group>;
  readonly #ready: Section[] = [];
  readonly #writer = new ByteWriter(SECTION_BYTES_TARGET);
  readonly #sink: DigestSink = {
    writer: this.#writer,
    flush: () => {
      if (this.#writer.length >= SECTION_BYTES_TARGET) this.#cut();
    },
  };

  constructor(state: GroupsState) {
    this.#state = state;
    this.#pending = new Set(state.byName.values());
    writeCounters(this.#writer, state);
    if (this.#pending.size > 0) state.captures.add(this);
  }

  changing(group: Group): void {
    if (!this.#pending.delete(group)) return;
    if (this.#pending.size === 0) this.#state.captures.delete(this);
    writeGroup(group, this.#sink);
    this.#sink.flush();
  }

  next(): IteratorResult<Section> {
    while (this.#ready.length === 0) {
      const [group] = this.#pending;
      if (group !== undefined) this.changing(group);
      else if (this.#writer.length > 0) this.#cut();
      else return { done: true, value: undefined };
    }
    return { done: false, value: this.#ready.shift() as Section };
  }

  /** Nobody takes the rest. */
  return(): IteratorResult<Section> {
    this.#pending.clear();
    this.#state.captures.delete(this);
    return { done: true, value: undefined };
  }

  #cut(): void {
    this.#ready.push({ tag: SECTION_GROUPS, body: this.#writer.take() });
    this.#writer.clear();
  }
}

/** Groups may be captured in any order, since those that change are encoded first. */
class Restorer implements PartRestorer<GroupsState> {
  readonly #state = new GroupsState();
  readonly #groups: Group[] = [];
  #hasCounters = false;

  section(_tag: number, body: ByteReader): void {
    while (body.remaining > 0) this.#item(body.u8(), body);
  }

  finish(): GroupsState {
    const state = this.#state;
    this.#groups.sort((a, b) => a.id - b.id);
    for (const group of this.#groups) {
      check(!state.byName.has(group.name), "two groups have one name");
      check(group.id <= state.lastGroupId, "a group has an id that was not given yet");
      state.byName.set(group.name, group);
      for (const topic of group.topics.values()) {
        indexTopic(state, group, topic.name);
        state.slotCount += topic.slots.length;
        for (const slot of topic.slots) this.#check(slot);
      }
      for (const member of group.members.values()) this.#add(group, member);
    }
    check(new Set(this.#groups.map(({ id }) => id)).size === this.#groups.length, "ids repeat");
    return state;
  }

  #item(kind: number, body: ByteReader): void {
    if (kind === ITEM.counters) this.#counters(body);
    else if (kind === ITEM.group) this.#groups.push(new Group(body.varint(), body.text()));
    else if (kind === ITEM.topic) readTopic(this.#current(), body);
    else if (kind === ITEM.member) readMember(this.#current(), body);
    else if (kind === ITEM.slots) readSlots(this.#current(), body);
    else throw new DecodeError(`item ${kind} of the groups is unknown`);
  }

  #counters(body: ByteReader): void {
    check(!this.#hasCounters, "the counters of the groups repeat");
    this.#hasCounters = true;
    this.#state.lastGroupId = body.varint();
    this.#state.lastMemberId = body.varint();
    this.#state.lastGeneration = body.varint();
  }

  #current(): Group {
    const group = this.#groups[this.#groups.length - 1];
    if (group === undefined) throw new DecodeError("an item belongs to no group");
    return group;
  }

  #check({ owner, target, generation }: Slot): void {
    check(generation <= this.#state.lastGeneration, "a generation was not given yet");
    check(owner !== null || target === null, "a free partition is about to go to a member");
    check(owner === null || generation > 0, "an owned partition has no generation");
  }

  #add(group: Group, member: GroupMember): void {
    check(member.id <= this.#state.lastMemberId, "a member has an id that was not given yet");
    this.#state.leases.set(member, member.dueAt);
    member.owned = [...group.topics.values()].flatMap(({ slots }) =>
      slots.filter(({ owner }) => owner === member),
    );
  }
}

function readTopic(group: Group, body: ByteReader): void {
  const topic = new GroupTopic(body.text());
  check(!group.topics.has(topic.name), "a group has a topic twice");
  topic.topicId = body.varint();
  const count = body.varint();
  check(topic.topicId > 0 === count > 0, "a topic that exists has partitions");
  check(count <= 1_000_000, "a topic has too many partitions");
  topic.slots = Array.from({ length: count }, (_, partition) => new Slot(topic, partition));
  group.topics.set(topic.name, topic);
}

function readMember(group: Group, body: ByteReader): void {
  const all = [...group.topics.values()];
  const id = body.varint();
  const name = body.text();
  const leaseMs = body.varint();
  const dueAt = body.varint();
  const topics = new Set<GroupTopic>();
  const count = body.varint();
  for (let i = 0; i < count; i++) {
    const topic = all[body.varint()];
    if (topic === undefined) throw new DecodeError("a member has a topic that its group has not");
    topics.add(topic);
  }
  check(topics.size === count, "a member has a topic twice");
  check(!group.members.has(name), "a group has a member twice");
  const member = new GroupMember(group, id, name, leaseMs, [...topics]);
  member.dueAt = dueAt;
  group.members.set(name, member);
}

function readSlots(group: Group, body: ByteReader): void {
  const topic = [...group.topics.values()][body.varint()];
  const members = [...group.members.values()];
  const memberOf = (number: number): GroupMember | null => {
    if (number === 0) return null;
    const member = members[number - 1];
    if (member === undefined) throw new DecodeError("a partition has an unknown owner");
    return member;
  };
  const first = body.varint();
  const count = body.varint();
  for (let i = 0; i < count; i++) {
    const slot = topic?.slots[first + i];
    if (slot === undefined) throw new DecodeError("a group has a partition that does not exist");
    slot.owner = memberOf(body.varint());
    slot.target = memberOf(body.varint());
    slot.generation = body.varint();
  }
}
