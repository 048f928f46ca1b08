import type { GroupMember } from "../../groups/state.ts";

/** A read of a member that has not been answered yet. */
export type OpenRead = { readonly wake: () => void };

/** How far this node has applied the log. */
export type Applied = { readonly appliedIndex: number };

type Session = {
  /** The newest read. An older one is answered without records, since its client may be gone. */
  read: OpenRead | null;
  /** Number of changes of the member's partitions, and how many of them were answered. */
  changes: number;
  answered: number;
  /** The joins of the member that were applied when this node looked last, and an index behind them. */
  joins: number;
  joinedIndex: number;
  /** The partition with which the next page begins, so that none has to wait for the others. */
  first: number;
};

/** The reads of members on this node. */
export class Sessions {
  readonly #byMember = new Map<GroupMember, Session>();
  readonly #core: Applied;

  constructor(core: Applied) {
    this.#core = core;
  }

  of(member: GroupMember): Session {
    const present = this.#byMember.get(member);
    if (present !== undefined) return present;
    const { appliedIndex: joinedIndex } = this.#core;
    const session = {
      read: null,
      changes: 1,
      answered: 0,
      joins: member.joins,
      joinedIndex,
      first: 0,
    };
    this.#byMember.set(member, session);
    return session;
  }

  /**
   * Returns an index at which the last join of the member was applied, or one behind it. A read that
   * came to a node which had not applied it may be one that the member has given up: it joins again
   * after a read without an answer, and gets the records of that read once more.
   */
  joinedIndex(member: GroupMember): number {
    const session = this.of(member);
    if (session.joins !== member.joins) {
      session.joins = member.joins;
      session.joinedIndex = this.#core.appliedIndex;
    }
    return session.joinedIndex;
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
