/** What a snapshot transfer reads from and writes to; files are opaque here. */
import type { NodeId } from "../lib/ids.ts";
import type { Term } from "../raft/types.ts";

export type SnapshotFile = { readonly name: string; readonly length: number };

/** A file whose first `length` bytes do not change before the transfer ends. */
export type SnapshotSourceFile = SnapshotFile & {
  /** @returns exactly `length` bytes from `position`, which lie inside the file. */
  read(position: number, length: number): Promise<Uint8Array>;
};

export type SnapshotSource = {
  /** The sender's term. A receiver does not replace a transfer by one of an older term. */
  readonly term: Term;
  /** Handed to the sink as it is, such as the encoded `snapshot_offer`; at most 1 MiB. */
  readonly meta: Uint8Array;
  /** The files in the order of sending. Names are unique and pass `isSnapshotFileName`. */
  readonly files: readonly SnapshotSourceFile[];
};

export type SnapshotResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: string };

export type SnapshotTransfer = {
  /** Never rejects. */
  readonly result: Promise<SnapshotResult>;
  /** Bytes of files that the receiver has confirmed as written. */
  readonly bytesConfirmed: number;
  cancel(): void;
};

export type SnapshotAnnouncement = {
  readonly from: NodeId;
  readonly term: Term;
  readonly meta: Uint8Array;
  readonly files: readonly SnapshotFile[];
};

/**
 * Where a snapshot goes. Calls never overlap; any that rejects fails the transfer, and `abort`
 * follows. Bytes come in order, each once, and never beyond what was announced.
 */
export const SNAPSHOT_UNFIT = "the snapshot is damaged";

/** Thrown by a sink about what it was given: the sender is told, and may have to look at its files. */
export class SnapshotUnfit extends Error {
  override readonly name = "SnapshotUnfit";
}

export interface SnapshotSink {
  begin(announcement: SnapshotAnnouncement): Promise<void>;
  /** @param bytes to be kept no longer than the call. */
  write(file: number, position: number, bytes: Uint8Array): Promise<void>;
  /** All of it was written, and its checksum is right. */
  fileDone(file: number): Promise<void>;
  /** All files are done: make them durable and install them. The sender is told the outcome. */
  complete(): Promise<void>;
  /** Drop what `begin` and `write` left: another transfer takes its place, or it failed. */
  abort(): Promise<void>;
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}(\/[a-z0-9][a-z0-9._-]{0,63}){0,7}$/;

/** Up to eight parts between slashes that begin with a letter or digit: none leads upwards. */
export const isSnapshotFileName = (name: string): boolean => NAME.test(name);
