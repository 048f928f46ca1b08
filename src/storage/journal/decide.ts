import type { Damage, JournalDamaged } from "./damage.ts";
import type { JournalScan } from "./scan.ts";
import type { Reading } from "./scanner.ts";
import type { LogMarker } from "./truncated-log.ts";

/** How a journal is opened. */
export type JournalOutcome =
  /** Everything durable is there. An incomplete append at the end is cut. */
  | { readonly kind: "intact"; readonly reading: Reading }
  /** Peers have what is missing: cut before the damage, after `held` was recorded. */
  | {
      readonly kind: "truncate";
      readonly reading: Reading;
      readonly damage: Damage;
      readonly held: LogMarker;
    }
  /** A checkpoint has what is damaged: the journal begins behind it. */
  | { readonly kind: "behind_checkpoint"; readonly reading: Reading; readonly damage: Damage }
  /** Something that may have been acknowledged is missing, and nothing here replaces it. */
  | { readonly kind: "refuse"; readonly error: JournalDamaged };

/** Decides from the facts alone. Nothing was changed on the disk before. */
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
