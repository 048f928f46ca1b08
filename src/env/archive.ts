/** Where archives go and come from: a local file, or an object in an S3-compatible bucket. */

/** There is something of this name already, and it is not replaced. */
export class ArchiveExists extends Error {
  override readonly name = "ArchiveExists";
}

/** It cannot be read or written: the message says what the other side, or the disk, answered. */
export class ArchiveUnavailable extends Error {
  override readonly name = "ArchiveUnavailable";
}

/** Written from the first byte to the last; nothing is to be seen of it before `finish` resolves. */
export interface ArchiveTarget {
  /** Resolves when more may come; `bytes` may be used again then. */
  write(bytes: Uint8Array): Promise<void>;
  /** Whole, durable, under its name. @throws ArchiveExists */
  finish(): Promise<void>;
  /** As if nothing had been written. */
  abandon(): Promise<void>;
}

export interface ArchiveSource {
  /** At most `length` bytes from `position`; fewer only at the end. */
  read(position: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}
