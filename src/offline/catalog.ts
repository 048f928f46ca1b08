/** Reads the beginning of a stored file: whether it is a backup, of which state, and whether it is cut off. */
import type { StoredFile } from "../env/archive.ts";
import { BackupDamaged, backupBytes, type ReadHead } from "../storage/backup/format.ts";
import { BackupReader } from "../storage/backup/reader.ts";
import { CheckpointDamaged } from "../storage/checkpoints/damaged.ts";

export type CatalogEntry = {
  readonly file: StoredFile;
  /** Null if the head cannot be read. */
  readonly head: ReadHead | null;
  /**
   * `complete`: as long as the head says. Its checksums were not verified. `incomplete`: shorter or
   * longer. `unreadable`: `problem` says why.
   */
  readonly state: "complete" | "incomplete" | "unreadable";
  readonly problem: string | null;
};

/** Reads the head of the file. @returns null if the file is not a backup. */
export async function readCatalogEntry(file: StoredFile): Promise<CatalogEntry | null> {
  const source = await file.open();
  try {
    const { contents } = await BackupReader.open(source, file.place);
    const isComplete = backupBytes(contents) === file.bytes;
    const state = isComplete ? "complete" : "incomplete";
    const problem = isComplete ? null : `${backupBytes(contents)} bytes are expected`;
    return { file, head: contents.head, state, problem };
  } catch (error) {
    if (!(error instanceof BackupDamaged)) throw error;
    const isOther = error.position === 0 && error.cause instanceof CheckpointDamaged;
    return isOther ? null : { file, head: null, state: "unreadable", problem: error.message };
  } finally {
    await source.close();
  }
}

/** The newest backup first; those without a head come last, by name. */
export function inOrder(entries: readonly CatalogEntry[]): CatalogEntry[] {
  const timeOf = ({ head }: CatalogEntry) => head?.takenAtMs ?? -1;
  return [...entries].sort(
    (a, b) => timeOf(b) - timeOf(a) || (a.file.place < b.file.place ? -1 : 1),
  );
}

/**
 * Returns the complete backups of each cluster beyond its newest `keep`. Incomplete and unreadable
 * ones do not count, and are not returned: they may be under way.
 */
export function beyondNewest(entries: readonly CatalogEntry[], keep: number): CatalogEntry[] {
  const kept = new Map<string, number>();
  return inOrder(entries).filter(({ head, state }) => {
    if (head === null || state !== "complete") return false;
    const before = kept.get(head.clusterId) ?? 0;
    kept.set(head.clusterId, before + 1);
    return before >= keep;
  });
}

/** Returns the newest complete backup of each cluster of `doomed`, which must be intact before they go. */
export function newestOf(
  entries: readonly CatalogEntry[],
  doomed: readonly CatalogEntry[],
): CatalogEntry[] {
  const clusters = new Set(doomed.map(({ head }) => head?.clusterId));
  return inOrder(entries).filter(
    ({ head, state }) => state === "complete" && clusters.delete(head?.clusterId),
  );
}

/** Reads all of a backup. @throws BackupDamaged */
export async function verifyEntry({ file }: CatalogEntry): Promise<void> {
  const source = await file.open();
  try {
    await (await BackupReader.open(source, file.place)).check();
  } finally {
    await source.close();
  }
}
