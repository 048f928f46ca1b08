import type { ExportCompression } from "../../export/definition.ts";

/** A file to write. */
export type ExportJob = {
  /** `s3://bucket/prefix` or `file:///directory`. */
  readonly url: string;
  /** The path of the file below the place. */
  readonly path: string;
  readonly topic: string;
  readonly partition: number;
  readonly first: number;
  /** The offset after the last one. */
  readonly end: number;
  readonly compression: ExportCompression;
  /** JSON of `columns`, `decode` and `filter`; empty: none of them. */
  readonly format: string;
};

/** A file that is in its place. Without rows there is none. */
export type WrittenFile = { readonly rows: number; readonly bytes: number };

/** Returns whole batches that hold the record at an offset, and those after it. */
export type ReadRecords = (from: number) => Promise<Uint8Array<ArrayBuffer>>;

/** Converts records and stores files, outside the thread of the node. */
export interface ExportWriter {
  /** @returns why a place cannot be used; null if it can. */
  check(url: string): string | null;
  /**
   * Writes a file. One of the same name is replaced when the new one is complete.
   *
   * @throws Error that says what failed, or the reason of the signal.
   */
  write(job: ExportJob, read: ReadRecords, signal: AbortSignal): Promise<WrittenFile>;
  /** Stores a small object. @throws Error */
  put(url: string, name: string, text: string): Promise<void>;
  /** Removes an object, also if it does not exist. @throws Error */
  remove(url: string, name: string): Promise<void>;
  /** Returns a small object; null if it does not exist. @throws Error */
  get(url: string, name: string): Promise<string | null>;
  stop(): void;
}

const refuse = () => Promise.reject(new Error("this node cannot export"));
/** For nodes without a way to store files. */
export const NO_EXPORT_WRITER: ExportWriter = {
  check: () => "this node cannot export",
  write: refuse,
  put: refuse,
  remove: refuse,
  get: refuse,
  stop: () => undefined,
};
