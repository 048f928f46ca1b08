import { DiskFailure } from "../../env/disk.ts";
import type { LogIndex } from "../../raft/types.ts";
import { JournalDamaged } from "../../storage/journal/damage.ts";
import type { Journal } from "../../storage/journal/journal.ts";

const SLICE_BYTES = 1024 * 1024;

/**
 * Reads all entries of a journal that is in use.
 *
 * @param pace called with the number of bytes read. Resolves to false to stop the scrub.
 * @returns an index at or before the first entry that cannot be read, or null if all can be read.
 */
export async function firstUnreadable(
  journal: Journal,
  pace: (bytes: number) => Promise<boolean>,
): Promise<LogIndex | null> {
  for (let next: number = journal.firstIndex; ; ) {
    // Old entries may be released while this runs.
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
