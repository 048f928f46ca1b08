import { NO_SENDER } from "../env/webhook-sender.ts";
import { SHARD_0 } from "../lib/ids.ts";
import type { HaSample } from "../metrics/sources.ts";
import { payloadBytes } from "../raft/replication.ts";
import type { Configuration, Entry, RoleChange } from "../raft/types.ts";
import type {
  ClusterApi,
  DurableApi,
  GroupsApi,
  LaterApi,
  NodeApi,
  NodeHealth,
  ProducersApi,
  QueueApi,
} from "./api.ts";
import { DurableStreams } from "./durable/durable.ts";
import { DEFAULT_DURABLE_LIMITS } from "./durable/writer.ts";
import type { NodeEvent } from "./events.ts";
import { Exports } from "./exports/exports.ts";
import { Forwarding } from "./forward/forwarding.ts";
import { localWrites } from "./forward/local-writes.ts";
import { Groups } from "./groups/groups.ts";
import { Later } from "./later/later.ts";
import { Maintenance } from "./maintenance/maintenance.ts";
import type { NodeOptions } from "./options.ts";
import { soleMemberOf } from "./peers/bootstrap.ts";
import { Cluster } from "./peers/cluster.ts";
import { Snapshots } from "./peers/snapshots.ts";
import { Queues } from "./queues/queues.ts";
import { Reader } from "./reads/reader.ts";
import { Samples } from "./reads/samples.ts";
import { type Recovered, recover } from "./recovery/recover.ts";
import { StorageEvents } from "./recovery/storage-events.ts";
import { roleOf } from "./replica/core.ts";
import { patientDisk } from "./replica/patient-disk.ts";
import { Replica } from "./replica/replica.ts";
import { Streams } from "./streams/streams.ts";
import { ThroughLeader } from "./through-leader.ts";
import { type Webhooks, webhooksOf } from "./webhooks/webhooks.ts";
import { hasManyPartitions, SHARED_FILES_LEVEL } from "./writes/shared-files.ts";
import { Writes } from "./writes/writes.ts";

export type { NodeOptions } from "./options.ts";

/** Within the time that a process gets for its stop, after requests had theirs. */
const LAST_CHECKPOINT_MS = 3_000;

/**
 * A running node: four assemblies and the events between them. `http/` uses it through `NodeApi`.
 */
export class Node implements NodeApi, ClusterApi {
  readonly #options: NodeOptions;
  readonly #replica: Replica;
  readonly #writes: Writes;
  readonly #cluster: Cluster;
  readonly #snapshots: Snapshots;
  readonly #maintenance: Maintenance;
  readonly #forwarding: Forwarding;
  readonly #reader: Reader;
  readonly samples: Samples;
  readonly streams: Streams;
  readonly queues: Queues;
  readonly later: Later;
  readonly #groups: Groups;
  readonly #durable: DurableStreams;
  readonly #throughLeader: ThroughLeader;
  readonly webhooks: Webhooks;
  readonly exports: Exports;
  #faulted = false;
  #stopping = false;

  static async open(options: NodeOptions): Promise<Node> {
    const disk = patientDisk(options);
    const events = new StorageEvents(options.fault);
    const { cluster, nodeId } = options;
    const recovered = await recover({
      ...options,
      disk,
      shard: SHARD_0,
      initialMembers: soleMemberOf(cluster),
      newClusterId: cluster.newClusterId,
      namesPeers: cluster.members.some(({ id }) => id !== nodeId),
      onSpace: events.onSpace,
      mayShare: events.mayShare,
      repair: events.repair,
      onFailure: events.onFailure,
    });
    const node = new Node(options, disk, recovered);
    const { diskWatch, repair } = node.#maintenance;
    events.connect({
      diskBlocked: () => diskWatch.blocked(),
      mayShare: () =>
        recovered.machine.level >= SHARED_FILES_LEVEL &&
        hasManyPartitions(recovered.machine, options.storage.shareFrom),
      repair: (damage) => repair.repair(damage),
      failed: (error) => node.#fault(error),
    });
    return node;
  }

  private constructor(
    options: NodeOptions,
    disk: ReturnType<typeof patientDisk>,
    recovered: Recovered,
  ) {
    this.#options = options;
    const emit = (event: NodeEvent) => this.#on(event);
    const replica = new Replica(options, disk, recovered, emit);
    const { core, machine, storage, shard, linearizer, time } = replica;
    const writes = new Writes(options, replica, emit);
    const { commander, applier, queue } = writes;
    const { entries } = recovered;
    this.#cluster = new Cluster({
      ...options,
      options: options.cluster,
      replica,
      entries,
      commander,
      timeoutMs: options.commitTimeoutMs,
      emit,
    });
    const exporting = { machine, commander, clock: time, replica, emit };
    this.exports = Exports.of(options, exporting);
    const { hold } = this.exports;
    this.#maintenance = new Maintenance(options, replica, writes, this.#cluster, entries, {
      emit,
      hold,
    });
    const { checkpointer, diskWatch } = this.#maintenance;
    const { log, clock } = options;
    const snapshotting = { storage, core, log, clock, checkpointer, applier, emit };
    this.#snapshots = new Snapshots({ ...snapshotting, disk: diskWatch });
    shard.connect({ queue, applier, snapshots: this.#snapshots, disk: diskWatch });
    this.#reader = new Reader(machine, linearizer);
    this.samples = new Samples(machine, clock, time);
    const limits = { groupsMax: options.groupsMax, offsetsMax: options.offsetsMax };
    this.#groups = new Groups({ machine, commander, linearizer, clock, time, replica, limits });
    this.streams = new Streams({ machine, commander, clock: time, log, replica, emit });
    const work = { machine, commander, clock: time, replica, emit };
    this.later = new Later({ ...work, producer: writes.producer });
    this.queues = new Queues({ ...work, loop: shard });
    queue.setCollector(() => this.queues.propose());
    this.#durable = new DurableStreams({
      ...options,
      machine,
      commander,
      clock: time,
      reads: writes.reads,
      linearizer,
      replica,
      limits: options.durableLimits ?? DEFAULT_DURABLE_LIMITS,
      sender: options.webhookSender ?? NO_SENDER,
    });
    const { later, queues } = this;
    const parts = { later, queues, groups: this.#groups, durable: this.#durable };
    this.#forwarding = new Forwarding({
      ...options,
      forwards: options.forwardWrites === true,
      core,
      local: localWrites({ ...writes, ...parts }),
      links: this.#cluster.links,
      isMember: () => this.#cluster.isMember && !this.#cluster.isRemoved,
      lastLevelOf: (peer) => replica.levels.levelOf(peer),
    });
    const route = this.#forwarding.writes;
    const through = { machine, core, clock: time, timeoutMs: options.commitTimeoutMs };
    this.#throughLeader = new ThroughLeader({ ...through, route, ...parts });
    this.webhooks = webhooksOf(options, { ...work, queues: this.queues });
    this.#replica = replica;
    this.#writes = writes;
  }

  /**
   * Joins the cluster. A sole voter does not need peers: this resolves when that node is ready, or
   * when it waits for disk space.
   */
  async start(): Promise<void> {
    const { core, shard, time } = this.#replica;
    await this.#snapshots.cleanUp();
    await this.#maintenance.start();
    const { serve: batches } = this.#maintenance.repair;
    const commands = this.#forwarding;
    this.#cluster.start({ snapshots: this.#snapshots, batches, commands });
    time.now();
    core.tick();
    shard.start();
    this.#maintenance.startBackground();
    this.queues.start();
    const caughtUp = this.#replica.catchUp();
    const { voters } = core.configuration;
    caughtUp.catch((error: unknown) => this.#fault(error));
    const isAlone = voters.length === 1 && voters[0] === core.id;
    if (isAlone) await Promise.race([caughtUp, this.#maintenance.diskWatch.whenStuck]);
  }

  /** Finishes accepted writes, takes a checkpoint and closes the files. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    const { queue, applier } = this.#writes;
    const { checkpointer } = this.#maintenance;
    this.#replica.stopCatchingUp();
    this.#maintenance.stopBackground();
    await this.streams.stop();
    this.webhooks.stop();
    this.queues.stop();
    this.later.stop();
    this.#durable.stop();
    this.#forwarding.writes.stop();
    this.#throughLeader.stop();
    this.exports.stop();
    queue.setRefusal("shutting_down");
    this.#groups.roleChanged();
    // Without space for the journal, queued writes cannot be finished.
    const canFinish = () => !this.#faulted && !queue.journalFull;
    while (queue.queuedRequests > 0 && canFinish()) await this.#replica.pause();
    if (canFinish()) await this.#replica.shard.whenIdle();
    const maySave = !this.#faulted && !this.#snapshots.isWaiting;
    const isSaved = maySave && (await checkpointer.takeLast(LAST_CHECKPOINT_MS));
    this.#snapshots.stop();
    if (this.#faulted) await checkpointer.settled();
    this.#maintenance.stop();
    this.#replica.stop();
    this.#writes.stop();
    this.#replica.linearizer.stop();
    applier.wakeReaders();
    await this.#cluster.stop();
    if (isSaved && !this.#faulted) await this.#replica.closeFiles();
  }

  health(): NodeHealth {
    const { core } = this.#replica;
    const reason = this.#notReadyBecause();
    return {
      ready: reason === "",
      reason,
      role: roleOf(core),
      nodeId: core.id,
      leaderId: core.leader,
      leaderUrl: this.#cluster.leaderUrl(),
      term: core.term,
      commitIndex: core.commitIndex,
      appliedIndex: core.appliedIndex,
      durableIndex: core.durableIndex,
    };
  }

  readonly leaderUrl: NodeApi["leaderUrl"] = () => this.#cluster.leaderUrl();
  readonly forwardsByLink: NodeApi["forwardsByLink"] = () =>
    this.#forwarding.writes.reachesLeader && this.#cluster.lag === "";
  readonly nodeMark = (): string => this.#forwarding.mark;
  readonly isNodeMark = (mark: string): boolean => this.#forwarding.knows(mark);
  readonly produce: NodeApi["produce"] = (request, done) =>
    this.#forwarding.writes.produce(request, done);
  readonly consume: NodeApi["consume"] = (request) => this.#reader.consume(request);
  readonly offsetsAt: Reader["offsetsAt"] = (request) => this.#reader.offsetsAt(request);
  readonly waitForRecords: NodeApi["waitForRecords"] = (wait) => this.#reader.waitForRecords(wait);
  readonly producers: ProducersApi = {
    list: (request) => this.#writes.producers.list(request),
    forget: (topic, id) => this.#forwarded.forgetProducer(topic, id),
  };

  /** Parts whose writes go to the leader. */
  get queuesApi(): QueueApi {
    return this.#throughLeader.queues;
  }

  get groups(): GroupsApi {
    return this.#throughLeader.groups;
  }

  get laterApi(): LaterApi {
    return this.#throughLeader.later;
  }

  get durable(): DurableApi {
    return this.#throughLeader.durable;
  }

  get #forwarded() {
    return this.#forwarding.writes.calls;
  }

  readonly createTopic: NodeApi["createTopic"] = (topic, partitions) =>
    this.#forwarded.createTopic(topic, partitions);
  readonly deleteTopic: NodeApi["deleteTopic"] = (topic) => this.#forwarded.deleteTopic(topic);
  readonly listTopics: Reader["listTopics"] = (request) => this.#reader.listTopics(request);
  readonly describeTopic: Reader["describeTopic"] = (topic, rowsMax) =>
    this.#reader.describeTopic(topic, rowsMax);
  readonly catchUp: NodeApi["catchUp"] = () => this.#replica.linearizer.catchUp();
  readonly deleteGroup: NodeApi["deleteGroup"] = (group) => this.#writes.broker.deleteGroup(group);
  readonly groupsOf: Reader["groupsOf"] = (topic, names) => this.#reader.groupsOf(topic, names);
  readonly commitOffset: NodeApi["commitOffset"] = (request) =>
    this.#forwarded.commitOffset(request);
  readonly deleteBefore: NodeApi["deleteBefore"] = (request) =>
    this.#forwarded.deleteBefore(request);
  readonly setRetention: NodeApi["setRetention"] = (request) =>
    this.#forwarded.setRetention(request);
  readonly listRetention: Reader["listRetention"] = () => this.#reader.listRetention();
  readonly kvPut: NodeApi["kvPut"] = (request, done) =>
    this.#forwarding.writes.kvPut(request, done);
  readonly kvGet: NodeApi["kvGet"] = (request) => this.#writes.kv.get(request);
  readonly kvDeleteNamespace: NodeApi["kvDeleteNamespace"] = (request) =>
    this.#forwarded.kvDeleteNamespace(request);
  readonly kvDelete: NodeApi["kvDelete"] = (request) => this.#forwarded.kvDelete(request);
  readonly kvList: NodeApi["kvList"] = (request) => Promise.resolve(this.#writes.kv.list(request));
  readonly kvNamespaces: Writes["kv"]["namespaces"] = () => this.#writes.kv.namespaces();
  /** Returns roles, indexes and the lag of peers, for metrics. */
  readonly ha = (): HaSample => this.#cluster.sample(this.health());
  readonly membership: Cluster["membership"] = () => this.#cluster.membership();
  readonly addMember: ClusterApi["addMember"] = (request) => this.#cluster.addMember(request);
  readonly promoteMember: ClusterApi["promoteMember"] = (id) => this.#cluster.promoteMember(id);
  readonly removeMember: ClusterApi["removeMember"] = (id) => this.#cluster.removeMember(id);
  readonly transferLeadership: Cluster["transferLeadership"] = (id) =>
    this.#cluster.transferLeadership(id);
  readonly lastSyncedIndex = (): number => this.#replica.core.durableIndex;
  readonly compact: NodeApi["compact"] = () =>
    this.#maintenance.checkpointer.compact("reachable peers");
  readonly beginBackup: NodeApi["beginBackup"] = () => this.#maintenance.backups.begin();

  #on(event: NodeEvent): void {
    switch (event.type) {
      case "messages":
        this.#cluster.send(event.messages);
        return;
      case "fetches":
        this.#cluster.fetch(event.requests);
        return;
      case "progressed":
        this.#progressed();
        return;
      case "synced":
        this.#synced(event.seconds, event.entries);
        this.#options.instruments.journalMergedWrites.value += event.merged;
        return;
      case "reads_decided":
        this.#replica.linearizer.readStates(event.states, event.dropped);
        return;
      case "role_changed":
        this.#roleChanged(event.change);
        return;
      case "configuration_changed":
        this.#configurationChanged(event.configuration);
        return;
      case "group_member_changed":
        this.#groups.memberChanged(event.member);
        return;
      case "members_changed":
        this.#cluster.changed();
        return;
      case "snapshot_needed":
        this.#maintenance.checkpointer.begin();
        return;
      case "snapshot_damaged":
        this.#maintenance.repair.lookForDamage();
        return;
      case "disk_full":
        this.#writes.queue.setDiskFull(event.full);
        if (event.full) this.#maintenance.checkpointer.release();
        return;
      case "journal_full":
        this.#writes.queue.setJournalFull(event.full);
        return;
      case "maintained":
        this.#cluster.maintain();
        this.#maintenance.maintain();
        return;
      case "failed":
        this.#fault(event.error);
    }
  }

  #progressed(): void {
    this.#writes.completions.acknowledged();
    this.#replica.linearizer.applied();
    this.streams.applied();
    this.queues.applied();
    this.later.applied();
    this.#durable.applied();
    this.#throughLeader.applied();
    this.webhooks.applied();
    this.exports.applied();
  }

  #synced(seconds: number, entries: readonly Entry[]): void {
    this.#maintenance.diskWatch.wrote();
    // If only the commit index moved, nothing was written to the journal.
    if (entries.length > 0) this.#journaled(seconds, entries);
    this.#maintenance.checkpointer.maybeTake();
  }

  #journaled(seconds: number, entries: readonly Entry[]): void {
    const { instruments } = this.#options;
    const { queue, completions } = this.#writes;
    const bytes = payloadBytes(entries);
    this.#cluster.appended(entries);
    instruments.fsyncSeconds.observe(seconds);
    instruments.batchBytes.observe(bytes);
    const records = queue.takeRecords();
    if (records > 0) instruments.batchRecords.observe(records);
    completions.durable(entries.at(-1)?.index ?? 0);
    this.#maintenance.checkpointer.appended(bytes);
  }

  #roleChanged(change: RoleChange): void {
    const { role, term, leader } = change;
    this.#options.log.info("role changed", { role, term, leader });
    if (this.#stopping) return;
    this.#groups.roleChanged();
    if (role === "leader") this.#writes.accept();
    else this.#writes.refuse(leader === null ? "no_leader" : "not_leader");
    this.queues.roleChanged();
    this.webhooks.roleChanged();
    this.later.roleChanged();
    this.#forwarding.writes.roleChanged();
    this.exports.roleChanged();
    // A new leader writes members into the log immediately, so it accepts writes first.
    this.#cluster.roleChanged(change);
  }

  #configurationChanged({ voters, votersOutgoing }: Configuration): void {
    this.#cluster.changed();
    // From now on a damaged journal must not be truncated. Recovery reads that from the checkpoint.
    const isAlone = voters.length === 1 && votersOutgoing.length === 0;
    if (isAlone) this.#maintenance.checkpointer.begin();
  }

  #notReadyBecause(): string {
    if (this.#stopping) return "shutting down";
    const { isMember, isRemoved } = this.#cluster;
    const hasLeader = this.#replica.core.leader !== null;
    if (isRemoved || (hasLeader && !isMember)) return "not a member of the cluster";
    if (!hasLeader) return "no leader";
    if (this.#replica.isCaughtUp) return this.#cluster.lag;
    return this.#writes.queue.journalFull ? "the disk is full" : "catching up with the leader";
  }

  #fault(error: unknown): void {
    if (this.#faulted) return;
    this.#faulted = true;
    this.#replica.stopCatchingUp();
    this.#options.fault(error);
  }
}
