/** Pages that are read where they lie: the memory of stored batches is shared by the two sides. */
import type { SharedBlocks } from "../../lib/blocks.ts";
import type { ConsumePage } from "../api.ts";
import type { NamedPage, SharedRange } from "./codec.ts";

/** The blocks of the node's side, as one caller knows them. */
export class NamedBlocks {
  readonly #blocks: SharedBlocks;
  readonly #given = new Set<number>();
  readonly #give: (number: number, memory: SharedArrayBuffer) => void;

  /**
   * @param give gives a block to the caller.
   * @param freed tells the caller that a block that it has is not named any more.
   */
  constructor(
    blocks: SharedBlocks,
    give: (number: number, memory: SharedArrayBuffer) => void,
    freed: (number: number) => void,
  ) {
    this.#blocks = blocks;
    this.#give = give;
    blocks.watch((number) => {
      if (this.#given.delete(number)) freed(number);
    });
  }

  /** Returns names of slices, or null if one of them is not in shared memory. */
  rangesOf(slices: readonly Uint8Array[]): SharedRange[] | null {
    const ranges: SharedRange[] = [];
    for (const slice of slices) {
      const block = this.#blocks.numberOf(slice);
      if (block === null) return null;
      const from = slice.byteOffset;
      ranges.push({ block, from, to: from + slice.length });
    }
    for (const [at, { block }] of ranges.entries()) this.#ensureGiven(block, slices[at]);
    return ranges;
  }

  #ensureGiven(block: number, slice: Uint8Array | undefined): void {
    if (this.#given.has(block) || slice === undefined) return;
    this.#given.add(block);
    this.#give(block, slice.buffer as SharedArrayBuffer);
  }
}

/** The blocks that a caller was given, and pages that wait for theirs. */
export class GivenBlocks {
  readonly #blocks = new Map<number, Uint8Array>();
  /** A page in the ring may be faster than the message with its blocks. */
  #waiting: { readonly page: NamedPage; readonly done: (page: ConsumePage) => void }[] = [];

  /** Calls `done` with the page as soon as all of its blocks are here. */
  resolve(page: NamedPage, done: (page: ConsumePage) => void): void {
    if (!this.#hasAll(page)) {
      this.#waiting.push({ page, done });
      return;
    }
    const { ranges, ...marks } = page;
    const slices = ranges.map(({ block, from, to }) => this.bytesOf(block).subarray(from, to));
    done({ ...marks, slices });
  }

  /** A block was given. */
  given(number: number, memory: SharedArrayBuffer): void {
    this.#blocks.set(number, new Uint8Array(memory));
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { page, done } of waiting) this.resolve(page, done);
  }

  freed(number: number): void {
    this.#blocks.delete(number);
  }

  #hasAll({ ranges }: NamedPage): boolean {
    return ranges.every(({ block }) => this.#blocks.has(block));
  }

  bytesOf(number: number): Uint8Array {
    const block = this.#blocks.get(number);
    if (block === undefined) throw new Error(`block ${number} is not here`);
    return block;
  }
}
