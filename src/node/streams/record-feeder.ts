import type { PartitionState } from "../../broker/state.ts";
import { RecordCursor } from "../../record/batch-reader.ts";
import type { FeedState, RecordSource } from "../../stream/record-feed.ts";
import { handleOf } from "../partition-handle.ts";
import type { Slicer } from "../slicer.ts";

const PAGE_BYTES = 256 * 1024;
/** Units of work between two checks of the clock. A unit is about a microsecond. */
const BUDGET = 200;

/** A reader of records: a query, a side of a join, or a partition of a view. */
export type RecordSink = {
  nextOffset(): number;
  /** Number of records that it still accepts. */
  remaining(): number;
  /** Records before `offset` are deleted. */
  skipTo(offset: number): void;
  feed(cursor: RecordSource, endOffset: number, budget: number): FeedState;
};

export type FeedOutcome = "page" | "done" | "rejected" | "deleted";

/**
 * Feeds the next page of a partition, in slices.
 *
 * @param endOffset records from this offset on are not read.
 * @returns "page": there may be more records. "deleted": the topic was deleted.
 */
export async function feedPage(
  slicer: Slicer,
  partition: PartitionState,
  sink: RecordSink,
  endOffset: number,
): Promise<FeedOutcome> {
  const { log } = handleOf(partition);
  if (log.deleted) return "deleted";
  if (sink.nextOffset() < partition.lowWatermark) sink.skipTo(partition.lowWatermark);
  const from = sink.nextOffset();
  if (from >= endOffset || sink.remaining() <= 0) return "done";
  const read = log.read(from, sink.remaining(), PAGE_BYTES);
  const slices = read instanceof Promise ? await read : read;
  if (read instanceof Promise) await slicer.turn();
  // Trimmed during the read of a file: the next page begins at a later offset.
  if (slices.length === 0) return log.deleted ? "deleted" : "page";
  for (const slice of slices) {
    const state = await feedSlice(slicer, slice, sink, endOffset);
    if (state !== "drained") return state === "rejected" ? "rejected" : "done";
  }
  return "page";
}

async function feedSlice(
  slicer: Slicer,
  slice: Uint8Array,
  sink: RecordSink,
  endOffset: number,
): Promise<FeedState> {
  const cursor = new RecordCursor(slice);
  for (;;) {
    const state = sink.feed(cursor, endOffset, BUDGET);
    if (slicer.isOver) await slicer.turn();
    if (state !== "more") return state;
  }
}
