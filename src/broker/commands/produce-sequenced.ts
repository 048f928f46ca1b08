import { feature as faultPoint } from "bun:bundle";
import { unreachable } from "../../lib/assert.ts";
import { varintLength } from "../../lib/bytes.ts";
import { atLeastOne, type LeveledKind, textLength } from "../../lib/command-kind.ts";
import { LEVEL_SHARED_WORK } from "../../lib/log-levels.ts";
import type { Offset } from "../../record/offset.ts";
import {
  checkedProducerId,
  judgeSequence,
  type ProducerSequence,
  type Verdict,
} from "../producer-sequence.ts";
import type { HasProducers } from "../producers-part.ts";
import { appendRecords, readRecords, recordsLength, writeRecords } from "../records.ts";
import {
  type BrokerEffects,
  type BrokerRejected,
  findPartition,
  type HasBroker,
  rejected,
  rejectMissing,
} from "../state.ts";

/** A produce of an idempotent producer. */
export type ProduceSequenced = {
  readonly type: "produce_sequenced";
  readonly topicId: number;
  readonly partition: number;
  readonly sequence: ProducerSequence;
  /** The leader's limit of entries of all producers. It is part of the command, so that all nodes use it. */
  readonly producersMax: number;
  /** Number of records, at least 1. */
  readonly count: number;
  /** Keys and values, without framing. */
  readonly logicalBytes: number;
  /** Complete encoded batches, back to back. */
  readonly batches: Uint8Array;
};

export type ProduceSequencedResult =
  | {
      readonly ok: true;
      readonly type: "produce_sequenced";
      /** Null: a duplicate of a write before the last one, whose place is not known any more. */
      readonly firstOffset: Offset | null;
      /** 0 for such a duplicate. */
      readonly count: number;
      /** True if nothing was stored; offset and count are then those of the first write. */
      readonly duplicate: boolean;
      /** False for a duplicate of the last write whose payload differs. */
      readonly payloadMatches: boolean;
    }
  | BrokerRejected<"topic_not_found" | "partition_not_found" | "sequence_gap" | "stale_epoch">;

/**
 * Assigns offsets to the records if the write is the next one of its producer. This is decided here
 * and not when the write is proposed, because two attempts of one write may both be in the log, also
 * from two leaders.
 */
export function applyProduceSequenced(
  { broker, parts, now }: HasBroker & HasProducers,
  command: ProduceSequenced,
  effects: BrokerEffects,
): ProduceSequencedResult {
  const { topicId, sequence, count } = command;
  const { producers } = parts;
  const partition = findPartition(broker, topicId, command.partition);
  if (partition === undefined) return rejectMissing(broker, topicId);

  const place = { topicId, partition: command.partition, id: sequence.id };
  const answered = answerOf(judgeSequence(producers.find(place, now), sequence));
  if (answered !== null) return answered;

  const firstOffset = appendRecords(broker, partition, command, now, effects);
  const { epoch, seq, payload } = sequence;
  const last = { epoch, seq, firstOffset, count, payload };
  producers.remember(place, last, now, command.producersMax);
  return { ...STORED, firstOffset, count };
}

const STORED = {
  ok: true,
  type: "produce_sequenced",
  duplicate: false,
  payloadMatches: true,
} as const;

/** @returns null: the write is the next one of its producer. */
function answerOf(verdict: Verdict): ProduceSequencedResult | null {
  switch (verdict.kind) {
    case "next":
      return null;
    case "sequence_gap":
      if (faultPoint("producer-gaps-are-stored")) return null;
      return rejected("sequence_gap", { expected_seq: verdict.expectedSeq });
    case "stale_epoch":
      if (faultPoint("stale-epochs-are-stored")) return null;
      return rejected("stale_epoch", { current_epoch: verdict.currentEpoch });
    case "duplicate":
      if (faultPoint("producer-duplicates-are-stored")) return null;
      return {
        ok: true,
        type: "produce_sequenced",
        firstOffset: verdict.first?.firstOffset ?? null,
        count: verdict.first?.count ?? 0,
        duplicate: true,
        payloadMatches: verdict.payloadMatches,
      };
    default:
      return unreachable(verdict);
  }
}

export const produceSequenced: LeveledKind<
  ProduceSequenced,
  ProduceSequencedResult,
  HasBroker & HasProducers,
  BrokerEffects
> = {
  type: "produce_sequenced",
  tag: 30,
  level: LEVEL_SHARED_WORK,
  feature: "Numbered writes of producers",
  length: (fields) =>
    varintLength(fields.topicId) +
    varintLength(fields.partition) +
    textLength(fields.sequence.id) +
    varintLength(fields.sequence.epoch) +
    varintLength(fields.sequence.seq) +
    4 +
    varintLength(fields.producersMax) +
    recordsLength(fields),
  encode(body, fields) {
    const { sequence } = fields;
    body.varint(fields.topicId);
    body.varint(fields.partition);
    body.text(sequence.id);
    body.varint(sequence.epoch);
    body.varint(sequence.seq);
    body.u32(sequence.payload);
    body.varint(fields.producersMax);
    writeRecords(body, fields);
  },
  decode(body, end) {
    const topicId = body.varint();
    const partition = body.varint();
    const sequence = {
      id: checkedProducerId(body.text()),
      epoch: body.varint(),
      seq: body.varint(),
      payload: body.u32(),
    };
    const producersMax = body.varint();
    const { count, logicalBytes, batches } = readRecords(body, end);
    atLeastOne(count);
    return {
      type: "produce_sequenced",
      topicId,
      partition,
      sequence,
      producersMax,
      count,
      logicalBytes,
      batches,
    };
  },
  apply: applyProduceSequenced,
  summarize({ duplicate, firstOffset, count }, summary) {
    summary.flag(duplicate);
    summary.numbers(firstOffset ?? 0, count);
  },
};
