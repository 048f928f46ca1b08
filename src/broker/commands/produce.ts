import { feature as faultPoint } from "bun:bundle";
import type { Millis } from "../../lib/ids.ts";
import type { Offset } from "../../record/offset.ts";
import type { DedupeTable } from "../dedupe-table.ts";
import { findDuplicate, type Idempotency, remember } from "../idempotency.ts";
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

  const { idempotency, count, logicalBytes } = command;
  const { dedupe } = partition;
  if (idempotency !== null && dedupe !== null) {
    const sequence = findDuplicate(dedupe, idempotency.keyDigest, state.limits, now);
    if (sequence >= 0 && !faultPoint("dedupe-ignored") && !faultPoint("dedupe-at-propose")) {
      return duplicateOf(dedupe, sequence, idempotency);
    }
  }

  const firstOffset = partition.endOffset;
  partition.endOffset = (firstOffset + count) as Offset;
  partition.bytesEnd += logicalBytes;
  if (idempotency !== null) remember(state, partition, idempotency, { firstOffset, count }, now);
  effects.append(partition, command.batches, firstOffset, now, count, logicalBytes);
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
