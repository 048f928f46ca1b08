/**
 * An open file. Small writes and reads are plain system calls on this thread: 4 KiB into the page
 * cache takes 3 µs, a trip to the thread pool 40 µs and as much CPU. Large ones and every sync go to
 * the pool.
 */
import { feature as faultPoint } from "bun:bundle";
import * as fs from "node:fs";
import { assert } from "../lib/assert.ts";
import { DiskFailure, type DiskFile, DiskFull } from "./disk.ts";
import { attempt, fault, isShortage, whileShort } from "./file-errors.ts";
import { PositionedReads } from "./positioned-reads.ts";

/** A larger write goes to the pool, in pieces of this size. */
const SYNC_WRITE_BYTES_MAX = 256 * 1024;
/** From this size on `Bun.write` works on its pool, which takes longer than that of node:fs. */
const BUN_WRITE_BYTES = 256 * 1024;

/** System calls that tests replace in order to simulate failures of the file system. */
export type FileCalls = Pick<
  typeof fs,
  "writeSync" | "write" | "readSync" | "read" | "fdatasync" | "fsync"
> & {
  /** Appends all bytes at the descriptor's offset. After an error, the number written is unknown. */
  readonly append: (fd: number, bytes: Uint8Array) => Promise<number>;
  readonly readRange: (path: string, position: number, length: number) => Promise<Uint8Array>;
};

export const FILE_CALLS: FileCalls = {
  ...fs,
  append: (fd, bytes) => Bun.write(Bun.file(fd), bytes),
  // A path is sliced, never a descriptor: that would move the descriptor's offset (1.4.5).
  readRange: (path, position, length) =>
    Bun.file(path)
      .slice(position, position + length)
      .bytes(),
};

export class BunFile implements DiskFile {
  readonly #fd: number;
  readonly #path: string;
  readonly #calls: FileCalls;
  readonly #reads: PositionedReads;
  /** First failed write or sync. Later ones throw it again: the kernel may have dropped the pages. */
  #failure: DiskFailure | null = null;
  #closed = false;
  /** The descriptor's offset: the end of the appended bytes. Null if it is not known. */
  #end: number | null;

  /** @param isNew the file is written from its beginning, mostly in order. */
  constructor(fd: number, path: string, calls: FileCalls, isNew: boolean) {
    this.#fd = fd;
    this.#path = path;
    this.#calls = calls;
    this.#reads = new PositionedReads(calls);
    this.#end = isNew ? 0 : null;
  }

  get descriptor(): number {
    return this.#fd;
  }

  write(position: number, bytes: Uint8Array): Promise<void> | null {
    // An empty `Bun.write` would truncate the file to zero bytes (1.4.5).
    const isAppend = position === this.#end && bytes.length > 0;
    if (isAppend && bytes.length < BUN_WRITE_BYTES) return this.#append(bytes);
    if (bytes.length > SYNC_WRITE_BYTES_MAX) return this.#writePooled(position, bytes);
    try {
      this.#check();
      let done = 0;
      while (done < bytes.length) {
        const count = this.#calls.writeSync(
          this.#fd,
          bytes,
          done,
          bytes.length - done,
          position + done,
        );
        if (count <= 0) throw new Error("write made no progress");
        done = faultPoint("short-write-ignored") ? bytes.length : done + count;
      }
      return null;
    } catch (cause) {
      // The part that was written is written once more.
      if (isShortage(cause)) return this.#writePooled(position, bytes);
      return Promise.reject(this.#fail("write", cause));
    }
  }

  /** The write is usually complete when this returns. It uses the same system call as `writeSync`. */
  #append(bytes: Uint8Array): Promise<void> | null {
    const position = this.#end ?? 0;
    // Concurrent writes, and all writes after an error, use an explicit position.
    this.#end = null;
    try {
      this.#check();
    } catch (failure) {
      return Promise.reject(failure);
    }
    const written = this.#calls.append(this.#fd, bytes);
    if (Bun.peek.status(written) !== "fulfilled") return this.#appended(position, bytes, written);
    this.#end = position + bytes.length;
    return null;
  }

  async #appended(position: number, bytes: Uint8Array, written: Promise<number>): Promise<void> {
    try {
      await written;
      this.#end = position + bytes.length;
    } catch (cause) {
      if (!isShortage(cause)) throw this.#fail("write", cause);
      // The part that was written is written once more.
      await this.#writePooled(position, bytes);
    }
  }

  async sync(): Promise<void> {
    this.#check();
    try {
      await attempt<void>("fdatasync", this.#path, (done) => this.#calls.fdatasync(this.#fd, done));
    } catch (cause) {
      throw this.#fail("fdatasync", cause);
    }
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    assert(!this.#closed, "a closed file is not read");
    // The buffer is not zeroed, because bytes that were not filled are never returned.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    const filled = await this.#reads.fill(this.#fd, bytes, position, this.#path);
    return filled === length ? bytes : bytes.subarray(0, filled);
  }

  async size(): Promise<number> {
    const stats = await attempt<fs.Stats>("stat", this.#path, (done) => fs.fstat(this.#fd, done));
    return stats.size;
  }

  async truncate(size: number): Promise<void> {
    this.#check();
    try {
      await attempt<void>("truncate", this.#path, (done) => fs.ftruncate(this.#fd, size, done));
    } catch (cause) {
      throw this.#fail("truncate", cause);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await attempt<void>("close", this.#path, (done) => fs.close(this.#fd, done));
  }

  async #writePooled(position: number, bytes: Uint8Array): Promise<void> {
    this.#check();
    try {
      let done = 0;
      while (done < bytes.length) {
        const size = Math.min(SYNC_WRITE_BYTES_MAX, bytes.length - done);
        const from = done;
        const count = await whileShort(() =>
          attempt<number>("write", this.#path, (finished) =>
            this.#calls.write(this.#fd, bytes, from, size, position + from, finished),
          ),
        );
        if (count <= 0) throw new Error("write made no progress");
        done += count;
      }
    } catch (cause) {
      throw this.#fail("write", cause);
    }
  }

  #check(): void {
    assert(!this.#closed, "a closed file is not used");
    if (this.#failure !== null) {
      throw new DiskFailure(`${this.#path}: not used after an earlier failure`, {
        cause: this.#failure,
      });
    }
  }

  /** A write that fails for lack of space has no effect. A sync that fails for it loses pages. */
  #fail(operation: string, cause: unknown): Error {
    const failure = fault(operation, this.#path, cause);
    const harmless = failure instanceof DiskFull && operation !== "fdatasync";
    if (failure instanceof DiskFailure && !harmless) this.#failure ??= failure;
    return failure;
  }
}
