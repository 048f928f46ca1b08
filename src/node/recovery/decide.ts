import {
  type CheckpointChoice,
  type CheckpointFact,
  chooseCheckpoint,
  type JournalReach,
} from "../../storage/checkpoints/choose.ts";
import type { CheckpointDamaged } from "../../storage/checkpoints/damaged.ts";

/** What a start knows of its disk and of its settings. */
export type ShardFacts = {
  /** Term and vote, or false if both copies are lost. */
  readonly hasHardState: boolean;
  /** Null: not known from the disk. */
  readonly hasPeers: boolean | null;
  /** The settings name other nodes. */
  readonly namesPeers: boolean;
  /** Newest first, up to the first intact one. */
  readonly checkpoints: readonly CheckpointFact[];
  readonly journal: JournalReach;
  /** An entry behind the newest checkpoint changes the membership. */
  readonly changesMembership: boolean;
};

/** Whether term and vote are used as they are, made anew, or missed. */
export type HardStateOutcome = "keep" | "renew" | "refuse";

/**
 * The only voter needs no vote to be safe: it continues in a later term. A member of a cluster may
 * have voted, so it must not vote again in that term.
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
  /** From this checkpoint, and the journal behind it. */
  | Extract<CheckpointChoice, { kind: "use" }>
  /** Peers have everything: the journal is abandoned, and a snapshot replaces the state. */
  | { readonly kind: "fetch"; readonly damage: CheckpointDamaged }
  | { readonly kind: "refuse"; readonly damage: CheckpointDamaged };

/** Where the state comes from. */
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
