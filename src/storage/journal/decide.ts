import type { Damage, JournalDamaged } from "./damage.ts";
import type { JournalScan } from "./scan.ts";
import type { Reading } from "./scanner.ts";
import type { LogMarker } from "./truncated-log.ts";

/** The ways to open a journal. */
export type JournalOutcome =
  /** All durable entries are there. An incomplete append at the end is removed. */
  | { readonly kind: "intact"; readonly reading: Reading }
  /** Peers have the missing entries: cut before the damage, after `held` was recorded. */
  | {
      readonly kind: "truncate";
      readonly reading: Reading;
      readonly damage: Damage;
      readonly held: LogMarker;
    }
  /** A checkpoint covers the damaged entries: the journal begins after it. */
  | { readonly kind: "behind_checkpoint"; readonly reading: Reading; readonly damage: Damage }
  /** Entries that may have been acknowledged are missing, and nothing here replaces them. */
  | { readonly kind: "refuse"; readonly error: JournalDamaged };

/** Decides from the result of the scan alone. The disk was not changed before. */
export function decideJournal({ whole, prefix, remainder }: JournalScan): JournalOutcome {
  if (whole.damage === null) return { kind: "intact", reading: whole };
  const { damage } = whole.damage;
  if (prefix !== null) {
    const { reading, held } = prefix;
    if (held instanceof Error) return { kind: "refuse", error: held };
    return { kind: "truncate", reading, damage, held };
  }
  if (remainder === null) return { kind: "refuse", error: whole.damage };
  if (remainder.damage !== null) return { kind: "refuse", error: remainder.damage };
  return { kind: "behind_checkpoint", reading: remainder, damage };
}
