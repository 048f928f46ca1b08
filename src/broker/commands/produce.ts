import { feature as faultPoint } from "bun:bundle";
import { varintLength } from "../../lib/bytes.ts";
import { atLeastOne, type CommandKind } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import type { Offset } from "../../record/offset.ts";
import type { DedupeTable } from "../dedupe-table.ts";
import { findDuplicate, type Idempotency, remember } from "../idempotency.ts";
import {
  appendRecords,
  idempotencyLength,
  readIdempotency,
  readRecords,
  recordsLength,
  writeIdempotency,
  writeRecords,
} from "../records.ts";
import type { HasBroker } from "../state.ts";
import {
  type BrokerEffects,
  type BrokerRejected,
  type BrokerState,
  findPartition,
  rejectMissing,
} from "../state.ts";

export type Produce = {
  readonly type: "produce";
  readonly topicId: number;
  readonly partition: number;
  readonly idempotency: Idempotency | null;
  /** Number of records, at least 1. */
  readonly count: number;
  /** Keys and values, without framing. */
  readonly logicalBytes: number;
  /** Complete encoded batches, back to back. */
  readonly batches: Uint8Array;
};

export type ProduceResult =
  | {
      readonly ok: true;
      readonly type: "produce";
      readonly firstOffset: Offset;
      readonly count: number;
      /** True if nothing was stored; offset and count are then those of the first write. */
      readonly duplicate: boolean;
      /** False for a duplicate whose payload differs from the first write. */
      readonly payloadMatches: boolean;
    }
  | BrokerRejected<"topic_not_found" | "partition_not_found">;

/**
 * Assigns offsets to the records. Duplicates are detected here and not when proposed, because two
 * requests with one key may both be in the log, also from two leaders.
 */
export function applyProduce(
  state: BrokerState,
  command: Produce,
  now: Millis,
  effects: BrokerEffects,
): ProduceResult {
  const partition = findPartition(state, command.topicId, command.partition);
  if (partition === undefined) return rejectMissing(state, command.topicId);

  const { idempotency, count } = command;
  const { dedupe } = partition;
  if (idempotency !== null && dedupe !== null) {
    const sequence = findDuplicate(dedupe, idempotency.keyDigest, state.limits, now);
    if (sequence >= 0 && !faultPoint("dedupe-ignored") && !faultPoint("dedupe-at-propose")) {
      return duplicateOf(dedupe, sequence, idempotency);
    }
  }

  const firstOffset = appendRecords(state, partition, command, now, effects);
  if (idempotency !== null) remember(state, partition, idempotency, { firstOffset, count }, now);
  return {
    ok: true,
    type: "produce",
    firstOffset,
    count,
    duplicate: false,
    payloadMatches: true,
  };
}

const duplicateOf = (
  table: DedupeTable,
  sequence: number,
  idempotency: Idempotency,
): ProduceResult => ({
  ok: true,
  type: "produce",
  firstOffset: table.firstOffset(sequence) as Offset,
  count: table.count(sequence),
  duplicate: true,
  payloadMatches: table.hasPayload(sequence, idempotency.payloadDigest),
});

export const produce: CommandKind<Produce, ProduceResult, HasBroker, BrokerEffects> = {
  type: "produce",
  tag: 3,
  summaryId: 1,
  length: (fields) =>
    varintLength(fields.topicId) +
    varintLength(fields.partition) +
    idempotencyLength(fields.idempotency) +
    recordsLength(fields),
  encode(body, fields) {
    body.varint(fields.topicId);
    body.varint(fields.partition);
    writeIdempotency(body, fields.idempotency);
    writeRecords(body, fields);
  },
  decode(body, end) {
    const topicId = body.varint();
    const partition = body.varint();
    const idempotency = readIdempotency(body);
    const { count, logicalBytes, batches } = readRecords(body, end);
    atLeastOne(count);
    return { type: "produce", topicId, partition, idempotency, count, logicalBytes, batches };
  },
  apply: ({ broker, now }, command, effects) => applyProduce(broker, command, now, effects),
  summarize({ duplicate, firstOffset, count }, summary) {
    summary.flag(duplicate);
    summary.numbers(firstOffset, count);
  },
};
