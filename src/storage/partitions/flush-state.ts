import { assert } from "../../lib/assert.ts";
import type { SegmentState } from "./segment-state.ts";

/** How far the files of a partition are written. Only the flusher changes it. */
export interface FlushProgress {
  /** The end of what is durable, in the stream of stored bytes. */
  readonly syncedTo: number;
  /** Unflushed bytes were given up: nothing more is written. */
  readonly isDiscarded: boolean;
  /** The write in progress. */
  readonly flushing: Promise<void> | null;
}

/** The flusher's own fields of a partition. */
export class FlushState implements FlushProgress {
  syncedTo: number;
  isDiscarded = false;
  flushing: Promise<void> | null = null;
  directoryReady: boolean;
  directoryDirty = false;
  /** Sealed segments whose `.idx` file is not written yet. */
  readonly sealed: SegmentState[] = [];

  /** @param start the end of the files that a checkpoint recorded; 0 for a new partition. */
  constructor(start: number) {
    this.syncedTo = start;
    this.directoryReady = start > 0;
  }
}

export function flushStateOf({ flush }: { readonly flush: FlushProgress }): FlushState {
  assert(flush instanceof FlushState, "the flusher has made the state of each partition");
  return flush;
}
