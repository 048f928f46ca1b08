import { feature as faultPoint } from "bun:bundle";
import { appendRecords, type Records } from "../broker/records.ts";
import type { BrokerEffects, BrokerState, PartitionState } from "../broker/state.ts";
import { assert } from "../lib/assert.ts";
import type { Millis } from "../lib/ids.ts";
import { tokenOf } from "./offset-token.ts";
import type { DurableState, StreamState } from "./state.ts";

export const NO_RECORDS: Records = {
  count: 0,
  logicalBytes: 0,
  batches: new Uint8Array(0),
};

/** The partition that stores the records of a stream. */
export function partitionOf(broker: BrokerState, { streamId }: StreamState): PartitionState {
  const partition = broker.topicsById.get(streamId)?.partitions[0];
  assert(partition !== undefined, "a stream has a partition");
  return partition;
}

/** Returns the offset that the next record of the stream gets. */
export const tailOf = (broker: BrokerState, stream: StreamState): number =>
  stream.config.base + partitionOf(broker, stream).endOffset;

export const tailTokenOf = (broker: BrokerState, stream: StreamState): string =>
  tokenOf(stream.streamId, tailOf(broker, stream));

/** @param records may be none. */
export function appendToStream(
  broker: BrokerState,
  partition: PartitionState,
  records: Records,
  now: Millis,
  effects: BrokerEffects,
): void {
  if (records.count > 0) appendRecords(broker, partition, records, now, effects);
}

/** A run of records in one partition that is part of a stream. */
export type Piece = {
  readonly streamId: number;
  /** Offsets in the partition. */
  readonly from: number;
  readonly to: number;
  /** Offset in the stream of the first record of the partition. */
  readonly base: number;
};

/**
 * Returns the runs of records that make up a stream between two of its offsets, in order. A fork shares
 * the records below its base with its parent.
 */
export function piecesOf(
  state: DurableState,
  stream: StreamState,
  from: number,
  to: number,
): Piece[] {
  const pieces: Piece[] = [];
  let at: StreamState | undefined = stream;
  let end = to;
  while (at !== undefined && from < end) {
    const { base, fork }: StreamState["config"] = at.config;
    const start = Math.max(from, base);
    if (start < end) {
      pieces.push({ streamId: at.streamId, from: start - base, to: end - base, base });
    }
    end = Math.min(end, base);
    at = fork === null ? undefined : state.byId.get(fork.streamId);
  }
  return pieces.reverse();
}

/**
 * Returns the offset in the stream that a position of it, or of a stream above it, stands for. Records
 * that are shared with a parent have the same offset in both.
 *
 * @returns null if the position is of another stream, or of a part of the parent that is not shared.
 */
export function resolve(
  state: DurableState,
  stream: StreamState,
  streamId: number,
  offset: number,
): number | null {
  let shared = Number.POSITIVE_INFINITY;
  let at: StreamState | undefined = stream;
  while (at !== undefined) {
    if (at.streamId === streamId || faultPoint("stream-tokens-of-earlier-lives-hold")) {
      return offset <= shared ? offset : null;
    }
    shared = Math.min(shared, at.config.base);
    const { fork }: StreamState["config"] = at.config;
    at = fork === null ? undefined : state.byId.get(fork.streamId);
  }
  return null;
}
