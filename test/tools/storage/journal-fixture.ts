import { expect } from "bun:test";
import type { Disk } from "../../../src/env/disk.ts";
import { ReadOnlyDisk } from "../../../src/env/read-only-disk.ts";
import type { Entry, EntryType, LogIndex, Term } from "../../../src/raft/types.ts";
import { JournalIndex } from "../../../src/storage/journal/entry-index.ts";
import {
  Journal,
  type JournalOpened,
  type JournalOptions,
} from "../../../src/storage/journal/journal.ts";
import { planJournal } from "../../../src/storage/journal/plan.ts";
import { Random } from "../random.ts";
import { SimDisk, type SimDiskOptions } from "../sim/sim-disk.ts";

export const DIRECTORY = "journal";
export const IDENTITY = 0xa1de12;
export const SEGMENT_BYTES = 2048;

export const at = (index: number): LogIndex => index as LogIndex;
export const inTerm = (term: number): Term => term as Term;

/** An entry whose bytes follow from its index and term, so that any mix-up shows. */
export function entryOf(index: number, term: number, size = (index * 13 + term * 7) % 150): Entry {
  const random = new Random(index * 1000 + term);
  const data = new Uint8Array(size);
  for (let i = 0; i < size; i++) data[i] = random.u32();
  const type: EntryType = index % 7 === 0 ? "conf_change" : "normal";
  return { index: at(index), term: inTerm(term), type, data };
}

export function entriesOf(first: number, last: number, term: number, size?: number): Entry[] {
  const entries: Entry[] = [];
  for (let index = first; index <= last; index++) entries.push(entryOf(index, term, size));
  return entries;
}

export async function newDisk(options: SimDiskOptions = {}): Promise<SimDisk> {
  const disk = new SimDisk(options);
  await disk.makeDirectory(DIRECTORY);
  await disk.syncDirectory("");
  return disk;
}

export function openJournal(
  disk: Disk,
  options: Partial<JournalOptions> = {},
): Promise<JournalOpened> {
  return Journal.open({
    disk,
    directory: DIRECTORY,
    identity: IDENTITY,
    segmentBytes: SEGMENT_BYTES,
    reserveBytes: 0,
    ...options,
  });
}

/** A log in comparable form: its first index, and each entry as text. */
export type Log = {
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly lines: string[];
};

export const line = (entry: Entry): string =>
  `${entry.index}/${entry.term} ${entry.type} ${entry.data.length}:${Bun.hash(entry.data)}`;

export async function logOf(journal: Journal): Promise<Log> {
  const { firstIndex, lastIndex } = journal;
  const entries =
    lastIndex < firstIndex
      ? []
      : await journal.read(firstIndex, lastIndex, Number.MAX_SAFE_INTEGER);
  return { firstIndex, lastIndex, lines: entries.map(line) };
}

/**
 * Opens, reads everything, and leaves it to a crash. Compares the outcome with what the first two
 * passes say on their own, which must not change the disk.
 */
export async function recoverLog(disk: SimDisk): Promise<Log & { torn: JournalOpened["torn"] }> {
  const planned = await planOf(disk);
  const opened = await openJournal(disk).catch((error: unknown) => {
    expect(planned).toBe(String(error));
    throw error;
  });
  const { journal, torn } = opened;
  const log = await logOf(journal);
  expect(planned).toEqual({ kind: "intact", torn, lastIndex: log.lastIndex });
  await journal.retrySpace();
  return { ...log, torn };
}

async function planOf(disk: SimDisk): Promise<object | string> {
  const index = new JournalIndex();
  try {
    const { outcome, torn } = await planJournal({
      disk: new ReadOnlyDisk(disk),
      directory: DIRECTORY,
      identity: IDENTITY,
      index,
      onEntries: null,
      cutDamaged: false,
    });
    if (outcome.kind === "refuse") return String(outcome.error);
    return { kind: outcome.kind, torn, lastIndex: index.lastIndex };
  } catch (error) {
    return String(error);
  }
}

/** A log in which entries 5, 6 and 9 to 11 were replaced, in the order in which it is written. */
export const REPLACED_LAST = 24;
export const REPLACED_APPENDS: readonly (readonly Entry[])[] = [
  entriesOf(1, 6, 1, 40),
  entriesOf(5, 11, 2, 10),
  entriesOf(9, 12, 2, 40),
  ...entriesOf(13, REPLACED_LAST, 3, 60).map((entry) => [entry]),
];

/** A disk with that log in several segments, closed. */
export async function writtenWithReplaced(): Promise<SimDisk> {
  const disk = await newDisk();
  const { journal } = await openJournal(disk, { segmentBytes: 768 });
  for (const entries of REPLACED_APPENDS) await journal.append(entries);
  await journal.retrySpace();
  await journal.close();
  return disk;
}

/** Files of the journal that hold something, so no preallocated segments. */
export const usedSegments = (disk: SimDisk): string[] =>
  disk
    .paths()
    .filter((path) => path.endsWith(".seg") && disk.peek(path)?.some((byte) => byte !== 0));
