import type { Clock } from "../env/clock.ts";
import { assert } from "../lib/assert.ts";
import type { ByteWriter } from "../lib/bytes.ts";
import { crc32 } from "../lib/crc32.ts";
import type { FrameKind } from "./envelope.ts";
import type { TransportLimits } from "./limits.ts";
import {
  SNAPSHOT_FILES_MAX,
  SNAPSHOT_META_BYTES_MAX,
  type SnapshotPlace,
  type SnapshotStatus,
  type TransferId,
  writeSnapshotAbort,
  writeSnapshotBegin,
  writeSnapshotChunk,
  writeSnapshotFileEnd,
} from "./snapshot-codec.ts";
import {
  isSnapshotFileName,
  type SnapshotResult,
  type SnapshotSource,
  type SnapshotTransfer,
} from "./snapshot-types.ts";

/** The send path to the receiver, shared with Raft. */
export type SnapshotWay = {
  /** @returns false if the frame was dropped. */
  readonly send: (kind: FrameKind, write: (writer: ByteWriter) => void) => boolean;
  readonly backlogBytes: () => number;
};

/** Interval at which a busy send path is polled. */
const POLL_MS = 2;
/** Number of stalls in a row after which the receiver counts as unreachable. */
const STALLS_MAX = 20;
const START: SnapshotPlace = { file: 0, position: 0, crc: 0 };

/**
 * Streams a snapshot to one peer in chunks. A chunk is sent only while nothing else is queued and
 * few chunks are unconfirmed, so Raft messages wait for at most one chunk. After a lost link or a
 * stall it asks the receiver for its position and resumes there.
 */
export class SnapshotSender implements SnapshotTransfer {
  readonly id: TransferId;
  readonly result: Promise<SnapshotResult>;
  bytesConfirmed = 0;
  readonly #source: SnapshotSource;
  readonly #way: SnapshotWay;
  readonly #clock: Clock;
  readonly #limits: TransportLimits;
  readonly #resolve: (result: SnapshotResult) => void;
  #ended = false;
  /** The receiver was asked for its position and has not answered. */
  #asking = true;
  /** Increases whenever the operations in progress become obsolete. */
  #epoch = 0;
  #busy = false;
  #next = START;
  #confirmed = START;
  /** The positions of the receiver after each sent chunk that is not confirmed. */
  #unconfirmed: SnapshotPlace[] = [];
  #stalls = 0;
  #cancelStall: () => void = () => {};
  #cancelPoll: () => void = () => {};

  constructor(options: {
    readonly id: TransferId;
    readonly source: SnapshotSource;
    readonly way: SnapshotWay;
    readonly clock: Clock;
    readonly limits: TransportLimits;
  }) {
    this.id = options.id;
    this.#source = options.source;
    this.#way = options.way;
    this.#clock = options.clock;
    this.#limits = options.limits;
    const { promise, resolve } = Promise.withResolvers<SnapshotResult>();
    this.result = promise;
    this.#resolve = resolve;
    checkSource(options.source);
    this.#ask(false);
  }

  cancel(): void {
    if (this.#ended) return;
    this.#way.send("snapshot_abort", (writer) => writeSnapshotAbort(writer, this.id));
    this.#end({ ok: false, reason: "cancelled" });
  }

  /** Resumes on a new link. Chunks in flight on the previous one may be lost. */
  linkUp(): void {
    if (!this.#ended) this.#ask(false);
  }

  /** @returns whether the transfer has ended. */
  onStatus(status: SnapshotStatus): boolean {
    if (this.#ended) return true;
    this.#stalls = 0;
    switch (status.state) {
      case "done":
        this.#setConfirmed({ file: this.#source.files.length, position: 0, crc: 0 });
        this.#end({ ok: true });
        break;
      case "failed":
        this.#end({ ok: false, reason: status.reason });
        break;
      case "busy":
        this.#patience();
        break;
      case "resume":
        if (this.#asking) this.#resume(status.at);
        break;
      case "progress":
        if (!this.#asking) this.#confirm(status.at);
    }
    return this.#ended;
  }

  #ask(fresh: boolean): void {
    this.#epoch++;
    this.#asking = true;
    this.#busy = false;
    this.#cancelPoll();
    const { term, meta, files } = this.#source;
    this.#way.send("snapshot_begin", (writer) =>
      writeSnapshotBegin(writer, { id: this.id, fresh, term, meta, files }),
    );
    this.#patience();
  }

  #patience(): void {
    this.#cancelStall();
    this.#cancelStall = this.#clock.after(this.#limits.snapshotStallMs, () => {
      this.#stalls++;
      if (this.#stalls < STALLS_MAX) this.#ask(false);
      else this.#end({ ok: false, reason: "the receiver does not answer" });
    });
  }

  #resume(at: SnapshotPlace): void {
    const known = [this.#confirmed, ...this.#unconfirmed].some((place) => samePlace(place, at));
    const atStart = at.position === 0 && at.crc === 0 && at.file <= this.#source.files.length;
    if (!known && !atStart) {
      this.#ask(true);
      return;
    }
    this.#asking = false;
    this.#unconfirmed = [];
    this.#next = at;
    this.#setConfirmed(at);
    this.#patience();
    this.#pump();
  }

  #confirm(at: SnapshotPlace): void {
    const found = this.#unconfirmed.findIndex((place) => samePlace(place, at));
    if (found < 0) return;
    this.#unconfirmed.splice(0, found + 1);
    this.#setConfirmed(at);
    this.#patience();
    this.#pump();
  }

  #setConfirmed(at: SnapshotPlace): void {
    const before = this.#confirmed;
    for (let file = before.file; file < at.file; file++)
      this.bytesConfirmed += this.#lengthOf(file);
    for (let file = at.file; file < before.file; file++)
      this.bytesConfirmed -= this.#lengthOf(file);
    this.bytesConfirmed += at.position - before.position;
    this.#confirmed = at;
  }

  #lengthOf(file: number): number {
    return this.#source.files[file]?.length ?? 0;
  }

  #pump(): void {
    if (this.#ended || this.#asking || this.#busy) return;
    if (this.#unconfirmed.length >= this.#limits.snapshotChunksInFlight) return;
    const { file, position } = this.#next;
    const from = this.#source.files[file];
    if (from === undefined) return;
    if (this.#way.backlogBytes() > 0) {
      this.#cancelPoll();
      this.#cancelPoll = this.#clock.after(POLL_MS, () => this.#pump());
      return;
    }
    if (position === from.length) {
      this.#sendFileEnd();
      this.#pump();
      return;
    }
    this.#busy = true;
    const epoch = this.#epoch;
    from.read(position, Math.min(this.#limits.snapshotChunkBytes, from.length - position)).then(
      (bytes) => this.#sendChunk(epoch, bytes),
      () => this.#giveUp(epoch, "the snapshot cannot be read"),
    );
  }

  #sendFileEnd(): void {
    const { file, crc } = this.#next;
    const { id } = this;
    this.#way.send("snapshot_file_end", (writer) =>
      writeSnapshotFileEnd(writer, { id, file, crc }),
    );
    this.#sent({ file: file + 1, position: 0, crc: 0 });
  }

  #sendChunk(epoch: number, bytes: Uint8Array): void {
    if (epoch !== this.#epoch || this.#ended) return;
    this.#busy = false;
    const { file, position, crc } = this.#next;
    const length = this.#lengthOf(file);
    if (bytes.length === 0 || position + bytes.length > length) {
      this.#giveUp(epoch, "the snapshot's files are not as long as they were");
      return;
    }
    const { id } = this;
    this.#way.send("snapshot_chunk", (writer) =>
      writeSnapshotChunk(writer, { id, file, position, bytes }),
    );
    this.#sent({ file, position: position + bytes.length, crc: crc32(bytes, crc) });
    this.#pump();
  }

  /** A frame that was dropped on the way is detected because it is never confirmed. */
  #sent(next: SnapshotPlace): void {
    this.#next = next;
    this.#unconfirmed.push(next);
  }

  #giveUp(epoch: number, reason: string): void {
    if (epoch !== this.#epoch || this.#ended) return;
    this.#way.send("snapshot_abort", (writer) => writeSnapshotAbort(writer, this.id));
    this.#end({ ok: false, reason });
  }

  #end(result: SnapshotResult): void {
    this.#ended = true;
    this.#epoch++;
    this.#cancelStall();
    this.#cancelPoll();
    this.#resolve(result);
  }
}

function checkSource({ meta, files }: SnapshotSource): void {
  assert(meta.length <= SNAPSHOT_META_BYTES_MAX, "the snapshot's meta bytes are too many");
  assert(files.length <= SNAPSHOT_FILES_MAX, "a snapshot has too many files");
  assert(
    files.every(({ name }) => isSnapshotFileName(name)),
    "a snapshot's file has a name that no receiver takes",
  );
}

const samePlace = (a: SnapshotPlace, b: SnapshotPlace): boolean =>
  a.file === b.file && a.position === b.position && a.crc === b.crc;
