import { DiskFailure } from "../../env/disk.ts";
import type { LogIndex } from "../../raft/types.ts";
import { JournalDamaged } from "../../storage/journal/damage.ts";
import type { Journal } from "../../storage/journal/journal.ts";

const SLICE_BYTES = 1024 * 1024;

/**
 * Reads all entries of a journal that is in use.
 *
 * @param pace is told how many bytes were read; resolves to false when it is to end.
 * @returns an entry at or before the first that cannot be read; null if there is none.
 */
export async function firstUnreadable(
  journal: Journal,
  pace: (bytes: number) => Promise<boolean>,
): Promise<LogIndex | null> {
  for (let next: number = journal.firstIndex; ; ) {
    // Old entries are released meanwhile.
    const from = Math.max(next, journal.firstIndex) as LogIndex;
    if (from > journal.durableIndex) return null;
    try {
      const entries = await journal.read(from, journal.durableIndex, SLICE_BYTES);
      next = (entries.at(-1)?.index ?? journal.durableIndex) + 1;
      const bytes = entries.reduce((sum, { data }) => sum + data.length, 0);
      if (!(await pace(bytes))) return null;
    } catch (error) {
      if (error instanceof JournalDamaged || error instanceof DiskFailure) return from;
      throw error;
    }
  }
}
