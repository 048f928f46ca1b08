/**
 * A real directory. The only file that touches node:fs.
 *
 * Small writes and reads are plain system calls on this thread: 4 KiB into the page cache takes
 * 3 µs, a trip to the thread pool 40 µs and as much CPU. Large ones and every sync go to the pool.
 */
import { feature as faultPoint } from "bun:bundle";
import * as fs from "node:fs";
import { join } from "node:path";
import { assert } from "../lib/assert.ts";
import { parentOf } from "../lib/path.ts";
import { type DescriptorReserve, NO_RESERVE } from "./descriptor-reserve.ts";
import {
  type Disk,
  DiskFailure,
  type DiskFile,
  DiskFull,
  type DiskSpace,
  ResourceShortage,
} from "./disk.ts";

/** Above it a write goes to the pool, in pieces of this size. */
const SYNC_WRITE_BYTES_MAX = 256 * 1024;
/** Above it a read goes to the pool. */
const SYNC_READ_BYTES_MAX = 64 * 1024;
/** A read on this thread that took longer met a slow disk: the next ones go to the pool. */
const SLOW_READ_MS = 1;
const POOLED_READS_AFTER_SLOW = 64;
/** A read or write that found no memory is tried again after this time. */
const SHORTAGE_WAIT_MS = 20;
/** What a lack of descriptors, memory or threads looks like; nothing was done then. */
const SHORTAGES = ["EMFILE", "ENFILE", "ENOMEM", "EAGAIN"];

/** The calls that tests replace to make a file system misbehave. */
export type FileCalls = Pick<
  typeof fs,
  "writeSync" | "write" | "readSync" | "read" | "fdatasync" | "fsync"
>;

/** Makes the directory if needed (0700) and opens it. The lock is taken apart (`data-lock.ts`). */
export function openBunDisk(root: string, calls: FileCalls = fs): BunDisk {
  try {
    fs.mkdirSync(root, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw fault("make directory", root, cause);
  }
  return new BunDisk(root, calls);
}

export class BunDisk implements Disk {
  readonly root: string;
  readonly #calls: FileCalls;
  readonly #replacing = new Set<string>();
  readonly #existing: "r" | "r+";
  readonly #reserve: DescriptorReserve;
  readonly #checkRoot: () => void;

  constructor(
    root: string,
    calls: FileCalls = fs,
    existing: "r" | "r+" = "r+",
    reserve: DescriptorReserve = NO_RESERVE,
    checkRoot: () => void = () => {},
  ) {
    this.root = root;
    this.#calls = calls;
    this.#existing = existing;
    this.#reserve = reserve;
    this.#checkRoot = checkRoot;
  }

  /**
   * A disk that opens its files from `reserve` when the process has no other descriptor left.
   *
   * @param checkRoot throws if the root is another directory now. It is called before each use of
   * a path, so that a node whose directory was replaced does not change the files of its successor.
   */
  static withReserve(root: string, reserve: DescriptorReserve, checkRoot?: () => void): BunDisk {
    return new BunDisk(root, fs, "r+", reserve, checkRoot);
  }

  /** Needs no right to write; whoever writes to a file of it gets a `DiskFailure`. */
  static readOnly(root: string): BunDisk {
    return new BunDisk(root, fs, "r");
  }

  async open(path: string, mode: "create" | "existing" | "truncate"): Promise<DiskFile> {
    const flags = mode === "create" ? "wx+" : mode === "existing" ? this.#existing : "w+";
    const full = this.#full(path);
    const fd = await this.#open(full, flags);
    return new BunFile(fd, full, this.#calls);
  }

  async readWhole(path: string): Promise<Uint8Array | null> {
    const full = this.#full(path);
    try {
      return await this.#withDescriptor(
        () => Bun.file(full).bytes(),
        () => fs.readFileSync(full),
      );
    } catch (cause) {
      if (codeOf(cause) === "ENOENT") return null;
      throw fault("read", full, cause);
    }
  }

  async writeWhole(path: string, bytes: Uint8Array): Promise<void> {
    const full = this.#full(path);
    const temporary = `${full}.tmp`;
    assert(!this.#replacing.has(full), `one replacement of ${path} at a time`);
    this.#replacing.add(full);
    try {
      await this.#writeTemporary(temporary, bytes);
      await attempt<void>("rename", full, (done) => fs.rename(temporary, full, done));
      await this.syncDirectory(parentOf(path));
    } finally {
      this.#replacing.delete(full);
    }
  }

  async list(directory: string): Promise<string[]> {
    const full = this.#full(directory);
    try {
      const names = await this.#withDescriptor(
        () => fs.promises.readdir(full),
        () => fs.readdirSync(full),
      );
      return names.sort();
    } catch (cause) {
      if (codeOf(cause) === "ENOENT") return [];
      throw fault("list", full, cause);
    }
  }

  async makeDirectory(path: string): Promise<void> {
    const full = this.#full(path);
    try {
      await fs.promises.mkdir(full, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw fault("make directory", full, cause);
    }
  }

  async remove(path: string): Promise<void> {
    const full = this.#full(path);
    try {
      await fs.promises.unlink(full);
    } catch (cause) {
      if (codeOf(cause) !== "ENOENT") throw fault("remove", full, cause);
    }
  }

  async removeTree(path: string): Promise<void> {
    const full = this.#full(path);
    try {
      await this.#withDescriptor(
        () => fs.promises.rm(full, { recursive: true, force: true }),
        () => fs.rmSync(full, { recursive: true, force: true }),
      );
    } catch (cause) {
      throw fault("remove tree", full, cause);
    }
  }

  async rename(from: string, to: string): Promise<void> {
    const source = this.#full(from);
    const target = this.#full(to);
    await attempt<void>("rename", source, (done) => fs.rename(source, target, done));
  }

  async syncDirectory(path: string): Promise<void> {
    const full = this.#full(path);
    const fd = await this.#open(full, "r");
    try {
      await attempt<void>("fsync", full, (done) => this.#calls.fsync(fd, done));
    } finally {
      fs.closeSync(fd);
    }
  }

  /** Is asked once a second, and takes the reserve's descriptors back when there are some again. */
  async space(): Promise<DiskSpace> {
    this.#reserve.refill();
    try {
      const { bavail, blocks, bsize } = await fs.promises.statfs(this.root);
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    } catch (cause) {
      throw fault("statfs", this.root, cause);
    }
  }

  /**
   * Not `Bun.write`: it ignores the mode (1.4.5), and only the descriptor that wrote is sure to be
   * told of an error that the sync meets.
   */
  async #writeTemporary(path: string, bytes: Uint8Array): Promise<void> {
    const fd = await this.#open(path, "w");
    const file = new BunFile(fd, path, this.#calls);
    try {
      await file.write(0, bytes);
      await attempt<void>("fsync", path, (done) => this.#calls.fsync(fd, done));
    } finally {
      await file.close();
    }
  }

  #open(path: string, flags: string): Promise<number> {
    return this.#withDescriptor(
      () => attempt<number>("open", path, (done) => fs.open(path, flags, 0o600, done)),
      () => fs.openSync(path, flags, 0o600),
      path,
    );
  }

  /** @param now does the same as `start` before the present turn ends. */
  async #withDescriptor<T>(start: () => Promise<T>, now: () => T, path = ""): Promise<T> {
    try {
      return await start();
    } catch (error) {
      if (!isDescriptorShortage(error) || !this.#reserve.lend()) throw error;
      try {
        return now();
      } catch (cause) {
        if (path === "") throw cause;
        throw fault("open", path, cause);
      } finally {
        this.#reserve.refill();
      }
    }
  }

  #full(path: string): string {
    assert(!path.startsWith("/") && !path.split("/").includes(".."), `path inside root: ${path}`);
    this.#checkRoot();
    return join(this.root, path);
  }
}

class BunFile implements DiskFile {
  readonly #fd: number;
  readonly #path: string;
  readonly #calls: FileCalls;
  /** First failed write or sync. Later ones throw it again: the kernel may have dropped the pages. */
  #failure: DiskFailure | null = null;
  #closed = false;
  #pooledReads = 0;

  constructor(fd: number, path: string, calls: FileCalls) {
    this.#fd = fd;
    this.#path = path;
    this.#calls = calls;
  }

  write(position: number, bytes: Uint8Array): Promise<void> | null {
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
      // What was written so far is written once more.
      if (isShortage(cause)) return this.#writePooled(position, bytes);
      return Promise.reject(this.#fail("write", cause));
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
    // Not zeroed: what is not filled is never handed out.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    const pooled = length > SYNC_READ_BYTES_MAX || this.#pooledReads > 0;
    if (this.#pooledReads > 0) this.#pooledReads--;
    let filled = 0;
    while (filled < length) {
      const count = pooled
        ? await this.#readPooled(bytes, filled, position + filled)
        : (this.#readHere(bytes, filled, position + filled) ??
          (await this.#readPooled(bytes, filled, position + filled)));
      if (count === 0) break;
      filled += count;
    }
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

  /** @returns null if the kernel has no memory for it now. */
  #readHere(bytes: Uint8Array, at: number, position: number): number | null {
    try {
      const start = performance.now();
      const count = this.#calls.readSync(this.#fd, bytes, at, bytes.length - at, position);
      if (performance.now() - start > SLOW_READ_MS) this.#pooledReads = POOLED_READS_AFTER_SLOW;
      return count;
    } catch (cause) {
      if (isShortage(cause)) return null;
      throw fault("read", this.#path, cause);
    }
  }

  #readPooled(bytes: Uint8Array, at: number, position: number): Promise<number> {
    return whileShort(() =>
      attempt<number>("read", this.#path, (done) =>
        this.#calls.read(this.#fd, bytes, at, bytes.length - at, position, done),
      ),
    );
  }

  #check(): void {
    assert(!this.#closed, "a closed file is not used");
    if (this.#failure !== null) {
      throw new DiskFailure(`${this.#path}: not used after an earlier failure`, {
        cause: this.#failure,
      });
    }
  }

  /** A write that found no space left nothing behind; a sync that found none lost pages. */
  #fail(operation: string, cause: unknown): Error {
    const failure = fault(operation, this.#path, cause);
    const harmless = failure instanceof DiskFull && operation !== "fdatasync";
    if (failure instanceof DiskFailure && !harmless) this.#failure ??= failure;
    return failure;
  }
}

type Callback<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

function attempt<T>(
  operation: string,
  path: string,
  start: (done: Callback<T>) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error) reject(fault(operation, path, error));
      else resolve(value);
    });
  });
}

/** Assertions and errors that are already typed pass through. */
function fault(operation: string, path: string, cause: unknown): Error {
  if (cause instanceof DiskFailure) return cause;
  if (cause instanceof Error && cause.name === "AssertionError") return cause;
  const code = codeOf(cause);
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `${operation} ${path}: ${reason}`;
  if (code === "ENOSPC" || code === "EDQUOT") return new DiskFull(message, { cause });
  // A sync that failed, for whatever reason, may have dropped what was written.
  return SHORTAGES.includes(code) && !/sync$/.test(operation)
    ? new ResourceShortage(message, { cause })
    : new DiskFailure(message, { cause });
}

const isShortage = (error: unknown): boolean =>
  error instanceof ResourceShortage || SHORTAGES.includes(codeOf(error));

/** True if a free descriptor would have helped. */
function isDescriptorShortage(error: unknown): boolean {
  const code = codeOf(error instanceof ResourceShortage ? error.cause : error);
  return code === "EMFILE" || code === "ENFILE";
}

/** Repeats a call of an open file that found no memory: it did nothing. */
async function whileShort<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isShortage(error)) throw error;
    }
    await Bun.sleep(SHORTAGE_WAIT_MS);
  }
}

function codeOf(cause: unknown): string {
  if (!(cause instanceof Error) || !("code" in cause)) return "";
  return String(cause.code);
}
