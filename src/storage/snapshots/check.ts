/** Checks of a snapshot that another node sends. All of it is verified before it is used. */
import { assert } from "../../lib/assert.ts";
import { DecodeError } from "../../lib/bytes.ts";
import type { SnapshotAnnouncement, SnapshotFileInfo } from "../checkpoints/incoming.ts";
import { CHECKPOINT_FILE, fileWireName, wireFilePath } from "../checkpoints/transfer-names.ts";
import type { PartitionRecord } from "../partitions/log.ts";
import { type ManifestFile, manifestFiles, readManifest } from "../partitions/manifest.ts";

/** Enough for 100,000 partitions with ten segments each. */
const FILES_MAX = 1_000_000;
/** A segment exceeds 64 MiB by at most one batch. All other files are far smaller. */
const SEGMENT_BYTES_MAX = 2 ** 31;

/** The snapshot is invalid or not meant for this node. It is rejected; nothing was changed. */
export class SnapshotRefused extends Error {
  override readonly name = "SnapshotRefused";
}

/** Its files are damaged, here or already at the sender. */
export class SnapshotDamaged extends SnapshotRefused {}

/** @returns the total bytes of all files. @throws SnapshotRefused */
export function checkAnnouncement({ index, term, files }: SnapshotAnnouncement): number {
  refuseUnless(Number.isSafeInteger(index) && index > 0, "no index");
  refuseUnless(Number.isSafeInteger(term) && term > 0, "no term");
  refuseUnless(files.length <= FILES_MAX, "too many files");
  refuseUnless(files[0]?.name === CHECKPOINT_FILE, "the first file is the checkpoint");
  const names = new Set<string>();
  let bytes = 0;
  files.forEach(({ name, length }, i) => {
    const isKnown = i === 0 || wireFilePath("", name) !== null;
    refuseUnless(isKnown && !names.has(name), `file ${i} has a name that is not taken`);
    refuseUnless(Number.isSafeInteger(length) && length > 0, `file ${i} has no length`);
    refuseUnless(i === 0 || length <= SEGMENT_BYTES_MAX, `file ${i} is too long`);
    names.add(name);
    bytes += length;
  });
  refuseUnless(Number.isSafeInteger(bytes), "too many bytes");
  return bytes;
}

/**
 * Compares the manifest with the announced files.
 *
 * @returns the other files with their segments, in the order of `files`, where the first is the
 *   checkpoint.
 * @throws SnapshotRefused
 */
export function matchFiles(
  root: string,
  manifest: Uint8Array,
  files: readonly SnapshotFileInfo[],
): ManifestFile[] {
  const named = new Map<string, ManifestFile>();
  try {
    const partitions = new Set<string>();
    readManifest(manifest, (record) => {
      const partition = `${record.topicId}-${record.partition}`;
      refuseUnless(!partitions.has(partition), `partition ${partition} is there twice`);
      partitions.add(partition);
      checkPartition(record, partition);
    });
    for (const file of manifestFiles(root, manifest)) {
      const own = file.shared === null ? (file.segments[0] ?? null) : null;
      named.set(fileWireName({ shared: file.shared, own }), file);
    }
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new SnapshotRefused("the manifest cannot be read", { cause });
  }
  refuseUnless(named.size === files.length - 1, "the manifest names other files");
  return files.slice(1).map(({ name, length }) => {
    const file = named.get(name);
    refuseUnless(file?.length === length, `the manifest has no ${name} of ${length} bytes`);
    assert(file !== undefined, "a file with a length is there");
    return file;
  });
}

function checkPartition(record: PartitionRecord, name: string): void {
  const { segments, lowWatermark, endOffset, endBytes } = record;
  const first = segments[0];
  const refuseHere = (ok: boolean, what: string) => refuseUnless(ok, `partition ${name}: ${what}`);
  refuseHere(lowWatermark <= endOffset, "it begins behind its end");
  refuseHere(first === undefined ? endOffset === 0 : first.baseOffset <= lowWatermark, "segments");
  segments.forEach((segment, i) => {
    const next = segments[i + 1] ?? { baseOffset: endOffset, bytesBefore: endBytes };
    const isEmpty = segment.length === 0;
    const isLast = i === segments.length - 1;
    refuseHere(!isEmpty || isLast, "an empty segment within");
    refuseHere(
      isEmpty ? segment.baseOffset === next.baseOffset : segment.baseOffset < next.baseOffset,
      "offsets do not go on",
    );
    refuseHere(segment.bytesBefore <= next.bytesBefore, "bytes do not go on");
  });
}

export function refuseUnless(condition: boolean, reason: string): void {
  if (!condition) throw new SnapshotRefused(`snapshot refused: ${reason}`);
}
