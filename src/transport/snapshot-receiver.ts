import { DiskFull } from "../env/disk.ts";
import { crc32 } from "../lib/crc32.ts";
import type { NodeId } from "../lib/ids.ts";
import type { Logger } from "../metrics/log.ts";
import { type Frame, readPayload } from "./envelope.ts";
import { FrameError } from "./frame-error.ts";
import {
  readSnapshotAbort,
  readSnapshotBegin,
  readSnapshotChunk,
  readSnapshotFileEnd,
  type SnapshotBegin,
  type SnapshotChunk,
  type SnapshotFileEnd,
  type SnapshotPlace,
  type SnapshotStatus,
  type TransferId,
} from "./snapshot-codec.ts";
import {
  SNAPSHOT_NO_SPACE,
  SNAPSHOT_UNFIT,
  type SnapshotSink,
  SnapshotUnfit,
} from "./snapshot-types.ts";

/** Maximum number of queued frames. A correct sender has far fewer in flight. */
export const SNAPSHOT_QUEUE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * The transfer in progress. The sink has all files before `at.file`, and that file up to
 * `at.position`.
 */
type Current = { readonly from: NodeId; readonly begin: SnapshotBegin; at: SnapshotPlace };

class TransferFailed extends Error {
  override readonly name = "TransferFailed";
}

/**
 * Receives snapshots, one at a time, and writes them to the sink in order. A newer transfer
 * replaces the one in progress. The same transfer, begun again, resumes at its position.
 */
export class SnapshotReceiver {
  readonly #sink: SnapshotSink;
  readonly #log: Logger;
  readonly #answer: (to: NodeId, status: SnapshotStatus) => void;
  #current: Current | null = null;
  /** The last outcome, for a sender that asks again. */
  #outcome: SnapshotStatus | null = null;
  /** Frames are handled one after the other, because the sink is asynchronous. */
  #queue: Promise<void> = Promise.resolve();
  #queuedBytes = 0;
  #closed = false;

  constructor(options: {
    readonly sink: SnapshotSink;
    readonly log: Logger;
    readonly answer: (to: NodeId, status: SnapshotStatus) => void;
  }) {
    this.#sink = options.sink;
    this.#log = options.log;
    this.#answer = options.answer;
  }

  /** @throws FrameError if the frame is invalid. */
  receive(from: NodeId, { kind, payload }: Frame): void {
    switch (kind) {
      case "snapshot_begin": {
        const begin = readPayload(payload, readSnapshotBegin);
        // The sender asks again while the sink works, so tell it that this node is alive.
        if (this.#current?.begin.id === begin.id && this.#queuedBytes > 0) {
          this.#answer(from, { id: begin.id, state: "busy" });
        }
        this.#enqueue(payload, () => this.#begin(from, begin));
        return;
      }
      case "snapshot_chunk": {
        const chunk = readPayload(payload, readSnapshotChunk);
        this.#enqueue(payload, () => this.#step(from, chunk.id, (now) => this.#chunk(now, chunk)));
        return;
      }
      case "snapshot_file_end": {
        const end = readPayload(payload, readSnapshotFileEnd);
        this.#enqueue(payload, () => this.#step(from, end.id, (now) => this.#fileEnd(now, end)));
        return;
      }
      case "snapshot_abort": {
        const id = readPayload(payload, readSnapshotAbort);
        this.#enqueue(payload, () => this.#aborted(from, id));
        return;
      }
      default:
        throw new FrameError("unexpected", `a frame of kind ${kind} has no place here`);
    }
  }

  /** Aborts the transfer in progress after the current call of the sink. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
    await this.#drop();
  }

  #enqueue(payload: Uint8Array, run: () => Promise<void>): void {
    if (this.#queuedBytes + payload.length > SNAPSHOT_QUEUE_BYTES_MAX) {
      throw new FrameError("unexpected", "more of a snapshot than was asked for");
    }
    this.#queuedBytes += payload.length;
    this.#queue = this.#queue.then(async () => {
      try {
        if (!this.#closed) await run();
      } finally {
        this.#queuedBytes -= payload.length;
      }
    });
  }

  async #begin(from: NodeId, begin: SnapshotBegin): Promise<void> {
    const current = this.#current;
    if (this.#outcome?.id === begin.id) {
      this.#answer(from, this.#outcome);
      return;
    }
    if (current !== null && isSame(current, from, begin) && !begin.fresh) {
      this.#answer(from, { id: begin.id, state: "resume", at: current.at });
      return;
    }
    if (current !== null && begin.term < current.begin.term) {
      const reason = "a newer leader sends a snapshot";
      this.#answer(from, { id: begin.id, state: "failed", reason });
      return;
    }
    await this.#drop();
    const next = { from, begin, at: { file: 0, position: 0, crc: 0 } };
    this.#current = next;
    const { term, meta, files } = begin;
    await this.#guard(next, async () => {
      await this.#sink.begin({ from, term, meta, files });
      await this.#completeIfAll(next);
      if (this.#current === next) {
        this.#answer(from, { id: begin.id, state: "resume", at: next.at });
      }
    });
  }

  async #step(
    from: NodeId,
    id: TransferId,
    act: (current: Current) => Promise<boolean>,
  ): Promise<void> {
    const current = this.#current;
    if (current === null || current.from !== from || current.begin.id !== id) {
      // A late frame of a transfer that ended needs no answer. A frame of an unknown transfer does.
      const reason = "the transfer is not known here";
      this.#answer(
        from,
        this.#outcome?.id === id ? this.#outcome : { id, state: "failed", reason },
      );
      return;
    }
    await this.#guard(current, async () => {
      if (!(await act(current))) return;
      await this.#completeIfAll(current);
      if (this.#current === current) this.#answer(from, { id, state: "progress", at: current.at });
    });
  }

  /** @returns whether the frame had new data. */
  async #chunk(current: Current, chunk: SnapshotChunk): Promise<boolean> {
    const { at } = current;
    const length = current.begin.files[chunk.file]?.length;
    const end = chunk.position + chunk.bytes.length;
    if (length === undefined || end > length || chunk.bytes.length === 0) {
      throw new TransferFailed("a chunk lies outside of its file");
    }
    if (chunk.file < at.file || (chunk.file === at.file && end <= at.position)) return false;
    // An earlier chunk was lost with its link. The sender will ask for the position.
    if (chunk.file > at.file || chunk.position > at.position) return false;
    if (chunk.position < at.position) throw new TransferFailed("chunks overlap");
    await this.#sink.write(chunk.file, chunk.position, chunk.bytes);
    current.at = { file: chunk.file, position: end, crc: crc32(chunk.bytes, at.crc) };
    return true;
  }

  async #fileEnd(current: Current, end: SnapshotFileEnd): Promise<boolean> {
    const { at } = current;
    const length = current.begin.files[end.file]?.length;
    if (length === undefined) throw new TransferFailed("an end of no file");
    if (end.file !== at.file || at.position !== length) return false;
    if (end.crc !== at.crc) throw new TransferFailed("a file's checksum differs");
    await this.#sink.fileDone(end.file);
    current.at = { file: end.file + 1, position: 0, crc: 0 };
    return true;
  }

  async #completeIfAll(current: Current): Promise<void> {
    if (current.at.file < current.begin.files.length) return;
    await this.#sink.complete();
    this.#finish(current, { id: current.begin.id, state: "done" });
  }

  async #guard(current: Current, run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      const reason = reasonOf(error);
      const detail = error instanceof Error ? error.message : String(error);
      this.#log.warn("snapshot rejected", { from: current.from, reason, detail });
      await this.#abortSink();
      this.#finish(current, { id: current.begin.id, state: "failed", reason });
    }
  }

  #finish(current: Current, outcome: SnapshotStatus): void {
    this.#current = null;
    this.#outcome = outcome;
    this.#answer(current.from, outcome);
  }

  async #aborted(from: NodeId, id: TransferId): Promise<void> {
    if (this.#current?.from === from && this.#current.begin.id === id) await this.#drop();
  }

  async #drop(): Promise<void> {
    if (this.#current === null) return;
    this.#current = null;
    await this.#abortSink();
  }

  async #abortSink(): Promise<void> {
    try {
      await this.#sink.abort();
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      this.#log.error("deleting a partial snapshot failed", { detail });
    }
  }
}

function isSame(current: Current, from: NodeId, begin: SnapshotBegin): boolean {
  const { files } = current.begin;
  return (
    current.from === from &&
    current.begin.id === begin.id &&
    files.length === begin.files.length &&
    files.every(({ name, length }, i) => {
      const other = begin.files[i];
      return other?.name === name && other.length === length;
    })
  );
}

function reasonOf(error: unknown): string {
  if (error instanceof TransferFailed) return error.message;
  if (error instanceof DiskFull) return SNAPSHOT_NO_SPACE;
  return error instanceof SnapshotUnfit ? SNAPSHOT_UNFIT : "the receiver cannot keep it";
}
