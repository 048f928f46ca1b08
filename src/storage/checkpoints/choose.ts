import type { CheckpointDamaged } from "./damaged.ts";

/** The entries that the journal can replay: `first` to `last`, none if `last` is `first − 1`. */
export type JournalReach = { readonly first: number; readonly last: number };

/** A checkpoint that was read: its index, and the reason if it is damaged. */
export type CheckpointFact = { readonly index: number; readonly damage: CheckpointDamaged | null };

export type CheckpointChoice =
  /**
   * `index` is 0 if the journal alone has everything. Newer checkpoints are damaged and are set
   * aside.
   */
  | { readonly kind: "use"; readonly index: number; readonly setAside: boolean }
  /** A damaged checkpoint had data that exists nowhere else. */
  | { readonly kind: "lost"; readonly damage: CheckpointDamaged };

/**
 * Chooses the newest intact checkpoint, if the journal reaches from it to beyond the damaged ones.
 *
 * @param read the checkpoints that were read, newest first, up to the first intact one.
 */
export function chooseCheckpoint(
  read: readonly CheckpointFact[],
  journal: JournalReach,
): CheckpointChoice {
  let damage: CheckpointDamaged | null = null;
  for (const each of read) {
    if (each.damage === null) {
      const isGap = damage !== null && journal.first > each.index + 1;
      if (isGap && damage !== null) return { kind: "lost", damage };
      return { kind: "use", index: each.index, setAside: damage !== null };
    }
    damage ??= each.damage;
    if (journal.last < each.index) return { kind: "lost", damage };
  }
  if (damage === null) return { kind: "use", index: 0, setAside: false };
  if (journal.first > 1) return { kind: "lost", damage };
  return { kind: "use", index: 0, setAside: true };
}
