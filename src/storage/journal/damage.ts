import type { LogIndex } from "../../raft/types.ts";

/** An entry of the log: where it ends there, or ended once. */
export type LogEnd = { readonly index: number; readonly term: number };

export type Damage = {
  readonly file: string;
  readonly position: number;
  /** First entry that cannot be read. */
  readonly from: LogIndex;
  /** Last entry that is known to have been durable; those from `from` to here are wanted from peers. */
  readonly to: LogIndex;
  readonly reason: string;
};

/**
 * The journal holds less than was once durable in it. Nothing was changed. Cutting here would
 * forget entries that may have been acknowledged, so the node must not go on with a shorter log.
 */
export class JournalDamaged extends Error {
  override readonly name = "JournalDamaged";
  readonly damage: Damage;
  /** The entry at the damaged place, where its header can still be told and nothing else says so. */
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

/** Written by another version or for another node; reading it would be guessing. */
export class JournalUnsupported extends Error {
  override readonly name = "JournalUnsupported";
}
