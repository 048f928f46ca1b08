import type { Disk } from "../../env/disk.ts";
import { partitionSeed } from "../../record/batch-header.ts";
import type { ManifestSegment } from "./manifest.ts";
import { readWindow } from "./segment-reader.ts";
import type { PartitionWindow } from "./window.ts";

const SLICE_BYTES = 1024 * 1024;

/**
 * Reads a segment file from end to end and compares it with its manifest entry: checksums,
 * contiguous offsets up to the next segment, timestamps that do not go back, logical bytes.
 *
 * @param nextTurn is called after each slice, so that other work can run.
 * @throws PartitionDamaged
 */
export async function verifySegment(
  disk: Disk,
  segment: ManifestSegment,
  nextTurn: () => Promise<void>,
): Promise<void> {
  const file = await disk.open(segment.path, "existing");
  try {
    const walk = new Walk(segment);
    const source = { path: segment.path, seed: walk.seed };
    while (walk.position < segment.length) {
      const { position, offset } = walk;
      const slice = { position, offset, bytes: SLICE_BYTES, limit: segment.length };
      walk.take(await readWindow((from, bytes) => file.read(from, bytes), source, slice));
      await nextTurn();
    }
    walk.end();
  } finally {
    await file.close();
  }
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
