/** One seed from beginning to end: faults, their end, convergence, judgement. */
import type { Instruments } from "../../../src/metrics/instruments.ts";
import { check as checkHistory } from "../history/check.ts";
import type { Message } from "../history/operations.ts";
import { SimClient, SimRecorder } from "./client.ts";
import { SimCluster, SimViolation } from "./cluster.ts";
import { ExportTeam } from "./export-team.ts";
import { GroupTeam } from "./group-team.ts";
import { Ghost, observe } from "./invariants.ts";
import { JobTeam } from "./job-team.ts";
import { running } from "./life.ts";
import { Nemesis } from "./nemesis.ts";
import { type Overrides, type Plan, planOf, streamOf } from "./plan.ts";
import type { SimNode } from "./sim-node.ts";
import { PATHS, StreamActor, pageOf as streamPageOf } from "./stream-actor.ts";
import { StreamLedger } from "./stream-ledger.ts";
import { setTraps } from "./trap.ts";
import { WebhookTeam } from "./webhook-team.ts";
import { Actor, GROUPS, Knowledge, NAMESPACE, pageOf, TOPIC } from "./workload.ts";

export type Report = {
  readonly plan: Plan;
  readonly violation: Error | null;
  readonly events: number;
  readonly simulatedMs: number;
  readonly hash: number;
  readonly effects: ReadonlyMap<string, number>;
  readonly operations: number;
  readonly acknowledged: number;
  readonly leaderChanges: number;
  readonly applied: number;
};

const START_MS_MAX = 20_000;
const RECOVERY_MS_MAX = 60_000;
/** A pointer that a late request set back is written again after minutes. */
const EXPORT_MS_MAX = 400_000;
const CONVERGENCE_MS_MAX = 60_000;
const CONVERGED_MS = 100;
/**
 * Patience of the client whose write shows that the cluster works: slow disks and links are not
 * failures.
 */
const PATIENCE_MS = 5000;
const EVENTS_MAX = 3_000_000;

export async function simulate(
  seed: number,
  overrides: Overrides = {},
  log: ((line: string) => void) | null = null,
): Promise<Report> {
  const plan = planOf(seed, overrides);
  const removeTraps = setTraps();
  const simulation = new Simulation(plan, log);
  const rejected = (error: unknown) => simulation.cluster.fail(asError(error));
  process.on("unhandledRejection", rejected);
  try {
    await simulation.run();
  } catch (error) {
    simulation.cluster.fail(asError(error));
  } finally {
    process.off("unhandledRejection", rejected);
    observe(null);
    running.life = null;
    removeTraps();
  }
  return simulation.report();
}

/** An iteration of the real event loop costs more than an event of the simulated one. */
const EVENTS_PER_TURN = 500;

const inOneTurn = (isOver: () => boolean): Promise<boolean> =>
  new Promise((resolve) =>
    setImmediate(() => {
      for (let i = 0; i < EVENTS_PER_TURN; i++) if (isOver()) return resolve(true);
      resolve(false);
    }),
  );

const asError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error));

class Simulation {
  readonly cluster: SimCluster;
  readonly #plan: Plan;
  readonly #ghost: Ghost;
  readonly #recorder: SimRecorder;
  readonly #knowledge: Knowledge;
  readonly #ledger = new StreamLedger();
  readonly #actors: (Actor | StreamActor)[] = [];
  readonly #running: Promise<unknown>[] = [];
  #team: GroupTeam | null = null;
  #jobs: JobTeam | null = null;
  #exports: ExportTeam | null = null;
  #webhooks: WebhookTeam | null = null;

  constructor(plan: Plan, log: ((line: string) => void) | null) {
    this.#plan = plan;
    this.cluster = new SimCluster(plan, log);
    this.#ghost = new Ghost(this.cluster);
    this.#recorder = new SimRecorder(this.cluster);
    this.#knowledge = new Knowledge(plan.partitions);
    observe(this.#ghost);
  }

  async run(): Promise<void> {
    const { cluster } = this;
    cluster.note(JSON.stringify(this.#plan));
    for (const node of cluster.nodes) node.start();
    const admin = this.#client("admin", PATIENCE_MS);
    await this.#runUntil(START_MS_MAX, this.#createTopic(admin));
    for (let i = 0; i < this.#plan.clients; i++) {
      const actor = new Actor(this.#client(`c${i}`), this.#knowledge);
      this.#actors.push(actor);
      this.#running.push(actor.run());
    }
    if (this.#plan.streams) this.#useStreams();
    await this.#startTeam();
    await this.#startJobs();
    await this.#startExports();
    await this.#startWebhooks();
    const nemesis = new Nemesis(cluster, this.#ghost);
    await this.#runUntil(this.#plan.durationMs, null);
    nemesis.stop();
    await this.#heal(admin);
    if (cluster.violation === null) this.#judge();
  }

  #useStreams(): void {
    for (let i = 0; i < this.#plan.clients; i++) {
      const actor = new StreamActor(this.#client(`s${i}`), this.#ledger);
      this.#actors.push(actor);
      this.#running.push(actor.run().catch((error: unknown) => this.cluster.fail(asError(error))));
    }
  }

  async #startTeam(): Promise<void> {
    if (this.#plan.groupMembers === 0) return;
    this.#team = new GroupTeam(this.cluster, (name) => this.#client(name));
    await this.#runUntil(START_MS_MAX, this.#team.create());
    this.#running.push(this.#team.run());
  }

  async #startJobs(): Promise<void> {
    if (!this.#plan.queues) return;
    this.#jobs = new JobTeam(this.cluster, (name) => this.#client(name));
    await this.#runUntil(START_MS_MAX, this.#jobs.create());
    const running = this.#jobs.run().catch((error: unknown) => this.cluster.fail(asError(error)));
    this.#running.push(running);
  }

  async #startExports(): Promise<void> {
    const { bucket } = this.cluster;
    if (bucket === null) return;
    this.#exports = new ExportTeam(this.cluster, bucket, (name) => this.#client(name));
    await this.#runUntil(START_MS_MAX, this.#exports.create());
    const running = this.#exports
      .run()
      .catch((error: unknown) => this.cluster.fail(asError(error)));
    this.#running.push(running);
  }

  async #startWebhooks(): Promise<void> {
    if (!this.#plan.webhooks) return;
    const team = new WebhookTeam(this.cluster, (name) => this.#client(name));
    this.#webhooks = team;
    await this.#runUntil(START_MS_MAX, team.create());
    this.#running.push(team.run().catch((error: unknown) => this.cluster.fail(asError(error))));
  }

  /** Liveness: what is not broken for good must take writes again and become equal. */
  async #heal(admin: SimClient): Promise<void> {
    const { cluster } = this;
    cluster.note("heal");
    cluster.heal();
    this.#recorder.heal();
    const writer = new Actor(admin, this.#knowledge);
    const wrote = await this.#runUntil(RECOVERY_MS_MAX, produceUntilDone(writer));
    if (!wrote) this.#fail("liveness", `no write succeeded in ${RECOVERY_MS_MAX} ms`);
    await this.#settleTeams();
    for (const actor of this.#actors) actor.stopped = true;
    const ended = Promise.all(this.#running).then(() => {});
    if (!(await this.#runUntil(RECOVERY_MS_MAX, ended))) this.#fail("liveness", "a client waits");
    const equal = await this.#runUntil(CONVERGENCE_MS_MAX, this.#converge(admin));
    if (!equal) this.#fail("convergence", this.#shown());
    if (cluster.violation !== null) return;
    for (const node of this.#members()) {
      const isRead = await this.#runUntil(CONVERGENCE_MS_MAX, this.#dump(node));
      if (!isRead) this.#fail("convergence", `${node.id} cannot be read`);
    }
  }

  /** Everything that they have begun comes to its end. */
  async #settleTeams(): Promise<void> {
    if (this.#team !== null && !(await this.#runUntil(RECOVERY_MS_MAX, this.#team.settle()))) {
      this.#fail("liveness", `the group did not settle: ${this.#team.shown}`);
    }
    this.#team?.stop();
    if (this.#jobs !== null && !(await this.#runUntil(RECOVERY_MS_MAX, this.#jobs.settle()))) {
      this.#fail("liveness", `the queue was not worked off: ${this.#jobs.shown}`);
    }
    this.#jobs?.stop();
    if (this.#exports !== null && !(await this.#runUntil(EXPORT_MS_MAX, this.#exports.settle()))) {
      this.#fail("liveness", `the exports did not come to an end: ${this.#exports.shown}`);
    }
    this.#exports?.stop();
    const webhooks = this.#webhooks;
    if (webhooks !== null && !(await this.#runUntil(RECOVERY_MS_MAX, webhooks.settle()))) {
      this.#fail("liveness", `the webhooks did not deliver everything: ${webhooks.shown}`);
    }
    webhooks?.stop();
  }

  #client(name: string, timeoutMs?: number): SimClient {
    const random = streamOf(this.#plan.seed, `client ${name}`);
    return new SimClient(name, this.#recorder, this.cluster, random, timeoutMs);
  }

  async #createTopic(client: SimClient): Promise<void> {
    for (;;) {
      const reply = await client.call(client.pick(), (node) =>
        node.createTopic(TOPIC, this.#plan.partitions),
      );
      if (reply !== null && (reply.value.ok || reply.value.code === "topic_exists")) return;
      client.forgetLeader();
      await client.sleep(50);
    }
  }

  /** Runs events until `work` is done. @returns false if that took longer than `ms`. */
  async #runUntil(ms: number, work: Promise<void> | null): Promise<boolean> {
    const { cluster } = this;
    const endMs = cluster.queue.elapsedMs + ms;
    const state = { done: false };
    work?.then(
      () => {
        state.done = true;
      },
      (error: unknown) => cluster.fail(asError(error)),
    );
    const ended = () => state.done || cluster.violation !== null || cluster.events >= EVENTS_MAX;
    const isOver = () => ended() || !this.#step(endMs);
    for (;;) if (await inOneTurn(isOver)) return state.done;
  }

  /** @returns false if there is nothing to do before `endMs`. */
  #step(endMs: number): boolean {
    const { cluster } = this;
    running.life = null;
    if (!cluster.step(endMs)) return false;
    const life = running.life as { name: string } | null;
    // Strangers have a life too.
    const node = cluster.nodes.find(({ id }) => id === life?.name);
    if (node !== undefined) this.#ghost.check(node);
    return true;
  }

  /** Nodes that must have everything in the end. */
  #members(): SimNode[] {
    const leader = this.cluster.nodes.find(({ node }) => node?.health().role === "leader");
    const ids = leader?.node?.membership().nodes.map(({ nodeId }) => nodeId) ?? [];
    return this.cluster.nodes.filter(({ id, broken }) => broken === null && ids.includes(id));
  }

  /** All members are equal, and stay so: what the leader has not yet replicated may follow. */
  async #converge(client: SimClient): Promise<void> {
    for (let before = ""; ; ) {
      await client.sleep(CONVERGED_MS);
      const states = this.#members().map(({ node }) =>
        JSON.stringify(node === null ? null : stateOf(node)),
      );
      const first = states[0] ?? "null";
      const isEqual = first !== "null" && states.every((state) => state === first);
      if (isEqual && first === before) return;
      before = isEqual ? first : "";
    }
  }

  #shown(): string {
    const lines = this.cluster.nodes.map(
      ({ id, node, broken }) =>
        `${id} ${broken ?? ""} ${JSON.stringify(node?.health())} ` +
        `${node === null ? "" : JSON.stringify(stateOf(node))}`,
    );
    const members = this.#members().map(({ id }) => id);
    return `the nodes ${members.join(" ")} did not become equal\n${lines.join("\n")}`;
  }

  async #dump(to: SimNode): Promise<void> {
    const { node } = to;
    if (node === null) throw new SimViolation("convergence", `${to.id} went away`);
    const client = this.#client(`dump ${to.id}`);
    for (let partition = 0; partition < this.#plan.partitions; partition++) {
      const call = this.#recorder.now();
      const at = { topic: TOPIC, partition };
      const messages: Message[] = [];
      const committed: Record<string, number> = {};
      let low = 0;
      let end = 0;
      for (const group of GROUPS) {
        const page = await this.#readAll(client, to, node, { ...at, group });
        committed[group] = page.committed;
        low = page.low;
        end = page.end;
        if (group === GROUPS[0]) messages.push(...page.messages);
      }
      const result = { messages, low, end, committed };
      client.add("dump", to, call, at, "ok", result);
    }
    await this.#dumpKeys(client, to);
    if (this.#plan.streams) await this.#judgeStreams(client, to);
    await this.#jobs?.judge(client, node);
    await this.#exports?.judge(client, node);
    await this.#webhooks?.judge(node);
  }

  async #judgeStreams(client: SimClient, to: SimNode): Promise<void> {
    for (const path of PATHS) {
      for (;;) {
        const request = { path, offset: "-1", maxBytes: 1 << 28, streamId: null };
        const reply = await client.call(to, ({ durable }) => durable.readStream(request));
        const page = reply?.value ?? null;
        if (page?.ok === true) {
          const { streamId, closed } = page;
          this.#ledger.judge(path, { streamId, closed, values: streamPageOf(page).values });
          break;
        }
        if (page?.code === "stream_not_found" || page?.code === "stream_gone") {
          this.#ledger.judge(path, null);
          break;
        }
        await client.sleep(CONVERGED_MS);
      }
    }
  }

  /** Damage may have to be repaired first, which needs links. */
  async #readAll(
    client: SimClient,
    to: SimNode,
    node: NonNullable<SimNode["node"]>,
    at: { readonly topic: string; readonly partition: number; readonly group: string },
  ) {
    for (;;) {
      const reply = await client.call(to, async () => {
        const request = { ...at, offset: 0, limit: 1_000_000, maxBytes: 1 << 28 };
        const page = await node.consume({ ...request, linearizable: false });
        return page.ok ? pageOf(page, 1_000_000) : null;
      });
      if (reply?.value) return reply.value;
      await client.sleep(CONVERGED_MS);
    }
  }

  async #dumpKeys(client: SimClient, to: SimNode): Promise<void> {
    const { node } = to;
    if (node === null) return;
    const call = this.#recorder.now();
    const page = await node.kvList({ namespace: NAMESPACE, prefix: "", after: "", limit: 1000 });
    const entries: [string, string, number][] = [];
    for (const { key } of page.keys) {
      const value = await node.kvGet({ namespace: NAMESPACE, key, linearizable: false });
      if (value.ok) entries.push([key, new TextDecoder().decode(value.value), value.cas]);
    }
    client.add("kv-dump", to, call, { ns: NAMESPACE }, "ok", { entries });
  }

  #judge(): void {
    const verdict = checkHistory(this.#recorder.operations, {
      wrongClocks: this.#plan.faults.includes("clock-jump"),
    });
    if (verdict.kind === "violation") this.#fail(verdict.rule, shownVerdict(verdict));
    if (verdict.kind === "invalid") this.cluster.count("searches given up");
  }

  #fail(rule: string, message: string): void {
    this.cluster.fail(new SimViolation(rule, message));
  }

  report(): Report {
    const { cluster } = this;
    for (const [what, many] of Object.entries(this.#ledger.counts)) {
      for (let i = 0; i < many; i++) cluster.count(`streams: ${what}`);
    }
    for (const { instruments } of cluster.nodes) {
      for (const [effect, many] of effectsOn(instruments)) {
        for (let i = 0; i < many; i++) cluster.count(effect);
      }
    }
    const { operations } = this.#recorder;
    const acknowledged = operations.filter(
      ({ op, outcome }) => op === "produce" && outcome === "ok",
    );
    return {
      plan: this.#plan,
      violation: cluster.violation,
      events: cluster.events,
      simulatedMs: cluster.queue.elapsedMs,
      hash: cluster.hash,
      effects: cluster.effects,
      operations: operations.length,
      acknowledged: acknowledged.length,
      leaderChanges: this.#ghost.leaderChanges,
      applied: this.#ghost.highestApplied,
    };
  }
}

const shownVerdict = ({
  message,
  operations,
}: {
  message: string;
  operations: readonly object[];
}) => `${message}\n${operations.map((one) => `  ${JSON.stringify(one).slice(0, 600)}`).join("\n")}`;

async function produceUntilDone(actor: Actor): Promise<void> {
  while (!(await actor.produce(true))) await actor.client.sleep(50);
}

function stateOf(node: NonNullable<SimNode["node"]>) {
  const { appliedIndex } = node.health();
  const topics = node.listTopics().map(({ topic }) => node.describeTopic(topic));
  return { appliedIndex, topics };
}

/** How often something happened to a node, by its instruments. */
function effectsOn(instruments: Instruments): (readonly [effect: string, times: number])[] {
  const repairs = Object.entries(instruments.repairs);
  return [
    ...repairs.map(([kind, { value }]) => [`repaired ${kind}`, value] as const),
    ["node with shared files", instruments.sharedFileBytes.value > 0 ? 1 : 0],
    ["node with garbage in shared files", instruments.sharedGarbageBytes.value > 0 ? 1 : 0],
    ["merged write", instruments.journalMergedWrites.value],
    ["forwarded", instruments.forwardedServed.value],
    ["forwarded again", instruments.forwardedAgain.value],
    ["forwarded, outcome unknown", instruments.forwardedUnknown.value],
    ["not forwarded", instruments.forwardedUnsent.value],
  ];
}
