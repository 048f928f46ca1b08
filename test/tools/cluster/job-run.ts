/** Three processes with a queue, delayed records and a schedule, whose nodes are killed and paused. */
import { type DeadLetter, JobLedger } from "../queue/job-ledger.ts";
import { Random } from "../random.ts";
import { Cluster } from "./cluster.ts";

const PARTITIONS = 2;
const KEYS = 40;
const WORKERS = 6;
const MAX_DELIVERIES = 4;
const VISIBILITY_MS = 700;
const SLOT_MS = 1_000;
const PATIENCE_MS = 120_000;
const ANSWER_MS = 6_000;
const PAGE = 1_000;
/** So many are produced however slow the machine is. Each kind of record is among them. */
const RECORDS_MIN = 60;

type Json = Record<string, unknown>;
export type JobOptions = {
  readonly seed: number;
  readonly seconds: number;
  readonly directory: string;
};
export type JobReport = {
  readonly faults: number;
  readonly records: number;
  readonly deliveries: number;
  readonly dead: number;
  readonly later: number;
  readonly slots: number;
};

export class JobRun {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #seed: number;
  readonly #seconds: number;
  readonly #ledger = new JobLedger(MAX_DELIVERIES, true);
  #records = 0;
  #later = 0;
  #faults = 0;
  /** Nothing is produced or disturbed any more, and workers acknowledge. */
  #isCalm = false;
  #stopped = false;

  constructor({ seed, seconds, directory }: JobOptions) {
    this.#seed = seed;
    this.#seconds = seconds;
    this.#random = new Random(seed);
    this.#cluster = new Cluster({
      size: 3,
      directory,
      network: "direct",
      environment: {
        RF_CHECKPOINT_BYTES: String(64 * 1024),
        RF_HA_FOLLOWER_WRITES: "forward",
      },
    });
  }

  /** @throws what a queue or a schedule must not do. */
  async run(): Promise<JobReport> {
    try {
      await this.#begin();
      const working = Promise.all(Array.from({ length: WORKERS }, (_, i) => this.#work(i)));
      const producing = this.#produce();
      await this.#disturb();
      this.#isCalm = true;
      await producing;
      const described = await this.#drained();
      this.#stopped = true;
      await working;
      return await this.#judge(described);
    } finally {
      this.#stopped = true;
      await this.#cluster.stop();
    }
  }

  async #begin(): Promise<void> {
    this.#cluster.startInitialMembers();
    for (const name of ["jobs", "later", "cron"]) {
      await this.#must("POST /broker/topics", { name, partitions: PARTITIONS });
    }
    await this.#must("PUT /broker/queues/work", {
      topic: "jobs",
      visibility_ms: VISIBILITY_MS,
      max_deliveries: MAX_DELIVERIES,
      backoff_ms: [50],
      order: "key",
    });
    const cron = { cron: "* * * * * *", topic: "cron", value: "tick", catch_up: "all" };
    await this.#must("PUT /broker/schedules/each", cron);
  }

  async #produce(): Promise<void> {
    for (let i = 0; !this.#isCalm || i < RECORDS_MIN; i++) {
      const value = i % 50 === 7 ? `poison ${i}` : `job ${i}`;
      const query = `key=k${i % KEYS}&idempotency_key=job-${i}`;
      await this.#must(`POST /broker/topics/jobs/produce?${query}`, value);
      this.#records++;
      if (i % 10 !== 0) continue;
      const delay = `delay_ms=${this.#random.below(3_000)}&idempotency_key=later-${this.#later}`;
      await this.#must(`POST /broker/topics/later/produce?${delay}`, `later ${this.#later}`);
      this.#later++;
    }
  }

  /** Kills and pauses nodes, mostly the leader, one at a time. */
  async #disturb(): Promise<void> {
    const end = Date.now() + this.#seconds * 1_000;
    while (Date.now() < end) {
      await this.#progress();
      await Bun.sleep(300 + this.#random.below(1_000));
      const leader = (await this.#cluster.leader())?.node ?? null;
      const any = this.#random.pick(this.#cluster.running);
      const node = leader === null || this.#random.below(4) === 0 ? any : leader;
      this.#faults++;
      if (this.#random.below(3) === 0) {
        node.pause();
        await Bun.sleep(500 + this.#random.below(2_000));
        node.resume();
      } else {
        await node.kill();
        await Bun.sleep(300 + this.#random.below(700));
        this.#cluster.start(node);
      }
    }
  }

  /** Otherwise faults on a busy machine follow each other faster than leaders. */
  async #progress(): Promise<void> {
    const before = this.#records;
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await Bun.sleep(50)) {
      if (this.#records > before) return;
    }
    throw new Error(`no record was produced in ${PATIENCE_MS} ms`);
  }

  async #work(worker: number): Promise<void> {
    const random = new Random(this.#seed * 10 + worker);
    while (!this.#stopped) {
      const askedAt = Date.now();
      const answer = await this.#ask("POST /broker/queues/work/receive?max=5&wait_ms=500");
      const toldAt = Date.now();
      const messages = (answer?.["messages"] ?? []) as Json[];
      for (const { partition, offset, key, attempt } of messages) {
        const place = `${partition}/${offset}`;
        this.#ledger.given({ place, key: String(key), attempt: Number(attempt), askedAt, toldAt });
      }
      for (const message of messages) await this.#settle(random, message);
    }
  }

  async #settle(random: Random, message: Json): Promise<void> {
    const { partition, offset, attempt, receipt, value } = message;
    const place = `${partition}/${offset}`;
    const dice = random.below(10);
    // A worker that dies, one that is too late, one that gives up, and one that works.
    if (dice === 0 && !this.#isCalm) return;
    if (dice === 1 && !this.#isCalm) await Bun.sleep(VISIBILITY_MS + random.below(600));
    const receipts = [receipt];
    if (String(value).startsWith("poison") || (dice === 2 && !this.#isCalm)) {
      const body = { receipts, delay_ms: random.below(100) };
      await this.#ask("POST /broker/queues/work/nack", body);
      return;
    }
    const askedAt = Date.now();
    const answer = await this.#ask("POST /broker/queues/work/ack", { receipts });
    const [result] = (answer?.["results"] ?? []) as Json[];
    if (result === undefined) this.#ledger.uncertain(place, askedAt);
    else if (result["ok"] === true) {
      this.#ledger.acked(place, Number(attempt), askedAt, Date.now());
    }
  }

  /** Everything is finished. @returns the description of the queue. */
  async #drained(): Promise<Json> {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await Bun.sleep(100)) {
      const queue = await this.#must("GET /broker/queues/work");
      const left = Number(queue["ready"]) + Number(queue["in_flight"]) + Number(queue["delayed"]);
      const finished = Number(queue["acked"]) + Number(queue["dead"]);
      if (left === 0 && finished >= this.#records) return queue;
    }
    throw new Error(`the queue was not worked off in ${PATIENCE_MS} ms`);
  }

  async #judge(queue: Json): Promise<JobReport> {
    const dead = (await this.#read("work.dead", 1)).map(({ headers }): DeadLetter => {
      const its = headers as Record<string, string>;
      const place = `${its["dead-partition"]}/${its["dead-offset"]}`;
      return { place, attempts: Number(its["dead-attempts"]) };
    });
    this.#ledger.finish(dead, { acked: Number(queue["acked"]), dead: Number(queue["dead"]) });
    if (Number(queue["acked"]) + dead.length !== this.#records) {
      throw new Error(`${this.#records} records: ${queue["acked"]} acked, ${dead.length} dead`);
    }
    await this.#must("DELETE /broker/schedules/each");
    const waiting = async () =>
      ((await this.#must("GET /broker/schedules?topic=later"))["schedules"] as Json[]).length;
    while ((await waiting()) > 0) await Bun.sleep(100);
    const later = (await this.#read("later", PARTITIONS)).map(({ value }) => String(value)).sort();
    const expected = Array.from({ length: this.#later }, (_, i) => `later ${i}`).sort();
    if (JSON.stringify(later) !== JSON.stringify(expected)) {
      throw new Error(`delayed records: ${later.length} of ${expected.length} came: ${later}`);
    }
    const slots = (await this.#read("cron", PARTITIONS))
      .map(({ headers }) => Number((headers as Json)["scheduled-for-ms"]))
      .sort((a, b) => a - b);
    const isNext = (slot: number, at: number) => slot === (slots[0] ?? 0) + at * SLOT_MS;
    if (!slots.every(isNext)) throw new Error(`slots came twice or never: ${slots.join(" ")}`);
    return {
      faults: this.#faults,
      records: this.#records,
      deliveries: this.#ledger.deliveries,
      dead: dead.length,
      later: later.length,
      slots: slots.length,
    };
  }

  /** One attempt at any node. @returns null if no success was answered. */
  async #ask(line: string, body?: Json | string): Promise<Json | null> {
    const [method = "", path = ""] = line.split(" ");
    const { running } = this.#cluster;
    if (running.length === 0) {
      await Bun.sleep(20);
      return null;
    }
    const address = this.#cluster.httpAddress(this.#random.pick(running));
    const base = address.includes("://") ? address : `http://${address}`;
    const text = typeof body === "string" ? body : JSON.stringify(body);
    try {
      const answer = await fetch(base + path, {
        method,
        headers: { authorization: "Bearer dev" },
        signal: AbortSignal.timeout(ANSWER_MS),
        ...(text === undefined ? {} : { body: text }),
      });
      const json = (await answer.json()) as Json;
      return answer.status === 200 ? json : null;
    } catch {
      return null;
    }
  }

  async #must(line: string, body?: Json | string): Promise<Json> {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await Bun.sleep(50)) {
      const answer = await this.#ask(line, body);
      if (answer !== null) return answer;
    }
    throw new Error(`no success: ${line}`);
  }

  /** All records of a topic. */
  async #read(topic: string, partitions: number): Promise<Json[]> {
    const all: Json[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      for (let offset = 0; ; ) {
        const query = `offset=${offset}&limit=${PAGE}&consistency=linearizable`;
        const page = await this.#must(`GET /broker/consume/${topic}/judge/${partition}?${query}`);
        const messages = page["messages"] as Json[];
        if (messages.length === 0) break;
        all.push(...messages);
        offset = Number(page["next_offset"]);
      }
    }
    return all;
  }
}
