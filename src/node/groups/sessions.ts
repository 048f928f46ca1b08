import type { GroupMember } from "../../groups/state.ts";

/** A read of a member that has not been answered yet. */
export type OpenRead = { readonly wake: () => void };

type Session = {
  /** The newest read. An older one is answered without records, since its client may be gone. */
  read: OpenRead | null;
  /** Number of changes of the member's partitions, and how many of them were answered. */
  changes: number;
  answered: number;
  /** The partition with which the next page begins, so that none has to wait for the others. */
  first: number;
};

/** The reads of members on this node. */
export class Sessions {
  readonly #byMember = new Map<GroupMember, Session>();

  of(member: GroupMember): Session {
    const present = this.#byMember.get(member);
    if (present !== undefined) return present;
    const session = { read: null, changes: 1, answered: 0, first: 0 };
    this.#byMember.set(member, session);
    return session;
  }

  /** The partitions of the member changed, or it is not a member any more. */
  changed(member: GroupMember): void {
    const session = this.#byMember.get(member);
    if (session === undefined) return;
    session.changes++;
    session.read?.wake();
    const isMember = member.group.members.get(member.name) === member;
    if (!isMember) this.#byMember.delete(member);
  }

  /** Called when this node becomes leader, stops to be it, or replaces its state. */
  reset(): void {
    const sessions = [...this.#byMember.values()];
    this.#byMember.clear();
    for (const { read } of sessions) read?.wake();
  }
}
