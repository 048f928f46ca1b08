import { SHARD_0 } from "../lib/ids.ts";
import type { Machine } from "../machine/machine.ts";
import type { HaSample } from "../metrics/sources.ts";
import type { Core } from "../raft/core.ts";
import { payloadBytes } from "../raft/replication.ts";
import type { Configuration, Entry, RoleChange } from "../raft/types.ts";
import type { PartitionDamaged } from "../storage/partitions/damaged.ts";
import type { ClusterApi, KvGetOutcome, KvGetRequest, NodeApi, NodeHealth } from "./api.ts";
import { electionTicksOf, newCore, newTime, roleOf, soleFounderOf, tickMsOf } from "./core.ts";
import { Upkeep } from "./maintenance/after-sweep.ts";
import { Backups } from "./maintenance/backups.ts";
import { DiskWatch } from "./maintenance/disk-watch.ts";
import { Sweeper } from "./maintenance/janitor.ts";
import { Healing } from "./maintenance/repair.ts";
import { type PatientDisk, patientDisk } from "./maintenance/shortage.ts";
import type { NodeOptions } from "./options.ts";
import { Cluster } from "./peers/cluster.ts";
import { Snapshots } from "./peers/snapshots.ts";
import { Linearizer } from "./reads/linearizer.ts";
import { Reader } from "./reads/reader.ts";
import { Samples } from "./reads/samples.ts";
import { Applier } from "./replica/applier.ts";
import { Checkpointer } from "./replica/checkpointer.ts";
import type { ClusterTime } from "./replica/cluster-time.ts";
import { JournalKeep } from "./replica/journal-retention.ts";
import { type Recovered, recover, type Storage, snapshotBytesOf } from "./replica/recovery.ts";
import { Shard } from "./replica/shard.ts";
import { Streams } from "./streams/streams.ts";
import { BrokerWrites } from "./writes/broker-writes.ts";
import { Commander } from "./writes/commander.ts";
import { KvAccess, NO_KV_LIMITS } from "./writes/kv-access.ts";
import { Producer } from "./writes/producer.ts";
import { Proposer } from "./writes/proposer.ts";
import { Acknowledgements } from "./writes/write-concern.ts";

export type { NodeOptions } from "./options.ts";

/** A running node: the parts, wired. What `http` sees of it is `NodeApi`. */
export class Node implements NodeApi, ClusterApi {
  readonly #options: NodeOptions;
  readonly #core: Core;
  readonly #storage: Storage;
  readonly #machine: Machine;
  readonly #time: ClusterTime;
  readonly #acknowledgements: Acknowledgements;
  readonly #linearizer: Linearizer;
  readonly #proposer: Proposer;
  readonly #commander: Commander;
  readonly #applier: Applier;
  readonly #shard: Shard;
  readonly #cluster: Cluster;
  readonly #snapshots: Snapshots;
  readonly #healing: Healing;
  readonly #producer: Producer;
  readonly #writes: BrokerWrites;
  readonly #kv: KvAccess;
  readonly #reader: Reader;
  readonly samples: Samples;
  readonly #sweeper: Sweeper;
  readonly streams: Streams;
  readonly #checkpointer: Checkpointer;
  readonly #backups: Backups;
  readonly #diskWatch: DiskWatch;
  readonly #upkeep: Upkeep;
  /** Once since the start, this node had everything that the leader had committed. */
  #caughtUp = false;
  #faulted = false;
  #stopping = false;

  static async open(given: NodeOptions): Promise<Node> {
    const late: { node: Node | null } = { node: null };
    const options = { ...given, disk: patientDisk(given) };
    const recovered = await recover({
      ...options,
      shard: SHARD_0,
      founders: soleFounderOf(options.cluster),
      newClusterId: options.cluster.newClusterId,
      namesPeers: options.cluster.members.some(({ id }) => id !== options.nodeId),
      onSpace: (blocked) => {
        if (blocked) late.node?.blocked();
      },
      heal: (damage) => late.node?.heal(damage) ?? Promise.resolve(false),
      onFailure: (error) => (late.node === null ? options.fault(error) : late.node.#fault(error)),
    });
    late.node = new Node(options, recovered);
    return late.node;
  }

  private constructor(options: NodeOptions & { disk: PatientDisk }, recovered: Recovered) {
    this.#options = options;
    this.#storage = recovered.storage;
    this.#machine = recovered.machine;
    this.#core = newCore(options, recovered);
    const { clock } = options;
    const { machine, storage } = recovered;
    const time = newTime(options, this.#core, machine);
    this.#time = time;
    this.#acknowledgements = new Acknowledgements(this.#core, options.writeConcern);
    const turnSoon = () => this.#shard.turnSoon();
    this.#linearizer = new Linearizer(this.#core, clock, options.commitTimeoutMs, turnSoon);
    this.#proposer = new Proposer({
      core: this.#core,
      clock: time,
      mayStamp: () => time.mayStamp(),
      isShort: () => options.disk.isShort,
      machineNow: () => Math.max(machine.now, this.#kv.readFloorMs) as typeof machine.now,
      queueBytesMax: options.queueBytesMax,
      queueRequestsMax: options.queueRequestsMax,
      commitTimeoutMs: options.commitTimeoutMs,
      wake: () => this.#shard.wake(),
      confirm: () => this.#linearizer.confirm(),
      acknowledgements: this.#acknowledgements,
      committed: (seconds) => options.instruments.commitSeconds.observe(seconds),
    });
    this.#commander = new Commander(this.#proposer, clock);
    this.#applier = new Applier({
      ...options,
      machine,
      storage,
      proposer: this.#proposer,
      membersChanged: () => this.#cluster.changed(),
    });
    this.#writes = new BrokerWrites(machine, this.#commander, options.groupsMax);
    this.#kv = new KvAccess(machine, this.#commander, time, options.kvLimits ?? NO_KV_LIMITS);
    this.#reader = new Reader(machine, this.#linearizer);
    this.samples = new Samples(machine, clock, time);
    this.#producer = new Producer({
      machine,
      proposer: this.#proposer,
      clock: time,
      autoCreateTopics: options.autoCreateTopics,
      defaultPartitions: options.defaultPartitions,
      createTopic: (topic, partitions) => this.#writes.createTopic(topic, partitions),
    });
    this.#checkpointer = this.#newCheckpointer(payloadBytes(recovered.entries));
    this.#backups = new Backups({
      core: this.#core,
      clock,
      storage,
      linearizer: this.#linearizer,
      checkpointer: this.#checkpointer,
      clusterId: () => options.dataDir.identity.clusterId ?? "",
    });
    const background = {
      machine,
      commander: this.#commander,
      clock: time,
      isLeader: () => this.#core.role === "leader",
      fault: (error: unknown) => this.#fault(error),
    };
    this.#sweeper = new Sweeper({
      ...background,
      tally: this.#applier.tally,
      swept: () => {
        this.#cluster.swept();
        this.#healing.swept();
        this.#upkeep.run();
      },
    });
    this.#upkeep = this.#newUpkeep();
    this.streams = new Streams({ ...background, linearizer: this.#linearizer, log: options.log });
    this.#diskWatch = this.#newDiskWatch();
    this.#shard = this.#newShard();
    this.#snapshots = this.#newSnapshots();
    this.#healing = this.#newHealing();
    this.#cluster = this.#newCluster(recovered.entries);
  }

  #newUpkeep(): Upkeep {
    return new Upkeep({
      storage: this.#storage,
      proposer: this.#proposer,
      checkpointer: this.#checkpointer,
      time: this.#time,
      instruments: this.#options.instruments,
      fault: (error) => this.#fault(error),
    });
  }

  #newSnapshots(): Snapshots {
    return new Snapshots({
      storage: this.#storage,
      machine: this.#machine,
      term: () => this.#core.term,
      log: this.#options.log,
      fault: (error) => this.#fault(error),
      withoutCheckpoint: (work) => this.#checkpointer.without(work),
      switched: () => this.#applier.switched(),
    });
  }

  #newCluster(entries: readonly Entry[]): Cluster {
    const { cluster, clock, random, log, dataDir, commitTimeoutMs } = this.#options;
    return new Cluster({
      linearizer: this.#linearizer,
      options: cluster,
      core: this.#core,
      machine: this.#machine,
      entries,
      clock,
      time: this.#time,
      random,
      log,
      dataDir,
      commander: this.#commander,
      snapshots: this.#snapshots,
      serveBatches: this.#healing.serve,
      snapshotDamaged: () => this.#healing.lookForDamage(),
      timeoutMs: commitTimeoutMs,
      electionTicks: electionTicksOf(cluster),
      step: (messages) => this.#shard.step(messages),
      turnSoon: () => this.#shard.turnSoon(),
      fault: (error) => this.#fault(error),
    });
  }

  #newHealing(): Healing {
    const { clock, log, instruments, scrubBytesPerSecond } = this.#options;
    return new Healing({
      store: () => this.#storage.store,
      peers: () => this.#cluster.reachable(),
      ask: (peer, wanted) => this.#cluster.askBatches(peer, wanted),
      clock,
      log,
      instruments,
      bytesPerSecond: scrubBytesPerSecond,
      checkpointer: () => this.#checkpointer,
      journal: () => this.#storage.journal,
      fault: (error) => this.#fault(error),
    });
  }

  #newCheckpointer(bytesSince: number): Checkpointer {
    const { clock, log, dataDir, instruments, checkpointBytes } = this.#options;
    return new Checkpointer(
      {
        core: this.#core,
        machine: this.#machine,
        storage: this.#storage,
        keep: new JournalKeep({
          core: this.#core,
          journal: this.#storage.journal,
          bytesMax: this.#options.journalKeepBytes,
          snapshotBytes: () => snapshotBytesOf(this.#storage),
          spareBytes: () => this.#diskWatch.spareBytes,
          isReachable: (peer) => this.#cluster.isReachable(peer),
          log,
        }),
        clock,
        log,
        clusterId: () => dataDir.identity.clusterId ?? "",
        everyBytes: checkpointBytes,
        measured: (seconds) => instruments.checkpointSeconds.observe(seconds),
        fault: (error) => this.#fault(error),
      },
      bytesSince,
    );
  }

  #newDiskWatch(): DiskWatch {
    const { disk, clock, log, storage, instruments } = this.#options;
    return new DiskWatch({
      disk,
      clock,
      log,
      reserveBytes: storage.diskReserveBytes,
      isBlocked: () => this.#storage.journal.spaceLow || this.#storage.store.diskFull,
      retry: () => this.#retrySpace(),
      setFull: (full) => {
        this.#proposer.setDiskFull(full);
        if (full) this.#checkpointer.release();
      },
      setStuck: (stuck) => this.#proposer.setJournalFull(stuck),
      measured: (freeBytes, totalBytes) => {
        instruments.diskFreeBytes.value = freeBytes;
        instruments.diskSizeBytes.value = totalBytes;
      },
    });
  }

  #newShard(): Shard {
    const { journal, hardStateFile } = this.#storage;
    return new Shard({
      core: this.#core,
      journal,
      hardState: hardStateFile,
      clock: this.#options.clock,
      tickMs: tickMsOf(this.#options.cluster),
      electionTimeoutMs: this.#options.cluster.electionTimeoutMs,
      duties: {
        propose: () => this.#proposer.propose(),
        apply: (entries, start) => this.#applier.apply(entries, start),
        send: (messages) => this.#cluster.send(messages),
        roleChanged: (change) => this.#roleChanged(change),
        readStates: (states, dropped) => this.#linearizer.readStates(states, dropped),
        progressed: () => {
          this.#acknowledgements.advance();
          this.#linearizer.applied();
          this.streams.applied();
        },
        fetch: (requests) => this.#cluster.fetch(requests),
        snapshotNeeded: () => this.#checkpointer.take().catch((error) => this.#fault(error)),
        configurationChanged: (configuration) => this.#configurationChanged(configuration),
        accepted: () => this.#snapshots.accepted(),
        install: (snapshot) => this.#snapshots.install(snapshot),
        synced: (seconds, entries) => this.#synced(seconds, entries),
        roomNeeded: () => this.#diskWatch.waitForRoom(),
        fault: (error) => this.#fault(error),
      },
    });
  }

  #configurationChanged({ voters, votersOutgoing }: Configuration): void {
    this.#cluster.changed();
    // From now on a damaged journal must not be cut, and the newest checkpoint is what tells so.
    const isAlone = voters.length === 1 && votersOutgoing.length === 0;
    if (isAlone) this.#checkpointer.take().catch((error: unknown) => this.#fault(error));
  }

  /**
   * Takes part in the group. A sole voter needs nobody: it resolves when that node is ready, or when
   * it can only wait for space.
   */
  async start(): Promise<void> {
    await this.#snapshots.cleanUp();
    await this.#diskWatch.start();
    this.#cluster.start();
    this.#time.now();
    this.#core.tick();
    this.#shard.start();
    this.#sweeper.start();
    this.#healing.start();
    const caughtUp = this.#catchUp();
    const { voters } = this.#core.configuration;
    caughtUp.catch((error: unknown) => this.#fault(error));
    const isAlone = voters.length === 1 && voters[0] === this.#core.id;
    if (isAlone) await Promise.race([caughtUp, this.#diskWatch.whenStuck]);
  }

  /** Asks the leader what is committed until it has answered and all of it is applied here. */
  async #catchUp(): Promise<void> {
    while (!this.#stopping && !this.#faulted) {
      if ((await this.#linearizer.confirm()) === "ok") {
        this.#caughtUp = true;
        return;
      }
      await this.#soon();
    }
  }

  /** Finishes what was accepted, takes a checkpoint, closes the files. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#sweeper.stop();
    this.#healing.stop();
    await this.streams.stop();
    this.#proposer.setRefusal("shutting_down");
    // Without space for the journal, what is queued cannot be finished.
    const canFinish = () => !this.#faulted && !this.#proposer.journalFull;
    while (this.#proposer.queuedRequests > 0 && canFinish()) await this.#soon();
    if (canFinish()) await this.#shard.whenIdle();
    if (!this.#faulted) await this.#checkpointer.take();
    await this.#checkpointer.settled();
    this.#diskWatch.stop();
    this.#shard.stop();
    this.#proposer.stop();
    this.#linearizer.stop();
    this.#applier.wakeReaders();
    await this.#cluster.stop();
    const { journal, store, hardStateFile } = this.#storage;
    if (this.#faulted) return;
    await journal.close();
    await store.close();
    await hardStateFile.close();
  }

  private heal(damage: PartitionDamaged): Promise<boolean> {
    return this.#healing.heal(damage);
  }

  /** Somebody met a full disk. */
  private blocked(): void {
    this.#diskWatch.blocked();
  }

  health(): NodeHealth {
    const core = this.#core;
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
  readonly produce: NodeApi["produce"] = (request, done) => this.#producer.produce(request, done);
  readonly consume: NodeApi["consume"] = (request) => this.#reader.consume(request);
  readonly waitForRecords: NodeApi["waitForRecords"] = (wait) => this.#reader.waitForRecords(wait);
  readonly createTopic: NodeApi["createTopic"] = (topic, partitions) =>
    this.#writes.createTopic(topic, partitions);
  readonly deleteTopic: NodeApi["deleteTopic"] = (topic) => this.#writes.deleteTopic(topic);
  readonly listTopics: Reader["listTopics"] = () => this.#reader.listTopics();
  readonly describeTopic: Reader["describeTopic"] = (topic) => this.#reader.describeTopic(topic);
  readonly doubt: NodeApi["doubt"] = () => this.#linearizer.doubt();
  readonly listGroups: Reader["listGroups"] = () => this.#reader.listGroups();
  readonly deleteGroup: NodeApi["deleteGroup"] = (group) => this.#writes.deleteGroup(group);
  readonly groupsOf: Reader["groupsOf"] = (topic) => this.#reader.groupsOf(topic);
  readonly commitOffset: NodeApi["commitOffset"] = (request) => this.#writes.commitOffset(request);
  readonly deleteBefore: NodeApi["deleteBefore"] = (request) => this.#writes.deleteBefore(request);
  readonly setRetention: NodeApi["setRetention"] = (request) => this.#writes.setRetention(request);
  readonly listRetention: Reader["listRetention"] = () => this.#reader.listRetention();
  readonly kvPut: NodeApi["kvPut"] = (request, done) => this.#kv.put(request, done);
  readonly kvGet: NodeApi["kvGet"] = (request) =>
    request.linearizable ? this.#kvGetConfirmed(request) : this.#kv.get(request);
  readonly kvDelete: NodeApi["kvDelete"] = (request) => this.#kv.delete(request);
  readonly kvList: NodeApi["kvList"] = (request) => Promise.resolve(this.#kv.list(request));
  readonly kvNamespaces: KvAccess["namespaces"] = () => this.#kv.namespaces();
  /** For metrics: roles, indexes and who lags behind. */
  readonly ha = (): HaSample => this.#cluster.sample(this.health());
  readonly membership: Cluster["membership"] = () => this.#cluster.membership();
  readonly addMember: ClusterApi["addMember"] = (request) => this.#cluster.addMember(request);
  readonly promoteMember: ClusterApi["promoteMember"] = (id) => this.#cluster.promoteMember(id);
  readonly removeMember: ClusterApi["removeMember"] = (id) => this.#cluster.removeMember(id);
  readonly transferLeadership: Cluster["transferLeadership"] = (id) =>
    this.#cluster.transferLeadership(id);
  readonly lastSyncedIndex = (): number => this.#core.durableIndex;
  readonly compact: NodeApi["compact"] = () => this.#checkpointer.compact("reachable peers");
  readonly beginBackup: NodeApi["beginBackup"] = () => this.#backups.begin();

  async #kvGetConfirmed(request: KvGetRequest): Promise<KvGetOutcome> {
    const outcome = await this.#linearizer.confirm();
    return outcome === "ok" ? this.#kv.get(request) : { ok: false, code: outcome };
  }

  #notReadyBecause(): string {
    if (this.#stopping) return "shutting down";
    if (this.#core.leader === null) return "no leader";
    if (!this.#cluster.isMember) return "not a member of the cluster";
    if (this.#caughtUp) return this.#cluster.lag;
    return this.#proposer.journalFull ? "the disk is full" : "catching up with the leader";
  }

  #roleChanged(change: RoleChange): void {
    const { role, term, leader } = change;
    this.#options.log.info("role changed", { role, term, leader });
    if (this.#stopping) return;
    if (role === "leader") {
      this.#proposer.setRefusal(null);
      this.#writes.configure(this.#options.limits);
    } else {
      const refusal = leader === null ? "no_leader" : "not_leader";
      this.#proposer.setRefusal(refusal);
      this.#proposer.refuseQueued(refusal);
    }
    // A new leader puts members into the log at once: writes are welcome by now.
    this.#cluster.roleChanged(change);
  }

  #synced(seconds: number, entries: readonly Entry[]): void {
    this.#diskWatch.wrote();
    // A commit index that moved alone is no write of the journal.
    if (entries.length > 0) this.#journaled(seconds, entries);
    this.#checkpointer.maybeTake();
  }

  #journaled(seconds: number, entries: readonly Entry[]): void {
    const { instruments } = this.#options;
    const bytes = payloadBytes(entries);
    this.#cluster.appended(entries);
    instruments.fsyncSeconds.observe(seconds);
    instruments.batchBytes.observe(bytes);
    const records = this.#proposer.takeRecords();
    if (records > 0) instruments.batchRecords.observe(records);
    this.#proposer.durable(entries.at(-1)?.index ?? 0);
    this.#checkpointer.appended(bytes);
  }

  async #retrySpace(): Promise<void> {
    const { journal, store } = this.#storage;
    store.retryAfterDiskFull();
    if (journal.spaceLow) await journal.retrySpace();
  }

  readonly #soon = () => new Promise<void>((done) => this.#options.clock.after(1, done));

  #fault(error: unknown): void {
    if (this.#faulted) return;
    this.#faulted = true;
    this.#options.fault(error);
  }
}
