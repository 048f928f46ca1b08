/** Whole nodes under a plan written by hand: what happens when is told, step by step. */
import type { Node } from "../../../src/node/node.ts";
import { SimCluster } from "./cluster.ts";
import { running } from "./life.ts";
import { type Plan, planOf } from "./plan.ts";
import { settle } from "./sim-clock.ts";
import type { SimNode } from "./sim-node.ts";

const WAIT_MS_MAX = 120_000;
const CALM: Partial<Plan> = {
  nodes: 3,
  spares: 1,
  faults: [],
  delays: { baseMs: 0.5, meanMs: 0.5, slowOneIn: 0 },
  syncMs: 0.5,
  electionTimeoutMs: 300,
  commitTimeoutMs: 1000,
  checkpointBytes: 16_384,
  journalKeepBytes: 0,
  priorities: false,
  writeConcern: { kind: "majority" },
  clockRates: [],
};

export class Script {
  readonly cluster: SimCluster;

  constructor(changes: Partial<Plan> = {}, log: ((line: string) => void) | null = null) {
    this.cluster = new SimCluster({ ...planOf(1), ...CALM, ...changes }, log);
  }

  /** All of them, or those that are named. */
  start(...ids: readonly string[]): void {
    for (const node of this.cluster.nodes) {
      if (ids.length === 0 || ids.includes(node.id)) node.start();
    }
  }

  node(id: string): SimNode {
    return this.cluster.node(id);
  }

  get leader(): SimNode | null {
    return this.cluster.nodes.find(({ node }) => node?.health().role === "leader") ?? null;
  }

  /** @throws what a node did wrong. */
  async pass(ms: number): Promise<void> {
    const end = this.cluster.queue.elapsedMs + ms;
    while (await this.#step(end));
  }

  /** Lets time pass until it holds. @throws if it does not within two minutes. */
  async until(what: string, holds: () => boolean, ms = WAIT_MS_MAX): Promise<void> {
    const end = this.cluster.queue.elapsedMs + ms;
    while (!holds()) {
      if (!(await this.#step(end))) throw new Error(`not within ${ms} ms: ${what}`);
    }
  }

  /** Asks a node, or the leader, once there is one. */
  async ask<T>(run: (node: Node) => T | Promise<T>, id: string | null = null): Promise<T> {
    const find = () => (id === null ? this.leader : this.node(id));
    await this.until(`${id ?? "a leader"} is up`, () => find()?.node != null);
    const outcome: { value?: T; error?: unknown; done: boolean } = { done: false };
    const simNode = find();
    simNode?.life.run(() => {
      const node = simNode.node as Node;
      Promise.resolve(run(node)).then(
        (value) => Object.assign(outcome, { value, done: true }),
        (error: unknown) => Object.assign(outcome, { error, done: true }),
      );
    });
    await this.until("an answer", () => outcome.done);
    if (outcome.error !== undefined) throw outcome.error;
    return outcome.value as T;
  }

  /** As `ask`, again and again until `isGood`: elections and changes under way are waited for. */
  async insist<T>(run: (node: Node) => T | Promise<T>, isGood: (value: T) => boolean): Promise<T> {
    for (let i = 0; i < 1000; i++) {
      const value = await this.ask(run);
      if (isGood(value)) return value;
      await this.pass(50);
    }
    throw new Error("asked a thousand times");
  }

  async create(topic: string): Promise<void> {
    await this.insist(
      (node) => node.createTopic(topic, 1),
      ({ ok }) => ok,
    );
  }

  async #step(end: number): Promise<boolean> {
    running.life = null;
    // A node alone gets going without an event: only its disk answers, at once.
    if (this.cluster.queue.nextMs === null) await settle();
    const more = this.cluster.step(end);
    if (this.cluster.violation !== null) throw this.cluster.violation;
    return more;
  }
}

/** The addresses of a simulated member, as `addMember` takes them. */
export const placeOf = (nodeId: string) => ({
  nodeId,
  host: nodeId,
  raftPort: 7000,
  httpPort: 8000,
  priority: null,
});
