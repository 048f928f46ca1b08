/**
 * Stored batches of a partition, requested from a peer by offset, to repair a damaged segment.
 *
 *     batches_request   u64 id, varint topic id, partition, first offset, end offset, bytes wanted
 *     batches_reply     u64 id, u8 whether it has them; then varint base offset, end offset, blob
 */
import { type ByteReader, type ByteWriter, DecodeError } from "../lib/bytes.ts";
import type { NodeId } from "../lib/ids.ts";
import { type Frame, type FrameKind, readPayload } from "./envelope.ts";
import { FrameError } from "./frame-error.ts";
import type { Shared } from "./shared.ts";

export type BatchesWanted = {
  readonly topicId: number;
  readonly partition: number;
  readonly fromOffset: number;
  /** Exclusive. */
  readonly endOffset: number;
  /** One batch is sent even if it is larger. */
  readonly maxBytes: number;
};

/** Complete, verified batches, back to back, as they are stored. */
export type Batches = {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly bytes: Uint8Array;
};

/** Reads the requested batches; returns null if this node does not have them intact. */
export type BatchesHandler = (wanted: BatchesWanted, from: NodeId) => Promise<Batches | null>;

export type BatchLinks = {
  /** @returns false if the frame was dropped. */
  readonly send: (peer: NodeId, kind: FrameKind, write: (writer: ByteWriter) => void) => boolean;
};

export const BATCHES_BYTES_MAX = 1024 * 1024;
/** Maximum number of concurrent requests of one peer. Further ones get an empty reply. */
const SERVED_MAX = 2;
const TIMEOUT_MS = 2_000;
const OFFSET_MAX = Number.MAX_SAFE_INTEGER;

export class BatchExchange {
  readonly #shared: Shared;
  readonly #links: BatchLinks;
  readonly #waiting = new Map<number, { peer: NodeId; done: (reply: Batches | null) => void }>();
  readonly #serving = new Map<NodeId, number>();
  #handler: BatchesHandler | null = null;
  #lastId: number;
  #closed = false;

  constructor(shared: Shared, links: BatchLinks) {
    this.#shared = shared;
    this.#links = links;
    // The first id is random, so that a late reply to an earlier process does not match a request
    // of this one.
    this.#lastId = new DataView(shared.nonce().buffer).getUint32(0) * 2 ** 20;
  }

  serveWith(handler: BatchesHandler): void {
    this.#handler = handler;
  }

  /**
   * Requests batches. @returns null if the peer is unreachable, does not reply in time, or does not
   * have the batches.
   */
  ask(peer: NodeId, wanted: BatchesWanted): Promise<Batches | null> {
    this.#lastId++;
    const id = this.#lastId;
    return new Promise((resolve) => {
      const cancel = this.#shared.clock.after(TIMEOUT_MS, () => this.#settle(id, null));
      const done = (reply: Batches | null) => {
        cancel();
        resolve(reply);
      };
      this.#waiting.set(id, { peer, done });
      const sent = this.#links.send(peer, "batches_request", (writer) => {
        writer.u64(id);
        writer.varint(wanted.topicId);
        writer.varint(wanted.partition);
        writer.varint(wanted.fromOffset);
        writer.varint(wanted.endOffset);
        writer.varint(wanted.maxBytes);
      });
      if (!sent) this.#settle(id, null);
    });
  }

  receive(from: NodeId, frame: Frame): void {
    if (frame.kind === "batches_reply") {
      const { id, batches } = readPayload(frame.payload, readReply);
      if (this.#waiting.get(id)?.peer === from) this.#settle(id, batches);
      return;
    }
    if (this.#handler === null) throw new FrameError("unexpected", "this node serves no batches");
    const { id, wanted } = readPayload(frame.payload, readRequest);
    void this.#serve(this.#handler, from, id, wanted);
  }

  peerRemoved(peer: NodeId): void {
    for (const [id, waiting] of [...this.#waiting])
      if (waiting.peer === peer) this.#settle(id, null);
  }

  close(): void {
    this.#closed = true;
    for (const id of [...this.#waiting.keys()]) this.#settle(id, null);
  }

  #settle(id: number, reply: Batches | null): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.done(reply);
  }

  /** The handler turns an error into null. */
  async #serve(
    handler: BatchesHandler,
    to: NodeId,
    id: number,
    wanted: BatchesWanted,
  ): Promise<void> {
    const serving = this.#serving.get(to) ?? 0;
    let batches: Batches | null = null;
    if (serving < SERVED_MAX) {
      this.#serving.set(to, serving + 1);
      batches = await handler(wanted, to);
      this.#serving.set(to, (this.#serving.get(to) ?? 1) - 1);
    }
    if (this.#closed) return;
    this.#links.send(to, "batches_reply", (writer) => {
      writer.u64(id);
      writer.u8(batches === null ? 0 : 1);
      if (batches === null) return;
      writer.varint(batches.baseOffset);
      writer.varint(batches.endOffset);
      writer.blob(batches.bytes);
    });
  }
}

function readRequest(reader: ByteReader): { id: number; wanted: BatchesWanted } {
  const id = reader.u64();
  const topicId = reader.varint();
  const partition = reader.varint();
  const fromOffset = reader.varint();
  const endOffset = reader.varint();
  const maxBytes = Math.min(reader.varint(), BATCHES_BYTES_MAX);
  if (fromOffset >= endOffset || endOffset > OFFSET_MAX) {
    throw new DecodeError("the range of offsets is empty");
  }
  return { id, wanted: { topicId, partition, fromOffset, endOffset, maxBytes } };
}

/** The bytes are copied, because the frame belongs to the link. */
function readReply(reader: ByteReader): { id: number; batches: Batches | null } {
  const id = reader.u64();
  const flag = reader.u8();
  if (flag > 1) throw new DecodeError("a flag is 0 or 1");
  if (flag === 0) return { id, batches: null };
  const baseOffset = reader.varint();
  const endOffset = reader.varint();
  return { id, batches: { baseOffset, endOffset, bytes: reader.blob().slice() } };
}
