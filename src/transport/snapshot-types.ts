/** The interfaces that a snapshot transfer reads from and writes to. Files are opaque here. */
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

export const SNAPSHOT_UNFIT = "the snapshot is damaged";
/** Nothing is wrong with the snapshot, and the receiver has dropped the part that it had. */
export const SNAPSHOT_NO_SPACE = "no space left on the receiver's disk";

/**
 * Thrown by a sink if the received data is invalid. The sender is told and may have to verify its
 * files.
 */
export class SnapshotUnfit extends Error {
  override readonly name = "SnapshotUnfit";
}

/**
 * The destination of a snapshot. Calls never overlap. A call that rejects fails the transfer, and
 * `abort` follows. Bytes arrive in order, each once, and never beyond the announced length.
 */
export interface SnapshotSink {
  begin(announcement: SnapshotAnnouncement): Promise<void>;
  /** @param bytes valid only during the call. */
  write(file: number, position: number, bytes: Uint8Array): Promise<void>;
  /** Called when all bytes of the file are written and its checksum is right. */
  fileDone(file: number): Promise<void>;
  /**
   * Called when all files are complete: make them durable and install them. The sender is told the
   * result.
   */
  complete(): Promise<void>;
  /**
   * Removes what `begin` and `write` created, because another transfer replaces this one or it
   * failed.
   */
  abort(): Promise<void>;
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}(\/[a-z0-9][a-z0-9._-]{0,63}){0,7}$/;

/**
 * A file name has at most eight parts between slashes, each beginning with a letter or digit. So
 * none leads upwards.
 */
export const isSnapshotFileName = (name: string): boolean => NAME.test(name);
