/** A client of the simulation: asks nodes, gets answers late or never, notes everything. */
import type { Node } from "../../../src/node/node.ts";
import { Recorder } from "../cluster/recorder.ts";
import type { Operation, OperationOf, Outcome } from "../history/operations.ts";
import type { Random } from "../random.ts";
import type { SimCluster } from "./cluster.ts";
import type { SimNode } from "./sim-node.ts";

export class SimRecorder extends Recorder {
  readonly #cluster: SimCluster;

  constructor(cluster: SimCluster) {
    super();
    this.#cluster = cluster;
  }

  override now(): number {
    return this.#cluster.queue.elapsedMs;
  }
}

/** Null: no answer came. */
export type Reply<T> = { readonly value: T } | null;

const TRAVEL_MS = 0.3;

export class SimClient {
  readonly name: string;
  readonly cluster: SimCluster;
  readonly recorder: SimRecorder;
  readonly random: Random;
  readonly #timeoutMs: number;
  /** Where the last answer said that the leader is. */
  #leader: SimNode | null = null;

  constructor(
    name: string,
    recorder: SimRecorder,
    cluster: SimCluster,
    random: Random,
    timeoutMs = random.pick([200, 1000, 5000]),
  ) {
    this.name = name;
    this.recorder = recorder;
    this.cluster = cluster;
    this.random = random;
    this.#timeoutMs = timeoutMs;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.cluster.queue.after(ms, resolve);
    });
  }

  /** Mostly the leader, as far as known; wrong nodes on purpose now and then. */
  pick(): SimNode {
    const { nodes } = this.cluster;
    const any = this.random.pick(nodes);
    if (this.random.below(this.cluster.plan.forwards ? 2 : 4) === 0) return any;
    const leader = nodes.find(({ node }) => node?.health().role === "leader");
    if (this.#leader === null || this.random.below(8) === 0) this.#leader = leader ?? null;
    return this.#leader ?? any;
  }

  forgetLeader(): void {
    this.#leader = null;
  }

  /** The result of `ask`, unless the time is up before, or the process ends. */
  call<T>(to: SimNode, ask: (node: Node) => Promise<T>): Promise<Reply<T>> {
    const { queue } = this.cluster;
    return new Promise((resolve) => {
      const cancel = queue.after(this.#timeoutMs, () => resolve(null));
      const answer = (reply: Reply<T>) => {
        queue.after(TRAVEL_MS, () => {
          cancel();
          resolve(reply);
        });
      };
      queue.after(TRAVEL_MS, () => {
        const { life } = to;
        life.onEnd(() => answer(null));
        life.run(() => {
          if (to.node === null) answer(null);
          else this.#ask(to, to.node, ask, answer);
        });
      });
    });
  }

  #ask<T>(
    to: SimNode,
    node: Node,
    ask: (node: Node) => Promise<T>,
    answer: (reply: Reply<T>) => void,
  ): void {
    ask(node).then(
      (value) => answer({ value }),
      (error: unknown) => {
        this.cluster.refused(to, error);
        answer(null);
      },
    );
  }

  add<Name extends Operation["op"]>(
    op: Name,
    to: SimNode,
    call: number,
    args: OperationOf<Name>["args"],
    outcome: Outcome,
    result: NonNullable<OperationOf<Name>["result"]> | null,
  ): void {
    const { name: process, recorder } = this;
    recorder.add(op, { process, node: to.id, call, outcome, args, result });
    const shown = `${JSON.stringify(args)} ${outcome} ${JSON.stringify(result)}`;
    this.cluster.note(`${process} ${op} at ${to.id} ${shown}`);
  }
}

type Answer = { readonly ok: boolean; readonly code?: string };

/** Codes after which the write may still happen. */
export function outcomeOf(reply: Reply<Answer>): Outcome {
  if (reply === null) return "unknown";
  if (reply.value.ok) return "ok";
  return reply.value.code === "commit_timeout" ? "unknown" : "fail";
}
