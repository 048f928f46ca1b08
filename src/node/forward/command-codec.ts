/**
 * Commands that a follower forwards to the leader, many in a frame:
 *
 *     commands   u64 epoch, varint number of the frame, varint id of the first command, varint count;
 *                then each command: u8 kind, varint budget, and
 *                  produce  u8 flags, text topic, varint partition, blobs key and idempotency key,
 *                           text producer, varints epoch and seq, blob batches
 *                  kv put   u8 flags, text namespace, text key, varints cas and ttl, blob value
 *                  call     text name, text arguments as JSON
 *
 * The fields that the flags leave out are absent. The budget is the time that the follower still
 * waits, in milliseconds: a duration, because clocks of nodes differ. The epoch is drawn at the start
 * of a process and frames are numbered, so that no frame is executed twice.
 */
import { type ByteReader, type ByteWriter, DecodeError } from "../../lib/bytes.ts";
import { TextCache } from "../../lib/text-cache.ts";
import type { EncodedRecords } from "../../record/batch-builder.ts";
import {
  batchCount,
  batchHasHeaders,
  batchLength,
  batchLogicalBytes,
} from "../../record/batch-header.ts";
import { BATCH_HEADER_BYTES } from "../../record/format.ts";
import { readPayload } from "../../transport/envelope.ts";
import type { KvPutRequest, ProduceRequest } from "../api.ts";
import { readJson, writeJson } from "./json-values.ts";

const KIND_PRODUCE = 1;
const KIND_KV_PUT = 2;
const KIND_CALL = 3;

const HAS_PARTITION = 1;
const HAS_KEY = 2;
const HAS_IDEMPOTENCY_KEY = 4;
const HAS_PRODUCER = 8;
const HAS_TIMEOUT = 16;
const IS_ROCKET = 32;
const IS_TRACED = 64;

const PUT_HAS_CAS = 1;
const PUT_HAS_TTL = 2;
const PUT_HAS_TIMEOUT = 4;

/** Topics and namespaces. */
const NAMES = new TextCache();

/** The smallest command: kind, budget, two empty texts. */
const COMMAND_BYTES_MIN = 4;

export type Command =
  | { readonly kind: "produce"; readonly request: ProduceRequest }
  | { readonly kind: "kvPut"; readonly request: KvPutRequest }
  | { readonly kind: "call"; readonly name: string; readonly given: readonly unknown[] };

export type CommandBatch = {
  readonly epoch: number;
  readonly number: number;
  readonly firstId: number;
  readonly commands: readonly Command[];
};

/** Begins a frame. @returns the position of the count, for `endCommands`. */
export function beginCommands(
  writer: ByteWriter,
  { epoch, number, firstId }: Omit<CommandBatch, "commands">,
): number {
  writer.u64(epoch);
  writer.varint(number);
  writer.varint(firstId);
  return writer.reserve(4);
}

export const endCommands = (writer: ByteWriter, at: number, count: number): void =>
  writer.setU32(at, count);

/** @param budgetMs the time that remains. It replaces `timeoutMs` of a request that has one. */
export function writeProduce(writer: ByteWriter, request: ProduceRequest, budgetMs: number): void {
  const { partition, key, idempotencyKey, producer = null } = request;
  writer.u8(KIND_PRODUCE);
  writer.varint(budgetMs);
  writer.u8(
    (partition === null ? 0 : HAS_PARTITION) |
      (key === null ? 0 : HAS_KEY) |
      (idempotencyKey === null ? 0 : HAS_IDEMPOTENCY_KEY) |
      (producer === null ? 0 : HAS_PRODUCER) |
      (request.timeoutMs === null ? 0 : HAS_TIMEOUT) |
      (request.rocket ? IS_ROCKET : 0) |
      (request.traced === true ? IS_TRACED : 0),
  );
  writer.text(request.topic);
  if (partition !== null) writer.varint(partition);
  if (key !== null) writer.blob(key);
  if (idempotencyKey !== null) writer.blob(idempotencyKey);
  if (producer !== null) {
    writer.text(producer.id);
    writer.varint(producer.epoch);
    writer.varint(producer.seq);
  }
  writer.blob(request.records.bytes);
}

export function writeKvPut(writer: ByteWriter, request: KvPutRequest, budgetMs: number): void {
  const { namespace, key, value, cas, ttlMs, timeoutMs } = request;
  writer.u8(KIND_KV_PUT);
  writer.varint(budgetMs);
  writer.u8(
    (cas === null ? 0 : PUT_HAS_CAS) |
      (ttlMs === null ? 0 : PUT_HAS_TTL) |
      (timeoutMs === null ? 0 : PUT_HAS_TIMEOUT),
  );
  writer.text(namespace);
  writer.text(key);
  if (cas !== null) writer.varint(cas);
  if (ttlMs !== null) writer.varint(ttlMs);
  writer.blob(value);
}

export function writeCall(
  writer: ByteWriter,
  name: string,
  given: readonly unknown[],
  budgetMs: number,
): void {
  writer.u8(KIND_CALL);
  writer.varint(budgetMs);
  writer.text(name);
  writer.text(writeJson(given));
}

/** Decodes all commands or none. Byte values are views of the payload. @throws FrameError */
export const readCommands = (payload: Uint8Array): CommandBatch => readPayload(payload, readBatch);

function readBatch(reader: ByteReader): CommandBatch {
  const epoch = reader.u64();
  const number = reader.varint();
  const firstId = reader.varint();
  const count = reader.u32();
  if (count === 0 || count > reader.remaining / COMMAND_BYTES_MIN) {
    throw new DecodeError("count of commands makes no sense");
  }
  const commands: Command[] = [];
  for (let i = 0; i < count; i++) commands.push(readCommand(reader));
  return { epoch, number, firstId, commands };
}

function readCommand(reader: ByteReader): Command {
  const kind = reader.u8();
  const budgetMs = reader.varint();
  switch (kind) {
    case KIND_PRODUCE:
      return { kind: "produce", request: readProduce(reader, budgetMs) };
    case KIND_KV_PUT:
      return { kind: "kvPut", request: readKvPut(reader, budgetMs) };
    case KIND_CALL:
      return { kind: "call", name: reader.text(), given: readArguments(reader) };
    default:
      throw new DecodeError(`unknown kind of command ${kind}`);
  }
}

function readProduce(reader: ByteReader, budgetMs: number): ProduceRequest {
  const flags = reader.u8();
  if (flags >= 2 * IS_TRACED) throw new DecodeError("unknown flags of a produce");
  return {
    topic: NAMES.read(reader),
    partition: (flags & HAS_PARTITION) === 0 ? null : reader.varint(),
    key: (flags & HAS_KEY) === 0 ? null : reader.blob(),
    idempotencyKey: (flags & HAS_IDEMPOTENCY_KEY) === 0 ? null : reader.blob(),
    producer:
      (flags & HAS_PRODUCER) === 0
        ? null
        : { id: reader.text(), epoch: reader.varint(), seq: reader.varint() },
    records: readRecords(reader.blob()),
    timeoutMs: (flags & HAS_TIMEOUT) === 0 ? null : budgetMs,
    rocket: (flags & IS_ROCKET) !== 0,
    traced: (flags & IS_TRACED) !== 0,
  };
}

/** Reads from their headers what the batches hold. The frame has a checksum of its own. */
function readRecords(bytes: Uint8Array): EncodedRecords {
  let count = 0;
  let logicalBytes = 0;
  let hasHeaders = false;
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.length - at < BATCH_HEADER_BYTES ? 0 : batchLength(bytes, at);
    if (length < BATCH_HEADER_BYTES || length > bytes.length - at) {
      throw new DecodeError("records are not whole batches");
    }
    count += batchCount(bytes, at);
    logicalBytes += batchLogicalBytes(bytes, at);
    hasHeaders ||= batchHasHeaders(bytes, at);
    at += length;
  }
  if (count === 0) throw new DecodeError("a produce without records");
  return { bytes, count, logicalBytes, hasHeaders };
}

function readKvPut(reader: ByteReader, budgetMs: number): KvPutRequest {
  const flags = reader.u8();
  if (flags >= 2 * PUT_HAS_TIMEOUT) throw new DecodeError("unknown flags of a put");
  return {
    namespace: NAMES.read(reader),
    key: reader.text(),
    cas: (flags & PUT_HAS_CAS) === 0 ? null : reader.varint(),
    ttlMs: (flags & PUT_HAS_TTL) === 0 ? null : reader.varint(),
    value: reader.blob(),
    timeoutMs: (flags & PUT_HAS_TIMEOUT) === 0 ? null : budgetMs,
  };
}

function readArguments(reader: ByteReader): readonly unknown[] {
  const given = readJson(reader.text());
  if (!Array.isArray(given)) throw new DecodeError("arguments are not an array");
  return given;
}
