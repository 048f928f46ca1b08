/** Looks at the nodes from outside: who leads in which term, and who ended by itself. */
import type { NodeProcess } from "./node-process.ts";
import type { Run } from "./run-state.ts";

const INTERVAL_MS = 150;
/** A node that ends by itself more often than this is left alone until the end. */
const RESTARTS_MAX = 3;

export class Observer {
  readonly #run: Run;
  readonly #seen = new Set<string>();
  /** May end by themselves: what they found on their disks was damaged by us. */
  readonly mayEnd = new Set<NodeProcess>();
  readonly #ends = new Map<NodeProcess, number>();
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(run: Run) {
    this.#run = run;
  }

  start(): void {
    this.#running = this.#loop();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #loop(): Promise<void> {
    const { cluster } = this.#run;
    while (!this.#stopped) {
      this.#lookForEnded();
      await Promise.all(cluster.running.map((node) => this.#look(node)));
      await Bun.sleep(INTERVAL_MS);
    }
  }

  async #look(node: NodeProcess): Promise<void> {
    const { cluster, recorder } = this.#run;
    const call = recorder.now();
    const status = await cluster.status(node);
    if (status === null || status.leaderId === null) return;
    const pair = `${status.term} ${status.leaderId}`;
    if (this.#seen.has(pair)) return;
    this.#seen.add(pair);
    recorder.leader(status.leaderId, status.term, call);
  }

  /** A node that gives up is a finding, and is started again so that the run can go on. */
  #lookForEnded(): void {
    const { cluster, findings } = this.#run;
    for (const node of cluster.nodes) {
      if (!node.endedByItself || this.mayEnd.has(node)) continue;
      const times = (this.#ends.get(node) ?? 0) + 1;
      this.#ends.set(node, times);
      const log = times === 1 ? `:\n${node.logTail()}` : " again";
      findings.push(`${node.id} ended by itself with ${node.ending}${log}`);
      node.acknowledgeEnd();
      if (times <= RESTARTS_MAX) cluster.start(node);
    }
  }
}
