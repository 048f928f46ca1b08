/**
 * The only way to durable bytes. Real: `env/bun-disk.ts`; simulated: `test/tools/sim/sim-disk.ts`; both
 * pass the same contract test. Paths are relative to the disk's root, with `/`.
 *
 * Every method throws `DiskFailure` when the disk failed and `DiskFull` on ENOSPC or EDQUOT. What
 * is not synced may be lost, kept or torn by a crash, in any order.
 */
export interface Disk {
  /**
   * Opens for reading and writing at positions.
   *
   * @param mode `create` makes a new empty file and fails if there is one; `existing` fails if
   *   there is none; `truncate` makes it empty if it exists, and new otherwise.
   */
  open(path: string, mode: "create" | "existing" | "truncate"): Promise<DiskFile>;
  /** The whole file, or null if there is none. */
  readWhole(path: string): Promise<Uint8Array | null>;
  /**
   * At most `length` bytes from `position` of a file that is read once and not kept open; fewer only
   * at its end.
   */
  readRange(path: string, position: number, length: number): Promise<Uint8Array>;
  /**
   * Puts a whole small file in place atomically: temporary file, fsync, rename, fsync of the
   * directory. When it resolves, the new content survives a crash; before, old or new, never a mix.
   */
  writeWhole(path: string, bytes: Uint8Array): Promise<void>;
  /** Names in a directory, sorted; empty if there is none. */
  list(directory: string): Promise<string[]>;
  makeDirectory(path: string): Promise<void>;
  /** No error if it is absent. Durable after `syncDirectory`. */
  remove(path: string): Promise<void>;
  removeTree(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Makes creations, renames and removals inside the directory durable. */
  syncDirectory(path: string): Promise<void>;
  /** Of the file system: what is free for this process, and how large it is. */
  space(): Promise<DiskSpace>;
}

export type DiskSpace = { readonly freeBytes: number; readonly totalBytes: number };

export interface DiskFile {
  /**
   * Writes all of `bytes` at `position`: done when the kernel has them, not yet durable.
   *
   * @returns null if that was at once, so that a caller can go on without losing its turn.
   */
  write(position: number, bytes: Uint8Array): Promise<void> | null;
  /** fdatasync(2): everything written before the call is on stable storage when it resolves. */
  sync(): Promise<void>;
  /** At most `length` bytes from `position`; fewer only at the end of the file. */
  read(position: number, length: number): Promise<Uint8Array>;
  size(): Promise<number>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

/** The disk lied or failed. Nothing may be acknowledged after it; the process ends with code 70. */
export class DiskFailure extends Error {
  override readonly name: string = "DiskFailure";
}

/** No space left. Nothing was damaged; what was to be written is not there. */
export class DiskFull extends DiskFailure {
  override readonly name: string = "DiskFull";
}

/**
 * The process or the machine ran out of descriptors or memory (EMFILE, ENFILE, ENOMEM, EAGAIN). The
 * operation did nothing, and the disk is fine: it can be tried again (`patient-disk.ts`).
 */
export class ResourceShortage extends DiskFailure {
  override readonly name: string = "ResourceShortage";
}
