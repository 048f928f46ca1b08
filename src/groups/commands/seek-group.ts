import { feature as faultPoint } from "bun:bundle";
import { setCommitted } from "../../broker/groups.ts";
import { findPartition, type HasBroker, type PartitionState } from "../../broker/state.ts";
import { type ByteReader, type ByteWriter, DecodeError } from "../../lib/bytes.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { LEVEL_SHARED_WORK } from "../../lib/log-levels.ts";
import type { Offset } from "../../record/offset.ts";
import { SHARED_WORK } from "../level.ts";
import {
  changing,
  type GroupEffects,
  type GroupMember,
  type GroupRejected,
  type HasGroups,
  rejectedGroup,
} from "../state.ts";
import { decodeList, encodeList, resolve } from "./slot-refs.ts";

/** The first retained record, the end at the time of the command, or an offset. */
export type SeekTo = "earliest" | "latest" | Offset;

export type SeekTarget = {
  readonly topicId: number;
  readonly partition: number;
  readonly to: SeekTo;
};

export type SeekGroup = {
  readonly type: "seek_group";
  readonly group: string;
  readonly targets: readonly SeekTarget[];
};

export type SeekGroupResult =
  | {
      readonly ok: true;
      readonly type: "seek_group";
      /** The committed offset of each target, in the same order; null if it was deleted meanwhile. */
      readonly offsets: readonly (Offset | null)[];
    }
  | GroupRejected<"group_not_found">;

/**
 * Sets committed offsets, forwards or back. Partitions with an owner get a new generation, so that a
 * commit of what was read before does not undo it.
 */
export function applySeekGroup(
  { broker, parts: { groups } }: HasBroker & HasGroups,
  { group: name, targets }: SeekGroup,
  effects: GroupEffects,
): SeekGroupResult {
  const group = groups.byName.get(name);
  if (group === undefined && !broker.groups.has(name)) return rejectedGroup("group_not_found");
  if (group !== undefined) changing(groups, group);
  const generation = groups.lastGeneration + 1;
  const changed = new Set<GroupMember>();
  const offsets = targets.map((target) => {
    const state = findPartition(broker, target.topicId, target.partition);
    if (state === undefined) return null;
    const offset = offsetOf(state, target.to);
    setCommitted(broker, state, name, offset);
    const slot = group === undefined ? undefined : resolve(broker, group, target).slot;
    if (slot === undefined || slot.owner === null) return offset;
    if (faultPoint("group-seek-keeps-generation")) return offset;
    slot.generation = generation;
    groups.lastGeneration = generation;
    changed.add(slot.owner);
    return offset;
  });
  for (const member of changed) effects.groupMemberChanged(member);
  return { ok: true, type: "seek_group", offsets };
}

function offsetOf({ lowWatermark, endOffset }: PartitionState, to: SeekTo): Offset {
  if (to === "earliest") return lowWatermark;
  if (to === "latest") return endOffset;
  return Math.min(Math.max(to, lowWatermark), endOffset) as Offset;
}

const KIND = { offset: 0, earliest: 1, latest: 2 } as const;

function encodeTarget(body: ByteWriter, { topicId, partition, to }: SeekTarget): void {
  body.varint(topicId);
  body.varint(partition);
  body.u8(typeof to === "string" ? KIND[to] : KIND.offset);
  if (typeof to !== "string") body.varint(to);
}

function decodeTarget(body: ByteReader): SeekTarget {
  const topicId = body.varint();
  const partition = body.varint();
  const kind = body.u8();
  if (kind === KIND.earliest) return { topicId, partition, to: "earliest" };
  if (kind === KIND.latest) return { topicId, partition, to: "latest" };
  if (kind !== KIND.offset) throw new DecodeError(`seek of the unknown kind ${kind}`);
  return { topicId, partition, to: body.varint() as Offset };
}

export const seekGroup: LeveledKind<
  SeekGroup,
  SeekGroupResult,
  HasBroker & HasGroups,
  GroupEffects
> = {
  type: "seek_group",
  tag: 44,
  level: LEVEL_SHARED_WORK,
  feature: SHARED_WORK,
  encode(body, { group, targets }) {
    body.text(group);
    encodeList(body, targets, encodeTarget);
  },
  decode: (body) => ({
    type: "seek_group",
    group: body.text(),
    targets: decodeList(body, decodeTarget),
  }),
  apply: (state, command, effects) => applySeekGroup(state, command, effects),
  summarize: ({ offsets }, summary) => {
    for (const offset of offsets) summary.numbers(offset ?? 0, offset === null ? 1 : 0);
  },
};
