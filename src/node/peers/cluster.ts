import { feature as faultPoint } from "bun:bundle";
import type { Network, PeerIdentity, PeerSecret } from "../../env/network.ts";
import type { Random } from "../../env/random.ts";
import { untilRoom } from "../../env/until-room.ts";
import { assert } from "../../lib/assert.ts";
import type { NodeId } from "../../lib/ids.ts";
import { SHARD_0 } from "../../lib/ids.ts";
import { LEVEL_KNOWN } from "../../lib/log-levels.ts";
import { Machine } from "../../machine/machine.ts";
import type { Logger } from "../../metrics/log.ts";
import type { HaSample } from "../../metrics/sources.ts";
import type { Core } from "../../raft/core.ts";
import { membersOf } from "../../raft/membership.ts";
import { jointVote } from "../../raft/quorum.ts";
import { countsVote, isGrantedVote, judgeStorage } from "../../raft/storage-trust.ts";
import type { Entry, FetchRequest, Message, RoleChange } from "../../raft/types.ts";
import type { DataDir } from "../../storage/data-dir.ts";
import type { Batches, BatchesHandler, BatchesWanted } from "../../transport/batch-exchange.ts";
import type { MembershipInfo } from "../../transport/handshake-codec.ts";
import {
  type CommandHandlers,
  type Meeting,
  Transport,
  type TransportStats,
} from "../../transport/transport.ts";
import type { ClusterApi, NodeHealth } from "../api.ts";
import type { Emit } from "../events.ts";
import { electionTicksOf } from "../replica/core.ts";
import type { Replica } from "../replica/replica.ts";
import type { Commander } from "../writes/commander.ts";
import { Bootstrap, initialConfiguration } from "./bootstrap.ts";
import { KnownDisks } from "./known-disks.ts";
import { LagWatch } from "./lag-watch.ts";
import { idsOf, type MemberAddress, MemberBook } from "./members.ts";
import { Members } from "./membership.ts";
import { PeerLink } from "./peer-link.ts";
import type { SnapshotPort } from "./snapshot-port.ts";

/** Options of this node's membership. A node without peers is a cluster of one. */
export type ClusterOptions = {
  /** The nodes that the settings name, including this one. They are hints for the first contact. */
  readonly members: readonly MemberAddress[];
  /** The level of the log that this node announces. @default LEVEL_KNOWN */
  readonly level?: number;
  /** True if this node may bootstrap a cluster of these members on empty disks. */
  readonly bootstraps: boolean;
  readonly newClusterId: () => string;
  readonly network: Network;
  /** Null: no TLS between nodes, and ids are not verified. */
  readonly identity: PeerIdentity | null;
  /** The shared secret of the nodes. @default null */
  readonly secret?: PeerSecret | null;
  readonly httpScheme: "http" | "https";
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
};

export type ClusterParts = {
  readonly options: ClusterOptions;
  readonly replica: Pick<
    Replica,
    "core" | "machine" | "storage" | "clock" | "time" | "shard" | "linearizer" | "levels"
  >;
  /** The log entries after the checkpoint. */
  readonly entries: readonly Entry[];
  readonly random: Random;
  readonly log: Logger;
  readonly dataDir: DataDir;
  readonly commander: Commander;
  readonly timeoutMs: number;
  readonly emit: Emit;
};

/** Data that this node exchanges with its peers, in addition to messages. */
export type Exchanges = {
  readonly snapshots: SnapshotPort;
  readonly batches: BatchesHandler;
  readonly commands: CommandHandlers;
};

const STORAGE_REFUSED = {
  unproven: "refused a peer with an unknown storage id and no proof of identity, see RF_HA_SECRET",
  replaced: "node returned with a different storage id, remove it and add it again",
} as const;

/** This node's connection to its peers: links, identities, membership, snapshots in transfer. */
export class Cluster implements ClusterApi {
  readonly #parts: ClusterParts;
  readonly #core: Core;
  /** Minimum time without a leader before an election. */
  readonly #electionTicks: number;
  readonly #book: MemberBook;
  readonly #disks: KnownDisks;
  readonly #members: Members;
  readonly #transport: Transport;
  readonly #link: PeerLink;
  readonly #lagWatch: LagWatch;
  /** True while the cluster id is being made durable. Input that arrives meanwhile is ignored. */
  #learning = false;
  /** True during a bootstrap. No handshake is accepted, so that two clusters do not connect. */
  #isBootstrapping = false;
  readonly #bootstrapping: Bootstrap | null;
  #warnedOf = "";
  #warnedOfRemoval = false;
  #exchanges: Exchanges | null = null;
  #elections = 0;
  #heartbeats = 0;

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    const { options, replica, random, log, dataDir, commander, emit } = parts;
    const { core, machine, clock, shard, storage } = replica;
    this.#core = core;
    this.#electionTicks = electionTicksOf(options);
    const { clusterId, storageId } = dataDir.identity;
    this.#book = new MemberBook(core.id, options.members, () => machine.members);
    this.#disks = new KnownDisks(core, () => machine.members, parts.entries);
    this.#transport = new Transport({
      network: options.network,
      identity: options.identity,
      secret: options.secret ?? null,
      clock,
      random,
      log,
      local: { id: core.id, storageId, clusterId },
      shard: SHARD_0,
      level: options.level ?? LEVEL_KNOWN,
      membershipInfo: () => this.#membershipInfo(),
    });
    this.#members = new Members({
      core,
      clock,
      commander,
      book: this.#book,
      storageId,
      timeoutMs: parts.timeoutMs,
      isUp: (id) => this.#transport.isUp(id),
      expel: (id) => this.#transport.expel(id),
      deferIteration: () => shard.deferIteration(),
    });
    this.#link = new PeerLink({
      core,
      transport: this.#transport,
      storage,
      log,
      clock,
      shard,
      emit,
    });
    this.#lagWatch = new LagWatch(core, replica.linearizer);
    this.#bootstrapping = this.#newBootstrap();
  }

  #newBootstrap(): Bootstrap | null {
    const { options, replica, log, emit } = this.#parts;
    const { core, clock } = replica;
    const { bootstraps, members, electionTimeoutMs } = options;
    if (!bootstraps || members.length < 2 || !this.#isBlank()) return null;
    return new Bootstrap({
      self: core.id,
      members: members.map(({ id }) => id),
      electionTimeoutMs,
      clock,
      log,
      isUp: (id) => this.#transport.isUp(id),
      isBlank: () => this.#isBlank(),
      bootstrap: (disks) => {
        this.#bootstrap(disks).catch((error: unknown) => emit({ type: "failed", error }));
      },
    });
  }

  get #exchanged(): Exchanges {
    assert(this.#exchanges !== null, "a cluster is started before it is used");
    return this.#exchanges;
  }

  #isBlank(): boolean {
    const { lastIndex, term } = this.#core;
    return this.#transport.clusterId === null && lastIndex === 0 && term === 0;
  }

  /** Writes all disks into the first entry, so that no member accepts another disk for one of them. */
  async #bootstrap(disks: ReadonlyMap<NodeId, string>): Promise<void> {
    const { options, replica, dataDir, log } = this.#parts;
    const { core, shard, clock } = replica;
    this.#isBootstrapping = true;
    const clusterId = options.newClusterId();
    const machine = new Machine();
    const known = new Map(disks).set(core.id, dataDir.identity.storageId);
    for (const member of options.members) {
      const recorded = faultPoint("first-disks-not-recorded") ? undefined : known.get(member.id);
      machine.members.set(member.id, { ...member, storageId: recorded ?? null });
    }
    await this.#exchanged.snapshots.bootstrap({
      clusterId,
      configuration: initialConfiguration(options.members),
      machine,
      take: (snapshot) => {
        core.bootstrap(snapshot);
        shard.step([]);
      },
      durable: async () => {
        await untilRoom(clock, () => dataDir.recordClusterId(clusterId));
        this.#transport.setClusterId(clusterId);
        this.#isBootstrapping = false;
      },
    });
    log.info("bootstrapped a new cluster", { cluster_id: clusterId, disks: known.size });
  }

  /** @throws if the node cannot listen on the Raft address. */
  start(exchanges: Exchanges): void {
    this.#exchanges = exchanges;
    const { core, shard, time } = this.#parts.replica;
    this.#transport.start({
      messages: (messages) => {
        if (this.#learning) return;
        const credible = messages.filter((message) => this.#isCredible(message));
        if (credible.length > 0) shard.step(credible);
      },
      unreachable: (peer) => {
        core.reportUnreachable(peer);
        if (peer === core.leader) this.#hastenElection();
        shard.deferIteration();
      },
      clusterLearnt: (clusterId, from) => this.#learn(clusterId, from),
      met: (meeting) => this.#met(meeting),
      clock: (...reading) => time.observe(...reading),
      snapshots: exchanges.snapshots.sink(
        (offer) => shard.step([offer]),
        () => core.commitIndex,
      ),
      batches: exchanges.batches,
      commands: exchanges.commands,
    });
    this.changed();
  }

  send(messages: readonly Message[]): void {
    for (const { type } of messages) if (type === "heartbeat") this.#heartbeats++;
    this.#link.send(messages);
  }

  /** Reachable members, the leader first. */
  reachable(): readonly NodeId[] {
    const others = membersOf(this.#core.configuration).filter((id) => this.#transport.isUp(id));
    return others.sort((a, b) => Number(b === this.#core.leader) - Number(a === this.#core.leader));
  }

  isReachable(peer: NodeId): boolean {
    if (faultPoint("kept-for-who-cannot-be-reached")) return true;
    return this.#transport.isUp(peer);
  }

  /** The links over which commands are forwarded. */
  get links(): Pick<Transport, "isUp" | "levelOf" | "backlogBytes" | "sendCommands"> {
    return this.#transport;
  }

  askBatches(peer: NodeId, wanted: BatchesWanted): Promise<Batches | null> {
    return this.#transport.askBatches(peer, wanted);
  }

  fetch(requests: readonly FetchRequest[]): void {
    this.#link.fetch(requests);
  }

  /** Called when these entries are on this node's disk. */
  appended(entries: readonly Entry[]): void {
    this.#disks.appended(entries);
  }

  /** Called when membership or addresses have changed. */
  changed(): void {
    this.#core.setPriorities(this.#book.priorities(this.#core.configuration));
    this.#warnOfSettings();
    this.#members.changed();
    this.#reconnect();
  }

  /** Warns once per difference: an operator may be about to restart a node with old settings. */
  #warnOfSettings(): void {
    const { log } = this.#parts;
    const nodes = this.#book.contradictions(this.#core.configuration).join(" ");
    if (nodes !== "" && nodes !== this.#warnedOf) {
      log.warn("using the cluster membership instead of RF_HA_NODES", { nodes });
    }
    this.#warnedOf = nodes;
  }

  /** Returns the sample for `/metrics_ha`. */
  sample(health: NodeHealth): HaSample {
    const { nodes } = this.#members.describe();
    const stats = this.#transport.stats();
    return {
      role: health.role,
      ready: health.ready,
      term: health.term,
      // A leader without one steps down within an election timeout.
      freshQuorum: health.leaderId !== null,
      commitIndex: health.commitIndex,
      appliedIndex: health.appliedIndex,
      durableIndex: health.durableIndex,
      electionsStarted: this.#elections,
      heartbeatsSent: this.#heartbeats,
      peerConnectionsUnverified: stats.unverified,
      peerConnectionsRefused: sumOf(stats.refused.values()),
      nodes: nodes.map(({ nodeId, httpAddr, role, matchIndex }) => ({
        nodeId,
        httpAddr,
        role,
        isLeader: nodeId === this.#core.leader,
        lagEntries: matchIndex === null ? null : Math.max(0, this.#core.lastIndex - matchIndex),
      })),
    };
  }

  roleChanged({ role, leader }: RoleChange): void {
    if (leader !== null) this.#members.leaderChanged(leader);
    if (role === "candidate") this.#elections++;
    if (role === "leader") this.#members.record();
  }

  /** Called once a second. */
  maintain(): void {
    if (this.#core.role === "leader") this.#members.record();
    this.#warnOfRemoval();
    this.#lagWatch.maintain();
    this.#members.watchProgress();
    this.#members.preferBetterLeader();
  }

  /** URL of the leader. Null if this node leads or no leader is known. */
  leaderUrl(): string | null {
    const { options } = this.#parts;
    if (this.#core.leader === null || this.#core.leader === this.#core.id) return null;
    return this.#book.httpUrl(this.#core.leader, options.httpScheme);
  }

  membership: Members["describe"] = () => this.#members.describe();
  addMember: ClusterApi["addMember"] = (request) => this.#members.add(request);
  promoteMember: ClusterApi["promoteMember"] = (nodeId) => this.#members.promote(nodeId);
  removeMember: ClusterApi["removeMember"] = (nodeId) => this.#members.remove(nodeId);
  transferLeadership: Members["transfer"] = (nodeId) => this.#members.transfer(nodeId);

  stats(): TransportStats {
    return this.#transport.stats();
  }

  async stop(): Promise<void> {
    this.#bootstrapping?.stop();
    await this.#transport.close();
  }

  /**
   * Called when the link to the leader broke. Shortens the wait for an election to the time for which
   * voters withhold their votes. If the leader is alive, its next heartbeat restarts the wait.
   * Preferred candidates campaign a little earlier, so that candidates do not split the votes.
   */
  #hastenElection(): void {
    const { random } = this.#parts;
    const electionTicks = this.#electionTicks;
    const rank = this.#book.rankAmong(this.#core.configuration.voters, this.#core.leader);
    const step = Math.max(1, Math.round(electionTicks / 10));
    this.#core.setElectionTimeout(electionTicks + 1 + rank * 2 * step + (random.u32() % step));
  }

  /** Warns once, and again if the node was added and removed again. */
  #warnOfRemoval(): void {
    const { isRemoved } = this;
    if (isRemoved && !this.#warnedOfRemoval) {
      this.#parts.log.warn("this node was removed from the cluster, stop it or add it again");
    }
    if (isRemoved || this.#core.leader !== null) this.#warnedOfRemoval = isRemoved;
  }

  #reconnect(): void {
    this.#transport.setPeers(this.#book.peers(this.#core.configuration));
  }

  /** True if the log of this node contains it as a member. */
  get isMember(): boolean {
    return idsOf(this.#core.configuration).includes(this.#core.id);
  }

  /**
   * True if this node knows of a cluster to which it does not belong, so that it hears of no leader.
   * A node that was down when it was removed does not get the entry that removes it, because the
   * members refuse its links. It learns of its removal when a quorum of the voters does so.
   */
  get isRemoved(): boolean {
    const core = this.#core;
    if (core.leader !== null) return false;
    if (!this.isMember) return idsOf(core.configuration).length > 0;
    const ballotOf = (id: NodeId) => {
      if (id === core.id) return true;
      return this.#transport.isUnknownAt(id) ? false : undefined;
    };
    return jointVote(core.configuration, ballotOf) === "lost";
  }

  /** Why a follower that had caught up is lagging. Empty if it is not lagging. */
  get lag(): string {
    return this.#lagWatch.isLagging ? "lagging behind the leader" : "";
  }

  #membershipInfo(): MembershipInfo {
    const own = this.isMember ? this.#book.find(this.#core.id) : null;
    const address = own === null ? null : { host: own.host, port: own.raftPort };
    return { membershipVersion: this.#core.appliedIndex, address };
  }

  #met(meeting: Meeting): boolean {
    const { peer, storageId, membershipVersion, proven } = meeting;
    if (this.#isBootstrapping) return false;
    this.#bootstrapping?.met(meeting);
    const recorded = this.#disks.storageIdOf(peer);
    const isAhead = membershipVersion > this.#core.appliedIndex;
    const judgement = judgeStorage({ recorded, shown: storageId, isAhead, proven });
    if (judgement !== "accepted") {
      this.#transport.warn(STORAGE_REFUSED[judgement], { peer });
      return false;
    }
    this.#parts.replica.levels.met(peer, meeting.level);
    this.#members.met(meeting);
    return true;
  }

  #isCredible(message: Message): boolean {
    if (!isGrantedVote(message)) return true;
    const { from } = message;
    return countsVote(this.#disks.storageIdOf(from), this.#members.metDisk(from));
  }

  #learn(clusterId: string, from: NodeId): void {
    const { dataDir, replica, log, emit } = this.#parts;
    this.#learning = true;
    untilRoom(replica.clock, () => dataDir.recordClusterId(clusterId))
      .then(() => {
        this.#learning = false;
        log.info("joined the cluster", { cluster_id: clusterId, from });
      })
      .catch((error: unknown) => emit({ type: "failed", error }));
  }
}

const sumOf = (counts: Iterable<number>): number => [...counts].reduce((sum, one) => sum + one, 0);
