import { ByteReader, type ByteWriter, DecodeError } from "../lib/bytes.ts";
import type { PartitionLog, PartitionRecord } from "./partition-log.ts";
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

/** @throws DecodeError for anything but a manifest. */
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

/** A file of which the first `length` bytes never change while its checkpoint is held. */
export type CheckpointFile = { readonly path: string; readonly length: number };

/** The segment files that a manifest names. */
export function manifestFiles(root: string, manifest: Uint8Array): CheckpointFile[] {
  const files: CheckpointFile[] = [];
  readManifest(manifest, ({ topicId, partition, segments }) => {
    const directory = partitionDirectory(root, topicId, partition);
    for (const { baseOffset, length } of segments) {
      if (length > 0) files.push({ path: `${directory}/${segmentName(baseOffset)}`, length });
    }
  });
  return files;
}
