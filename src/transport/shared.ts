import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../env/clock.ts";
import type {
  ExpectedPeer,
  Network,
  PeerAddress,
  PeerIdentity,
  PeerSecret,
} from "../env/network.ts";
import type { Random } from "../env/random.ts";
import type { NodeId, ShardId } from "../lib/ids.ts";
import type { Logger } from "../metrics/log.ts";
import { type Frame, FrameWriter } from "./envelope.ts";
import { type Hello, type MembershipInfo, NONCE_BYTES, type Welcome } from "./handshake-codec.ts";
import { writeLevel } from "./level-mark.ts";
import type { TransportLimits } from "./limits.ts";
import type { LocalNode } from "./local-node.ts";
import { QuietLog } from "./quiet-log.ts";
import { Counts, newPeerStats, type PeerStats } from "./stats.ts";

/** Maximum number of unverified peers. It exceeds the size of any cluster. */
const UNVERIFIED_PEERS_MAX = 16;

/** Events of links that the transport handles. */
export type LinkEvents = {
  /**
   * Called when the handshake is complete, to record the peer's fields.
   *
   * @returns false to refuse the peer.
   * @param proven whether certificate or secret prove that the peer belongs to this cluster.
   * @param nonce the peer's nonce of this handshake.
   */
  readonly met: (peer: Welcome | Hello, proven: boolean, nonce: Uint8Array) => boolean;
  /** Called when a peer that is not a known member was accepted: see `Shared.unverifiedPeer`. */
  readonly unverifiedPeer: (peer: Peer) => void;
  readonly up: (peer: NodeId) => void;
  /**
   * Called with the offset of the peer's wall clock from this node's monotonic clock, ± `errorMs`.
   */
  readonly clock: (peer: NodeId, offsetMs: number, errorMs: number) => void;
  readonly down: (peer: NodeId) => void;
  /** Called with each frame of an authenticated peer. @throws FrameError */
  readonly frame: (peer: NodeId, frame: Frame) => void;
};

/** A member of the cluster, or an unverified peer. */
export type Peer = {
  readonly address: PeerAddress;
  readonly stats: PeerStats;
  /** The membership version at which this node will know an unverified peer; 0 for a known member. */
  readonly awaitedVersion: number;
};

/** State that all links of a node share. */
export class Shared {
  readonly network: Network;
  /** Null without TLS. Node ids are then not verified by certificate. */
  readonly identity: PeerIdentity | null;
  /** Null if no peer secret is configured. */
  readonly secret: PeerSecret | null;
  readonly clock: Clock;
  readonly log: Logger;
  /** Logs warnings that an unauthenticated peer can cause. */
  readonly quietLog: QuietLog;
  readonly local: LocalNode;
  readonly shard: ShardId;
  /** The level of the log that this node announces to its peers; 0 if it announces none. */
  readonly level: number;
  readonly limits: TransportLimits;
  readonly events: LinkEvents;
  readonly membershipInfo: () => MembershipInfo;
  readonly writer = new FrameWriter();
  readonly peers = new Map<NodeId, Peer>();
  /** Rejected inbound links, by reason. */
  readonly refused = new Counts();
  /** Links that were closed for an invalid frame, by reason. */
  readonly malformed = new Counts();
  /** Failed dials, by reason. */
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
    readonly level: number;
    readonly limits: TransportLimits;
    readonly events: LinkEvents;
    readonly membershipInfo: () => MembershipInfo;
  }) {
    this.network = options.network;
    this.identity = options.identity;
    this.secret = options.secret;
    this.clock = options.clock;
    this.log = options.log;
    this.quietLog = new QuietLog(options.log, options.clock);
    this.local = options.local;
    this.shard = options.shard;
    this.level = options.level;
    this.limits = options.limits;
    this.events = options.events;
    this.membershipInfo = options.membershipInfo;
    this.#random = options.random;
  }

  nonce(): Uint8Array {
    const words = Uint32Array.from({ length: NONCE_BYTES / 4 }, () => this.#random.u32());
    const nonce = new Uint8Array(words.buffer);
    if (this.level > 0) writeLevel(nonce, this.level);
    return nonce;
  }

  /** Returns a uniform delay of 0.5 … 1 times `ms`, so that nodes do not dial at the same time. */
  jittered(ms: number): number {
    return Math.ceil(ms * (0.5 + this.#random.u32() / 2 ** 33));
  }

  /**
   * Returns an unverified peer if it may be accepted. A lagging node accepts members that it has
   * not heard of yet, since one of them may lead. The peer must prove the id of this cluster and be
   * a member by a *newer* membership version. It stays until this node knows that version. A
   * removed node has an older version than the nodes that know of its removal, and an empty disk
   * has none, so both are refused.
   */
  unverifiedPeer(
    { from, clusterId, membershipInfo: { membershipVersion, address } }: Hello,
    proven: boolean,
  ): Peer | undefined {
    // An unauthenticated peer could announce any membership version.
    if (!proven && !faultPoint("unproven-peers-count")) return;
    if (address === null || clusterId === null || clusterId !== this.local.clusterId) return;
    const isKnown = membershipVersion <= this.membershipInfo().membershipVersion;
    if (isKnown && !faultPoint("removed-node-let-in")) return;
    const unverified = [...this.peers.values()].filter(({ awaitedVersion }) => awaitedVersion > 0);
    if (unverified.length >= UNVERIFIED_PEERS_MAX) return;
    return {
      address: { id: from, ...address },
      stats: newPeerStats(from),
      awaitedVersion: membershipVersion,
    };
  }

  /**
   * Tells whether the other end of a link is authenticated as a node of this cluster.
   *
   * @param secretProven whether the secret was proven on this link.
   */
  isProven(secretProven: boolean): boolean {
    return secretProven || this.identity !== null || this.network.isOpen !== true;
  }

  /** Counts and logs a connection that is closed before its peer has said who it is. */
  refuse(code: string, remote: string): void {
    this.refused.add(code);
    this.quietLog.warn("peer connection refused", { remote, code });
  }

  expected({ id, host }: PeerAddress): ExpectedPeer {
    const others = [this.local.id, ...this.peers.keys()].filter((other) => other !== id);
    return { id, host, others };
  }
}
