import type { Entry, LogIndex } from "../../raft/types.ts";
import type { Journal } from "../../storage/journal/journal.ts";

const READ_BYTES = 4 * 1024 * 1024;

/** Collects the entries after the newest checkpoint. Entries before it are only verified. */
export class EntryCollector {
  #entries: Entry[] = [];
  readonly #after: number;

  constructor(after: number) {
    this.#after = after;
  }

  /** A crash during the installation of a snapshot leaves entries that the journal abandons. */
  upTo(lastIndex: LogIndex): readonly Entry[] {
    while ((this.#entries.at(-1)?.index ?? 0) > lastIndex) this.#entries.pop();
    return this.#entries;
  }

  add(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.index <= this.#after) {
        this.#entries = [];
        continue;
      }
      // A leader's log replaced this entry and all entries after it.
      while ((this.#entries.at(-1)?.index ?? 0) >= entry.index) this.#entries.pop();
      this.#entries.push(entry);
    }
  }
}

export async function readAll(journal: Journal, from: LogIndex): Promise<Entry[]> {
  const entries: Entry[] = [];
  let next = from;
  while (next <= journal.lastIndex) {
    const some = await journal.read(next, journal.lastIndex, READ_BYTES);
    entries.push(...some);
    next = ((some.at(-1)?.index ?? journal.lastIndex) + 1) as LogIndex;
  }
  return entries;
}
