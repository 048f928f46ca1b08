/** One whole node on a simulated disk and clock, for tests that let hours pass. */
import type { Disk } from "../../../src/env/disk.ts";
import { NoNetwork } from "../../../src/env/no-network.ts";
import type { NodeId } from "../../../src/lib/ids.ts";
import { createInstruments } from "../../../src/metrics/instruments.ts";
import { SILENT } from "../../../src/metrics/log.ts";
import type { ExportWriter } from "../../../src/node/exports/writer.ts";
import { Node } from "../../../src/node/node.ts";
import { type KvLimits, NO_KV_LIMITS } from "../../../src/node/writes/kv-access.ts";
import { DataDir } from "../../../src/storage/data-dir.ts";
import type { Random } from "../random.ts";
import { SimClock } from "../sim/sim-clock.ts";
import { SimDisk } from "../sim/sim-disk.ts";

const KIB = 1024;

export class SingleNode<D extends Disk = SimDisk> {
  readonly clock = new SimClock();
  readonly instruments = createInstruments();
  readonly disk: D;
  readonly #random: Random;
  /** Set before `open`. Null: the node cannot export. */
  exportWriter: ExportWriter | null = null;
  node: Node | null = null;
  /** Why the process would have ended. */
  ended: unknown = null;

  readonly #kvLimits: KvLimits;

  readonly #dedupeKeysTotal: number;

  constructor(random: Random, disk?: D, kvLimits = NO_KV_LIMITS, dedupeKeysTotal = 10_000_000) {
    this.#dedupeKeysTotal = dedupeKeysTotal;
    this.#random = random;
    this.#kvLimits = kvLimits;
    this.disk = disk ?? (new SimDisk() as Disk as D);
  }

  async open(): Promise<Node> {
    const { clock, disk } = this;
    const identity = { clusterId: "cluster", storageId: "disk" };
    const dataDir = await this.settled(DataDir.open(disk, identity));
    const id = "node1" as NodeId;
    const address = { id, host: "localhost", raftPort: 0, httpPort: 0, priority: 0 };
    const node = await this.settled(
      Node.open({
        disk,
        clock,
        random: this.#random,
        log: SILENT,
        instruments: this.instruments,
        dataDir,
        nodeId: id,
        cluster: {
          members: [address],
          bootstraps: true,
          newClusterId: () => "cluster",
          network: new NoNetwork(),
          identity: null,
          httpScheme: "http",
          heartbeatMs: 10_000,
          electionTimeoutMs: 100_000,
        },
        storage: {
          journalSegmentBytes: 64 * KIB,
          segmentBytes: 4 * KIB,
          tailBytes: 64 * KIB,
          diskReserveBytes: 0,
        },
        checkpointBytes: 32 * KIB,
        journalKeepBytes: 1024 * KIB,
        scrubBytesPerSecond: 0,
        autoCreateTopics: true,
        defaultPartitions: 2,
        commitTimeoutMs: 5_000,
        writeConcern: { kind: "majority" },
        queueBytesMax: KIB * KIB,
        queueRequestsMax: 1_000,
        limits: { dedupeWindowMs: 86_400_000, dedupeKeysMax: 1_000_000, partitionsMax: 100 },
        dedupeKeysTotal: this.#dedupeKeysTotal,
        producersMax: 1_000,
        groupsMax: 3,
        offsetsMax: 5,
        kvLimits: this.#kvLimits,
        ...(this.exportWriter === null ? {} : { exportWriter: this.exportWriter }),
        fault: (error) => {
          this.ended ??= error;
        },
      }),
    );
    await this.settled(node.start());
    this.node = node;
    return node;
  }

  /** Lets simulated time pass until the promise is settled. @throws what ended the process. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let done = false;
    const outcome = promise.finally(() => {
      done = true;
    });
    outcome.catch(() => undefined);
    for (let i = 0; i < 10_000 && !done && this.ended === null; i++) await this.clock.advance(1);
    if (this.ended !== null) throw this.ended;
    return await outcome;
  }
}
