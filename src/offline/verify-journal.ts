import type { Disk } from "../env/disk.ts";
import { DecodeError, sameBytes } from "../lib/bytes.ts";
import { UnknownEntryError } from "../lib/command-kind.ts";
import { decodeEntry } from "../machine/command-codec.ts";
import { decodeConfChange } from "../raft/config-codec.ts";
import type { CheckpointMeta } from "../storage/checkpoints/format.ts";
import { closeScan, intactOf, scanCheckpoints } from "../storage/checkpoints/scan.ts";
import { JournalUnsupported } from "../storage/journal/damage.ts";
import { JournalIndex } from "../storage/journal/entry-index.ts";
import { openSegments } from "../storage/journal/files.ts";
import { entryTypeOf, frameBytes, KIND_ENTRY } from "../storage/journal/frame.ts";
import { planJournal } from "../storage/journal/plan.ts";
import { type Opened, SEGMENT_HEADER_BYTES } from "../storage/journal/segment.ts";
import {
  encodeMarker,
  type LogMarker,
  markerPath,
  readMarker,
} from "../storage/journal/truncated-log.ts";
import { type WalkedFrame, walkFrames } from "../storage/journal/walk.ts";
import { endOfDirt } from "../storage/journal/zeros.ts";
import type { Findings } from "./findings.ts";

const TURN_BYTES = 1024 * 1024;
const ADVICE =
  "with peers the next start cuts it there and they bring the rest back; alone: put this file back " +
  "from a copy, or restore a backup";
const COVERED_ADVICE =
  "the newest checkpoint has these entries: the next start does without, and lets this file go soon " +
  "after; look at the health of this disk";

export type JournalScope = {
  readonly disk: Disk;
  readonly directory: string;
  /** Directory of the checkpoints that may cover damaged entries. */
  readonly checkpoints: string;
  readonly identity: number;
  readonly findings: Findings;
  readonly nextTurn: () => Promise<void>;
};

/** The result; null if the journal cannot be read to its end. */
export type VerifiedJournal = {
  readonly index: JournalIndex;
  readonly marker: LogMarker | null;
} | null;

/** Scans and decides as a start does, which tells a torn end from damage; then decodes every entry. */
export async function verifyJournal(scope: JournalScope): Promise<VerifiedJournal> {
  const { disk, directory, checkpoints, identity, findings } = scope;
  const index = new JournalIndex();
  let verified: VerifiedJournal = null;
  let isWhole = false;
  try {
    const { outcome, torn } = await planJournal({
      disk,
      directory,
      identity,
      index,
      cutDamaged: false,
      covered: () => coveredEnd(disk, checkpoints),
      onEntries: null,
    });
    if (outcome.kind === "refuse") throw outcome.error;
    if (outcome.kind === "behind_checkpoint") {
      findings.damage(outcome.damage, outcome.damage.reason, COVERED_ADVICE);
    }
    isWhole = outcome.kind === "intact";
    if (torn !== null) {
      const problem = `${torn.bytes} bytes of an append that was never acknowledged`;
      findings.note(torn, problem, "the next start removes them");
    }
    const marker = await readMarker(disk, directory, identity);
    if (marker !== null) await verifyMarker(marker, scope);
    verified = { index, marker };
  } catch (error) {
    if (error instanceof JournalUnsupported) {
      findings.damage({ file: directory }, error.message, "use the version that wrote it");
    } else findings.failed(error, directory, ADVICE);
  }
  for (const opened of await segmentsOf(scope)) {
    try {
      await verifySegmentFile(opened, scope, isWhole);
    } finally {
      await opened.segment.file.close();
    }
  }
  return verified;
}

/** The end of the newest intact checkpoint. */
async function coveredEnd(disk: Disk, directory: string): Promise<CheckpointMeta | null> {
  const scan = await scanCheckpoints(disk, directory);
  await closeScan(scan);
  return intactOf(scan)?.meta ?? null;
}

async function segmentsOf({ findings, ...scope }: JournalScope): Promise<Opened[]> {
  try {
    return await openSegments(scope);
  } catch (error) {
    // A running node has deleted a segment in the meantime.
    findings.failed(error, scope.directory, ADVICE);
    return [];
  }
}

async function verifyMarker(marker: LogMarker, scope: JournalScope): Promise<void> {
  const { disk, directory, identity, findings } = scope;
  const file = markerPath(directory);
  const bytes = (await disk.readWhole(file)) ?? new Uint8Array(0);
  findings.checked(bytes.length);
  const problem = `this node does not campaign until it has entry ${marker.index} again`;
  findings.note({ file }, problem, "its peers send the entries that its journal has lost");
  if (sameBytes(bytes, encodeMarker(marker, identity))) return;
  const copy = "one of the two copies is damaged; the other one is used";
  findings.note({ file }, copy, "check the health of this disk");
}

/** Verifies the parts of a file that recovery ignores or repairs. */
async function verifySegmentFile(
  { segment, header, size }: Opened,
  scope: JournalScope,
  isWhole: boolean,
): Promise<void> {
  const { findings } = scope;
  const { path: file } = segment;
  findings.checked(size);
  const end = header === null ? 0 : await verifyEntries(segment, scope);
  const isReported = findings.list.some((finding) => finding.file === file);
  if (!isWhole || isReported || (await endOfDirt(segment.file, end, size)) === end) return;
  const problem = "bytes after the last entry are not zero";
  findings.note({ file, position: end }, problem, "the next start overwrites or ignores them");
}

/** Checks that entries can be decoded, terms do not decrease and padding is zero. @returns the end of the frames. */
async function verifyEntries(
  segment: Opened["segment"],
  { findings, nextTurn }: JournalScope,
): Promise<number> {
  const { path: file } = segment;
  let end = SEGMENT_HEADER_BYTES;
  let term = 0;
  let sinceTurn = 0;
  for await (const frame of walkFrames(segment)) {
    const { position } = frame;
    // Recovery has judged the rest of the file.
    if (frame.payload === null) break;
    const problem = problemOf(frame, term);
    if (problem !== null) findings.damage({ file, position }, problem, ADVICE);
    if (!frame.isPadded) {
      const behind = "bytes after the entry are not zero; the entry is intact";
      findings.note({ file, position }, behind, "a bit has flipped on this disk: check its health");
    }
    term = frame.term;
    end = position + frameBytes(frame.length);
    sinceTurn += frame.length;
    if (sinceTurn < TURN_BYTES) continue;
    sinceTurn = 0;
    await nextTurn();
  }
  return end;
}

function problemOf(frame: WalkedFrame, termBefore: number): string | null {
  const { kind, typeCode, index, term, payload } = frame;
  if (kind !== KIND_ENTRY || payload === null) return null;
  if (term < termBefore) return `entry ${index} is of term ${term}, after one of ${termBefore}`;
  try {
    const type = entryTypeOf(typeCode);
    if (type === "conf_change") decodeConfChange(payload);
    else if (payload.length > 0) decodeEntry(payload);
    return null;
  } catch (error) {
    if (!(error instanceof DecodeError || error instanceof UnknownEntryError)) throw error;
    return `entry ${index} cannot be decoded: ${error.message}`;
  }
}
