/** A machine of the simulation: a disk, clocks, an address, and one process after the other. */
import type { NodeId } from "../../../src/lib/ids.ts";
import { createInstruments } from "../../../src/metrics/instruments.ts";
import { createLogger, type Logger, SILENT } from "../../../src/metrics/log.ts";
import { Node } from "../../../src/node/node.ts";
import type { MemberAddress } from "../../../src/node/peers/members.ts";
import { patientDisk } from "../../../src/node/replica/patient-disk.ts";
import { DataDir } from "../../../src/storage/data-dir.ts";
import type { Random } from "../random.ts";
import { type ClockFaults, Life, LifeClock, type Load } from "./life.ts";
import { type Plan, streamOf } from "./plan.ts";
import type { SimBucket } from "./sim-bucket.ts";
import type { SimClock } from "./sim-clock.ts";
import { SimDisk } from "./sim-disk.ts";
import type { SimNetworks } from "./sim-network.ts";
import type { SimReceiver } from "./sim-receiver.ts";

/** Longer than a run, unless a clock jumps. */
const HOLD_MS = 3_600_000;

export type NodeWorld = {
  readonly plan: Plan;
  readonly queue: SimClock;
  readonly networks: SimNetworks;
  /** Null: there are no exports. */
  readonly bucket: SimBucket | null;
  readonly receiver: SimReceiver | null;
  readonly members: readonly MemberAddress[];
  /** The process ended by itself, with what a real one would have logged. */
  readonly ended: (node: SimNode, error: unknown) => void;
  readonly log: ((line: string) => void) | null;
  readonly count: (effect: string) => void;
};

export type DiskState = {
  /** Each sync takes this many times as long. */
  slow: number;
  stuckUntilMs: number;
};

export class SimNode {
  readonly id: NodeId;
  readonly clock: ClockFaults;
  readonly diskState: DiskState = { slow: 1, stuckUntilMs: 0 };
  disk: SimDisk;
  life: Life;
  /** Open and started. */
  node: Node | null = null;
  lives = 0;
  /** Sum over all its lives. */
  readonly instruments = createInstruments();
  bootstraps: boolean;
  /** Null: as it should be; else why it cannot come back with this disk. */
  broken: string | null = null;
  readonly random: Random;
  readonly #world: NodeWorld;
  readonly #diskRandom: Random;
  readonly #load: Load | null;
  /** The level of the log that it tells its peers; null: all that this version knows. */
  level: number | null = null;
  /** Each event costs this many times as much. */
  workFactor = 1;

  constructor(world: NodeWorld, id: string, bootstraps: boolean, rate: number) {
    this.#world = world;
    this.id = id as NodeId;
    this.bootstraps = bootstraps;
    this.clock = { skewMs: 0, rate };
    this.random = streamOf(world.plan.seed, `node ${id}`);
    this.#diskRandom = streamOf(world.plan.seed, `disk ${id}`);
    this.disk = this.newDisk();
    this.#load = this.#loadOf();
    this.life = new Life(id, 0, world.queue);
    this.life.end();
  }

  get up(): boolean {
    return this.life.alive;
  }

  newDisk(): SimDisk {
    return new SimDisk({ delay: (operation) => this.#diskDelay(operation) });
  }

  /** A new process on what is on the disk. */
  start(): void {
    if (this.life.alive) return;
    const { queue, plan } = this.#world;
    // A node alone believes its clock when it starts: its machine has set it by then.
    if (plan.nodes === 1 || plan.faults.includes("membership")) this.clock.skewMs = 0;
    const life = new Life(
      this.id,
      ++this.lives,
      queue,
      (error) => this.#fault(life, error),
      this.#load,
    );
    this.life = life;
    life.run(() => {
      this.#open(life).catch((error) => this.#fault(life, error));
    });
  }

  /** The process is gone; what it wrote stays with the operating system. */
  kill(): void {
    this.#end(true);
    this.disk.kill();
  }

  /** The machine loses its power: what is not synced has a random fate. */
  losePower(random: Random): void {
    this.#end(random.below(2) === 0);
    this.disk.crash(random);
  }

  /** An empty disk in the place of the old one. */
  wipe(): void {
    this.#end(true);
    this.disk = this.newDisk();
  }

  #end(told: boolean): void {
    this.life.end();
    this.node = null;
    this.#world.networks.hostEnded(this.id, told);
  }

  #fault(life: Life, error: unknown): void {
    if (life !== this.life || !life.alive) return;
    this.kill();
    this.#world.ended(this, error);
  }

  async #open(life: Life): Promise<void> {
    const { plan, queue, networks, members, bucket, receiver } = this.#world;
    const { disk, random } = this;
    const clock = new LifeClock(life, queue, this.clock);
    const log = this.#logger(clock);
    const { instruments } = this;
    const patient = patientDisk({ disk, clock, log, instruments });
    const dataDir = await DataDir.open(patient, {
      clusterId: null,
      storageId: uuidOf(random),
    });
    const node = await Node.open({
      disk,
      clock,
      random: { u32: () => random.u32() },
      log,
      instruments,
      dataDir,
      nodeId: this.id,
      storage: { ...plan, diskReserveBytes: 0 },
      checkpointBytes: plan.checkpointBytes,
      journalKeepBytes: plan.journalKeepBytes,
      checksumEntries: 16,
      scrubBytesPerSecond: 1 << 20,
      autoCreateTopics: false,
      defaultPartitions: plan.partitions,
      commitTimeoutMs: plan.commitTimeoutMs,
      forwardWrites: plan.forwards,
      cluster: {
        members,
        ...(this.level === null ? {} : { level: this.level }),
        bootstraps: this.bootstraps,
        newClusterId: () => uuidOf(random),
        network: networks.network(this.id, life),
        identity: null,
        httpScheme: "http",
        heartbeatMs: plan.heartbeatMs,
        electionTimeoutMs: plan.electionTimeoutMs,
      },
      writeConcern: plan.writeConcern,
      queueBytesMax: 1 << 24,
      queueRequestsMax: plan.queueRequestsMax,
      limits: { ...plan, partitionsMax: 1000 },
      dedupeKeysTotal: 10_000_000,
      producersMax: 1_000,
      groupsMax: 10_000,
      offsetsMax: 1_000_000,
      ...(bucket === null ? {} : { exportWriter: bucket.writerOf(life), exportHoldMs: HOLD_MS }),
      ...(receiver === null ? {} : { webhookSender: receiver.sender(this.id, life) }),
      fault: (error) => this.#fault(life, error),
    });
    this.node = node;
    await node.start();
  }

  #logger(clock: LifeClock): Logger {
    const { log } = this.#world;
    if (log === null) return SILENT;
    const write = (line: string) => log(`  ${this.id}#${this.lives} ${line.trimEnd()}`);
    return createLogger({ level: "debug", now: () => clock.now(), write });
  }

  #loadOf(): Load | null {
    const { plan, count } = this.#world;
    const { work } = plan;
    if (work === null || work.meanMs === 0) return null;
    const random = streamOf(plan.seed, `work ${this.id}`);
    return {
      costMs: () => (work.meanMs * this.workFactor * (1 + random.below(1000))) / 500,
      waits: (length) => {
        if (length === 2) count("backlog of several events");
      },
    };
  }

  #diskDelay(operation: string): Promise<void> | null {
    const random = this.#diskRandom;
    const { life, diskState } = this;
    const { plan, queue } = this.#world;
    const isSync = operation === "sync" || operation === "syncDirectory";
    const stuckMs = diskState.stuckUntilMs - queue.elapsedMs;
    const plainMs = isSync ? plan.syncMs * (1 + random.below(1000) / 500) * diskState.slow : 0;
    const slowMs = !isSync && random.below(20) === 0 ? plan.syncMs * 0.1 * diskState.slow : plainMs;
    const ms = stuckMs > 0 && isSync ? stuckMs + plainMs : slowMs;
    if (ms === 0) return null;
    return new Promise((resolve) => {
      life.after(ms, resolve);
    });
  }
}

/** Looks like one, and comes from the seed. */
function uuidOf(random: Random): string {
  const hex = Array.from({ length: 4 }, () => random.u32().toString(16).padStart(8, "0")).join("");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}
