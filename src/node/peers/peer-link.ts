import type { NodeId } from "../../lib/ids.ts";
import type { Logger } from "../../metrics/log.ts";
import { encodeMessage } from "../../raft/codec.ts";
import type { Core } from "../../raft/core.ts";
import type { FetchRequest, Message, SnapshotOffer } from "../../raft/types.ts";
import type { Journal } from "../../storage/journal/journal.ts";
import { SNAPSHOT_UNFIT, type SnapshotSource } from "../../transport/snapshot-types.ts";
import type { Transport } from "../../transport/transport.ts";

export type HeldSnapshot = {
  readonly source: SnapshotSource;
  readonly release: () => Promise<void>;
};

export type PeerLinkOptions = {
  readonly core: Core;
  readonly transport: Transport;
  readonly journal: () => Journal;
  readonly log: Logger;
  /** The checkpoint at exactly this index, kept until it is released; null if it is gone. */
  readonly holdSnapshot: (offer: SnapshotOffer, meta: Uint8Array) => HeldSnapshot | null;
  /** A peer found damage in a snapshot: this node's own files may be the reason. */
  readonly snapshotDamaged: () => void;
  /** The core has something new to say. */
  readonly turnSoon: () => void;
  readonly fault: (error: unknown) => void;
};

/** What the core sends, on its way to the peers: messages, entries from the journal, snapshots. */
export class PeerLink {
  readonly #options: PeerLinkOptions;
  /** Peers to which a snapshot is on its way, with its index. */
  readonly #sending = new Map<NodeId, number>();

  constructor(options: PeerLinkOptions) {
    this.#options = options;
  }

  send(messages: readonly Message[]): void {
    const { transport } = this.#options;
    const plain: Message[] = [];
    for (const message of messages) {
      if (message.type === "snapshot_offer") this.#sendSnapshot(message);
      else plain.push(message);
    }
    if (plain.length > 0) transport.send(plain);
  }

  /** Old entries that a peer lacks are read from the journal. */
  fetch(requests: readonly FetchRequest[]): void {
    for (const request of requests) {
      this.#fetch(request).catch((error: unknown) => this.#options.fault(error));
    }
  }

  async #fetch({ peer, from, to, maxBytes }: FetchRequest): Promise<void> {
    const { core, journal, turnSoon, log } = this.#options;
    try {
      const entries = from < journal().firstIndex ? [] : await journal().read(from, to, maxBytes);
      if (entries.length > 0) core.fetched(peer, from, entries);
      else core.fetchFailed(peer, from);
    } catch (error) {
      // Damaged here: a snapshot helps the peer, and this node notices when it starts again.
      log.error("reading entries for a peer failed", { peer, from, error: String(error) });
      core.fetchFailed(peer, from);
    }
    turnSoon();
  }

  #sendSnapshot(offer: SnapshotOffer): void {
    const { core, transport, log, holdSnapshot, snapshotDamaged, turnSoon } = this.#options;
    const peer = offer.to;
    if (this.#sending.get(peer) === offer.snapshot.index) return;
    const held = holdSnapshot(offer, encodeMessage(offer));
    if (held === null) {
      core.reportSnapshot(peer, false);
      turnSoon();
      return;
    }
    log.info("sending snapshot", { peer, index: offer.snapshot.index });
    this.#sending.set(peer, offer.snapshot.index);
    const done = transport.sendSnapshot(peer, held.source).result.then(async (result) => {
      if (this.#sending.get(peer) === offer.snapshot.index) this.#sending.delete(peer);
      const reason = result.ok ? "" : result.reason;
      log.info("snapshot sent", { peer, index: offer.snapshot.index, ok: result.ok, reason });
      if (reason === SNAPSHOT_UNFIT) snapshotDamaged();
      core.reportSnapshot(peer, result.ok);
      turnSoon();
      await held.release();
    });
    done.catch((error: unknown) => this.#options.fault(error));
  }
}
