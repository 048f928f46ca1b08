/** Predicts the end of a produce from the applied state and from the writes in flight. */
import { type Idempotency, peekDuplicate } from "../../broker/idempotency.ts";
import { judgeSequence, type ProducerSequence } from "../../broker/producer-sequence.ts";
import type { PartitionState } from "../../broker/state.ts";
import { sameBytes } from "../../lib/bytes.ts";
import type { Millis } from "../../lib/ids.ts";
import type { Machine } from "../../machine/machine.ts";
import { handleOf } from "../partition-handle.ts";
import type { Expected } from "./produce-waiter.ts";

/** The write with an idempotency key. */
export function expectedKey(
  machine: Machine,
  partition: PartitionState,
  idempotency: Idempotency,
  now: Millis,
): Expected {
  const known = peekDuplicate(machine.broker, partition, idempotency, now);
  if (known !== null) return { kind: "duplicate", first: { ...known, committed: true } };
  const { keyDigest, payloadDigest } = idempotency;
  const key = keyDigest.toHex();
  const pending = handleOf(partition).pendingKeys.get(key);
  if (pending === undefined) return { kind: "stored", identity: { key, payloadDigest } };
  const payloadMatches = sameBytes(pending.payloadDigest, payloadDigest);
  const { firstOffset, count } = pending;
  const first = { firstOffset, count, payloadMatches, committed: false };
  return { kind: "duplicate", first };
}

/** The write of an idempotent producer. */
export function expectedSequence(
  machine: Machine,
  partition: PartitionState,
  sequence: ProducerSequence,
  now: Millis,
): Expected {
  const { topicId, partition: number } = partition;
  const stored = machine.parts.producers.find({ topicId, partition: number, id: sequence.id }, now);
  const pending = handleOf(partition).pendingProducers.get(sequence.id) ?? stored;
  const verdict = judgeSequence(pending, sequence);
  if (verdict.kind === "next") return { kind: "stored", identity: { sequence } };
  if (verdict.kind !== "duplicate") return { kind: "refused" };
  // A write before the last one in flight may be the last one that is committed.
  const known = pending === stored ? verdict : judgeSequence(stored, sequence);
  const committed = known.kind === "duplicate";
  const { first, payloadMatches } = committed ? known : verdict;
  const { firstOffset = null, count = 0 } = first ?? {};
  return { kind: "duplicate", first: { firstOffset, count, payloadMatches, committed } };
}
