/** Opens a journal: scans the files, decides, and then makes the necessary changes. */
import type { LogIndex } from "../../raft/types.ts";
import type { Damage } from "./damage.ts";
import { decideJournal, type JournalOutcome } from "./decide.ts";
import { keepPreallocated, openSegments } from "./files.ts";
import type { TornEnd } from "./plan.ts";
import type { PreallocatedSegment } from "./preallocated.ts";
import { scanJournal } from "./scan.ts";
import type { Reading, ScanOptions } from "./scanner.ts";
import type { Opened, Segment } from "./segment.ts";
import { laterEnd, readMarker, writeMarker } from "./truncated-log.ts";
import { zeroBehind } from "./zeros.ts";

export type Recovered = {
  /** In order. The last one is active. */
  readonly segments: Segment[];
  readonly preallocated: PreallocatedSegment[];
  readonly nextId: number;
  /** Header checksum of the last frame. */
  readonly chain: number;
  /** The incomplete append that was removed, for the log of the node; null after a clean end. */
  readonly torn: TornEnd | null;
  /** The damage that the journal was cut for. */
  readonly salvaged: Damage | null;
  /** The damage that stays in the files of `segments`. A checkpoint covers all of it. */
  readonly covered: Damage | null;
  readonly bytesRead: number;
};

type Executed = Omit<Recovered, "bytesRead">;

/** @throws JournalDamaged, JournalUnsupported, DiskFailure; nothing was changed then. */
export async function recoverJournal(options: ScanOptions): Promise<Recovered> {
  const files = await openSegments(options);
  try {
    const scan = await scanJournal(options, files);
    const executed = await execute(decideJournal(scan), options, files);
    return { ...executed, bytesRead: scan.bytesRead };
  } catch (failure) {
    for (const { segment } of files) await segment.file.close();
    throw failure;
  }
}

async function execute(
  outcome: JournalOutcome,
  options: ScanOptions,
  files: readonly Opened[],
): Promise<Executed> {
  switch (outcome.kind) {
    case "refuse":
      throw outcome.error;
    case "intact":
      return await cutTornEnd(outcome.reading, options, files);
    case "behind_checkpoint":
      return await beginBehind(outcome, options, files);
    case "truncate":
      return await truncate(outcome, options, files);
  }
}

async function cutTornEnd(
  { used, chain }: Reading,
  options: ScanOptions,
  files: readonly Opened[],
): Promise<Executed> {
  const torn = await cutBehind(used, files);
  const preallocated = await keepPreallocated(options, files.slice(used));
  const segments = files.slice(0, used).map((file) => file.segment);
  const nextId = (preallocated.at(-1)?.id ?? segments.at(-1)?.id ?? 0) + 1;
  return { segments, preallocated, nextId, chain, torn, salvaged: null, covered: null };
}

async function beginBehind(
  { reading, damage }: Extract<JournalOutcome, { kind: "behind_checkpoint" }>,
  options: ScanOptions,
  files: readonly Opened[],
): Promise<Executed> {
  const executed = await cutTornEnd(reading, options, files);
  // A file that is about to be deleted gets no appends.
  const last = executed.segments.at(-1);
  if (last !== undefined) last.capacity = last.end;
  return { ...executed, covered: damage };
}

/**
 * Retains the entries before the first damage. The previous end of the log is made durable before
 * anything is removed, so that a crash in between loses no information.
 */
async function truncate(
  { reading, damage, held }: Extract<JournalOutcome, { kind: "truncate" }>,
  { disk, directory, identity, index }: ScanOptions,
  files: readonly Opened[],
): Promise<Executed> {
  const { used, chain } = reading;
  const next = index.lastIndex + 1;
  // A damaged entry that replaces others invalidates them too.
  const from = (held.term > index.lastTerm ? Math.min(next, held.index) : next) as LogIndex;
  const former = await readMarker(disk, directory, identity);
  const marker = former === null ? held : laterEnd(former, held);
  await writeMarker(disk, directory, identity, marker);
  for (const { segment } of files.slice(used).reverse()) {
    await segment.file.close();
    await disk.remove(segment.path);
    await disk.syncDirectory(directory);
  }
  await cutBehind(used, files);
  const segments = files.slice(0, used).map((file) => file.segment);
  const nextId = (segments.at(-1)?.id ?? files.at(-1)?.segment.id ?? 0) + 1;
  const salvaged = { ...damage, from, to: Math.max(marker.index, from) as LogIndex };
  return { segments, preallocated: [], nextId, chain, torn: null, salvaged, covered: null };
}

/**
 * Overwrites everything after the end with zeros, so that it is never mistaken for data. Then syncs
 * the bytes that were read, since after a kill they may be in the page cache only.
 */
async function cutBehind(used: number, files: readonly Opened[]): Promise<TornEnd | null> {
  const last = files[used - 1]?.segment;
  if (last === undefined) return null;
  const bytes = await zeroBehind(last.file, last.end, last.capacity);
  await last.file.sync();
  return bytes === 0 ? null : { file: last.path, position: last.end, bytes };
}
