import type { Clock } from "../../env/clock.ts";
import type { NodeId } from "../../lib/ids.ts";
import type { Logger } from "../../metrics/log.ts";
import { encodeMessage } from "../../raft/codec.ts";
import type { Core } from "../../raft/core.ts";
import type { FetchRequest, Message, SnapshotOffer } from "../../raft/types.ts";
import {
  SNAPSHOT_NO_SPACE,
  SNAPSHOT_UNFIT,
  type SnapshotSource,
} from "../../transport/snapshot-types.ts";
import type { Transport } from "../../transport/transport.ts";
import type { Emit } from "../events.ts";
import type { Storage } from "../recovery/storage.ts";
import type { Shard } from "../replica/shard.ts";

/** Delay before a snapshot is offered again to a peer that had no space for it. */
const SPACE_RETRY_MS = 5_000;

type HeldSnapshot = {
  readonly source: SnapshotSource;
  readonly release: () => Promise<void>;
};

export type PeerLinkOptions = {
  readonly core: Core;
  readonly transport: Transport;
  readonly storage: Pick<Storage, "journal" | "checkpoints">;
  readonly log: Logger;
  readonly clock: Clock;
  readonly shard: Pick<Shard, "deferIteration">;
  readonly emit: Emit;
};

/** Sends the core's output to peers: messages, entries from the journal, snapshots. */
export class PeerLink {
  readonly #options: PeerLinkOptions;
  /** Peers that are receiving a snapshot, with its index. */
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

  /** Reads old entries that a peer lacks from the journal. */
  fetch(requests: readonly FetchRequest[]): void {
    for (const request of requests) {
      this.#fetch(request).catch((error: unknown) => this.#failed(error));
    }
  }

  async #fetch({ peer, from, to, maxBytes }: FetchRequest): Promise<void> {
    const { core, storage, shard, log } = this.#options;
    const { journal } = storage;
    try {
      const entries = from < journal.firstIndex ? [] : await journal.read(from, to, maxBytes);
      if (entries.length > 0) core.fetched(peer, from, entries);
      else core.fetchFailed(peer, from);
    } catch (error) {
      // Damaged on this node: the peer needs a snapshot, and this node detects it at its next start.
      log.error("reading entries for a peer failed", { peer, from, error: String(error) });
      core.fetchFailed(peer, from);
    }
    shard.deferIteration();
  }

  #sendSnapshot(offer: SnapshotOffer): void {
    const { core, transport, log, shard, clock, emit } = this.#options;
    const peer = offer.to;
    if (this.#sending.get(peer) === offer.snapshot.index) return;
    const held = this.#hold(offer);
    if (held === null) {
      core.reportSnapshot(peer, false);
      shard.deferIteration();
      return;
    }
    log.info("sending snapshot", { peer, index: offer.snapshot.index });
    this.#sending.set(peer, offer.snapshot.index);
    const done = transport.sendSnapshot(peer, held.source).result.then(async (result) => {
      const reason = result.ok ? "" : result.reason;
      log.info("snapshot sent", { peer, index: offer.snapshot.index, ok: result.ok, reason });
      if (reason === SNAPSHOT_UNFIT) emit({ type: "snapshot_damaged" });
      const report = () => {
        if (this.#sending.get(peer) === offer.snapshot.index) this.#sending.delete(peer);
        core.reportSnapshot(peer, result.ok);
        shard.deferIteration();
      };
      if (reason === SNAPSHOT_NO_SPACE) clock.after(SPACE_RETRY_MS, report);
      else report();
      await held.release();
    });
    done.catch((error: unknown) => this.#failed(error));
  }

  /** The checkpoint at the index of the offer. Null if a newer one replaced it. */
  #hold(offer: SnapshotOffer): HeldSnapshot | null {
    const { core, storage } = this.#options;
    const held = storage.checkpoints.hold();
    if (held === null) return null;
    const release = () => held.release();
    if (held.index === offer.snapshot.index) {
      const meta = encodeMessage(offer);
      return { source: { term: core.term, meta, files: held.files }, release };
    }
    release().catch(() => undefined);
    return null;
  }

  #failed(error: unknown): void {
    this.#options.emit({ type: "failed", error });
  }
}
