import { type Blocks, LOCAL_BLOCKS } from "../../lib/blocks.ts";
import type { TailChunk } from "./tail.ts";

export const TAIL_BYTES_DEFAULT = 64 * 1024 * 1024;

/**
 * The memory that all tails of a shard share. The queue is ordered by the first append, not by the
 * last read. So the memory contains the newest bytes of the shard, and a consumer of old data
 * cannot evict what other consumers are about to read. Chunks that are not in a file yet are never
 * dropped.
 */
export class TailBudget {
  readonly limitBytes: number;
  /** The memory of all chunks. */
  readonly blocks: Blocks;
  usedBytes = 0;
  #oldest: TailChunk | null = null;
  #newest: TailChunk | null = null;
  #count = 0;
  /** The last search found nothing to drop. Only a flush can change that. */
  #stuck = false;

  constructor(limitBytes = TAIL_BYTES_DEFAULT, blocks = LOCAL_BLOCKS) {
    this.limitBytes = limitBytes;
    this.blocks = blocks;
  }

  added(chunk: TailChunk): void {
    this.#append(chunk);
    this.usedBytes += chunk.bytes.length;
  }

  resized(moreBytes: number): void {
    this.usedBytes += moreBytes;
  }

  dropped(chunk: TailChunk): void {
    this.#unlink(chunk);
    this.usedBytes -= chunk.bytes.length;
    this.blocks.free(chunk.bytes);
  }

  /** Called when a chunk was written to its file. */
  flushed(): void {
    this.#stuck = false;
    this.enforce();
  }

  /**
   * Does nothing while a chunk is being filled: an empty or flushed one could be dropped under the
   * writer.
   */
  enforce(): void {
    if (this.usedBytes <= this.limitBytes) return;
    let looks = this.#stuck ? 0 : this.#count;
    while (looks-- > 0 && this.usedBytes > this.limitBytes && this.#oldest !== null) {
      const front = this.#oldest;
      // A tail has no gaps, so the owner's oldest chunk is dropped, whichever of its chunks is
      // first here.
      if (front.owner.dropOldest()) continue;
      this.#unlink(front);
      this.#append(front);
    }
    this.#stuck = this.usedBytes > this.limitBytes;
  }

  #append(chunk: TailChunk): void {
    chunk.older = this.#newest;
    chunk.newer = null;
    if (this.#newest === null) this.#oldest = chunk;
    else this.#newest.newer = chunk;
    this.#newest = chunk;
    this.#count++;
  }

  #unlink(chunk: TailChunk): void {
    if (chunk.older === null) this.#oldest = chunk.newer;
    else chunk.older.newer = chunk.newer;
    if (chunk.newer === null) this.#newest = chunk.older;
    else chunk.newer.older = chunk.older;
    chunk.older = null;
    chunk.newer = null;
    this.#count--;
  }
}
