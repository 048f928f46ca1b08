import { payloadBytes } from "../../raft/replication.ts";
import type { Emit } from "../events.ts";
import type { NodeOptions } from "../options.ts";
import type { Cluster } from "../peers/cluster.ts";
import type { Recovered } from "../recovery/recover.ts";
import { snapshotBytesOf } from "../recovery/storage.ts";
import type { Replica } from "../replica/replica.ts";
import type { Writes } from "../writes/writes.ts";
import { Backups } from "./backups.ts";
import { Checkpointer } from "./checkpointer.ts";
import { DiskWatch } from "./disk-watch.ts";
import { Janitor, type RetentionHold } from "./janitor.ts";
import { JournalRetention } from "./journal-retention.ts";
import { Repair } from "./repair.ts";
import { SpaceKeeper } from "./space.ts";

/** Background work: checkpoints, retention, free space, repair, backups. */
export class Maintenance {
  readonly diskWatch: DiskWatch;
  readonly checkpointer: Checkpointer;
  readonly repair: Repair;
  readonly backups: Backups;
  readonly #janitor: Janitor;
  readonly #space: SpaceKeeper;

  constructor(
    options: NodeOptions,
    replica: Replica,
    writes: Writes,
    cluster: Cluster,
    entries: Recovered["entries"],
    { emit, hold }: { readonly emit: Emit; readonly hold: RetentionHold },
  ) {
    const { core, machine, storage, time, linearizer } = replica;
    const reserveBytes = options.storage.diskReserveBytes;
    const shared = { ...options, disk: replica.disk, core, machine, storage, emit };
    this.diskWatch = new DiskWatch({ ...shared, reserveBytes });
    const retention = new JournalRetention({
      core,
      journal: storage.journal,
      bytesMax: options.journalKeepBytes,
      snapshotBytes: () => snapshotBytesOf(storage),
      disk: this.diskWatch,
      peers: cluster,
      log: options.log,
    });
    this.checkpointer = new Checkpointer(
      { ...shared, retention, everyBytes: options.checkpointBytes },
      payloadBytes(entries),
    );
    const { checkpointer } = this;
    this.repair = new Repair({ ...shared, checkpointer, peers: cluster });
    this.backups = new Backups({ ...shared, linearizer, checkpointer });
    const { commander, applier, queue, completions, broker } = writes;
    const { stateChecksum } = applier;
    this.#janitor = new Janitor({
      ...shared,
      commander,
      clock: time,
      replica,
      stateChecksum,
      broker,
      hold,
    });
    this.#space = new SpaceKeeper({ ...shared, queue, completions, checkpointer, time });
  }

  /** Resolves when the free space is known. */
  async start(): Promise<void> {
    await this.diskWatch.start();
  }

  /** Must be called when the node has joined its cluster. */
  startBackground(): void {
    this.#janitor.start();
    this.repair.start();
  }

  /** Called once a second. */
  maintain(): void {
    this.repair.maintain();
    this.#space.run();
  }

  stopBackground(): void {
    this.#janitor.stop();
    this.repair.stop();
  }

  stop(): void {
    this.diskWatch.stop();
  }
}
