/** Whole nodes in one process, on one queue of events. */
import { drainMicrotasks } from "bun:jsc";
import { AssertionError } from "../../../src/lib/assert.ts";
import type { NodeId } from "../../../src/lib/ids.ts";
import type { MemberAddress } from "../../../src/node/peers/members.ts";
import { type FaultKind, type Plan, streamOf } from "./plan.ts";
import { SimBucket } from "./sim-bucket.ts";
import { SimClock } from "./sim-clock.ts";
import { SimNetworks } from "./sim-network.ts";
import { SimNode } from "./sim-node.ts";
import { SimReceiver } from "./sim-receiver.ts";

/** The product broke a promise. */
export class SimViolation extends Error {
  override readonly name: string = "SimViolation";
  readonly rule: string;

  constructor(rule: string, message: string, cause?: unknown) {
    super(`${rule}: ${message}`, { cause });
    this.rule = rule;
  }
}

const RESTART_MS = 400;

export class SimCluster {
  readonly plan: Plan;
  readonly queue = new SimClock();
  readonly networks: SimNetworks;
  readonly nodes: readonly SimNode[];
  /** Null: no node calls a webhook. */
  readonly receiver: SimReceiver | null;
  readonly initialMembers: readonly SimNode[];
  /** Null: there are no exports. */
  readonly bucket: SimBucket | null;
  /** Nodes whose disk was damaged beyond what a restart repairs. */
  readonly log: ((line: string) => void) | null;
  readonly effects = new Map<string, number>();
  events = 0;
  /** Rolling, of everything that was noted. */
  hash = 0;
  violation: Error | null = null;
  /** Faults that explain a failing disk; while empty, a node that ends is a violation. */
  readonly excused = new Map<NodeId, Set<FaultKind>>();
  readonly #restarts = streamOf(0, "restarts");
  #healed = false;

  constructor(plan: Plan, log: ((line: string) => void) | null) {
    this.plan = plan;
    this.log = log;
    this.#restarts = streamOf(plan.seed, "restarts");
    this.networks = new SimNetworks(this.queue, streamOf(plan.seed, "network"), plan.delays);
    this.bucket = plan.exports ? new SimBucket(this, streamOf(plan.seed, "bucket")) : null;
    this.receiver = plan.webhooks
      ? new SimReceiver(this.queue, streamOf(plan.seed, "receiver"))
      : null;
    const names = Array.from({ length: plan.nodes + plan.spares }, (_, i) => `n${i + 1}`);
    const addresses = names.map((name, i) => addressOf(plan, name, i));
    const initialMembers = addresses.slice(0, plan.nodes);
    this.nodes = addresses.map((address, i) => {
      const isInitialMember = i < plan.nodes;
      const world = {
        plan,
        queue: this.queue,
        networks: this.networks,
        bucket: this.bucket,
        receiver: this.receiver,
        members: isInitialMember ? initialMembers : [...initialMembers, address],
        ended: (node: SimNode, error: unknown) => this.#ended(node, error),
        log: log === null ? null : (line: string) => this.note(line),
        count: (effect: string) => this.count(effect),
      };
      const node = new SimNode(world, address.id, i === 0, plan.clockRates[i] ?? 1);
      if (plan.work?.slowNode === i) node.workFactor = plan.work.slowFactor;
      return node;
    });
    this.initialMembers = this.nodes.slice(0, plan.nodes);
  }

  /** Goes into the trace and the hash. */
  note(line: string): void {
    this.hash = Number(Bun.hash(line, this.hash) & 0xffff_ffffn);
    this.log?.(`${this.queue.elapsedMs.toFixed(3).padStart(10)} ${line}`);
  }

  count(effect: string): void {
    this.effects.set(effect, (this.effects.get(effect) ?? 0) + 1);
  }

  fail(error: Error): void {
    if (this.violation !== null) return;
    this.violation = error;
    this.note(`VIOLATION ${error.message}`);
  }

  node(id: string): SimNode {
    const found = this.nodes.find((node) => node.id === id);
    if (found === undefined) throw new Error(`no node ${id}`);
    return found;
  }

  /**
   * Runs one event and what follows from it; not for the inside of a promise job.
   *
   * @returns false if there is none before `endMs`.
   */
  step(endMs: number): boolean {
    const { queue } = this;
    const next = queue.nextMs;
    if (next === null || next > endMs) return false;
    queue.step();
    this.events++;
    drainMicrotasks();
    return true;
  }

  startLater(node: SimNode): void {
    const delay = this.#healed ? 10 : 1 + this.#restarts.below(RESTART_MS);
    this.queue.after(delay, () => {
      if (node.up || node.broken !== null) return;
      this.note(`start ${node.id}`);
      node.start();
    });
  }

  /** A request to it was answered with an error instead of an answer. */
  refused(node: SimNode, error: unknown): void {
    const isDamage = error instanceof Error && /Damaged$|^Disk/.test(error.name);
    this.note(`${node.id} refused a request: ${error}`);
    if (isDamage && this.excused.has(node.id)) this.count("damage found");
    else this.fail(new SimViolation("request failed", `${node.id}: ${error}`, error));
  }

  excuse(node: SimNode, kind: FaultKind): void {
    const kinds = this.excused.get(node.id) ?? new Set();
    this.excused.set(node.id, kinds.add(kind));
  }

  /** No more faults from now on; nodes that are down come back. */
  heal(): void {
    this.#healed = true;
    this.networks.heal();
    this.bucket?.heal();
    for (const node of this.nodes) {
      node.disk.faults.full = false;
      node.disk.faults.syncError = null;
      node.disk.faults.shortages = 0;
      node.workFactor = 1;
      node.diskState.slow = 1;
      node.diskState.stuckUntilMs = 0;
      if (node.life.paused) node.life.resume();
      if (!node.up) this.startLater(node);
    }
  }

  /** Down for good, at most a minority: it takes others with what it had. */
  get brokenVoters(): number {
    return this.initialMembers.filter((node) => node.broken !== null).length;
  }

  #ended(node: SimNode, error: unknown): void {
    const name = error instanceof Error ? error.name : typeof error;
    const message = error instanceof Error ? error.message : String(error);
    this.note(`${node.id} ended: ${name}: ${message}`);
    const excuses = this.excused.get(node.id);
    const isDamage = /Damaged$/.test(name);
    if (isDamage && (excuses?.has("bit-flip") === true || excuses?.has("sync-error") === true)) {
      node.broken = message;
      this.count(`refused by ${name}`);
      return;
    }
    const isDisk = /^Disk/.test(name);
    if (isDisk && !(error instanceof AssertionError) && excuses !== undefined) {
      // Pages of a failed sync are clean and lost: the machine is restarted, too.
      node.losePower(this.#restarts);
      this.startLater(node);
      return;
    }
    this.fail(new SimViolation("node ended", `${node.id}: ${name}: ${message}`, error));
  }
}

const addressOf = (plan: Plan, name: string, i: number): MemberAddress => ({
  id: name as NodeId,
  host: name,
  raftPort: 7000,
  httpPort: 8000,
  priority: plan.priorities ? 100 - i * 25 : 0,
});
