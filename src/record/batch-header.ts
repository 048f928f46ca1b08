import { crc32Between, crc32Range } from "../lib/crc32.ts";
import {
  AT_BASE_OFFSET,
  AT_COUNT,
  AT_FLAGS,
  AT_HEADER_CRC,
  AT_LENGTH,
  AT_LOGICAL_BYTES,
  AT_PAYLOAD_CRC,
  AT_TIMESTAMP,
  AT_VERSION,
  BATCH_HEADER_BYTES,
  BATCH_VERSION,
  BATCH_VERSION_FLAGS,
  HAS_HEADERS,
} from "./format.ts";

/** The header fields of the batch at `at`; plain reads, no check. */
export const batchLength = (bytes: Uint8Array, at: number): number => u32(bytes, at + AT_LENGTH);
export const batchBaseOffset = (bytes: Uint8Array, at: number): number =>
  u64(bytes, at + AT_BASE_OFFSET);
export const batchTimestamp = (bytes: Uint8Array, at: number): number =>
  u64(bytes, at + AT_TIMESTAMP);
export const batchCount = (bytes: Uint8Array, at: number): number => u32(bytes, at + AT_COUNT);
export const batchLogicalBytes = (bytes: Uint8Array, at: number): number =>
  u32(bytes, at + AT_LOGICAL_BYTES);

/** The records of the batch at `at` have headers. */
export const batchHasHeaders = (bytes: Uint8Array, at: number): boolean =>
  bytes[at + AT_VERSION] === BATCH_VERSION_FLAGS;

/** Mixed into header checksums, so that a batch of another partition is found out. */
export const partitionSeed = (topicId: number, partition: number): number =>
  (Math.imul(topicId, 0x9e3779b1) + Math.imul(partition, 0x85ebca77) + 0x6179) >>> 0;

/** Sets what is known only at apply. Call it on the stored copy, never on the journaled bytes. */
export function stampBatch(
  bytes: Uint8Array,
  at: number,
  baseOffset: number,
  timestampMs: number,
  seed: number,
): void {
  setU64(bytes, at + AT_BASE_OFFSET, baseOffset);
  setU64(bytes, at + AT_TIMESTAMP, timestampMs);
  setU32(bytes, at + AT_HEADER_CRC, headerCrc(bytes, at, seed));
}

/**
 * Full check of the batch at `at`, payload included.
 *
 * @returns null if it is whole, else what is wrong with it.
 */
export function checkBatch(bytes: Uint8Array, at: number, seed: number): string | null {
  const wrongHeader = checkBatchHeader(bytes, at, seed);
  if (wrongHeader !== null) return wrongHeader;
  if (batchLength(bytes, at) > bytes.length - at) return "batch is cut off";
  return checkBatchPayload(bytes, at);
}

/** Payload check alone, of a whole batch whose header was checked. */
export function checkBatchPayload(bytes: Uint8Array, at: number): string | null {
  const end = at + batchLength(bytes, at);
  const crc = crc32Between(bytes, at + BATCH_HEADER_BYTES, end);
  return crc === u32(bytes, at + AT_PAYLOAD_CRC) ? null : "payload checksum differs";
}

/** Header check alone, for walking a segment by headers. */
export function checkBatchHeader(bytes: Uint8Array, at: number, seed: number): string | null {
  if (bytes.length - at < BATCH_HEADER_BYTES) return "batch header is cut off";
  if (u32(bytes, at + AT_HEADER_CRC) !== headerCrc(bytes, at, seed)) {
    return "header checksum differs";
  }
  if (!isKnownVersion(bytes, at)) return "unknown batch version";
  if (batchLength(bytes, at) <= BATCH_HEADER_BYTES) return "batch length makes no sense";
  return null;
}

function isKnownVersion(bytes: Uint8Array, at: number): boolean {
  const version = bytes[at + AT_VERSION];
  if (version === BATCH_VERSION) return true;
  return version === BATCH_VERSION_FLAGS && bytes[at + AT_FLAGS] === HAS_HEADERS;
}

function headerCrc(bytes: Uint8Array, at: number, seed: number): number {
  const mixed = (seed ^ batchLength(bytes, at)) >>> 0;
  return crc32Range(bytes, at + AT_BASE_OFFSET, at + BATCH_HEADER_BYTES, mixed);
}

function u32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  );
}

const u64 = (bytes: Uint8Array, at: number): number =>
  u32(bytes, at) + u32(bytes, at + 4) * 2 ** 32;

export function setU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

function setU64(bytes: Uint8Array, at: number, value: number): void {
  setU32(bytes, at, value >>> 0);
  setU32(bytes, at + 4, Math.floor(value / 2 ** 32));
}
