/** The rules of idempotent producers, as in the protocol: epochs fence, sequence numbers are dense. */
import { feature as faultPoint } from "bun:bundle";
import { type DurableRejected, type ProducerState, refused, type StreamState } from "./state.ts";

export type ProducerWrite = {
  readonly id: string;
  readonly epoch: number;
  readonly seq: number;
};

/** The state of a producer is forgotten this long after its last write. */
export const PRODUCER_KEEP_MS = 7 * 86_400_000;

export type ProducerVerdict =
  | { readonly kind: "accepted" }
  | { readonly kind: "duplicate"; readonly lastSeq: number }
  | {
      readonly kind: "refused";
      readonly rejection: DurableRejected<"stale_epoch" | "epoch_not_at_zero" | "sequence_gap">;
    };

/** Says what to do with a write, without changing anything. */
export function judge(
  stream: StreamState,
  { id, epoch, seq }: ProducerWrite,
  now: number,
): ProducerVerdict {
  const known = stream.producers.get(id);
  if (known === undefined || isForgotten(known, now)) return seq === 0 ? ACCEPTED : gap(0, seq);
  if (epoch < known.epoch) return refuse(refused("stale_epoch", { currentEpoch: known.epoch }));
  if (epoch > known.epoch) {
    return seq === 0 ? ACCEPTED : refuse(refused("epoch_not_at_zero", { receivedSeq: seq }));
  }
  if (seq <= known.seq && !faultPoint("stream-duplicates-are-stored")) {
    return { kind: "duplicate", lastSeq: known.seq };
  }
  return seq === known.seq + 1 ? ACCEPTED : gap(known.seq + 1, seq);
}

/**
 * Records an accepted write. A snapshot may refer to the producers, so they are copied once an epoch;
 * those that are forgotten are left out then.
 *
 * @param stream of the present epoch.
 */
export function rememberWrite(
  stream: StreamState,
  { id, epoch, seq }: ProducerWrite,
  now: number,
): void {
  if (stream.producersEpoch !== stream.epoch) {
    const known = [...stream.producers].filter(([, state]) => !isForgotten(state, now));
    stream.producers = new Map(known);
    stream.producersEpoch = stream.epoch;
  }
  (stream.producers as Map<string, ProducerState>).set(id, { epoch, seq, at: now });
}

/** True if the producer may write although a stream may have so many of them. Forgotten ones do not count. */
export function mayWrite(
  producers: ReadonlyMap<string, ProducerState>,
  id: string,
  now: number,
  max: number,
): boolean {
  if (producers.size < max || producers.has(id)) return true;
  let known = 0;
  for (const state of producers.values()) if (!isForgotten(state, now)) known++;
  return known < max;
}

const ACCEPTED: ProducerVerdict = { kind: "accepted" };

const isForgotten = ({ at }: ProducerState, now: number): boolean => now - at > PRODUCER_KEEP_MS;

const gap = (expected: number, received: number): ProducerVerdict =>
  refuse(refused("sequence_gap", { expectedSeq: expected, receivedSeq: received }));

const refuse = (
  rejection: Extract<ProducerVerdict, { kind: "refused" }>["rejection"],
): ProducerVerdict => ({ kind: "refused", rejection });
