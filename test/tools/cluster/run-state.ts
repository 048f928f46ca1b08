/** A run under way: what scenarios act upon, and what is noted beside the history. */
import { Random } from "../random.ts";
import { Cluster, type NetworkKind } from "./cluster.ts";
import { Knowledge } from "./knowledge.ts";
import type { NodeProcess } from "./node-process.ts";
import { Recorder } from "./recorder.ts";

export type RunOptions = {
  readonly seed: number;
  readonly seconds: number;
  readonly directory: string;
  readonly size: number;
  readonly initialMembers?: number;
  readonly network: NetworkKind;
  readonly clocks?: boolean;
  readonly smallDisks?: boolean;
  readonly clients: number;
  readonly pauseMs: number;
  /** Settings of every node beside those of the harness. */
  readonly environment?: Readonly<Record<string, string>>;
};

const POLL_MS = 50;
/** Generous: whoever needs longer does not come back at all. */
export const PATIENCE_MS = 60_000;

export class Run {
  readonly options: RunOptions;
  readonly random: Random;
  readonly cluster: Cluster;
  readonly recorder = new Recorder();
  readonly knowledge = new Knowledge();
  /** From the loss of a leader to the first acknowledged write, in ms. Told, never judged. */
  readonly takeovers: number[] = [];
  /** Wrong whatever the history says: a node that ended by itself, a cluster that stayed silent. */
  readonly findings: string[] = [];
  /** Worth telling. */
  readonly notes: string[] = [];
  /** How often something happened that a run should show. */
  readonly effects = new Map<string, number>();
  /** Nodes that must have everything at the end. */
  members: readonly NodeProcess[];
  #endsAt = Number.POSITIVE_INFINITY;

  constructor(options: RunOptions) {
    const { seed, size, initialMembers = size } = options;
    this.options = options;
    this.random = new Random(seed);
    this.cluster = new Cluster(options);
    this.members = this.cluster.nodes.slice(0, initialMembers);
  }

  count(effect: string): void {
    this.effects.set(effect, (this.effects.get(effect) ?? 0) + 1);
  }

  /** The time for faults begins. */
  begin(): void {
    this.#endsAt = this.recorder.now() + this.options.seconds * 1_000;
  }

  get isOver(): boolean {
    return this.recorder.now() >= this.#endsAt;
  }

  /** Waits between two bounds, but not beyond the end of the run. */
  async pause(msMin: number, msMax: number): Promise<void> {
    const ms = msMin + this.random.below(msMax - msMin + 1);
    await Bun.sleep(Math.max(0, Math.min(ms, this.#endsAt - this.recorder.now())));
  }

  /** @returns null if it never became so. */
  readonly until = async <T>(
    what: () => Promise<T | null>,
    timeoutMs = PATIENCE_MS,
  ): Promise<T | null> => {
    const end = this.recorder.now() + timeoutMs;
    while (this.recorder.now() < end) {
      const found = await what();
      if (found !== null) return found;
      await Bun.sleep(POLL_MS);
    }
    return null;
  };

  /** The leader, once there is one. Null: there was none for long, which is a finding. */
  async leader(timeoutMs = PATIENCE_MS): Promise<NodeProcess | null> {
    const status = await this.until(() => this.cluster.leader(), timeoutMs);
    if (status === null) this.findings.push(`no leader for ${timeoutMs} ms`);
    return status?.node ?? null;
  }

  /** Waits until the node answers. */
  async serves(node: NodeProcess): Promise<boolean> {
    const answer = await this.until(async () => {
      if (node.state === "stopped") return "ended" as const;
      return (await this.cluster.ask(node, "/health")) === null ? null : ("serves" as const);
    });
    if (answer === null) this.findings.push(`${node.id} does not answer`);
    return answer === "serves";
  }

  /** Runs a fault and notes from when to when it lasted. */
  async fault(kind: string, target: string, body: () => Promise<void>): Promise<void> {
    const call = this.recorder.now();
    await body();
    this.recorder.fault(kind, target, call);
  }
}
