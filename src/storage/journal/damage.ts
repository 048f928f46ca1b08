import type { LogIndex } from "../../raft/types.ts";

/** A position of the log: its current or a former end. */
export type LogEnd = { readonly index: number; readonly term: number };

export type Damage = {
  readonly file: string;
  readonly position: number;
  /** The first entry that cannot be read. */
  readonly from: LogIndex;
  /**
   * The last entry that is known to have been durable. Entries from `from` to this one are needed
   * from peers.
   */
  readonly to: LogIndex;
  readonly reason: string;
};

/**
 * Thrown if the journal holds less than was once durable in it. Nothing was changed. Cutting the
 * journal here would lose entries that may have been acknowledged, so the node must not continue
 * with a shorter log.
 */
export class JournalDamaged extends Error {
  override readonly name = "JournalDamaged";
  readonly damage: Damage;
  /**
   * The entry at the damaged position, if its header is readable and is the only evidence of the
   * entry.
   */
  readonly held: LogEnd | null;

  constructor(damage: Damage, held: LogEnd | null = null) {
    const { file, position, from, to, reason } = damage;
    super(
      `journal damaged: ${file} at byte ${position}: ${reason}; entries ${from} to ${to} were ` +
        "durable and cannot all be read. Nothing was changed. Restore this file from a copy, or " +
        "replace this node's data directory and let it catch up from its peers",
    );
    this.damage = damage;
    this.held = held;
  }
}

/** Thrown if another version wrote the journal, or if it belongs to another node. */
export class JournalUnsupported extends Error {
  override readonly name = "JournalUnsupported";
}
