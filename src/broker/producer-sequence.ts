import { DecodeError } from "../lib/bytes.ts";
import type { Offset } from "../record/offset.ts";

/** Limits of the name of a producer, in bytes of UTF-8. */
export const PRODUCER_ID_BYTES_MAX = 128;
/** Machine time for which the last write of a producer is remembered: 7 days. */
export const PRODUCER_WINDOW_MS = 7 * 24 * 3_600_000;

/** @throws DecodeError for an id that no request can have. */
export function checkedProducerId(id: string): string {
  const bytes = Buffer.byteLength(id);
  if (bytes >= 1 && bytes <= PRODUCER_ID_BYTES_MAX) return id;
  throw new DecodeError(`the id of a producer has ${bytes} bytes`);
}

/** The number that a producer gives a write: which of its writes in this partition it is. */
export type ProducerSequence = {
  readonly id: string;
  /** A higher epoch fences lower ones: their writes are refused from then on. */
  readonly epoch: number;
  /** The writes of an epoch count from 0, one for each request. */
  readonly seq: number;
  /** CRC-32 of the payload, to tell a repeated write from another one with the same number. */
  readonly payload: number;
};

/** The last write of a producer in a partition. */
export type LastWrite = {
  readonly epoch: number;
  readonly seq: number;
  readonly firstOffset: Offset;
  readonly count: number;
  readonly payload: number;
};

export type Verdict =
  | { readonly kind: "next" }
  | {
      readonly kind: "duplicate";
      /** The stored records. Null: the write is older than the last one, whose place alone is known. */
      readonly first: { readonly firstOffset: Offset; readonly count: number } | null;
      /** False: the last write has this number, but another payload. */
      readonly payloadMatches: boolean;
    }
  | { readonly kind: "sequence_gap"; readonly expectedSeq: number }
  | { readonly kind: "stale_epoch"; readonly currentEpoch: number };

const NEXT: Verdict = { kind: "next" };

/**
 * Decides what becomes of a write.
 *
 * @param last null: the producer is not known in this partition, so its next write has number 0.
 */
export function judgeSequence(last: LastWrite | null, sequence: ProducerSequence): Verdict {
  const { epoch, seq } = sequence;
  if (last === null || epoch > last.epoch) {
    return seq === 0 ? NEXT : { kind: "sequence_gap", expectedSeq: 0 };
  }
  if (epoch < last.epoch) return { kind: "stale_epoch", currentEpoch: last.epoch };
  if (seq > last.seq) {
    return seq === last.seq + 1 ? NEXT : { kind: "sequence_gap", expectedSeq: last.seq + 1 };
  }
  if (seq < last.seq) return { kind: "duplicate", first: null, payloadMatches: true };
  const payloadMatches = sequence.payload === last.payload;
  return { kind: "duplicate", first: last, payloadMatches };
}
