import { assert } from "../../lib/assert.ts";
import type { SegmentState } from "./segment-state.ts";

/** How far the files of a partition are written. Only the flusher changes it. */
export interface FlushProgress {
  /** The end of what is durable, in the stream of stored bytes. */
  readonly syncedTo: number;
  /** Unflushed bytes were given up: nothing more is written. */
  readonly isDiscarded: boolean;
  /** The partition may have a directory with files of its own. */
  readonly hasDirectory: boolean;
  /** The write in progress. */
  readonly flushing: Promise<void> | null;
}

/** The flusher's own fields of a partition. */
export class FlushState implements FlushProgress {
  syncedTo: number;
  isDiscarded = false;
  flushing: Promise<void> | null = null;
  hasDirectory: boolean;
  directoryReady: boolean;
  directoryDirty = false;
  /** Sealed segments whose `.idx` file is not written yet. */
  readonly sealed: SegmentState[] = [];

  /**
   * @param start the end of the files that a checkpoint recorded; 0 for a new partition.
   * @param own files of the partition's own among them, which may be empty.
   */
  constructor(start: number, own: "none" | "empty" | "written") {
    this.syncedTo = start;
    this.hasDirectory = own !== "none";
    this.directoryReady = own === "written";
  }
}

export function flushStateOf({ flush }: { readonly flush: FlushProgress }): FlushState {
  assert(flush instanceof FlushState, "the flusher has made the state of each partition");
  return flush;
}
