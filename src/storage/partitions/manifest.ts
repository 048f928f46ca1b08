import { ByteReader, type ByteWriter, DecodeError } from "../../lib/bytes.ts";
import type { PartitionLog, PartitionRecord } from "./log.ts";
import { type SegmentRecord, segmentName } from "./segment-state.ts";

const VERSION = 1;

/**
 * A manifest names all partitions with their segments and lengths, so that recovery looks at no
 * directory. Varints: version, number of partitions, then for each of them topic id, partition, low
 * watermark, end offset, end bytes, last timestamp, number of segments, and for each of these base
 * offset, length, logical bytes before, first and last timestamp, and the checksum of its index. The
 * last segment is active.
 */
export function writeManifestHead(to: ByteWriter, partitions: number): void {
  to.varint(VERSION);
  to.varint(partitions);
}

export function writeManifestPartition(to: ByteWriter, log: PartitionLog): void {
  to.varint(log.topicId);
  to.varint(log.partition);
  to.varint(log.lowWatermark);
  to.varint(log.endOffset);
  to.varint(log.endBytes);
  to.varint(log.lastTimestampMs);
  to.varint(log.segments.length);
  for (const segment of log.segments) {
    to.varint(segment.baseOffset);
    to.varint(segment.length);
    to.varint(segment.bytesBefore);
    to.varint(segment.firstTimestampMs);
    to.varint(segment.lastTimestampMs);
    to.varint(segment.indexCrc);
  }
}

/** @throws DecodeError if the bytes are not a manifest. */
export function readManifest(bytes: Uint8Array, each: (record: PartitionRecord) => void): void {
  const reader = new ByteReader(bytes);
  const version = reader.varint();
  if (version !== VERSION) throw new DecodeError(`manifest version ${version} is not known`);
  for (let left = reader.varint(); left > 0; left--) each(readPartition(reader));
  if (reader.remaining > 0) throw new DecodeError("bytes after the end of the manifest");
}

function readPartition(reader: ByteReader): PartitionRecord {
  return {
    topicId: reader.varint(),
    partition: reader.varint(),
    lowWatermark: reader.varint(),
    endOffset: reader.varint(),
    endBytes: reader.varint(),
    lastTimestampMs: reader.varint(),
    segments: Array.from({ length: reader.varint() }, () => readSegment(reader)),
  };
}

const readSegment = (reader: ByteReader): SegmentRecord => ({
  baseOffset: reader.varint(),
  length: reader.varint(),
  bytesBefore: reader.varint(),
  firstTimestampMs: reader.varint(),
  lastTimestampMs: reader.varint(),
  indexCrc: reader.varint(),
});

export const partitionDirectory = (root: string, topicId: number, partition: number): string =>
  `${root}/${topicId}-${partition}`;

/** A segment that a manifest names, with the totals that its bytes must match. */
export type ManifestSegment = SegmentRecord & {
  readonly topicId: number;
  readonly partition: number;
  readonly path: string;
  /** The end of the segment: where the next one, or the partition, continues. */
  readonly endOffset: number;
  readonly endBytes: number;
};

/** Returns the segments with bytes, in order. @throws DecodeError */
export function manifestSegments(root: string, manifest: Uint8Array): ManifestSegment[] {
  const found: ManifestSegment[] = [];
  readManifest(manifest, (record) => {
    const { topicId, partition, segments } = record;
    const directory = partitionDirectory(root, topicId, partition);
    segments.forEach((segment, i) => {
      if (segment.length === 0) return;
      const next = segments[i + 1];
      found.push({
        ...segment,
        topicId,
        partition,
        path: `${directory}/${segmentName(segment.baseOffset)}`,
        endOffset: next?.baseOffset ?? record.endOffset,
        endBytes: next?.bytesBefore ?? record.endBytes,
      });
    });
  });
  return found;
}
