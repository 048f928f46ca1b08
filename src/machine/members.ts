/**
 * The addresses of the members, replicated so that every node knows them after a restart. The
 * voters are part of the Raft configuration and not known here.
 */

import { type CommandKind, knownFlags } from "../lib/command-kind.ts";
import type { NodeId } from "../lib/ids.ts";

/** Replaced, never changed: a snapshot may still refer to it. */
export type MemberRecord = {
  readonly id: NodeId;
  readonly host: string;
  readonly raftPort: number;
  readonly httpPort: number;
  /** Higher is preferred as leader. */
  readonly priority: number;
  /** Storage id of the member's disk; null if it has not been seen yet. */
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
  /** False if the record was equal already. */
  readonly changed: boolean;
};

export type RemoveMember = { readonly type: "remove_member"; readonly id: NodeId };

export type RemoveMemberResult = {
  readonly ok: true;
  readonly type: "remove_member";
  readonly removed: boolean;
};

export interface MemberEffects {
  /** Called when the addresses have changed. */
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
  // The first storage id is kept, because two may be announced before either is recorded.
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

/** Members sorted by id. */
export const sortedMembers = (members: ReadonlyMap<NodeId, MemberRecord>): MemberRecord[] =>
  [...members.values()].sort((a, b) => (a.id < b.id ? -1 : 1));

const isSame = (a: MemberRecord, b: MemberRecord): boolean =>
  a.host === b.host &&
  a.raftPort === b.raftPort &&
  a.httpPort === b.httpPort &&
  a.priority === b.priority &&
  a.storageId === b.storageId;

type HasMembers = { readonly members: MemberMap };

const HAS_STORAGE_ID = 1;
const RESET_STORAGE_ID = 2;

export const putMember: CommandKind<PutMember, PutMemberResult, HasMembers, MemberEffects> = {
  type: "put_member",
  tag: 12,
  encode(body, { id, host, raftPort, httpPort, priority, storageId, resetStorageId }) {
    body.text(id);
    body.text(host);
    body.varint(raftPort);
    body.varint(httpPort);
    body.varint(priority);
    body.u8((storageId === null ? 0 : HAS_STORAGE_ID) | (resetStorageId ? RESET_STORAGE_ID : 0));
    if (storageId !== null) body.text(storageId);
  },
  decode(body) {
    const id = body.text() as NodeId;
    const host = body.text();
    const raftPort = body.varint();
    const httpPort = body.varint();
    const priority = body.varint();
    const flags = knownFlags(body.u8(), HAS_STORAGE_ID | RESET_STORAGE_ID);
    const storageId = (flags & HAS_STORAGE_ID) === 0 ? null : body.text();
    const resetStorageId = (flags & RESET_STORAGE_ID) !== 0;
    const address = { id, host, raftPort, httpPort, priority };
    return { type: "put_member", ...address, storageId, resetStorageId };
  },
  apply: ({ members }, command, effects) => applyPutMember(members, command, effects),
};

export const removeMember: CommandKind<
  RemoveMember,
  RemoveMemberResult,
  HasMembers,
  MemberEffects
> = {
  type: "remove_member",
  tag: 13,
  encode: (body, { id }) => body.text(id),
  decode: (body) => ({ type: "remove_member", id: body.text() as NodeId }),
  apply: ({ members }, command, effects) => applyRemoveMember(members, command, effects),
};
