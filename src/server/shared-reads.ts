import { SharedBlocks } from "../lib/blocks.ts";
import { ReadThreads } from "../storage/partitions/read-threads.ts";

/** Shared by the main thread and the threads that serve HTTP, for reads of stored batches. */
export type SharedReads = {
  /** The memory of batches, which these threads read where they lie. */
  readonly blocks: SharedBlocks;
  /** They also read files for the main thread. */
  readonly threads: ReadThreads;
};

export const newSharedReads = (): SharedReads => ({
  blocks: new SharedBlocks(),
  threads: new ReadThreads(),
});
