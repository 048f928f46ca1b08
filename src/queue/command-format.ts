/** Bodies of the commands of queues in an entry of the log. Old forms stay readable for ever. */
import { type ByteReader, type ByteWriter, DecodeError } from "../lib/bytes.ts";
import type { FieldsOf } from "../lib/command-kind.ts";
import type { BuryMessage } from "./commands/bury-message.ts";
import type { DefineQueue } from "./commands/define-queue.ts";
import type { Candidate, Receive } from "./commands/receive.ts";
import type { Redrive, RedriveAppend } from "./commands/redrive.ts";
import type { AckMessages, ExtendLeases, NackMessages } from "./commands/settle.ts";
import { BACKOFFS_MAX, type QueueDefinition } from "./definition.ts";
import type { LeaseRef } from "./find.ts";
import { NO_KEY } from "./state.ts";

const HAS_DEAD_LETTER = 1;
const ORDER_BY_KEY = 2;
const FROM_LATEST = 4;
const IS_LEASED = 1;
const HAS_KEYS = 1;

export function encodeDefinition(body: ByteWriter, definition: QueueDefinition): void {
  const { deadLetter, order, from, backoffMs } = definition;
  body.text(definition.topic);
  body.u8(
    (deadLetter === null ? 0 : HAS_DEAD_LETTER) |
      (order === "key" ? ORDER_BY_KEY : 0) |
      (from === "latest" ? FROM_LATEST : 0),
  );
  if (deadLetter !== null) body.text(deadLetter);
  body.varint(definition.visibilityMs);
  body.varint(definition.maxDeliveries);
  body.varint(definition.maxInFlight);
  body.varint(backoffMs.length);
  for (const ms of backoffMs) body.varint(ms);
}

export function decodeDefinition(body: ByteReader): QueueDefinition {
  const topic = body.text();
  const flags = body.u8();
  if (flags > (HAS_DEAD_LETTER | ORDER_BY_KEY | FROM_LATEST))
    throw new DecodeError("unknown flags of a queue");
  const deadLetter = (flags & HAS_DEAD_LETTER) === 0 ? null : body.text();
  const visibilityMs = body.varint();
  const maxDeliveries = body.varint();
  const maxInFlight = body.varint();
  const count = body.varint();
  if (count < 1 || count > BACKOFFS_MAX) throw new DecodeError("a queue has 1 to 16 waits");
  const backoffMs = Array.from({ length: count }, () => body.varint());
  const order = (flags & ORDER_BY_KEY) === 0 ? "none" : "key";
  const from = (flags & FROM_LATEST) === 0 ? "earliest" : "latest";
  return { topic, visibilityMs, maxDeliveries, backoffMs, deadLetter, order, maxInFlight, from };
}

export function encodeDefineQueue(body: ByteWriter, { name, definition }: DefineQueue): void {
  body.text(name);
  encodeDefinition(body, definition);
}

export const decodeDefineQueue = (body: ByteReader): DefineQueue => ({
  type: "define_queue",
  name: body.text(),
  definition: decodeDefinition(body),
});

/** Consecutive records of one partition take a few bytes together. */
export function encodeReceive(body: ByteWriter, command: Receive): void {
  const { queueId, visibilityMs, candidates } = command;
  const hasKeys = candidates.some(({ key }) => key !== NO_KEY);
  body.varint(queueId);
  body.varint(visibilityMs);
  body.u8(hasKeys ? HAS_KEYS : 0);
  for (let at = 0; at < candidates.length; ) {
    const { partition, offset } = candidates[at] as Candidate;
    let end = at + 1;
    while (isNext(candidates[end], partition, offset + end - at)) end++;
    body.varint(partition);
    body.varint(offset);
    body.varint(end - at);
    if (hasKeys) for (const { key } of candidates.slice(at, end)) body.varint(key);
    at = end;
  }
}

const isNext = (candidate: Candidate | undefined, partition: number, offset: number): boolean =>
  candidate?.partition === partition && candidate.offset === offset;

export function decodeReceive(body: ByteReader, end: number): Receive {
  const queueId = body.varint();
  const visibilityMs = body.varint();
  const flags = body.u8();
  if (flags > HAS_KEYS) throw new DecodeError("unknown flags of a receive");
  const candidates: Candidate[] = [];
  while (body.position < end) {
    const partition = body.varint();
    const first = body.varint();
    const count = body.varint();
    if (count > 65_536) throw new DecodeError("a receive names too many records");
    for (let offset = first; offset < first + count; offset++) {
      candidates.push({ partition, offset, key: flags === 0 ? NO_KEY : body.varint() });
    }
  }
  return { type: "receive", queueId, visibilityMs, candidates };
}

function encodeLeases(body: ByteWriter, leases: readonly LeaseRef[]): void {
  for (const { partition, offset, attempt } of leases) {
    body.varint(partition);
    body.varint(offset);
    body.varint(attempt);
  }
}

function decodeLeases(body: ByteReader, end: number): LeaseRef[] {
  const leases: LeaseRef[] = [];
  while (body.position < end) {
    leases.push({ partition: body.varint(), offset: body.varint(), attempt: body.varint() });
  }
  return leases;
}

export function encodeAckMessages(body: ByteWriter, { queueId, leases }: AckMessages): void {
  body.varint(queueId);
  encodeLeases(body, leases);
}

export const decodeAckMessages = (body: ByteReader, end: number): AckMessages => ({
  type: "ack_messages",
  queueId: body.varint(),
  leases: decodeLeases(body, end),
});

/** The delay is stored plus one; 0: the backoff of the queue. */
export function encodeNackMessages(body: ByteWriter, command: NackMessages): void {
  body.varint(command.queueId);
  body.varint(command.delayMs === null ? 0 : command.delayMs + 1);
  encodeLeases(body, command.leases);
}

export function decodeNackMessages(body: ByteReader, end: number): NackMessages {
  const queueId = body.varint();
  const delay = body.varint();
  const delayMs = delay === 0 ? null : delay - 1;
  return { type: "nack_messages", queueId, delayMs, leases: decodeLeases(body, end) };
}

export function encodeExtendLeases(body: ByteWriter, command: ExtendLeases): void {
  body.varint(command.queueId);
  body.varint(command.byMs);
  encodeLeases(body, command.leases);
}

export const decodeExtendLeases = (body: ByteReader, end: number): ExtendLeases => ({
  type: "extend_leases",
  queueId: body.varint(),
  byMs: body.varint(),
  leases: decodeLeases(body, end),
});

export function encodeBuryMessage(body: ByteWriter, command: BuryMessage): void {
  body.varint(command.queueId);
  encodeLeases(body, [command]);
  body.u8(command.isLeased ? IS_LEASED : 0);
  body.varint(command.logicalBytes);
  body.raw(command.batch);
}

export function decodeBuryMessage(body: ByteReader, end: number): BuryMessage {
  const queueId = body.varint();
  const partition = body.varint();
  const offset = body.varint();
  const attempt = body.varint();
  const flags = body.u8();
  if (flags > IS_LEASED) throw new DecodeError("unknown flags of a dead letter");
  const logicalBytes = body.varint();
  const batch = body.raw(end - body.position);
  const isLeased = flags === IS_LEASED;
  return {
    type: "bury_message",
    queueId,
    partition,
    offset,
    attempt,
    isLeased,
    logicalBytes,
    batch,
  };
}

export function encodeRedrive(body: ByteWriter, command: FieldsOf<Redrive>): void {
  body.varint(command.queueId);
  body.varint(command.deadTopicId);
  body.varint(command.deadPartition);
  body.varint(command.from);
  body.varint(command.to);
  for (const { partition, count, logicalBytes, batches } of command.appends) {
    body.varint(partition);
    body.varint(count);
    body.varint(logicalBytes);
    body.blob(batches);
  }
}

export function decodeRedrive(body: ByteReader, end: number): FieldsOf<Redrive> {
  const queueId = body.varint();
  const deadTopicId = body.varint();
  const deadPartition = body.varint();
  const from = body.varint();
  const to = body.varint();
  const appends: RedriveAppend[] = [];
  while (body.position < end) {
    const [partition, count, logicalBytes] = [body.varint(), body.varint(), body.varint()];
    appends.push({ partition, count, logicalBytes, batches: body.blob() });
  }
  return { queueId, deadTopicId, deadPartition, from, to, appends };
}
