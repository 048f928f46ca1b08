import type { Disk, DiskFile } from "../../env/disk.ts";
import { partitionSeed } from "../../record/batch-header.ts";
import type { ManifestFile, ManifestSegment } from "./manifest.ts";
import { readWindow } from "./segment-reader.ts";
import type { PartitionWindow } from "./window.ts";

const SLICE_BYTES = 1024 * 1024;

/**
 * Reads the segments of a file from end to end and compares them with their manifest entries:
 * checksums, contiguous offsets up to the next segment, timestamps that do not go back, logical bytes.
 *
 * @param nextTurn is called after each slice, so that other work can run.
 * @param intact is called after each segment.
 * @throws PartitionDamaged at the first damaged segment.
 */
export async function verifyFile(
  disk: Disk,
  { path, segments }: Pick<ManifestFile, "path" | "segments">,
  nextTurn: () => Promise<void>,
  intact: (segment: ManifestSegment) => void = () => undefined,
): Promise<void> {
  const file = await disk.open(path, "existing");
  try {
    let bytes = 0;
    for (const segment of segments) {
      bytes += segment.length;
      if (bytes >= SLICE_BYTES) await nextTurn();
      bytes %= SLICE_BYTES;
      await verifySegment(file, segment, nextTurn);
      intact(segment);
    }
  } finally {
    await file.close();
  }
}

/**
 * Verifies one segment of an open file.
 *
 * @throws PartitionDamaged
 */
export async function verifySegment(
  file: Pick<DiskFile, "read">,
  segment: ManifestSegment,
  nextTurn: () => Promise<void>,
): Promise<void> {
  const walk = new Walk(segment);
  const source = { path: segment.label, seed: walk.seed };
  const read = (from: number, bytes: number) => file.read(segment.position + from, bytes);
  while (walk.position < segment.length) {
    const { position, offset } = walk;
    const slice = { position, offset, bytes: SLICE_BYTES, limit: segment.length };
    walk.take(await readWindow(read, source, slice));
    if (walk.position < segment.length) await nextTurn();
  }
  walk.end();
}

/** Walks over the batches of a segment and computes the totals. */
class Walk {
  readonly seed: number;
  readonly #segment: ManifestSegment;
  position = 0;
  offset: number;
  #bytes: number;
  #timestampMs: number;
  #window: PartitionWindow | null = null;

  constructor(segment: ManifestSegment) {
    this.#segment = segment;
    this.seed = partitionSeed(segment.topicId, segment.partition);
    this.offset = segment.baseOffset;
    this.#bytes = segment.bytesBefore;
    this.#timestampMs = segment.firstTimestampMs;
  }

  take(window: PartitionWindow): void {
    this.#window = window;
    while (window.step()) {
      window.checkPayload();
      const { timestampMs } = window;
      const first = window.filePosition === 0;
      if (first ? timestampMs !== this.#timestampMs : timestampMs < this.#timestampMs) {
        throw window.damaged("timestamps do not go on");
      }
      this.#timestampMs = timestampMs;
      this.#bytes += window.logicalBytes;
    }
    this.position = window.filePosition;
    this.offset = window.offset;
  }

  end(): void {
    const { endOffset, endBytes, lastTimestampMs } = this.#segment;
    const isWhole =
      this.offset === endOffset &&
      this.#bytes === endBytes &&
      this.#timestampMs === lastTimestampMs;
    if (!isWhole) throw this.#window?.damaged("it does not add up to what the manifest says");
  }
}
