/** The first two passes of a start: scan and decide. Nothing is changed. */
import { decideJournal, type JournalOutcome } from "./decide.ts";
import { openSegments } from "./files.ts";
import { scanJournal } from "./scan.ts";
import type { ScanOptions } from "./scanner.ts";
import type { Opened } from "./segment.ts";
import { endOfDirt } from "./zeros.ts";

/** An incomplete append at the end of the journal. */
export type TornEnd = {
  readonly file: string;
  readonly position: number;
  readonly bytes: number;
};

export type JournalPlan = {
  readonly outcome: JournalOutcome;
  /** The incomplete append that a start would remove; null after a clean end. */
  readonly torn: TornEnd | null;
};

/** Returns what a start would do. @throws JournalUnsupported, DiskFailure */
export async function planJournal(options: ScanOptions): Promise<JournalPlan> {
  const files = await openSegments(options);
  try {
    const outcome = decideJournal(await scanJournal(options, files));
    const torn = outcome.kind === "refuse" ? null : await tornEnd(outcome.reading.used, files);
    return { outcome, torn };
  } finally {
    for (const { segment } of files) await segment.file.close();
  }
}

/** @param used the number of files that belong to the journal. */
async function tornEnd(used: number, files: readonly Opened[]): Promise<TornEnd | null> {
  const last = files[used - 1]?.segment;
  if (last === undefined) return null;
  const bytes = (await endOfDirt(last.file, last.end, last.capacity)) - last.end;
  return bytes === 0 ? null : { file: last.path, position: last.end, bytes };
}
