/** Windows of segment files that other threads read and verify for this one. */
import { PartitionDamaged } from "./damaged.ts";
import { PartitionWindow } from "./window.ts";

/** Whole batches of a file. */
export type WindowRead = {
  /** The file, which stays open until the read has ended. */
  readonly descriptor: number;
  /** The position of the first batch in the file. */
  readonly position: number;
  /** The memory to read into, which both threads share. It is filled completely. */
  readonly bytes: Uint8Array;
  /** The seed of the partition, for the checksums. */
  readonly seed: number;
  /** The base offset of the first batch. */
  readonly offset: number;
};

/** Resolves to the end offset of the batches, or to null if they are not there or damaged. */
export type ReadWindow = (read: WindowRead) => Promise<number | null>;

/** The threads that read windows for this one, in turn. */
export class ReadThreads {
  readonly #threads: ReadWindow[] = [];
  #next = 0;

  get isEmpty(): boolean {
    return this.#threads.length === 0;
  }

  add(thread: ReadWindow): void {
    this.#threads.push(thread);
  }

  /** From now on, this thread reads by itself. */
  clear(): void {
    this.#threads.length = 0;
  }

  readonly read: ReadWindow = (read) => {
    const thread = this.#threads[this.#next++ % this.#threads.length];
    return thread === undefined ? Promise.resolve(null) : thread(read);
  };
}

/**
 * Verifies the batches of a window.
 *
 * @returns their end offset; null if one is damaged, or if they do not end where the bytes end.
 */
export function verifiedEnd(bytes: Uint8Array, seed: number, offset: number): number | null {
  const source = { seed, file: "", position: 0 };
  const window = new PartitionWindow(bytes, 0, bytes.length, offset, source);
  try {
    while (window.step()) window.checkPayload();
  } catch (error) {
    if (error instanceof PartitionDamaged) return null;
    throw error;
  }
  return window.at === bytes.length ? window.offset : null;
}
