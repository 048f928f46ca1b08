/**
 * The interface to durable storage. `env/bun-disk.ts` is the real disk and
 * `test/tools/sim/sim-disk.ts` the simulated one. Both pass the same contract test. Paths are
 * relative to the disk's root, with `/`.
 *
 * Every method throws `DiskFailure` if the disk failed and `DiskFull` on ENOSPC or EDQUOT. After a
 * crash, bytes that were not synced may be present, missing or torn, in any order.
 */
export interface Disk {
  /**
   * Opens a file for reads and writes at positions.
   *
   * @param mode `create` creates an empty file and fails if the file exists. `existing` fails if
   *   the file does not exist. `truncate` creates the file or empties it.
   */
  open(path: string, mode: "create" | "existing" | "truncate"): Promise<DiskFile>;
  /** Returns the whole file, or null if it does not exist. */
  readWhole(path: string): Promise<Uint8Array | null>;
  /**
   * Reads at most `length` bytes from `position` of a file that does not stay open. Returns fewer
   * bytes only at its end.
   */
  readRange(path: string, position: number, length: number): Promise<Uint8Array>;
  /**
   * Replaces a small file atomically: temporary file, fsync, rename, fsync of the directory. When
   * it resolves, the new content survives a crash. After a crash before that, the file has either
   * the old or the new content.
   */
  writeWhole(path: string, bytes: Uint8Array): Promise<void>;
  /** Returns the sorted names in a directory. Empty if the directory does not exist. */
  list(directory: string): Promise<string[]>;
  makeDirectory(path: string): Promise<void>;
  /** Removes a file if it exists. The removal is durable after `syncDirectory`. */
  remove(path: string): Promise<void>;
  removeTree(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Makes creations, renames and removals inside the directory durable. */
  syncDirectory(path: string): Promise<void>;
  /** Returns the bytes of the file system that this process can use, and its size. */
  space(): Promise<DiskSpace>;
}

export type DiskSpace = { readonly freeBytes: number; readonly totalBytes: number };

export interface DiskFile {
  /** With it, another thread may read the file as long as it is open. Null: the file has none. */
  readonly descriptor: number | null;
  /**
   * Writes all of `bytes` at `position`. The kernel has them afterwards, but they are not durable.
   *
   * @returns null if the write is complete, so that the caller can continue without a promise.
   */
  write(position: number, bytes: Uint8Array): Promise<void> | null;
  /** fdatasync(2): everything written before the call is on stable storage when it resolves. */
  sync(): Promise<void>;
  /** Reads at most `length` bytes from `position`. Returns fewer only at the end of the file. */
  read(position: number, length: number): Promise<Uint8Array>;
  size(): Promise<number>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * The disk failed or returned wrong data. The node must not acknowledge anything afterwards: the
 * process ends with code 70.
 */
export class DiskFailure extends Error {
  override readonly name: string = "DiskFailure";
}

/** No space is left. Nothing was damaged, and nothing was written. */
export class DiskFull extends DiskFailure {
  override readonly name: string = "DiskFull";
}

/**
 * The process or the machine ran out of descriptors or memory (EMFILE, ENFILE, ENOMEM, EAGAIN). The
 * operation had no effect and can be retried (`patient-disk.ts`).
 */
export class ResourceShortage extends DiskFailure {
  override readonly name: string = "ResourceShortage";
}
