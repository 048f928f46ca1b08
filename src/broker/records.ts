/** Records on their way into a partition, and their form in commands. */
import { assert } from "../lib/assert.ts";
import { type ByteReader, type ByteWriter, varintLength } from "../lib/bytes.ts";
import { knownFlags, rest } from "../lib/command-kind.ts";
import type { Millis } from "../lib/ids.ts";
import type { Offset } from "../record/offset.ts";
import { KEY_DIGEST_BYTES, PAYLOAD_DIGEST_BYTES } from "./dedupe-chunk.ts";
import type { Idempotency } from "./idempotency.ts";
import {
  type BrokerEffects,
  type BrokerState,
  beforeChange,
  type PartitionState,
} from "./state.ts";

/** Complete encoded batches, back to back. */
export type Records = {
  readonly count: number;
  readonly logicalBytes: number;
  readonly batches: Uint8Array;
};

/** Gives records the next offsets of a partition. @returns the first of them. */
export function appendRecords(
  state: BrokerState,
  partition: PartitionState,
  { count, logicalBytes, batches }: Records,
  now: Millis,
  effects: BrokerEffects,
): Offset {
  const firstOffset = partition.endOffset;
  beforeChange(state, partition);
  partition.endOffset = (firstOffset + count) as Offset;
  partition.bytesEnd += logicalBytes;
  effects.append(partition, batches, firstOffset, now, count, logicalBytes);
  return firstOffset;
}

export const recordsLength = ({ count, logicalBytes, batches }: Records): number =>
  varintLength(count) + varintLength(logicalBytes) + batches.length;

/** Records are the last field of a command: the length of the batches follows from that of the body. */
export function writeRecords(body: ByteWriter, { count, logicalBytes, batches }: Records): void {
  body.varint(count);
  body.varint(logicalBytes);
  body.raw(batches);
}

export const readRecords = (body: ByteReader, end: number): Records => ({
  count: body.varint(),
  logicalBytes: body.varint(),
  batches: rest(body, end),
});

const HAS_IDEMPOTENCY = 1;

export const idempotencyLength = (idempotency: Idempotency | null): number =>
  1 + (idempotency === null ? 0 : KEY_DIGEST_BYTES + PAYLOAD_DIGEST_BYTES);

export function writeIdempotency(body: ByteWriter, idempotency: Idempotency | null): void {
  body.u8(idempotency === null ? 0 : HAS_IDEMPOTENCY);
  if (idempotency === null) return;
  assert(idempotency.keyDigest.length === KEY_DIGEST_BYTES, "a key digest has 16 bytes");
  assert(idempotency.payloadDigest.length === PAYLOAD_DIGEST_BYTES, "a payload digest has 8");
  body.raw(idempotency.keyDigest);
  body.raw(idempotency.payloadDigest);
}

export function readIdempotency(body: ByteReader): Idempotency | null {
  if (knownFlags(body.u8(), HAS_IDEMPOTENCY) === 0) return null;
  return { keyDigest: body.raw(KEY_DIGEST_BYTES), payloadDigest: body.raw(PAYLOAD_DIGEST_BYTES) };
}
