/**
 * The directory of the cluster: where each node is reached, replicated so that every node knows it
 * after a restart. Who votes is Raft's business; here a member is data.
 */
import type { NodeId } from "../lib/ids.ts";

/** Replaced, never changed: a snapshot may still refer to it. */
export type MemberRecord = {
  readonly id: NodeId;
  readonly host: string;
  readonly raftPort: number;
  readonly httpPort: number;
  /** Higher is preferred as leader. */
  readonly priority: number;
  /** Of the disk under which the node is a member; null: not seen yet. */
  readonly storageId: string | null;
};

export type MemberMap = Map<NodeId, MemberRecord>;

export type PutMember = MemberRecord & {
  readonly type: "put_member";
  /** `storageId: null` then forgets the recorded one, which it keeps otherwise. */
  readonly resetStorageId: boolean;
};

export type PutMemberResult = {
  readonly ok: true;
  readonly type: "put_member";
  /** False: the record was like this already. */
  readonly changed: boolean;
};

export type RemoveMember = { readonly type: "remove_member"; readonly id: NodeId };

export type RemoveMemberResult = {
  readonly ok: true;
  readonly type: "remove_member";
  readonly removed: boolean;
};

export interface MemberEffects {
  /** The directory is another one now. */
  membersChanged(): void;
}

export function applyPutMember(
  members: MemberMap,
  command: PutMember,
  effects: MemberEffects,
): PutMemberResult {
  const { id, host, raftPort, httpPort, priority, resetStorageId } = command;
  const before = members.get(id);
  const recorded = resetStorageId ? null : (before?.storageId ?? null);
  // The first disk that was met stays: two may be met at the same time, before either is recorded.
  const storageId = recorded ?? command.storageId;
  const member: MemberRecord = { id, host, raftPort, httpPort, priority, storageId };
  const changed = before === undefined || !isSame(before, member);
  if (changed) {
    members.set(id, member);
    effects.membersChanged();
  }
  return { ok: true, type: "put_member", changed };
}

export function applyRemoveMember(
  members: MemberMap,
  { id }: RemoveMember,
  effects: MemberEffects,
): RemoveMemberResult {
  const removed = members.delete(id);
  if (removed) effects.membersChanged();
  return { ok: true, type: "remove_member", removed };
}

/** By id, whatever the order in which they came. */
export const sortedMembers = (members: ReadonlyMap<NodeId, MemberRecord>): MemberRecord[] =>
  [...members.values()].sort((a, b) => (a.id < b.id ? -1 : 1));

const isSame = (a: MemberRecord, b: MemberRecord): boolean =>
  a.host === b.host &&
  a.raftPort === b.raftPort &&
  a.httpPort === b.httpPort &&
  a.priority === b.priority &&
  a.storageId === b.storageId;
