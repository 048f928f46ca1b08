import { feature as faultPoint } from "bun:bundle";
import { setCommitted } from "../../broker/groups.ts";
import type { HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { LEVEL_SHARED_WORK } from "../../lib/log-levels.ts";
import type { Offset } from "../../record/offset.ts";
import { SHARED_WORK } from "../level.ts";
import { renewLease } from "../members.ts";
import { release } from "../rebalance.ts";
import {
  findMember,
  type GroupEffects,
  type GroupMember,
  type GroupRejected,
  type HasGroups,
  rejectedGroup,
} from "../state.ts";
import { givenUp } from "./renew-member.ts";
import {
  decodeList,
  decodeSlotRef,
  encodeList,
  encodeSlotRef,
  resolve,
  type SlotRef,
} from "./slot-refs.ts";

export type MemberOffset = SlotRef & {
  /** The next offset to read. */
  readonly offset: Offset;
};

export type CommitMember = {
  readonly type: "commit_member";
  readonly group: string;
  readonly member: string;
  readonly offsets: readonly MemberOffset[];
  /** Revoked partitions that the member gives up with this commit. */
  readonly released: readonly SlotRef[];
};

export type MemberCommitted =
  | { readonly ok: true; readonly committedOffset: Offset; readonly clamped: boolean }
  /** @property owner null if no member owns the partition. */
  | { readonly ok: false; readonly owner: string | null };

export type CommitMemberResult =
  | {
      readonly ok: true;
      readonly type: "commit_member";
      readonly leaseUntilMs: number;
      /** One for each offset, in the same order. */
      readonly results: readonly MemberCommitted[];
    }
  | GroupRejected<"not_a_member">;

/** Commits of partitions that the member owns in the same generation count. All others do nothing. */
export function applyCommitMember(
  state: HasBroker & HasGroups,
  { group, member, offsets, released }: CommitMember,
  effects: GroupEffects,
): CommitMemberResult {
  const found = findMember(state.parts.groups, group, member);
  if (found === undefined) return rejectedGroup("not_a_member");
  renewLease(state.parts.groups, found, state.now);
  const results = offsets.map((offset) => commitOne(state, found, offset));
  release(state.parts.groups, found.group, givenUp(state, found, released), effects);
  return { ok: true, type: "commit_member", leaseUntilMs: found.dueAt, results };
}

function commitOne(
  { broker }: HasBroker,
  member: GroupMember,
  commit: MemberOffset,
): MemberCommitted {
  const { state, slot } = resolve(broker, member.group, commit);
  if (state === undefined || slot === undefined) return { ok: false, owner: null };
  const isCurrent = faultPoint("group-old-generation-commits")
    ? true
    : slot.generation === commit.generation;
  const isOwner = slot.owner === member && isCurrent;
  if (!isOwner && !faultPoint("group-commit-not-fenced")) {
    return { ok: false, owner: slot.owner?.name ?? null };
  }
  const { endOffset } = state;
  const clamped = commit.offset > endOffset;
  const offset = clamped ? endOffset : commit.offset;
  const before = state.committed.get(member.group.name);
  if (before !== undefined && offset <= before) {
    return { ok: true, committedOffset: before, clamped };
  }
  setCommitted(broker, state, member.group.name, offset);
  return { ok: true, committedOffset: offset, clamped };
}

export const commitMember: LeveledKind<
  CommitMember,
  CommitMemberResult,
  HasBroker & HasGroups,
  GroupEffects
> = {
  type: "commit_member",
  tag: 43,
  level: LEVEL_SHARED_WORK,
  feature: SHARED_WORK,
  encode(body, { group, member, offsets, released }) {
    body.text(group);
    body.text(member);
    encodeList(body, offsets, (to, offset) => {
      encodeSlotRef(to, offset);
      to.varint(offset.offset);
    });
    encodeList(body, released, encodeSlotRef);
  },
  decode: (body) => ({
    type: "commit_member",
    group: body.text(),
    member: body.text(),
    offsets: decodeList(body, (from) => ({
      ...decodeSlotRef(from),
      offset: from.varint() as Offset,
    })),
    released: decodeList(body, decodeSlotRef),
  }),
  apply: (state, command, effects) => applyCommitMember(state, command, effects),
  summarize: ({ leaseUntilMs, results }, summary) => {
    summary.numbers(leaseUntilMs, results.length);
    for (const result of results) {
      summary.flag(result.ok);
      if (result.ok) summary.numbers(result.committedOffset, 0);
    }
  },
};
