import type { Idempotency } from "../../../src/broker/idempotency.ts";
import type { PartitionState, TopicState } from "../../../src/broker/state.ts";
import type { GroupMember } from "../../../src/groups/state.ts";
import { ByteWriter, utf8 } from "../../../src/lib/bytes.ts";
import { sha256 } from "../../../src/lib/digest.ts";
import type { Millis, NodeId } from "../../../src/lib/ids.ts";
import { LEVEL_KNOWN } from "../../../src/lib/log-levels.ts";
import { closeEntry, encodeCommand, openEntry } from "../../../src/machine/command-codec.ts";
import type { AnyKind, Command, CommandResult } from "../../../src/machine/commands.ts";
import { type Effects, Machine } from "../../../src/machine/machine.ts";
import type { PutMember } from "../../../src/machine/members.ts";
import type { Checksum } from "../../../src/machine/state-checksum.ts";
import type { Offset } from "../../../src/record/offset.ts";
import type { Random } from "../random.ts";

export const ms = (value: number): Millis => value as Millis;
export const offset = (value: number): Offset => value as Offset;

export function entryOf(at: number, ...commands: Command[]): Uint8Array {
  const writer = new ByteWriter();
  const start = openEntry(writer);
  for (const command of commands) encodeCommand(writer, command);
  closeEntry(writer, start, ms(at), commands.length);
  return writer.take();
}

/** Tells what effects a machine had, one line each. */
export class RecordedEffects implements Effects {
  readonly lines: string[] = [];
  readonly results: CommandResult[] = [];

  result(position: number, result: CommandResult, _kind: AnyKind): void {
    if (position !== this.results.length) throw new Error("results come in order");
    this.results.push(result);
  }
  append(
    partition: PartitionState,
    batches: Uint8Array,
    baseOffset: Offset,
    timestampMs: Millis,
    count: number,
    logicalBytes: number,
  ): void {
    const { topicId, partition: number } = partition;
    const numbers = `${baseOffset}+${count} at ${timestampMs}, ${logicalBytes} bytes`;
    this.lines.push(`append ${topicId}/${number} ${numbers}: ${Buffer.from(batches)}`);
  }
  trimmed(partition: PartitionState): void {
    this.lines.push(`trim ${partition.topicId}/${partition.partition} ${partition.lowWatermark}`);
  }
  topicCreated(topic: TopicState): void {
    this.lines.push(`create ${topic.topicId} ${topic.name} ${topic.partitions.length}`);
  }
  topicDeleted(topic: TopicState): void {
    this.lines.push(`delete ${topic.topicId} ${topic.name}`);
  }
  streamChanged(partition: PartitionState): void {
    this.lines.push(`changed ${partition.topicId}`);
  }
  membersChanged(): void {
    this.lines.push("members");
  }
  groupMemberChanged({ group, name, owned }: GroupMember): void {
    const slots = owned.map(({ topic, partition }) => `${topic.name}/${partition}`);
    this.lines.push(`member ${group.name}/${name} ${slots.join(" ")}`);
  }
  checksum({ index, digest }: Checksum): void {
    this.lines.push(`checksum ${index} ${digest}`);
  }
}

/** A machine with a clock that its commands are stamped with. */
export class Bench {
  readonly machine: Machine;
  at: number;
  readonly lines: string[] = [];

  constructor(machine = new Machine(), at = 1_000) {
    this.machine = machine;
    this.at = at;
  }

  /** The result of one command in an entry of its own. */
  do(command: Command): CommandResult {
    const effects = new RecordedEffects();
    this.machine.apply(entryOf(this.at, command), effects);
    this.lines.push(...effects.lines);
    const [result] = effects.results;
    if (result === undefined) throw new Error("a command has a result");
    return result;
  }

  createTopic(name: string, partitions: number): CommandResult {
    return this.do({ type: "create_topic", name, partitions });
  }

  produce(options: Partial<ProduceOptions> = {}): CommandResult {
    return this.do(produceOf(options));
  }

  partition(topic: string, number = 0): PartitionState {
    const found = this.machine.broker.topicsByName.get(topic)?.partitions[number];
    if (found === undefined) throw new Error(`no partition ${topic}/${number}`);
    return found;
  }
}

export type ProduceOptions = {
  topicId: number;
  partition: number;
  count: number;
  logicalBytes: number;
  key: string | null;
  payload: string;
};

export function produceOf(options: Partial<ProduceOptions> = {}): Command {
  const { topicId = 1, partition = 0, count = 1, logicalBytes = 10, key = null } = options;
  const payload = options.payload ?? "payload";
  return {
    type: "produce",
    topicId,
    partition,
    idempotency: key === null ? null : identityOf(key, payload),
    count,
    logicalBytes,
    batches: utf8(payload),
  };
}

export const identityOf = (key: string, payload: string): Idempotency => ({
  keyDigest: sha256(key, 16),
  payloadDigest: sha256(payload, 8),
});

const maybe = (random: Random, limit: number): number | null =>
  random.below(2) === 0 ? null : random.below(limit);

const topicOf = (random: Random): string => `t${random.below(6)}`;
const place = (random: Random) => ({ topicId: 1 + random.below(6), partition: random.below(3) });
const keyOf = (random: Random) => ({
  namespace: `n${random.below(3)}`,
  key: utf8(randomKey(random)),
  cas: random.below(4) === 0 ? random.below(20) : null,
});

/** Small ranges of names and numbers, so that commands meet. Common ones come more than once. */
const MAKERS: readonly ((random: Random) => Command)[] = [
  (random) => ({ type: "create_topic", name: topicOf(random), partitions: 1 + random.below(3) }),
  randomProduce,
  randomProduce,
  randomProduce,
  randomProduce,
  randomSequenced,
  randomSequenced,
  randomForget,
  randomCommit,
  randomCommit,
  (random) => ({
    type: random.below(2) === 0 ? "delete_before" : "trim",
    ...place(random),
    beforeOffset: offset(random.below(40)),
    bytesBefore: random.below(4000),
    policyRevision: random.below(8),
  }),
  (random) => ({
    type: "set_retention",
    topic: random.below(3) === 0 ? "*" : topicOf(random),
    partition: maybe(random, 4),
    ttlMs: maybe(random, 3),
    maxBytes: maybe(random, 3000),
  }),
  randomRare,
  (random) => ({ type: "kv_delete", ...keyOf(random) }),
  randomPut,
  randomPut,
  randomJoin,
  randomGroupCommand,
];

/** Any command. */
export const randomCommand = (random: Random): Command => random.pick(MAKERS)(random);

function randomProduce(random: Random): Command {
  return produceOf({
    ...place(random),
    count: 1 + random.below(5),
    logicalBytes: random.below(1000),
    key: random.below(4) === 0 ? null : `k${random.below(200)}`,
    payload: `p${random.below(3)}`,
  });
}

/** A few producers, whose next numbers are often hit. */
function randomSequenced(random: Random): Command {
  return {
    type: "produce_sequenced",
    ...place(random),
    sequence: {
      id: random.pick(["p", "q", "__proto__", "ä".repeat(64)]),
      epoch: random.below(3),
      seq: random.below(3),
      payload: random.below(2),
    },
    producersMax: 1 + random.below(12),
    count: 1 + random.below(5),
    logicalBytes: random.below(1000),
    batches: utf8("payload"),
  };
}

function randomForget(random: Random): Command {
  const id = random.pick(["p", "q", "__proto__"]);
  return { type: "forget_producer", topicId: 1 + random.below(6), id };
}

function randomCommit(random: Random): Command {
  const group = random.pick(["g", "h", "__proto__", "constructor"]);
  return { type: "commit_offset", ...place(random), group, offset: offset(random.below(60)) };
}

const groupMemberOf = (random: Random) => ({
  group: random.pick(["g", "h", "__proto__"]),
  member: random.pick(["a", "b", "c", "constructor"]),
});

const slotOf = (random: Random) => ({ ...place(random), generation: random.below(30) });

function listOf<T>(random: Random, below: number, make: (random: Random) => T): T[] {
  return Array.from({ length: random.below(below) }, () => make(random));
}

function randomJoin(random: Random): Command {
  const topics = [...new Set(listOf(random, 4, topicOf))];
  const leaseMs = 1_000 * (1 + random.below(100));
  return { type: "join_group", ...groupMemberOf(random), leaseMs, topics };
}

function randomGroupCommand(random: Random): Command {
  const member = groupMemberOf(random);
  const released = listOf(random, 6, slotOf);
  switch (random.below(4)) {
    case 0:
      return { type: "leave_group", ...member };
    case 1:
      return { type: "renew_member", ...member, released };
    case 2: {
      const offsets = listOf(random, 6, (from) => ({
        ...slotOf(from),
        offset: offset(from.below(60)),
      }));
      return { type: "commit_member", ...member, offsets, released };
    }
    default: {
      const targets = listOf(random, 4, (from) => ({
        ...place(from),
        to: from.pick(["earliest", "latest", offset(from.below(60))] as const),
      }));
      return { type: "seek_group", group: member.group, targets };
    }
  }
}

function randomPut(random: Random): Command {
  const value = utf8("v".repeat(random.below(40)));
  const ttlMs = random.below(3) === 0 ? 1 + random.below(100_000) : null;
  return { type: "kv_put", ...keyOf(random), value, ttlMs };
}

function randomRare(random: Random): Command {
  const kind = random.below(20);
  if (kind === 19) {
    const { namespace } = keyOf(random);
    return { type: "kv_delete_namespace", namespace, ifEmpty: random.below(2) === 0 };
  }
  if (kind > 16) return randomRetentionChange(random);
  if (kind === 16) return { type: "raise_level", level: random.below(LEVEL_KNOWN + 1) };
  if (kind === 15) return { type: "delete_group", group: random.pick(["g", "h", "__proto__"]) };
  if (kind === 14) return { type: "checksum", version: 1, index: random.u32(), digest: 7 };
  if (kind > 9) return randomView(random);
  if (kind === 8) return randomMember(random);
  if (kind === 9) return { type: "remove_member", id: `n${random.below(4)}` as NodeId };
  if (kind === 0) return { type: "delete_topic", name: topicOf(random) };
  if (kind > 2) return { type: "tick" };
  return {
    type: "configure",
    dedupeWindowMs: 1 + random.below(200_000),
    dedupeKeysMax: random.below(60),
    partitionsMax: 5 + random.below(10),
  };
}

function randomRetentionChange(random: Random): Command {
  const limit = () => random.pick(["keep", "inherit", random.below(3000)] as const);
  const topic = random.below(3) === 0 ? "*" : topicOf(random);
  const partition = maybe(random, 4);
  return { type: "change_retention", topic, partition, ttlMs: limit(), maxBytes: limit() };
}

function randomView(random: Random): Command {
  const name = random.pick(["v", "w", "__proto__"]);
  const kind = random.below(5);
  if (kind === 0) return { type: "delete_view", name };
  if (kind < 3) return { type: "put_view", name, query: `{"q":${random.below(2)}}` };
  const state = utf8("s".repeat(random.below(100)));
  return { type: "save_view", name, viewId: 1 + random.below(12), state };
}

function randomMember(random: Random): Command {
  const storageId = random.below(2) === 0 ? null : `disk-${random.below(3)}`;
  const member = memberOf(`n${random.below(4)}`, storageId);
  return { ...member, priority: random.below(3), resetStorageId: random.below(3) === 0 };
}

/** A `put_member` of a node on ports 7000 and 7001. */
export const memberOf = (id: string, storageId: string | null): PutMember => ({
  type: "put_member",
  id: id as NodeId,
  host: "10.0.0.1",
  raftPort: 7000,
  httpPort: 7001,
  priority: 5,
  storageId,
  resetStorageId: false,
});

function randomKey(random: Random): string {
  return `${random.pick(["", "a/", "ä/", "\u{1f600}", "\uffee"])}${random.below(150)}`;
}

/** Entries of a few random commands each, at times that now and then stand still or go back. */
export function randomEntries(random: Random, count: number): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 1_000;
  for (let i = 0; i < count; i++) {
    at += random.pick([0, 1, 50, 3_000, 20_000]);
    const commands: Command[] = [];
    for (let j = random.below(5); j >= 0; j--) commands.push(randomCommand(random));
    const skew = random.below(5) === 0 ? 700 : 0;
    entries.push(entryOf(at - skew, ...commands));
  }
  return entries;
}
