import type { Clock } from "../env/clock.ts";
import type { Network, PeerAddress, PeerClaim, PeerIdentity, PeerSecret } from "../env/network.ts";
import type { Random } from "../env/random.ts";
import type { NodeId, ShardId } from "../lib/ids.ts";
import type { Logger } from "../metrics/log.ts";
import { type Frame, FrameWriter } from "./envelope.ts";
import { type Hello, NONCE_BYTES, type Standing, type Welcome } from "./handshake-codec.ts";
import type { TransportLimits } from "./limits.ts";
import type { LocalNode } from "./local-node.ts";
import { QuietLog } from "./quiet-log.ts";
import { Counts, newPeerStats, type PeerStats } from "./stats.ts";

/** More members than a cluster has, let alone new ones. */
const NEWCOMERS_MAX = 16;

/** What happens on links, told to the transport. */
export type LinkEvents = {
  /**
   * The handshake is complete: remember what was learnt. @returns false to refuse the peer.
   *
   * @param proven by certificate or secret, the peer belongs to this cluster.
   */
  readonly met: (peer: Welcome | Hello, proven: boolean) => boolean;
  /** A peer was let in that this node did not know: see `Shared.newcomer`. */
  readonly newcomer: (peer: Peer) => void;
  readonly up: (peer: NodeId) => void;
  /** The peer's wall clock is ahead of this node's monotonic clock by so much, ± `errorMs`. */
  readonly clock: (peer: NodeId, offsetMs: number, errorMs: number) => void;
  readonly down: (peer: NodeId) => void;
  /** A whole frame of a peer that proved itself. @throws FrameError */
  readonly frame: (peer: NodeId, frame: Frame) => void;
};

/** A member of the cluster as the links see it. */
export type Peer = {
  readonly address: PeerAddress;
  readonly stats: PeerStats;
  /** A newcomer: this node will know it once it knows the membership of this index. Else 0. */
  readonly knownAsOf: number;
};

/** What all links of a node have in common. */
export class Shared {
  readonly network: Network;
  /** Null: no TLS, names are taken on trust. */
  readonly identity: PeerIdentity | null;
  /** Null: the nodes share no secret. */
  readonly secret: PeerSecret | null;
  readonly clock: Clock;
  readonly log: Logger;
  /** For what strangers can cause as often as they like. */
  readonly quietLog: QuietLog;
  readonly local: LocalNode;
  readonly shard: ShardId;
  readonly limits: TransportLimits;
  readonly events: LinkEvents;
  readonly standing: () => Standing;
  readonly writer = new FrameWriter();
  readonly peers = new Map<NodeId, Peer>();
  /** Links that others dialled and that were turned away, by reason. */
  readonly refused = new Counts();
  /** Frames that ended their link, by reason. */
  readonly malformed = new Counts();
  /** Dials that came to nothing, by reason. */
  readonly failed = new Counts();
  readonly #random: Random;

  constructor(options: {
    readonly network: Network;
    readonly identity: PeerIdentity | null;
    readonly secret: PeerSecret | null;
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Logger;
    readonly local: LocalNode;
    readonly shard: ShardId;
    readonly limits: TransportLimits;
    readonly events: LinkEvents;
    readonly standing: () => Standing;
  }) {
    this.network = options.network;
    this.identity = options.identity;
    this.secret = options.secret;
    this.clock = options.clock;
    this.log = options.log;
    this.quietLog = new QuietLog(options.log, options.clock);
    this.local = options.local;
    this.shard = options.shard;
    this.limits = options.limits;
    this.events = options.events;
    this.standing = options.standing;
    this.#random = options.random;
  }

  nonce(): Uint8Array {
    const words = Uint32Array.from({ length: NONCE_BYTES / 4 }, () => this.#random.u32());
    return new Uint8Array(words.buffer);
  }

  /** Uniform in 0.5 … 1 times `ms`, so that nodes do not dial in step. */
  jittered(ms: number): number {
    return Math.ceil(ms * (0.5 + this.#random.u32() / 2 ** 33));
  }

  /**
   * A node that lags cannot know who joined since, and one of those may lead. So who proves this
   * node's own cluster, and is a member by a *newer* membership than this node knows, is let in
   * until this node knows better. Who was removed knows an older membership than those who know of
   * it, and an empty disk knows none: both stay out.
   */
  newcomer(
    { from, clusterId, standing: { asOf, address } }: Hello,
    proven: boolean,
  ): Peer | undefined {
    // A membership version is a number that anybody can claim.
    if (!proven) return;
    if (address === null || clusterId === null || clusterId !== this.local.clusterId) return;
    if (asOf <= this.standing().asOf) return;
    const newcomers = [...this.peers.values()].filter(({ knownAsOf }) => knownAsOf > 0);
    if (newcomers.length >= NEWCOMERS_MAX) return;
    return { address: { id: from, ...address }, stats: newPeerStats(from), knownAsOf: asOf };
  }

  /**
   * Whether the other end of a link is known to be one of this cluster's nodes.
   *
   * @param secretProven by this link.
   */
  isProven(secretProven: boolean): boolean {
    return secretProven || this.identity !== null || this.network.isOpen !== true;
  }

  claim({ id, host }: PeerAddress): PeerClaim {
    const others = [this.local.id, ...this.peers.keys()].filter((other) => other !== id);
    return { id, host, others };
  }
}
