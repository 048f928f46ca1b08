import {
  type CheckpointChoice,
  type CheckpointFact,
  chooseCheckpoint,
  type JournalReach,
} from "../../storage/checkpoints/choose.ts";
import type { CheckpointDamaged } from "../../storage/checkpoints/damaged.ts";

/** The facts from disk and settings on which recovery decides. */
export type ShardFacts = {
  /** False if both copies of term and vote are lost. */
  readonly hasHardState: boolean;
  /** Null: the disk does not tell. */
  readonly hasPeers: boolean | null;
  /** True if the settings name other nodes. */
  readonly namesPeers: boolean;
  /** Newest first, up to the first intact one. */
  readonly checkpoints: readonly CheckpointFact[];
  readonly journal: JournalReach;
  /** True if an entry after the newest checkpoint changes the membership. */
  readonly changesMembership: boolean;
};

/** Whether term and vote are used, created again, or missing. */
export type HardStateOutcome = "keep" | "renew" | "refuse";

/**
 * A sole voter is safe without its vote: it continues in a later term. A member of a cluster may have
 * voted, so it must not vote again in that term.
 */
export function decideHardState({
  hasHardState,
  hasPeers,
  changesMembership,
}: Pick<ShardFacts, "hasHardState" | "hasPeers" | "changesMembership">): HardStateOutcome {
  if (hasHardState) return "keep";
  return hasPeers === false && !changesMembership ? "renew" : "refuse";
}

export type StateOutcome =
  /** Recover from this checkpoint and the journal after it. */
  | Extract<CheckpointChoice, { kind: "use" }>
  /** Peers have everything. Abandon the journal: a snapshot replaces the state. */
  | { readonly kind: "fetch"; readonly damage: CheckpointDamaged }
  | { readonly kind: "refuse"; readonly damage: CheckpointDamaged };

/** The source of the recovered state. */
export function decideState({
  hasPeers,
  namesPeers,
  checkpoints,
  journal,
}: Pick<ShardFacts, "hasPeers" | "namesPeers" | "checkpoints" | "journal">): StateOutcome {
  const choice = chooseCheckpoint(checkpoints, journal);
  if (choice.kind === "use") return choice;
  return { kind: (hasPeers ?? namesPeers) ? "fetch" : "refuse", damage: choice.damage };
}
