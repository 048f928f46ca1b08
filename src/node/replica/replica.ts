import type { Clock } from "../../env/clock.ts";
import type { PatientDisk } from "../../env/patient-disk.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Core } from "../../raft/core.ts";
import type { Emit } from "../events.ts";
import type { NodeOptions } from "../options.ts";
import { Linearizer } from "../reads/linearizer.ts";
import type { Recovered } from "../recovery/recover.ts";
import type { Storage } from "../recovery/storage.ts";
import type { ClusterTime } from "./cluster-time.ts";
import { newCore, newTime, tickMsOf } from "./core.ts";
import { PeerLevels } from "./peer-levels.ts";
import { Shard } from "./shard.ts";

/** The consensus core with its journal, the replicated state, and the loop that drives them. */
export class Replica {
  readonly core: Core;
  readonly machine: Machine;
  readonly storage: Storage;
  readonly disk: PatientDisk;
  readonly clock: Clock;
  readonly time: ClusterTime;
  readonly shard: Shard;
  readonly linearizer: Linearizer;
  /** The level of the log that each peer knows. */
  readonly levels: PeerLevels;
  /** Since its start, this node has once applied everything that the leader had committed. */
  isCaughtUp = false;
  #stopped = false;

  constructor(options: NodeOptions, disk: PatientDisk, recovered: Recovered, emit: Emit) {
    const { clock, cluster } = options;
    const { machine, storage } = recovered;
    this.core = newCore(options, recovered);
    this.levels = new PeerLevels(this.core);
    this.machine = machine;
    this.storage = storage;
    this.disk = disk;
    this.clock = clock;
    this.time = newTime(options, this.core, machine);
    this.shard = new Shard({
      core: this.core,
      journal: storage.journal,
      hardState: storage.hardStateFile,
      clock,
      tickMs: tickMsOf(cluster),
      electionTimeoutMs: cluster.electionTimeoutMs,
      emit,
    });
    this.linearizer = new Linearizer(this.core, clock, options.commitTimeoutMs, () =>
      this.shard.deferIteration(),
    );
  }

  get isLeader(): boolean {
    return this.core.role === "leader";
  }

  /** Resolves when everything committed at the call is applied here, or when the node stops. */
  async catchUp(): Promise<void> {
    while (!this.#stopped) {
      if ((await this.linearizer.confirm()) === "ok") {
        this.isCaughtUp = true;
        return;
      }
      await this.pause();
    }
  }

  /** Stops catching up. The loop continues, so that accepted writes are finished. */
  stopCatchingUp(): void {
    this.#stopped = true;
  }

  /** Waits for a millisecond. */
  pause(): Promise<void> {
    return new Promise((done) => this.clock.after(1, done));
  }

  stop(): void {
    this.shard.stop();
  }

  async closeFiles(): Promise<void> {
    const { journal, generation, hardStateFile } = this.storage;
    await journal.close();
    await generation.store.close();
    await hardStateFile.close();
  }
}
