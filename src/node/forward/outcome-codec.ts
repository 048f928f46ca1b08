/**
 * Outcomes of forwarded commands, many in a frame:
 *
 *     outcomes   u64 epoch of the follower's process, varint count; then each: varint id, u8 kind, and
 *                  produced  u8 flags, varints partition, first offset, count, batch id, acked by,
 *                            queue µs, sync µs
 *                  written   u8 flags, varints cas, batch id, acked by
 *                  other     text: the outcome as JSON
 *                  failed    nothing: the leader failed, and the outcome is unknown
 */
import { type ByteReader, type ByteWriter, DecodeError } from "../../lib/bytes.ts";
import { readPayload } from "../../transport/envelope.ts";
import type { KvPutOutcome, ProduceOutcome, Rejected, WriteAck } from "../api.ts";
import { readJson, writeJson } from "./json-values.ts";

const KIND_PRODUCED = 1;
const KIND_WRITTEN = 2;
const KIND_OTHER = 3;
const KIND_FAILED = 4;

const IS_SYNCED = 1;
const SYNCED_IS_NULL = 2;
const IS_DUPLICATE = 4;
const PAYLOAD_MATCHES = 8;
const IS_COMMITTED = 16;
const HAS_OFFSET = 32;

/** The smallest outcome: id and kind. */
const OUTCOME_BYTES_MIN = 2;

/** The outcome of any command: a success with fields of its own, or a rejection. */
export type Outcome = { readonly ok: true } | Rejected;
/** Null: the leader failed. */
export type NumberedOutcome = { readonly id: number; readonly outcome: Outcome | null };
export type OutcomeBatch = {
  readonly epoch: number;
  readonly outcomes: readonly NumberedOutcome[];
};

export function writeProduced(writer: ByteWriter, outcome: ProduceOutcome): void {
  if (!outcome.ok) {
    writeOther(writer, outcome);
    return;
  }
  writer.u8(KIND_PRODUCED);
  writer.u8(
    flagsOf(outcome) |
      (outcome.duplicate ? IS_DUPLICATE : 0) |
      (outcome.payloadMatches ? PAYLOAD_MATCHES : 0) |
      (outcome.committed ? IS_COMMITTED : 0) |
      (outcome.firstOffset === null ? 0 : HAS_OFFSET),
  );
  writer.varint(outcome.partition);
  if (outcome.firstOffset !== null) writer.varint(outcome.firstOffset);
  writer.varint(outcome.count);
  writer.varint(outcome.batchId);
  writer.varint(outcome.ackedBy);
  writer.varint(wholeUs(outcome.queueUs));
  writer.varint(wholeUs(outcome.syncWaitUs));
}

export function writeWritten(writer: ByteWriter, outcome: KvPutOutcome): void {
  if (!outcome.ok) {
    writeOther(writer, outcome);
    return;
  }
  writer.u8(KIND_WRITTEN);
  writer.u8(flagsOf(outcome));
  writer.varint(outcome.cas);
  writer.varint(outcome.batchId);
  writer.varint(outcome.ackedBy);
}

export function writeOther(writer: ByteWriter, outcome: Outcome): void {
  writer.u8(KIND_OTHER);
  writer.text(writeJson(outcome));
}

export const writeFailed = (writer: ByteWriter): void => writer.u8(KIND_FAILED);

const flagsOf = ({ synced }: WriteAck): number =>
  synced === null ? SYNCED_IS_NULL : synced ? IS_SYNCED : 0;
const syncedIn = (flags: number): boolean | null =>
  (flags & SYNCED_IS_NULL) !== 0 ? null : (flags & IS_SYNCED) !== 0;
const wholeUs = (us: number): number => Math.max(0, Math.trunc(us));

/** Decodes all outcomes or none. @throws FrameError */
export const readOutcomes = (payload: Uint8Array): OutcomeBatch => readPayload(payload, readBatch);

function readBatch(reader: ByteReader): OutcomeBatch {
  const epoch = reader.u64();
  const count = reader.varint();
  if (count === 0 || count > reader.remaining / OUTCOME_BYTES_MIN) {
    throw new DecodeError("count of outcomes makes no sense");
  }
  const outcomes: NumberedOutcome[] = [];
  for (let i = 0; i < count; i++) {
    outcomes.push({ id: reader.varint(), outcome: readOutcome(reader) });
  }
  return { epoch, outcomes };
}

function readOutcome(reader: ByteReader): Outcome | null {
  const kind = reader.u8();
  switch (kind) {
    case KIND_PRODUCED:
      return readProduced(reader);
    case KIND_WRITTEN:
      return readWritten(reader);
    case KIND_OTHER:
      return readOther(reader);
    case KIND_FAILED:
      return null;
    default:
      throw new DecodeError(`unknown kind of outcome ${kind}`);
  }
}

function readProduced(reader: ByteReader): Extract<ProduceOutcome, { ok: true }> {
  const flags = reader.u8();
  return {
    ok: true,
    partition: reader.varint(),
    firstOffset: (flags & HAS_OFFSET) === 0 ? null : reader.varint(),
    count: reader.varint(),
    duplicate: (flags & IS_DUPLICATE) !== 0,
    payloadMatches: (flags & PAYLOAD_MATCHES) !== 0,
    committed: (flags & IS_COMMITTED) !== 0,
    batchId: reader.varint(),
    synced: syncedIn(flags),
    ackedBy: reader.varint(),
    queueUs: reader.varint(),
    syncWaitUs: reader.varint(),
  };
}

function readWritten(reader: ByteReader): Extract<KvPutOutcome, { ok: true }> {
  const flags = reader.u8();
  const cas = reader.varint();
  return {
    ok: true,
    cas,
    batchId: reader.varint(),
    synced: syncedIn(flags),
    ackedBy: reader.varint(),
  };
}

function readOther(reader: ByteReader): Outcome {
  const outcome = readJson(reader.text());
  if (typeof outcome !== "object" || outcome === null || !("ok" in outcome)) {
    throw new DecodeError("an outcome is not an object with ok");
  }
  // Written by `writeOther` of a member.
  return outcome as Outcome;
}
