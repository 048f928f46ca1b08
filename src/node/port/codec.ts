/**
 * The frequent calls of a port and their outcomes as bytes. Each pair of functions writes and reads one
 * of them at a `ByteCursor`, so that the bytes may lie in a ring, in a frame or in an array.
 */
import { type ByteCursor, blobBytes, textBytesMax } from "../../lib/byte-cursor.ts";
import type {
  ConsumePage,
  ConsumeRequest,
  KvGetRequest,
  KvPutRequest,
  KvValue,
  KvWritten,
  Produced,
  ProduceRequest,
  RejectCode,
  Rejected,
  WriteAck,
} from "../api.ts";

/** Bits of the flags of a produce. */
const HAS_HEADERS = 1;
const ROCKET = 2;
const TRACED = 4;
const HAS_PRODUCER = 8;
/** The bit of the flags of a read. */
const LINEARIZABLE = 1;
/** Bits of the flags of an outcome. */
const DUPLICATE = 1;
const PAYLOAD_MATCHES = 2;
const COMMITTED = 4;
const SYNCED = 8;
const SYNCED_IS_NULL = 16;
/** More than the numbers and flags of any call take. */
const NUMBERS_BYTES_MAX = 96;

/** The kind of an entry, and the id of its call. */
export const ENTRY_HEAD_BYTES = 9;

const flag = (isSet: boolean, bit: number): number => (isSet ? bit : 0);
const has = (flags: number, bit: number): boolean => (flags & bit) !== 0;

/** Upper bound of what `writeProduce` writes. */
export const produceBytesMax = (request: ProduceRequest): number =>
  NUMBERS_BYTES_MAX +
  textBytesMax(request.topic) +
  blobBytes(request.key) +
  blobBytes(request.idempotencyKey) +
  blobBytes(request.records.bytes) +
  (request.producer == null ? 0 : textBytesMax(request.producer.id));

export function writeProduce(to: ByteCursor, request: ProduceRequest): void {
  const { records, producer = null } = request;
  to.putU8(
    flag(records.hasHeaders, HAS_HEADERS) |
      flag(request.rocket, ROCKET) |
      flag(request.traced === true, TRACED) |
      flag(producer !== null, HAS_PRODUCER),
  );
  to.putText(request.topic);
  to.putNumber(request.partition);
  to.putNumber(request.timeoutMs);
  to.putU32(records.count);
  to.putNumber(records.logicalBytes);
  to.putBlob(request.key);
  to.putBlob(request.idempotencyKey);
  to.putBlob(records.bytes);
  if (producer === null) return;
  to.putText(producer.id);
  to.putNumber(producer.epoch);
  to.putNumber(producer.seq);
}

/** The keys and records are views of the bytes that were read. */
export function readProduce(from: ByteCursor): ProduceRequest {
  const flags = from.u8();
  const topic = from.text();
  const partition = from.numberOrNull();
  const timeoutMs = from.numberOrNull();
  const count = from.u32();
  const logicalBytes = from.number();
  const key = from.blobOrNull();
  const idempotencyKey = from.blobOrNull();
  const bytes = from.blob();
  const producer = has(flags, HAS_PRODUCER)
    ? { id: from.text(), epoch: from.number(), seq: from.number() }
    : null;
  return {
    topic,
    partition,
    key,
    idempotencyKey,
    records: { bytes, count, logicalBytes, hasHeaders: has(flags, HAS_HEADERS) },
    timeoutMs,
    rocket: has(flags, ROCKET),
    traced: has(flags, TRACED),
    producer,
  };
}

/** Upper bound of what `writeProduced` writes. */
export const PRODUCED_BYTES_MAX = NUMBERS_BYTES_MAX;

export function writeProduced(to: ByteCursor, produced: Produced): void {
  to.putU8(
    flag(produced.duplicate, DUPLICATE) |
      flag(produced.payloadMatches, PAYLOAD_MATCHES) |
      flag(produced.committed, COMMITTED) |
      syncedFlags(produced.synced),
  );
  to.putU32(produced.partition);
  to.putNumber(produced.firstOffset);
  to.putU32(produced.count);
  to.putNumber(produced.batchId);
  to.putU32(produced.ackedBy);
  to.putNumber(produced.queueUs);
  to.putNumber(produced.syncWaitUs);
}

export function readProduced(from: ByteCursor): Produced {
  const flags = from.u8();
  return {
    partition: from.u32(),
    firstOffset: from.numberOrNull(),
    count: from.u32(),
    duplicate: has(flags, DUPLICATE),
    payloadMatches: has(flags, PAYLOAD_MATCHES),
    committed: has(flags, COMMITTED),
    batchId: from.number(),
    synced: syncedOf(flags),
    ackedBy: from.u32(),
    queueUs: from.number(),
    syncWaitUs: from.number(),
  };
}

const syncedFlags = (synced: boolean | null): number =>
  synced === null ? SYNCED_IS_NULL : flag(synced, SYNCED);
const syncedOf = (flags: number): boolean | null =>
  has(flags, SYNCED_IS_NULL) ? null : has(flags, SYNCED);

/** Upper bound of what `writeKvPut` writes. */
export const kvPutBytesMax = ({ namespace, key, value }: KvPutRequest): number =>
  NUMBERS_BYTES_MAX + textBytesMax(namespace) + textBytesMax(key) + blobBytes(value);

export function writeKvPut(to: ByteCursor, request: KvPutRequest): void {
  to.putText(request.namespace);
  to.putText(request.key);
  to.putNumber(request.cas);
  to.putNumber(request.ttlMs);
  to.putNumber(request.timeoutMs);
  to.putBlob(request.value);
}

/** The value is a view of the bytes that were read. */
export const readKvPut = (from: ByteCursor): KvPutRequest => ({
  namespace: from.text(),
  key: from.text(),
  cas: from.numberOrNull(),
  ttlMs: from.numberOrNull(),
  timeoutMs: from.numberOrNull(),
  value: from.blob(),
});

/** Upper bound of what `writeKvWritten` writes. */
export const KV_WRITTEN_BYTES_MAX = NUMBERS_BYTES_MAX;

export function writeKvWritten(to: ByteCursor, written: KvWritten & WriteAck): void {
  to.putU8(syncedFlags(written.synced));
  to.putNumber(written.cas);
  to.putNumber(written.batchId);
  to.putU32(written.ackedBy);
}

export function readKvWritten(from: ByteCursor): KvWritten & WriteAck {
  const synced = syncedOf(from.u8());
  return { cas: from.number(), batchId: from.number(), synced, ackedBy: from.u32() };
}

/** Upper bound of what `writeKvGet` writes. */
export const kvGetBytesMax = ({ namespace, key }: KvGetRequest): number =>
  NUMBERS_BYTES_MAX + textBytesMax(namespace) + textBytesMax(key);

export function writeKvGet(to: ByteCursor, { namespace, key, linearizable }: KvGetRequest): void {
  to.putU8(flag(linearizable, LINEARIZABLE));
  to.putText(namespace);
  to.putText(key);
}

export function readKvGet(from: ByteCursor): KvGetRequest {
  const linearizable = has(from.u8(), LINEARIZABLE);
  return { namespace: from.text(), key: from.text(), linearizable };
}

/** Upper bound of what `writeKvValue` writes. */
export const kvValueBytesMax = ({ value }: KvValue): number => NUMBERS_BYTES_MAX + blobBytes(value);

export function writeKvValue(to: ByteCursor, { value, cas, ttlMs }: KvValue): void {
  to.putNumber(cas);
  to.putNumber(ttlMs);
  to.putBlob(value);
}

/** The value is a copy. */
export const readKvValue = (from: ByteCursor): KvValue => ({
  cas: from.number(),
  ttlMs: from.number(),
  value: from.blob().slice(),
});

/** Upper bound of what `writeConsume` writes. */
export const consumeBytesMax = ({ topic, group }: ConsumeRequest): number =>
  NUMBERS_BYTES_MAX + textBytesMax(topic) + textBytesMax(group);

export function writeConsume(to: ByteCursor, request: ConsumeRequest): void {
  to.putU8(flag(request.linearizable, LINEARIZABLE));
  to.putText(request.topic);
  to.putText(request.group);
  to.putU32(request.partition);
  to.putNumber(request.offset);
  to.putNumber(request.topicId ?? null);
  to.putU32(request.limit);
  to.putNumber(request.maxBytes);
}

export function readConsume(from: ByteCursor): ConsumeRequest {
  const linearizable = has(from.u8(), LINEARIZABLE);
  return {
    topic: from.text(),
    group: from.text(),
    partition: from.u32(),
    offset: from.numberOrNull(),
    topicId: from.numberOrNull(),
    limit: from.u32(),
    maxBytes: from.number(),
    linearizable,
  };
}

/** A range of a block of shared memory, which both sides know by its number. */
export type SharedRange = { readonly block: number; readonly from: number; readonly to: number };
/** A page whose slices are named. */
export type NamedPage = Omit<ConsumePage, "slices"> & { readonly ranges: readonly SharedRange[] };

const RANGE_BYTES = 16;
/** Upper bound of what `writePage` writes. */
export const pageBytesMax = (ranges: readonly SharedRange[]): number =>
  NUMBERS_BYTES_MAX + ranges.length * RANGE_BYTES;

export function writePage(
  to: ByteCursor,
  page: Omit<ConsumePage, "slices">,
  ranges: readonly SharedRange[],
): void {
  to.putNumber(page.topicId);
  to.putNumber(page.startOffset);
  to.putNumber(page.committedOffset);
  to.putNumber(page.lowWatermark);
  to.putNumber(page.endOffset);
  to.putNumber(page.first?.offset ?? null);
  to.putU32(page.first?.at ?? 0);
  to.putU32(ranges.length);
  for (const { block, from, to: end } of ranges) {
    to.putNumber(block);
    to.putU32(from);
    to.putU32(end);
  }
}

export function readPage(from: ByteCursor): NamedPage {
  const topicId = from.number();
  const startOffset = from.number();
  const committedOffset = from.numberOrNull();
  const lowWatermark = from.number();
  const endOffset = from.number();
  const offset = from.numberOrNull();
  const at = from.u32();
  const ranges: SharedRange[] = [];
  for (let left = from.u32(); left > 0; left--) {
    ranges.push({ block: from.number(), from: from.u32(), to: from.u32() });
  }
  const first = offset === null ? null : { offset, at };
  return { topicId, startOffset, committedOffset, lowWatermark, endOffset, first, ranges };
}

/** Bytes of the end of a read of a window. */
export const WINDOW_READ_BYTES_MAX = 8;

/** Bits of the parts that a rejection has. */
const HAS_MESSAGE = 1;
const HAS_DETAILS = 2;

export type WrittenRejection = { readonly rejected: Rejected; readonly details: string };

/** Returns a rejection with its details as text, whose length is then known. */
export const rejectionOf = (rejected: Rejected): WrittenRejection => ({
  rejected,
  details: rejected.details === undefined ? "" : JSON.stringify(rejected.details),
});

/** Upper bound of what `writeRejected` writes. */
export const rejectedBytesMax = ({ rejected, details }: WrittenRejection): number =>
  1 + textBytesMax(rejected.code) + textBytesMax(rejected.message ?? "") + textBytesMax(details);

export function writeRejected(to: ByteCursor, { rejected, details }: WrittenRejection): void {
  const { message } = rejected;
  to.putU8(flag(message !== undefined, HAS_MESSAGE) | flag(details !== "", HAS_DETAILS));
  to.putText(rejected.code);
  if (message !== undefined) to.putText(message);
  if (details !== "") to.putText(details);
}

export function readRejected(from: ByteCursor): Rejected {
  const flags = from.u8();
  // Both sides are the same program, so the code is one that it knows.
  const code = from.text() as RejectCode;
  const message = has(flags, HAS_MESSAGE) ? { message: from.text() } : {};
  const details = has(flags, HAS_DETAILS) ? { details: JSON.parse(from.text()) } : {};
  return { ok: false, code, ...message, ...details };
}
