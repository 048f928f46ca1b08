/** Producers and workers of a queue, delayed records and a schedule, and how they have to end. */
import { utf8 } from "../../../src/lib/bytes.ts";
import type { ReceivedMessage, ScheduleRequest } from "../../../src/node/api.ts";
import type { Node } from "../../../src/node/node.ts";
import { encodeRecord } from "../../../src/record/batch-builder.ts";
import { produced } from "../node/as-promises.ts";
import { type DeadLetter, JobLedger } from "../queue/job-ledger.ts";
import { checkLater } from "../queue/later-rules.ts";
import type { SimClient } from "./client.ts";
import type { SimCluster } from "./cluster.ts";
import { insist, rowsOf, until } from "./team.ts";

const [JOBS, LATER, TICKS, QUEUE] = ["jobs", "later", "ticks", "work"] as const;
const DEAD = `${QUEUE}.dead`;
const PARTITIONS = 2;
const KEYS = 5;
const WORKERS = 3;
const MAX_DELIVERIES = 3;
const VISIBILITY_MS = 400;
/** Every second second, so that a clock that jumps ahead by hours does not take over the run. */
const SLOT_MS = 2_000;
const RETRY_MS = 40;
/** Shorter than a commit where the network or the disks are slow. */
const SHORT_MS = 5;

export class JobTeam {
  readonly #cluster: SimCluster;
  readonly #admin: SimClient;
  readonly #producer: SimClient;
  readonly #workers: readonly SimClient[];
  readonly #trimmer: SimClient;
  readonly #ledger: JobLedger;
  readonly #order: "key" | "none";
  /** Records that were acknowledged, by topic. */
  #jobs = 0;
  readonly #later: string[] = [];
  /** The clients that end when it is calm. */
  #producing: Promise<unknown> = Promise.resolve();
  #isCalm = false;
  #stopped = false;
  shown = "nothing was described";
  readonly #isOver = (): boolean => this.#stopped;

  constructor(cluster: SimCluster, clientOf: (name: string) => SimClient) {
    this.#cluster = cluster;
    this.#admin = clientOf("jobs admin");
    this.#producer = clientOf("jobs producer");
    this.#workers = Array.from({ length: WORKERS }, (_, i) => clientOf(`worker ${i}`));
    this.#trimmer = clientOf("jobs trimmer");
    this.#order = cluster.plan.seed % 2 === 0 ? "key" : "none";
    this.#ledger = new JobLedger(MAX_DELIVERIES, this.#order === "key");
  }

  async create(): Promise<void> {
    for (const topic of [JOBS, LATER, TICKS]) {
      await insist(this.#admin, this.#isOver, async (node) => {
        const created = await node.createTopic(topic, PARTITIONS);
        return created.ok || created.code === "topic_exists" ? { ok: true } : created;
      });
    }
    const definition = {
      topic: JOBS,
      visibilityMs: VISIBILITY_MS,
      maxDeliveries: MAX_DELIVERIES,
      backoffMs: [30, 100],
      deadLetter: DEAD,
      order: this.#order,
      maxInFlight: 20,
      from: "earliest",
    } as const;
    await insist(this.#admin, this.#isOver, (node) => node.queues.define(QUEUE, definition));
    const cron = {
      cron: "*/2 * * * * *",
      tz: "",
      topic: TICKS,
      key: null,
      catchUp: "all",
    } as const;
    const fields = { ...cron, value: utf8("tick"), headers: new Uint8Array(0) };
    await insist(this.#admin, this.#isOver, (node) => node.later.putCron("each", fields));
  }

  run(): Promise<unknown> {
    const workers = this.#workers.map((worker) => this.#work(worker));
    this.#producing = Promise.all([this.#produce(), this.#trim()]);
    return Promise.all([this.#producing, ...workers]);
  }

  stop(): void {
    this.#isCalm = true;
    this.#stopped = true;
  }

  /** All records are finished, and everything that was to come later has come. */
  async settle(): Promise<void> {
    this.#isCalm = true;
    // A record that is still being scheduled would wait when nothing waits for it any more.
    await this.#producing;
    await insist(this.#admin, this.#isOver, async (node) => {
      const deleted = await node.laterApi.deleteCron("each");
      return deleted.ok || deleted.code === "schedule_not_found" ? { ok: true } : deleted;
    });
    for (;;) {
      const described = await insist(this.#admin, this.#isOver, async (node) => {
        if ((await node.catchUp()) !== null) return { ok: false };
        const queue = await node.queues.describeQueue(QUEUE);
        const waiting = node.later.listScheduled({ topic: null, after: 0, limit: 1 });
        return queue.ok ? { ...queue, waiting: waiting.length } : queue;
      });
      const { ready, inFlight, delayed, acked, dead, lost, waiting } = described;
      this.shown = JSON.stringify({ ready, inFlight, delayed, acked, dead, lost, waiting });
      const finished = acked + dead + lost;
      const isDone = ready + inFlight + delayed + waiting === 0 && finished >= this.#jobs;
      if (isDone) return;
      await this.#admin.sleep(RETRY_MS);
    }
  }

  /** @throws BrokenRule */
  async judge(client: SimClient, node: Node): Promise<void> {
    const described = await node.queues.describeQueue(QUEUE);
    if (!described.ok) throw new Error(described.code);
    const dead = (await rowsOf(node, DEAD, PARTITIONS)).map(({ headers }): DeadLetter => {
      const place = `${headers["dead-partition"]}/${headers["dead-offset"]}`;
      return { place, attempts: Number(headers["dead-attempts"]) };
    });
    this.#ledger.finish(dead, described);
    const later = (await rowsOf(node, LATER, PARTITIONS)).map(({ value, timestamp, headers }) => ({
      ...{ value, timestamp, scheduledFor: Number(headers["scheduled-for-ms"]) },
    }));
    checkLater(this.#later, later, this.#cluster.plan.dedupeWindowMs);
    const slots = (await rowsOf(node, TICKS, PARTITIONS)).map(({ headers }) =>
      Number(headers["scheduled-for-ms"]),
    );
    slots.sort((a, b) => a - b);
    const isNext = (slot: number, at: number) =>
      at === 0 || slot === (slots[at - 1] ?? 0) + SLOT_MS;
    if (!slots.every(isNext)) throw new Error(`slots fired twice or never: ${slots.join(" ")}`);
    client.cluster.count("jobs judged");
    const { cluster } = client;
    const add = (what: string, many: number) => {
      cluster.effects.set(what, (cluster.effects.get(what) ?? 0) + many);
    };
    add("jobs delivered", this.#ledger.deliveries);
    add("jobs acknowledged", this.#ledger.acknowledged);
    add("jobs dead", dead.length);
    add("jobs deleted", described.lost);
    add("records for later", later.length);
    add("slots", slots.length);
  }

  async #produce(): Promise<void> {
    const client = this.#producer;
    const { random } = client;
    for (let i = 0; !this.#isCalm; i++) {
      await client.sleep(random.below(60));
      if (random.below(4) === 0) await this.#schedule(`later ${i}`);
      else await this.#job(i);
    }
  }

  /** Deletes the oldest jobs now and then, whatever becomes of them. */
  async #trim(): Promise<void> {
    const client = this.#trimmer;
    const { random } = client;
    while (!this.#isCalm) {
      await client.sleep(200 + random.below(800));
      const partition = random.below(PARTITIONS);
      const reply = await client.call(client.pick(), async (node) => {
        const described = node.describeTopic(JOBS);
        const its = described.ok ? described.partitionList[partition] : undefined;
        if (its === undefined) return { ok: false } as const;
        const beforeOffset = Math.min(its.endOffset, its.lowWatermark + 1 + random.below(6));
        return await node.deleteBefore({ topic: JOBS, partition, beforeOffset });
      });
      if (reply?.value.ok !== true) client.forgetLeader();
    }
  }

  async #job(i: number): Promise<void> {
    const { random } = this.#producer;
    const key = utf8(`k${i % KEYS}`);
    const partition = random.below(PARTITIONS);
    const records = encodeRecord(key, utf8(`job ${i}`));
    const request = { topic: JOBS, partition, key, idempotencyKey: utf8(`job ${i}`), records };
    const done = await until(this.#producer, this.#isOver, (node) =>
      produced(node, { ...request, timeoutMs: null, rocket: false }),
    );
    // Answers with a weaker concern promise nothing.
    const isProven = done?.synced === true && this.#cluster.plan.writeConcern.kind !== "appended";
    if (isProven) this.#jobs++;
  }

  async #schedule(value: string): Promise<void> {
    const { random } = this.#producer;
    // The same for all attempts, so that the times for which two are scheduled tell their distance.
    const request: ScheduleRequest = {
      topic: LATER,
      partition: random.below(PARTITIONS),
      key: null,
      idempotencyKey: utf8(value),
      records: encodeRecord(null, utf8(value)),
      delayMs: random.below(1_500),
      deliverAtMs: 0,
      timeoutMs: random.below(4) === 0 ? SHORT_MS : null,
      traced: false,
    };
    const done = await until(this.#producer, this.#isOver, async (node) => {
      const timeoutMs = this.#deadlineOf(request);
      const outcome = await node.laterApi.schedule({ ...request, timeoutMs });
      // A member that is lost for good has not told the leader that it knows schedules.
      const isHopeless = !outcome.ok && outcome.code === "cluster_not_upgraded" && this.#isCalm;
      const isPromised = outcome.ok && outcome.synced !== false;
      return isPromised || isHopeless
        ? ({ ok: true, isPromised } as const)
        : ({ ok: false } as const);
    });
    if (done?.isPromised === true) this.#later.push(value);
  }

  /** An answer at a deadline that is shorter than a commit proves nothing, so not all have one. */
  #deadlineOf({ timeoutMs }: ScheduleRequest): number | null {
    if (this.#isCalm) return null;
    if (!this.#cluster.plan.mixesDeadlines) return timeoutMs;
    return this.#producer.random.below(4) === 0 ? SHORT_MS : null;
  }

  async #work(client: SimClient): Promise<void> {
    const { random } = client;
    while (!this.#stopped) {
      await client.sleep(random.below(30));
      const askedAt = client.recorder.now();
      const waitMs = random.below(2) === 0 ? 0 : 150;
      // A client that has left takes no messages.
      const left = new AbortController();
      const reply = await client.call(client.pick(), (node) =>
        node.queuesApi.receive({
          queue: QUEUE,
          max: 1 + random.below(4),
          waitMs,
          visibilityMs: null,
          signal: waitMs === 0 ? null : () => left.signal,
        }),
      );
      left.abort();
      if (reply?.value.ok !== true) {
        client.forgetLeader();
        continue;
      }
      const toldAt = client.recorder.now();
      for (const message of reply.value.messages) {
        const place = `${message.partition}/${message.offset}`;
        const key = new TextDecoder().decode(message.key ?? undefined);
        this.#ledger.given({ place, key, attempt: message.attempt, askedAt, toldAt });
      }
      for (const message of reply.value.messages) await this.#settleOne(client, message);
    }
  }

  async #settleOne(client: SimClient, message: ReceivedMessage): Promise<void> {
    const { random } = client;
    const dice = this.#isCalm ? 9 : random.below(14);
    const { receipt, attempt } = message;
    const place = `${message.partition}/${message.offset}`;
    // A worker that dies, one that is too late, and one that asks for more time first.
    if (dice === 0) return;
    if (dice === 1) await client.sleep(VISIBILITY_MS + random.below(300));
    if (dice === 2) await this.#send(client, receipt, { kind: "extend", byMs: 200 });
    if (dice === 3 || dice === 4) {
      await this.#send(client, receipt, { kind: "nack", delayMs: dice === 3 ? null : 20 });
      return;
    }
    const askedAt = client.recorder.now();
    if (dice === 5) {
      this.#ledger.uncertain(place, askedAt);
      const request = { queue: QUEUE, receipts: [receipt], reason: null };
      await client.call(client.pick(), (node) => node.queuesApi.reject(request));
      return;
    }
    const reply = await this.#send(client, receipt, { kind: "ack" });
    if (reply?.ok !== true) this.#ledger.uncertain(place, askedAt);
    else if (reply.results[0] === null) {
      this.#ledger.acked(place, attempt, askedAt, client.recorder.now());
    }
  }

  async #send(
    client: SimClient,
    receipt: string,
    how: Parameters<Node["queues"]["settle"]>[0]["how"],
  ) {
    const request = { queue: QUEUE, receipts: [receipt], how };
    const reply = await client.call(client.pick(), (node) => node.queuesApi.settle(request));
    if (reply?.value.ok !== true) client.forgetLeader();
    return reply?.value ?? null;
  }
}
