import type { PartitionState } from "../../broker/state.ts";
import { RecordCursor } from "../../record/batch-reader.ts";
import type { FeedState, RecordSource } from "../../stream/record-feed.ts";
import { handleOf } from "../partition-handle.ts";
import type { Slicer } from "../slicer.ts";

const PAGE_BYTES = 256 * 1024;
/** Units of work between two looks at the clock; one is about a microsecond. */
const BUDGET = 200;

/** What reads records: a query, a side of a join, a partition of a view. */
export type RecordSink = {
  nextOffset(): number;
  /** Records that it may still take. */
  remaining(): number;
  /** Records before `offset` are deleted. */
  skipTo(offset: number): void;
  feed(cursor: RecordSource, endOffset: number, budget: number): FeedState;
};

export type FeedOutcome = "page" | "done" | "rejected" | "deleted";

/**
 * Feeds the next page of a partition, within turns.
 *
 * @param endOffset records from here on are left alone.
 * @returns "page": there may be more; "deleted": the topic is gone.
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
  // Trimmed while a file was read: the next page begins later.
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
