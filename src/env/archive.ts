/** Stores of archives: a local file, or an object in an S3-compatible bucket. */

/** An archive of this name already exists and is not overwritten. */
export class ArchiveExists extends Error {
  override readonly name = "ArchiveExists";
}

/** The archive cannot be read or written. The message has the answer of the store or the disk. */
export class ArchiveUnavailable extends Error {
  override readonly name = "ArchiveUnavailable";
}

/** An archive that is written in order. It is not visible before `finish` resolves. */
export interface ArchiveTarget {
  /** Resolves when the next write may follow. The caller may then reuse `bytes`. */
  write(bytes: Uint8Array): Promise<void>;
  /** Makes the whole archive durable under its name. @throws ArchiveExists */
  finish(): Promise<void>;
  /** Removes everything that was written. */
  abandon(): Promise<void>;
}

export interface ArchiveSource {
  /** Reads at most `length` bytes from `position`. Returns fewer only at the end. */
  read(position: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A file or object that may be an archive. */
export type StoredFile = {
  /** As other commands take it. */
  readonly place: string;
  readonly bytes: number;
  open(): Promise<ArchiveSource>;
  /** @throws ArchiveUnavailable, DiskFailure */
  remove(): Promise<void>;
};
