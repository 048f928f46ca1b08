/** Clients that work until they are told to stop. */
import { Random } from "../random.ts";
import type { Actor } from "./actor.ts";
import { type Answer, Client } from "./client.ts";
import type { Cluster } from "./cluster.ts";
import type { Knowledge } from "./knowledge.ts";
import type { NodeProcess } from "./node-process.ts";
import type { Recorder } from "./recorder.ts";
import { chain, expiring, mixed } from "./workload-kv.ts";
import {
  commit,
  consume,
  deleteBefore,
  produce,
  produceAgain,
  produceOnce,
} from "./workload-log.ts";

export type WorkloadOptions = {
  readonly cluster: Cluster;
  readonly recorder: Recorder;
  readonly knowledge: Knowledge;
  readonly seed: number;
  readonly clients: number;
  /** Mean pause of a client between two operations. */
  readonly pauseMs: number;
};

const AFTER_FAILURE_MS = 80;

export class Workload {
  readonly #options: WorkloadOptions;
  #stopped = false;
  #running: Promise<void>[] = [];

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  start(): void {
    const { clients } = this.#options;
    this.#running = Array.from({ length: clients }, (_, i) => this.#run(i));
  }

  /** Resolves when the last operation has ended. @throws what a client could not understand. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #run(index: number): Promise<void> {
    const { cluster, recorder, knowledge, seed, pauseMs } = this.#options;
    const random = new Random(seed * 1_000 + index);
    const client = new Client(`p${index}`, cluster);
    const actor = { client, recorder, knowledge, random };
    const turn = new Turn(actor, cluster, () => this.#stopped);
    try {
      while (!this.#stopped) {
        const answer = await turn.next(index === 0);
        const pause = answer.outcome === "ok" ? random.below(2 * pauseMs + 1) : AFTER_FAILURE_MS;
        await Bun.sleep(pause);
      }
    } finally {
      client.close();
    }
  }
}

class Turn {
  readonly #actor: Actor;
  readonly #cluster: Cluster;
  readonly #stopped: () => boolean;
  /** Where the last write went well. */
  #writer: NodeProcess | null = null;

  constructor(actor: Actor, cluster: Cluster, stopped: () => boolean) {
    this.#actor = actor;
    this.#cluster = cluster;
    this.#stopped = stopped;
  }

  async next(isExpirer: boolean): Promise<Answer> {
    const answer = await this.#act(isExpirer);
    if (answer.outcome === "ok") this.#writer = answer.node;
    else if (answer.status !== 409) this.#writer = null;
    return answer;
  }

  #act(isExpirer: boolean): Promise<Answer> {
    const actor = this.#actor;
    const kind = actor.random.below(40);
    const pick = () => this.#pick();
    if (isExpirer) return expiring(actor, pick, this.#stopped);
    if (kind < 10) return produce(actor, pick());
    if (kind < 12) return produceAgain(actor, pick());
    if (kind < 17) return produceOnce(actor, pick, this.#stopped);
    if (kind < 24) return consume(actor, this.#anyNode());
    if (kind < 27) return commit(actor, pick());
    if (kind < 28) return deleteBefore(actor, pick());
    if (kind < 34) return chain(actor, pick());
    return mixed(actor, pick());
  }

  /** A client keeps to what worked, but now and then it comes by another node. */
  #pick(): NodeProcess {
    const stray = this.#actor.random.below(8) === 0;
    return stray || this.#writer === null ? this.#anyNode() : this.#writer;
  }

  #anyNode(): NodeProcess {
    return this.#actor.random.pick(this.#cluster.nodes);
  }
}
