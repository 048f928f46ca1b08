/**
 * Reads the journal at start. Frames are read in order. At the first position without a valid
 * frame, the scan decides whether durable data is missing there. A later frame whose watermark
 * covers the position proves it: then the journal is damaged. Without such a proof the position is
 * the torn end of an append that was never acknowledged.
 */
import type { LogIndex } from "../../raft/types.ts";
import { JournalDamaged } from "./damage.ts";
import type { JournalIndex } from "./entry-index.ts";
import { findRest } from "./remainder.ts";
import { type Reading, Scanner, type ScanOptions } from "./scanner.ts";
import type { Opened } from "./segment.ts";
import { type LogMarker, lastHeld } from "./truncated-log.ts";

/** The result of a scan, from which `decideJournal` decides. */
export type JournalScan = {
  /** The files from the first one to the end. */
  readonly whole: Reading;
  /** The files up to the damage, if the journal may be cut there. */
  readonly prefix: Prefix | null;
  /** The files after the end of a checkpoint, if the journal must not be cut. */
  readonly remainder: Reading | null;
  readonly bytesRead: number;
};

export type Prefix = {
  readonly reading: Reading;
  /** The last entry that the journal is known to have held, or an error if that is unknown. */
  readonly held: LogMarker | JournalDamaged;
};

/** @throws JournalUnsupported, DiskFailure */
export async function scanJournal(
  options: ScanOptions,
  files: readonly Opened[],
): Promise<JournalScan> {
  const scanner = new Scanner(options, files);
  const whole = await scanner.read();
  const { damage } = whole;
  const intact = { whole, prefix: null, remainder: null, bytesRead: scanner.bytesRead };
  if (damage === null) return intact;
  if (options.cutDamaged) {
    const prefix = await scanPrefix(scanner, files, damage, options.index);
    return { ...intact, prefix, bytesRead: scanner.bytesRead };
  }
  const damaged = await withWatermark(scanner, whole);
  const end = (await options.covered?.()) ?? null;
  const rest = end === null ? null : await findRest(files, end);
  if (rest === null) return { ...intact, whole: damaged };
  const behind = new Scanner(options, files, rest);
  const remainder = await withWatermark(behind, await behind.read());
  return { ...intact, whole: damaged, remainder, bytesRead: behind.bytesRead };
}

async function scanPrefix(
  scanner: Scanner,
  files: readonly Opened[],
  damage: JournalDamaged,
  index: JournalIndex,
): Promise<Prefix> {
  const reading = await scanner.readPrefix();
  const end = { index: index.lastIndex, term: index.lastTerm };
  const held = await lastHeld(files, end, damage).catch((error: unknown) => {
    if (error instanceof JournalDamaged) return error;
    throw error;
  });
  return { reading, held };
}

/** For an operator who repairs the journal by hand: the entries that are needed. */
async function withWatermark(scanner: Scanner, reading: Reading): Promise<Reading> {
  const { damage: failure } = reading;
  if (failure === null) return reading;
  const to = await scanner.lastWatermark();
  if (to <= failure.damage.to) return reading;
  const damage = new JournalDamaged({ ...failure.damage, to: to as LogIndex }, failure.held);
  return { ...reading, damage };
}
