import { DiskFailure } from "../env/disk.ts";
import { CheckpointDamaged } from "../storage/checkpoints/damaged.ts";
import { JournalDamaged } from "../storage/journal/damage.ts";
import { PartitionDamaged } from "../storage/partitions/damaged.ts";

export type Finding = {
  /** `note`: normal or harmless; the next start repairs or ignores it. */
  readonly kind: "damage" | "note";
  /** Relative to the data directory. */
  readonly file: string;
  /** Byte in the file; null if the whole file is concerned. */
  readonly position: number | null;
  readonly problem: string;
  readonly advice: string;
};

type Place = Pick<Finding, "file"> & { readonly position?: number | null };

/** Collects the findings of a verification, and counts the files and bytes that it read. */
export class Findings {
  readonly list: Finding[] = [];
  files = 0;
  bytes = 0;

  checked(bytes: number): void {
    this.files++;
    this.bytes += bytes;
  }

  damage({ file, position = null }: Place, problem: string, advice: string): void {
    this.list.push({ kind: "damage", file, position, problem, advice });
  }

  note({ file, position = null }: Place, problem: string, advice: string): void {
    this.list.push({ kind: "note", file, position, problem, advice });
  }

  /** @throws errors other than damage and unreadable files. */
  failed(error: unknown, file: string, advice: string): void {
    const isPlaced = error instanceof CheckpointDamaged || error instanceof PartitionDamaged;
    if (isPlaced) this.damage(error, error.reason, advice);
    else if (error instanceof JournalDamaged) {
      const { from, to, reason } = error.damage;
      const lost = `entries ${from} to ${to} were durable and cannot all be read`;
      this.damage(error.damage, `${reason}; ${lost}`, advice);
    } else if (error instanceof DiskFailure) {
      const isAbsent = error.cause instanceof Error && /ENOENT/.test(error.cause.message);
      this.damage({ file }, isAbsent ? "the file is missing" : error.message, advice);
    } else throw error;
  }
}
