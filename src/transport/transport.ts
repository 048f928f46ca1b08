import type { Clock } from "../env/clock.ts";
import type { Network, PeerAddress, PeerIdentity, PeerSecret } from "../env/network.ts";
import type { Random } from "../env/random.ts";
import { assert } from "../lib/assert.ts";
import { firstOfLargestGroup } from "../lib/busiest.ts";
import type { ByteWriter } from "../lib/bytes.ts";
import type { NodeId, ShardId } from "../lib/ids.ts";
import type { LogFields, Logger } from "../metrics/log.ts";
import type { Message } from "../raft/types.ts";
import {
  BatchExchange,
  type Batches,
  type BatchesHandler,
  type BatchesWanted,
} from "./batch-exchange.ts";
import type { Frame, FrameKind } from "./envelope.ts";
import { FrameError } from "./frame-error.ts";
import type { Hello, MembershipInfo, Welcome } from "./handshake-codec.ts";
import { InboundLink } from "./inbound-link.ts";
import { readLevel } from "./level-mark.ts";
import { TRANSPORT_LIMITS, type TransportLimits } from "./limits.ts";
import { LocalNode, type LocalNodeOptions } from "./local-node.ts";
import { OutboundLink } from "./outbound-link.ts";
import {
  addMessage,
  beginMessages,
  decodeMessages,
  endMessages,
  messageBytesMax,
} from "./raft-payload.ts";
import { type LinkEvents, type Peer, Shared } from "./shared.ts";
import { SnapshotExchange } from "./snapshot-exchange.ts";
import type { SnapshotSink, SnapshotSource, SnapshotTransfer } from "./snapshot-types.ts";
import { newPeerStats, type PeerStats } from "./stats.ts";

export type TransportOptions = {
  readonly network: Network;
  /** Null without TLS. Node ids are then not verified by certificate. */
  readonly identity: PeerIdentity | null;
  /** The peer secret, which both ends of a link prove. Null if none is configured. @default null */
  readonly secret?: PeerSecret | null;
  readonly clock: Clock;
  /** Must be unpredictable if `identity` or `secret` is set, because nonces are drawn from it. */
  readonly random: Random;
  readonly log: Logger;
  readonly local: LocalNodeOptions;
  readonly shard: ShardId;
  readonly limits?: Partial<TransportLimits>;
  /** The level of the log that this node knows: see `level-mark.ts`. @default 0 */
  readonly level?: number;
  /** The membership version and address of this node. Absent: it knows no membership. */
  readonly membershipInfo?: () => MembershipInfo;
};

/** The peer of a completed handshake, and what it announced. */
export type Meeting = {
  readonly peer: NodeId;
  /** Null if its disk does not belong to a cluster yet. */
  readonly clusterId: string | null;
  readonly storageId: string;
  /** Its storage id differs from the one in its last handshake with this process. */
  readonly changed: boolean;
  /** The membership version by which it is a member; 0 if it knows none. */
  readonly membershipVersion: number;
  /** It is authenticated by certificate or secret. Otherwise the fields are unverified. */
  readonly proven: boolean;
  /** The level of the log that it knows; 0 for a version that tells none. */
  readonly level: number;
};

export type TransportHandlers = {
  /**
   * Called with all messages of a frame, in order: well-formed messages of a member to this node.
   * The data of entries are views: keep them, never change them.
   */
  readonly messages: (messages: readonly Message[]) => void;
  /**
   * Called when messages to the peer were dropped or may be lost: at most once per `send`, and when
   * a link goes down. It may be called from within `send`.
   */
  readonly unreachable: (peer: NodeId) => void;
  /**
   * Called when this node learns its cluster id from a member. Make it durable before acting on
   * later messages.
   */
  readonly clusterLearnt: (clusterId: string, from: NodeId) => void;
  /**
   * Called after a handshake with a member.
   *
   * @returns false to refuse it, for example if its storage id was replaced.
   */
  readonly met: (meeting: Meeting) => boolean;
  /** Called with the offset of a peer's wall clock from this node's monotonic clock. */
  readonly clock?: LinkEvents["clock"];
  /** Receives snapshots of other nodes. Without it snapshots are rejected. */
  readonly snapshots?: SnapshotSink;
  /** Reads batches for a peer whose own are damaged. Without it requests get an empty reply. */
  readonly batches?: BatchesHandler;
  /** Receives commands and outcomes. Without it they close the link. */
  readonly commands?: CommandHandlers;
};

/** Frames with the commands that a member forwards to the leader, and with their outcomes. */
export type CommandFrame = "commands" | "outcomes";

/** Called with the payloads of these frames. The payloads are views: keep them, never change them. */
export type CommandHandlers = {
  /** @throws FrameError if the payload is invalid. The link is then closed. */
  readonly received: (peer: NodeId, kind: CommandFrame, payload: Uint8Array) => void;
  /** Called when this node can send to the peer. */
  readonly up: (peer: NodeId) => void;
  /** Called when a link to or from the peer was lost. Frames on their way may be lost with it. */
  readonly lost: (peer: NodeId) => void;
};

export type TransportStats = {
  readonly peers: readonly Readonly<PeerStats>[];
  /** Rejected inbound links. */
  readonly refused: ReadonlyMap<string, number>;
  /** Inbound connections whose peer is not verified yet. */
  readonly unverified: number;
  /** Links that were closed for an invalid frame. */
  readonly malformed: ReadonlyMap<string, number>;
  /** Outbound links that failed or broke. */
  readonly failed: ReadonlyMap<string, number>;
};

/** Carries messages between the members of a cluster, over one link per direction and peer. */
export class Transport {
  readonly #shared: Shared;
  readonly #outbound = new Map<NodeId, OutboundLink>();
  readonly #inbound = new Set<InboundLink>();
  readonly #snapshots: SnapshotExchange;
  readonly #batches: BatchExchange;
  #handlers: TransportHandlers | null = null;
  #closed = false;

  constructor(options: TransportOptions) {
    this.#shared = new Shared({
      ...options,
      secret: options.secret ?? null,
      level: options.level ?? 0,
      local: new LocalNode(options.local),
      membershipInfo: options.membershipInfo ?? (() => NO_MEMBERSHIP),
      limits: { ...TRANSPORT_LIMITS, ...options.limits },
      events: {
        met: (peer, proven, nonce) => this.#met(peer, proven, readLevel(nonce)),
        unverifiedPeer: (peer) => this.#addUnverifiedPeer(peer),
        up: (peer) => {
          this.#snapshots.linkUp(peer);
          this.#handlers?.commands?.up(peer);
        },
        clock: (...reading) => this.#handlers?.clock?.(...reading),
        down: (peer) => {
          this.#handlers?.commands?.lost(peer);
          this.#handlers?.unreachable(peer);
        },
        frame: (peer, frame) => this.#receive(peer, frame),
      },
    });
    const send = (peer: NodeId, kind: FrameKind, write: (writer: ByteWriter) => void): boolean => {
      write(this.#shared.writer.begin(kind));
      return this.#outbound.get(peer)?.transmit() === true;
    };
    this.#batches = new BatchExchange(this.#shared, { send });
    this.#snapshots = new SnapshotExchange(this.#shared, {
      send,
      backlogBytes: (peer) => this.#outbound.get(peer)?.backlogBytes ?? Number.POSITIVE_INFINITY,
    });
  }

  /** Starts to listen. @throws if the address is not available. */
  start(handlers: TransportHandlers): void {
    this.#handlers = handlers;
    if (handlers.batches !== undefined) this.#batches.serveWith(handlers.batches);
    if (handlers.snapshots !== undefined) this.#snapshots.receiveInto(handlers.snapshots);
    const refused = (reason: string, remote: string) => this.#shared.refuse(reason, remote);
    this.#shared.network.listen((link) => {
      const inbound = new InboundLink(this.#shared, link, {
        accepted: (accepted, peer) => this.#accepted(accepted, peer),
        ended: (ended, peer) => {
          this.#inbound.delete(ended);
          if (peer !== null) this.#handlers?.commands?.lost(peer);
        },
      });
      this.#inbound.add(inbound);
      this.#limitPending();
      return { frame: (bytes) => inbound.receive(bytes), closed: () => inbound.end() };
    }, refused);
  }

  get clusterId(): string | null {
    return this.#shared.local.clusterId;
  }

  /** Sets the cluster id after bootstrap, or when this node learned it in another way. */
  setClusterId(clusterId: string): void {
    const { local } = this.#shared;
    if (local.clusterId === clusterId) return;
    local.clusterId = clusterId;
    for (const link of [...this.#outbound.values()]) link.clusterLearnt();
  }

  /**
   * Replaces the list of other members: links to new ones are dialled, links to removed ones
   * closed. Call after `start`.
   */
  setPeers(peers: readonly PeerAddress[]): void {
    if (this.#closed) return;
    assert(this.#handlers !== null, "the transport must be started before it has peers");
    const { peers: known, local } = this.#shared;
    const wanted = new Map(peers.map((peer) => [peer.id, peer]));
    wanted.delete(local.id);
    const { membershipVersion } = this.#shared.membershipInfo();
    for (const [id, { awaitedVersion }] of [...known]) {
      if (!wanted.has(id) && awaitedVersion <= membershipVersion) this.#removePeer(id);
    }
    for (const address of wanted.values()) this.#setPeer(address);
  }

  /**
   * Sends messages, best effort. Messages without a link are dropped and reported by `unreachable`.
   * Never blocks.
   */
  send(messages: readonly Message[]): void {
    if (messages.length === 1) {
      const only = messages[0] as Message;
      this.#sendTo(only.to, messages);
      return;
    }
    const groups = new Map<NodeId, Message[]>();
    for (const message of messages) {
      const group = groups.get(message.to);
      if (group === undefined) groups.set(message.to, [message]);
      else group.push(message);
    }
    for (const [peer, group] of groups) this.#sendTo(peer, group);
  }

  /**
   * Streams a snapshot to a peer at lower priority than Raft messages, and resumes it after lost
   * links. A newer snapshot replaces the one in progress to the same peer. `result` tells whether
   * the peer installed it.
   */
  sendSnapshot(peer: NodeId, source: SnapshotSource): SnapshotTransfer {
    return this.#snapshots.send(peer, source);
  }

  /** Requests batches. Returns null if the peer does not have them or does not reply in time. */
  askBatches(peer: NodeId, wanted: BatchesWanted): Promise<Batches | null> {
    return this.#batches.ask(peer, wanted);
  }

  /** Sends one frame, best effort. @returns false if it was dropped. */
  sendCommands(peer: NodeId, kind: CommandFrame, write: (writer: ByteWriter) => void): boolean {
    const link = this.#outbound.get(peer);
    if (link?.isUp !== true) return false;
    write(this.#shared.writer.begin(kind));
    return link.transmit();
  }

  /** Bytes that wait in this process for the link to a peer; infinite without a link. */
  backlogBytes(peer: NodeId): number {
    return this.#outbound.get(peer)?.backlogBytes ?? Number.POSITIVE_INFINITY;
  }

  /** The level that the peer announced on the link to it; 0 without a link. */
  levelOf(peer: NodeId): number {
    return this.#outbound.get(peer)?.peerLevel ?? 0;
  }

  /** Closes the links with a peer. Its next handshake is checked again. */
  expel(id: NodeId): void {
    for (const link of [...this.#inbound]) if (link.peerId === id) link.end();
    this.#outbound.get(id)?.redial();
  }

  /** True if the peer answered the last hello of this node that it is not a member. */
  isUnknownAt(peer: NodeId): boolean {
    return this.#outbound.get(peer)?.isUnknownThere === true;
  }

  isUp(peer: NodeId): boolean {
    return this.#outbound.get(peer)?.isUp === true;
  }

  /** Logs a warning that a peer can cause, at most once per second, with a count. */
  warn(message: string, fields: LogFields): void {
    this.#shared.quietLog.warn(message, fields);
  }

  stats(): TransportStats {
    const { peers, refused, malformed, failed, network } = this.#shared;
    return {
      unverified: network.unverifiedLinks ?? this.#pending().length,
      peers: [...peers.values()].map((peer) => peer.stats),
      refused: refused.entries(),
      malformed: malformed.entries(),
      failed: failed.entries(),
    };
  }

  /** Closes all links and the listener. No handler is called afterwards. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#handlers = null;
    this.#shared.quietLog.close();
    this.#batches.close();
    const snapshotsClosed = this.#snapshots.close();
    for (const link of this.#outbound.values()) link.stop();
    for (const link of [...this.#inbound]) link.end();
    await Promise.all([this.#shared.network.close(), snapshotsClosed]);
  }

  #setPeer(address: PeerAddress): void {
    const { peers } = this.#shared;
    const before = peers.get(address.id);
    if (before !== undefined && sameAddress(before.address, address)) return;
    this.#outbound.get(address.id)?.stop();
    const stats = before?.stats ?? newPeerStats(address.id);
    this.#addPeer({ address, stats, awaitedVersion: 0 });
  }

  #addPeer(peer: Peer): void {
    const { id } = peer.address;
    this.#shared.peers.set(id, peer);
    this.#outbound.set(id, new OutboundLink(this.#shared, peer));
  }

  #addUnverifiedPeer(peer: Peer): void {
    const { id } = peer.address;
    if (this.#closed || this.#shared.peers.has(id)) return;
    this.#shared.log.info("accepted a member that joined while this node lagged", { peer: id });
    this.#addPeer(peer);
  }

  #removePeer(id: NodeId): void {
    this.#outbound.get(id)?.stop();
    this.#outbound.delete(id);
    this.#snapshots.peerRemoved(id);
    this.#batches.peerRemoved(id);
    this.#shared.peers.delete(id);
    for (const link of [...this.#inbound]) if (link.peerId === id) link.end();
  }

  #sendTo(peer: NodeId, messages: readonly Message[]): void {
    const dropped = this.#write(peer, messages);
    if (dropped === 0) return;
    const known = this.#shared.peers.get(peer);
    if (known !== undefined) known.stats.messagesDropped += dropped;
    this.#handlers?.unreachable(peer);
  }

  /** @returns the number of dropped messages. */
  #write(peer: NodeId, messages: readonly Message[]): number {
    const link = this.#outbound.get(peer);
    if (link === undefined || !link.isUp) return messages.length;
    const { writer, limits } = this.#shared;
    let dropped = 0;
    let from = 0;
    while (from < messages.length) {
      const payload = writer.begin("raft");
      const countAt = beginMessages(payload);
      let next = from;
      let bytes = 0;
      for (; next < messages.length; next++) {
        const message = messages[next] as Message;
        bytes += messageBytesMax(message);
        if (next > from && bytes > limits.frameBytesTarget) break;
        addMessage(payload, message);
      }
      endMessages(payload, countAt, next - from);
      if (!link.transmit()) dropped += next - from;
      from = next;
    }
    return dropped;
  }

  #receive(peer: NodeId, frame: Frame): void {
    if (frame.kind === "raft") {
      this.#handlers?.messages(decodeMessages(frame.payload, peer, this.#shared.local.id));
    } else if (frame.kind.startsWith("batches_")) {
      if (!this.#closed) this.#batches.receive(peer, frame);
    } else if (frame.kind === "commands" || frame.kind === "outcomes") {
      this.#receiveCommands(peer, frame.kind, frame.payload);
    } else if (frame.kind.startsWith("snapshot_")) {
      if (!this.#closed) this.#snapshots.receive(peer, frame);
    } else {
      throw new FrameError("unexpected", `a frame of kind ${frame.kind} has no place here`);
    }
  }

  #receiveCommands(peer: NodeId, kind: CommandFrame, payload: Uint8Array): void {
    if (this.#handlers === null) return;
    const { commands } = this.#handlers;
    if (commands === undefined) throw new FrameError("unexpected", "this node takes no commands");
    commands.received(peer, kind, payload);
  }

  #met(
    { from: peer, clusterId, storageId, membershipInfo }: Hello | Welcome,
    proven: boolean,
    level: number,
  ): boolean {
    const { local } = this.#shared;
    const handlers = this.#handlers;
    if (handlers === null) return false;
    const membershipVersion =
      membershipInfo.address === null ? 0 : membershipInfo.membershipVersion;
    const changed = local.hasChanged(peer, storageId);
    const meeting = { peer, clusterId, storageId, changed, membershipVersion, proven, level };
    if (!handlers.met(meeting)) return false;
    local.remember(peer, storageId);
    if (local.clusterId === null && clusterId !== null) {
      handlers.clusterLearnt(clusterId, peer);
      this.setClusterId(clusterId);
    }
    return true;
  }

  #accepted(link: InboundLink, peer: NodeId): void {
    // The newest link is kept, because the peer redials only after it has given up the previous
    // one.
    for (const other of [...this.#inbound]) {
      if (other !== link && other.peerId === peer) other.end();
    }
    this.#outbound.get(peer)?.nudge();
  }

  #pending(): InboundLink[] {
    return [...this.#inbound].filter((link) => link.peerId === null);
  }

  #limitPending(): void {
    const pending = this.#pending();
    if (pending.length <= this.#shared.limits.pendingLinksMax) return;
    const victim = firstOfLargestGroup(pending, ({ remote }) => remote);
    this.#shared.refuse("too_many", victim?.remote ?? "");
    victim?.end();
  }
}

const NO_MEMBERSHIP: MembershipInfo = { membershipVersion: 0, address: null };

const sameAddress = (a: PeerAddress, b: PeerAddress): boolean =>
  a.host === b.host && a.port === b.port;
