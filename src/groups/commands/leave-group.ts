import type { LeveledKind } from "../../lib/command-kind.ts";
import { LEVEL_SHARED_WORK } from "../../lib/log-levels.ts";
import { SHARED_WORK } from "../level.ts";
import { removeMembers } from "../members.ts";
import {
  findMember,
  type GroupEffects,
  type GroupRejected,
  type HasGroups,
  rejectedGroup,
} from "../state.ts";

export type LeaveGroup = {
  readonly type: "leave_group";
  readonly group: string;
  readonly member: string;
};

export type LeaveGroupResult =
  | { readonly ok: true; readonly type: "leave_group" }
  | GroupRejected<"not_a_member">;

/** The partitions of the member go to the others at once. */
export function applyLeaveGroup(
  state: HasGroups,
  { group, member }: LeaveGroup,
  effects: GroupEffects,
): LeaveGroupResult {
  const found = findMember(state.parts.groups, group, member);
  if (found === undefined) return rejectedGroup("not_a_member");
  removeMembers(state.parts.groups, [found], effects);
  return { ok: true, type: "leave_group" };
}

export const leaveGroup: LeveledKind<LeaveGroup, LeaveGroupResult, HasGroups, GroupEffects> = {
  type: "leave_group",
  tag: 41,
  level: LEVEL_SHARED_WORK,
  feature: SHARED_WORK,
  encode(body, { group, member }) {
    body.text(group);
    body.text(member);
  },
  decode: (body) => ({ type: "leave_group", group: body.text(), member: body.text() }),
  apply: (state, command, effects) => applyLeaveGroup(state, command, effects),
};
