/**
 * The truncated-log marker: the last entry that a journal is known to have held before damage. It
 * is written before the damaged end is cut, and removed when the log reaches that entry again.
 * Until then an acknowledged entry may depend on this node: it must not campaign, nor vote for a
 * shorter log.
 *
 * `claimed` in the journal's directory, two copies at 0 and 512, each: u32 CRC-32 of the other
 * fields, seeded with the identity of the journal; u32 magic "AyJc", u32 version, u64 index,
 * u64 term.
 */
import { feature as faultPoint } from "bun:bundle";
import type { Disk } from "../../env/disk.ts";
import { ByteReader, ByteWriter } from "../../lib/bytes.ts";
import { crc32 } from "../../lib/crc32.ts";
import type { LogIndex, Term } from "../../raft/types.ts";
import { JournalDamaged, type LogEnd } from "./damage.ts";
import { scanFrames } from "./frame-scan.ts";
import { type Opened, SEGMENT_HEADER_BYTES, segmentIdOf } from "./segment.ts";

const MAGIC = 0x634a7941;
const VERSION = 1;
const COPY_BYTES = 28;
const COPIES = [0, 512] as const;

export type LogMarker = { readonly index: LogIndex; readonly term: Term };

export const markerPath = (directory: string): string => `${directory}/claimed`;

/** Returns the later of two ends of a log, in the order of elections. */
export function laterEnd<E extends LogEnd>(a: E, b: E): E {
  return b.term > a.term || (b.term === a.term && b.index > a.index) ? b : a;
}

/**
 * Returns the last entry that any frame or header of a journal refers to.
 *
 * @param prefix the end of the readable part.
 * @throws JournalDamaged if the very end is missing: a marker that is too low would be unsafe.
 */
export async function lastHeld(
  files: readonly Opened[],
  prefix: LogEnd,
  { damage, held }: JournalDamaged,
): Promise<LogMarker> {
  let last =
    held === null || faultPoint("flip-reports-too-little") ? prefix : laterEnd(prefix, held);
  let newest: Opened | undefined;
  for (const file of files) {
    const { segment, header, size } = file;
    if (header !== null) {
      last = laterEnd(last, { index: header.baseIndex, term: header.baseTerm });
      newest = file;
    }
    await scanFrames(segment, SEGMENT_HEADER_BYTES, size, ({ index, term }) => {
      last = laterEnd(last, { index, term });
      newest = file;
    });
  }
  if (!isEndHere(files, newest)) {
    const reason = `${damage.reason}; how far the journal went is not known, so it is not cut`;
    throw new JournalDamaged({ ...damage, reason });
  }
  return { index: last.index as LogIndex, term: last.term as Term };
}

/**
 * Tells whether no file is missing after the newest one with frames, and that one has its full
 * size.
 */
function isEndHere(files: readonly Opened[], newest: Opened | undefined): boolean {
  if (newest === undefined) return false;
  const { segment, header, size } = newest;
  const isGapless = files
    .slice(files.indexOf(newest))
    .every((file, i) => file.segment.id === segment.id + i);
  return isGapless && (header === null || size >= header.capacity);
}

/** @throws JournalDamaged if there is a marker that cannot be read: no vote would be safe. */
export async function readMarker(
  disk: Disk,
  directory: string,
  identity: number,
): Promise<LogMarker | null> {
  const path = markerPath(directory);
  const bytes = await disk.readWhole(path);
  if (bytes === null) return null;
  for (const at of COPIES) {
    const marker = decode(bytes.subarray(at, at + COPY_BYTES), identity);
    if (marker !== null) return marker;
  }
  const none = 0 as LogIndex;
  const reason = "it says what the journal has lost, and has a wrong checksum";
  throw new JournalDamaged({ file: path, position: 0, from: none, to: none, reason });
}

export async function writeMarker(
  disk: Disk,
  directory: string,
  identity: number,
  marker: LogMarker,
): Promise<void> {
  await disk.writeWhole(markerPath(directory), encodeMarker(marker, identity));
}

/** Encodes the whole file. */
export function encodeMarker(marker: LogMarker, identity: number): Uint8Array {
  const writer = new ByteWriter(COPY_BYTES);
  writer.u32(0);
  writer.u32(MAGIC);
  writer.u32(VERSION);
  writer.u64(marker.index);
  writer.u64(marker.term);
  writer.setU32(0, crc32(writer.view().subarray(4), identity));
  const bytes = new Uint8Array((COPIES[1] ?? 0) + COPY_BYTES);
  for (const at of COPIES) bytes.set(writer.view(), at);
  return bytes;
}

/**
 * Empties a journal, which must be closed, and records its previous end. After a crash in between
 * it must be called again.
 */
export async function abandonJournal(
  disk: Disk,
  directory: string,
  identity: number,
  end: LogMarker,
): Promise<void> {
  const former = await readMarker(disk, directory, identity);
  await writeMarker(disk, directory, identity, former === null ? end : laterEnd(former, end));
  for (const name of await disk.list(directory)) {
    if (segmentIdOf(name) !== null) await disk.remove(`${directory}/${name}`);
  }
  await disk.syncDirectory(directory);
}

export async function removeMarker(disk: Disk, directory: string): Promise<void> {
  await disk.remove(markerPath(directory));
  await disk.syncDirectory(directory);
}

function decode(bytes: Uint8Array, identity: number): LogMarker | null {
  if (bytes.length < COPY_BYTES) return null;
  const reader = new ByteReader(bytes);
  if (reader.u32() !== crc32(bytes.subarray(4), identity)) return null;
  if (reader.u32() !== MAGIC || reader.u32() !== VERSION) return null;
  return { index: reader.u64() as LogIndex, term: reader.u64() as Term };
}
