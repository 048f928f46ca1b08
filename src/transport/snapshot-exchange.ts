import type { ByteWriter } from "../lib/bytes.ts";
import type { NodeId } from "../lib/ids.ts";
import { type Frame, type FrameKind, readPayload } from "./envelope.ts";
import { FrameError } from "./frame-error.ts";
import type { Shared } from "./shared.ts";
import {
  readSnapshotStatus,
  type SnapshotStatus,
  TRANSFER_ID_BYTES,
  writeSnapshotStatus,
} from "./snapshot-codec.ts";
import { SnapshotReceiver } from "./snapshot-receiver.ts";
import { SnapshotSender } from "./snapshot-sender.ts";
import type { SnapshotSink, SnapshotSource, SnapshotTransfer } from "./snapshot-types.ts";

export type SnapshotLinks = {
  readonly send: (peer: NodeId, kind: FrameKind, write: (writer: ByteWriter) => void) => boolean;
  readonly backlogBytes: (peer: NodeId) => number;
};

/** The outgoing snapshots of this node, at most one per peer, and the incoming one. */
export class SnapshotExchange {
  readonly #shared: Shared;
  readonly #links: SnapshotLinks;
  readonly #senders = new Map<NodeId, SnapshotSender>();
  #receiver: SnapshotReceiver | null = null;

  constructor(shared: Shared, links: SnapshotLinks) {
    this.#shared = shared;
    this.#links = links;
  }

  receiveInto(sink: SnapshotSink): void {
    const { log } = this.#shared;
    const answer = (to: NodeId, status: SnapshotStatus): void => {
      this.#links.send(to, "snapshot_status", (writer) => writeSnapshotStatus(writer, status));
    };
    this.#receiver = new SnapshotReceiver({ sink, log, answer });
  }

  /** Replaces a transfer to this peer that is in progress. */
  send(peer: NodeId, source: SnapshotSource): SnapshotTransfer {
    this.#senders.get(peer)?.cancel();
    const { clock, limits } = this.#shared;
    const id = Buffer.from(this.#shared.nonce().subarray(0, TRANSFER_ID_BYTES)).toString("hex");
    const way = {
      send: (kind: FrameKind, write: (writer: ByteWriter) => void) =>
        this.#links.send(peer, kind, write),
      backlogBytes: () => this.#links.backlogBytes(peer),
    };
    const sender = new SnapshotSender({ id, source, way, clock, limits });
    this.#senders.set(peer, sender);
    return sender;
  }

  receive(from: NodeId, frame: Frame): void {
    if (frame.kind === "snapshot_status") {
      const status = readPayload(frame.payload, readSnapshotStatus);
      const sender = this.#senders.get(from);
      if (sender?.id !== status.id) return;
      if (sender.onStatus(status)) this.#senders.delete(from);
    } else if (this.#receiver === null) {
      throw new FrameError("unexpected", "this node takes no snapshots");
    } else {
      this.#receiver.receive(from, frame);
    }
  }

  linkUp(peer: NodeId): void {
    this.#senders.get(peer)?.linkUp();
  }

  peerRemoved(peer: NodeId): void {
    this.#senders.get(peer)?.cancel();
    this.#senders.delete(peer);
  }

  async close(): Promise<void> {
    for (const peer of [...this.#senders.keys()]) this.peerRemoved(peer);
    await this.#receiver?.close();
  }
}
