import type { Emit } from "../events.ts";
import type { NodeOptions } from "../options.ts";
import type { Replica } from "../replica/replica.ts";
import { Applier } from "./applier.ts";
import { BrokerWrites } from "./broker-writes.ts";
import { CommandQueue } from "./command-queue.ts";
import { Commander } from "./commander.ts";
import { Completions } from "./completions.ts";
import { startDeadlines } from "./deadlines.ts";
import { KvAccess, NO_KV_LIMITS, ReadTime } from "./kv-access.ts";
import { LogLevel } from "./log-level.ts";
import { Producer } from "./producer.ts";
import { ProducerAdmin } from "./producer-admin.ts";

/** The write path: from a request into the log, and from the log to the answer. */
export class Writes {
  readonly queue: CommandQueue;
  readonly completions: Completions;
  readonly applier: Applier;
  readonly commander: Commander;
  readonly broker: BrokerWrites;
  readonly producer: Producer;
  readonly producers: ProducerAdmin;
  readonly kv: KvAccess;
  readonly reads: ReadTime;
  readonly #stopDeadlines: () => void;

  constructor(options: NodeOptions, replica: Replica, emit: Emit) {
    const { core, machine, storage, time, linearizer } = replica;
    const { clock, instruments, writeConcern } = options;
    const { commitSeconds } = instruments;
    this.completions = new Completions({ core, clock, writeConcern, commitSeconds });
    const reads = new ReadTime();
    this.reads = reads;
    this.queue = new CommandQueue({
      core,
      completions: this.completions,
      clock: time,
      machine,
      reads,
      disk: replica.disk,
      queueBytesMax: options.queueBytesMax,
      queueRequestsMax: options.queueRequestsMax,
      loop: replica.shard,
      linearizer,
    });
    this.applier = new Applier({
      ...options,
      generation: storage.generation,
      completions: this.completions,
      emit,
    });
    const level = new LogLevel({ machine, queue: this.queue, levels: replica.levels });
    this.commander = new Commander(this.queue, clock, level);
    this.producers = new ProducerAdmin(machine, this.commander);
    this.broker = new BrokerWrites(machine, this.commander, options);
    this.kv = new KvAccess({
      machine,
      commander: this.commander,
      clock: time,
      limits: options.kvLimits ?? NO_KV_LIMITS,
      reads,
      linearizer,
    });
    this.producer = new Producer({
      machine,
      queue: this.queue,
      level,
      clock: time,
      autoCreateTopics: options.autoCreateTopics,
      defaultPartitions: options.defaultPartitions,
      topics: this.broker,
      producersMax: options.producersMax,
    });
    const waits = [this.completions, this.queue];
    this.#stopDeadlines = startDeadlines(clock, options.commitTimeoutMs, waits);
  }

  /** Called when this node becomes leader. Accepts writes and proposes its limits for all nodes. */
  accept(): void {
    this.queue.setRefusal(null);
    this.broker.configure();
  }

  /** Called when this node is not the leader. */
  refuse(refusal: "no_leader" | "not_leader"): void {
    this.queue.setRefusal(refusal);
    this.queue.refuseQueued(refusal);
  }

  stop(): void {
    this.#stopDeadlines();
    this.queue.refuseQueued("shutting_down");
    this.completions.stop();
  }
}
