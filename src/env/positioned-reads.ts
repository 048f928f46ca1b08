import type * as fs from "node:fs";
import { attempt, fault, isShortage, whileShort } from "./file-errors.ts";

/** A larger read goes to the pool. */
const SYNC_READ_BYTES_MAX = 64 * 1024;
/** After a read on this thread that took longer, the disk is slow: the next reads use the pool. */
const SLOW_READ_MS = 1;
const POOLED_READS_AFTER_SLOW = 64;

/** System calls that tests replace. */
export type ReadCalls = Pick<typeof fs, "readSync" | "read">;

type OpenFile = { readonly descriptor: number; readonly path: string };

/** Reads at positions of open files: small ones on this thread, all others on the pool. */
export class PositionedReads {
  readonly #calls: ReadCalls;
  #pooledReads = 0;

  constructor(calls: ReadCalls) {
    this.#calls = calls;
  }

  /**
   * Reads into `bytes` from `position` on.
   *
   * @param path for messages.
   * @returns the number of bytes that were read: all of them, unless the file ends before.
   * @throws DiskFailure
   */
  async fill(
    descriptor: number,
    bytes: Uint8Array,
    position: number,
    path = `descriptor ${descriptor}`,
  ): Promise<number> {
    const file = { descriptor, path };
    const { length } = bytes;
    const pooled = length > SYNC_READ_BYTES_MAX || this.#pooledReads > 0;
    if (this.#pooledReads > 0) this.#pooledReads--;
    let filled = 0;
    while (filled < length) {
      const count = pooled
        ? await this.#readPooled(file, bytes, filled, position + filled)
        : (this.#readHere(file, bytes, filled, position + filled) ??
          (await this.#readPooled(file, bytes, filled, position + filled)));
      if (count === 0) break;
      filled += count;
    }
    return filled;
  }

  /** @returns null if the kernel does not have enough memory now. */
  #readHere(file: OpenFile, bytes: Uint8Array, at: number, position: number): number | null {
    try {
      const start = performance.now();
      const left = bytes.length - at;
      const count = this.#calls.readSync(file.descriptor, bytes, at, left, position);
      if (performance.now() - start > SLOW_READ_MS) this.#pooledReads = POOLED_READS_AFTER_SLOW;
      return count;
    } catch (cause) {
      if (isShortage(cause)) return null;
      throw fault("read", file.path, cause);
    }
  }

  #readPooled(file: OpenFile, bytes: Uint8Array, at: number, position: number): Promise<number> {
    return whileShort(() =>
      attempt<number>("read", file.path, (done) =>
        this.#calls.read(file.descriptor, bytes, at, bytes.length - at, position, done),
      ),
    );
  }
}
