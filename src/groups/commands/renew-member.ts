import type { HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { LEVEL_SHARED_WORK } from "../../lib/log-levels.ts";
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
  type Slot,
} from "../state.ts";
import {
  decodeList,
  decodeSlotRef,
  encodeList,
  encodeSlotRef,
  resolve,
  type SlotRef,
} from "./slot-refs.ts";

export type RenewMember = {
  readonly type: "renew_member";
  readonly group: string;
  readonly member: string;
  /** Revoked partitions that the member gives up. */
  readonly released: readonly SlotRef[];
};

export type RenewMemberResult =
  | { readonly ok: true; readonly type: "renew_member"; readonly leaseUntilMs: number }
  | GroupRejected<"not_a_member">;

/** Starts the lease again. The partitions that the member gives up go to their next owners. */
export function applyRenewMember(
  state: HasBroker & HasGroups,
  { group, member, released }: RenewMember,
  effects: GroupEffects,
): RenewMemberResult {
  const found = findMember(state.parts.groups, group, member);
  if (found === undefined) return rejectedGroup("not_a_member");
  renewLease(state.parts.groups, found, state.now);
  release(state.parts.groups, found.group, givenUp(state, found, released), effects);
  return { ok: true, type: "renew_member", leaseUntilMs: found.dueAt };
}

/** The slots that the member owns in this generation and that are revoked. */
export function givenUp(
  { broker }: HasBroker,
  member: GroupMember,
  refs: readonly SlotRef[],
): Slot[] {
  const slots = new Set<Slot>();
  for (const ref of refs) {
    const { slot } = resolve(broker, member.group, ref);
    if (slot === undefined || slot.owner !== member) continue;
    if (slot.isRevoked && slot.generation === ref.generation) slots.add(slot);
  }
  return [...slots];
}

export const renewMember: LeveledKind<
  RenewMember,
  RenewMemberResult,
  HasBroker & HasGroups,
  GroupEffects
> = {
  type: "renew_member",
  tag: 42,
  level: LEVEL_SHARED_WORK,
  feature: SHARED_WORK,
  encode(body, { group, member, released }) {
    body.text(group);
    body.text(member);
    encodeList(body, released, encodeSlotRef);
  },
  decode: (body) => ({
    type: "renew_member",
    group: body.text(),
    member: body.text(),
    released: decodeList(body, decodeSlotRef),
  }),
  apply: (state, command, effects) => applyRenewMember(state, command, effects),
  summarize: ({ leaseUntilMs }, summary) => summary.numbers(leaseUntilMs, 0),
};
