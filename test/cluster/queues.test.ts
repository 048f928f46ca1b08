// Goal: each record of a queue is finished once: acknowledged, or a dead letter with its attempts,
// while leaders and workers are killed. Records for later and the slots of a schedule come once.
// Method: workers that note what they were given and what was acknowledged, kills of the leader, and
// the promises checked over what they noted.
import { afterAll, expect, test } from "bun:test";
import { Cluster } from "../tools/cluster/cluster.ts";
import { temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";

const KILLS = Number(process.env["KILLS"] ?? 3);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const RECORDS = 600;
const LATER = 60;
const KEYS = 40;
const WORKERS = 6;
const MAX_DELIVERIES = 4;
const VISIBILITY_MS = 700;
const PATIENCE_MS = 120_000;
const TIMEOUT_MS = 300_000;

const directory = temporaryDirectory();
afterAll(directory.remove);

type Json = Record<string, unknown>;
type Given = { place: string; key: string; attempt: number; fromMs: number };
/** Result of an acknowledgement: null if the answer was lost. */
type Acked = {
  place: string;
  attempt: number;
  ok: boolean | null;
  fromMs: number;
  untilMs: number;
};

class Run {
  readonly cluster = new Cluster({
    size: 3,
    directory: directory.path,
    network: "direct",
    environment: {
      RF_CHECKPOINT_BYTES: String(64 * 1024),
      RF_HA_FOLLOWER_WRITES: "forward",
    },
  });
  readonly random = new Random(SEED);
  readonly given: Given[] = [];
  readonly acked: Acked[] = [];
  stopped = false;

  /** One attempt at any node. Null: no answer, or no success. */
  async ask(line: string, body?: Json | string): Promise<Json | null> {
    const [method = "", path = ""] = line.split(" ");
    const { running } = this.cluster;
    if (running.length === 0) return null;
    const address = this.cluster.httpAddress(this.random.pick(running));
    const base = address.includes("://") ? address : `http://${address}`;
    const text = typeof body === "string" ? body : JSON.stringify(body);
    try {
      const answer = await fetch(base + path, {
        method,
        headers: { authorization: "Bearer dev" },
        signal: AbortSignal.timeout(6_000),
        ...(text === undefined ? {} : { body: text }),
      });
      const json = (await answer.json()) as Json;
      return answer.status === 200 ? json : null;
    } catch {
      return null;
    }
  }

  async must(line: string, body?: Json | string): Promise<Json> {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await Bun.sleep(50)) {
      const answer = await this.ask(line, body);
      if (answer !== null) return answer;
    }
    throw new Error(`no success: ${line}`);
  }

  async work(worker: number): Promise<void> {
    const random = new Random(SEED * 10 + worker);
    while (!this.stopped) {
      const fromMs = Date.now();
      const answer = await this.ask("POST /broker/queues/work/receive?max=5&wait_ms=500");
      for (const message of (answer?.["messages"] ?? []) as Json[]) {
        const place = `${message["partition"]}/${message["offset"]}`;
        const attempt = Number(message["attempt"]);
        this.given.push({ place, key: String(message["key"]), attempt, fromMs });
        await this.settle(
          random,
          String(message["receipt"]),
          String(message["value"]),
          place,
          attempt,
        );
      }
    }
  }

  async settle(
    random: Random,
    receipt: string,
    value: string,
    place: string,
    attempt: number,
  ): Promise<void> {
    const dice = random.below(10);
    // A worker that dies, one that is too late, one that gives up, and one that works.
    if (dice === 0) return;
    if (dice === 1) await Bun.sleep(VISIBILITY_MS + random.below(600));
    const receipts = [receipt];
    if (dice === 2 || value.startsWith("poison")) {
      await this.ask("POST /broker/queues/work/nack", { receipts, delay_ms: random.below(100) });
      return;
    }
    const fromMs = Date.now();
    const answer = await this.ask("POST /broker/queues/work/ack", { receipts });
    const [result] = (answer?.["results"] ?? []) as Json[];
    const ok = result === undefined ? null : result["ok"] === true;
    this.acked.push({ place, attempt, ok, fromMs, untilMs: Date.now() });
  }

  async kill(): Promise<void> {
    await Bun.sleep(500 + this.random.below(1_000));
    let leader = await this.cluster.leader();
    for (; leader === null; leader = await this.cluster.leader()) await Bun.sleep(50);
    await leader.node.kill();
    await Bun.sleep(300 + this.random.below(700));
    this.cluster.start(leader.node);
  }

  /** All records of a topic. */
  async read(topic: string, partitions: number): Promise<Json[]> {
    const all: Json[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      const path = `/broker/consume/${topic}/g/${partition}?offset=0&limit=1000&consistency=linearizable`;
      all.push(...((await this.must(`GET ${path}`))["messages"] as Json[]));
    }
    return all;
  }
}

async function begin(run: Run): Promise<void> {
  run.cluster.startInitialMembers();
  for (const name of ["jobs", "later", "cron"]) {
    await run.must("POST /broker/topics", { name, partitions: 2 });
  }
  await run.must("PUT /broker/queues/work", {
    topic: "jobs",
    visibility_ms: VISIBILITY_MS,
    max_deliveries: MAX_DELIVERIES,
    backoff_ms: [50],
    order: "key",
  });
  await run.must("PUT /broker/schedules/each", {
    cron: "* * * * * *",
    topic: "cron",
    value: "tick",
    catch_up: "all",
  });
}

async function produce(run: Run): Promise<void> {
  for (let i = 0; i < RECORDS; i++) {
    const value = i % 50 === 7 ? `poison ${i}` : `job ${i}`;
    const query = `key=k${i % KEYS}&idempotency_key=job-${i}`;
    await run.must(`POST /broker/topics/jobs/produce?${query}`, value);
    if (i % 10 !== 0) continue;
    const delay = `delay_ms=${run.random.below(5_000)}&idempotency_key=later-${i / 10}`;
    await run.must(`POST /broker/topics/later/produce?${delay}`, `later ${i / 10}`);
  }
}

function checkWork(run: Run, dead: readonly Json[]): void {
  const seen = new Set<string>();
  for (const { place, attempt } of run.given) {
    expect(
      seen.has(`${place} ${attempt}`),
      `${place} was given out twice as attempt ${attempt}`,
    ).toBe(false);
    expect(attempt).toBeLessThanOrEqual(MAX_DELIVERIES);
    seen.add(`${place} ${attempt}`);
  }
  const finished = new Map<string, Acked>();
  for (const acked of run.acked) {
    if (acked.ok !== true) continue;
    expect(finished.has(acked.place), `${acked.place} was acknowledged twice`).toBe(false);
    finished.set(acked.place, acked);
  }
  for (const { place, attempt, fromMs } of run.given) {
    const acked = finished.get(place);
    if (acked === undefined || attempt <= acked.attempt) continue;
    // It was given out again, so its acknowledgement was too late, or it began before that ended.
    expect(fromMs, `${place} was given out after its acknowledgement`).toBeLessThan(acked.untilMs);
  }
  const places = dead.map(({ headers }) => {
    const its = headers as Json;
    expect(its["dead-attempts"]).toBe(String(MAX_DELIVERIES));
    return `${its["dead-partition"]}/${its["dead-offset"]}`;
  });
  expect(new Set(places).size, "no record is a dead letter twice").toBe(places.length);
  for (const place of places)
    expect(finished.has(place), `${place} is dead and acknowledged`).toBe(false);
}

test(
  `queues and schedules keep their promises over ${KILLS} kills of the leader (SEED=${SEED} KILLS=${KILLS} bun test test/cluster/queues.test.ts)`,
  async () => {
    const run = new Run();
    try {
      await begin(run);
      const working = Promise.all(Array.from({ length: WORKERS }, (_, i) => run.work(i)));
      const producing = produce(run);
      for (let kill = 0; kill < KILLS; kill++) await run.kill();
      await producing;
      let queue: Json = {};
      for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await Bun.sleep(100)) {
        queue = await run.must("GET /broker/queues/work");
        const left = Number(queue["ready"]) + Number(queue["in_flight"]) + Number(queue["delayed"]);
        if (left === 0 && Number(queue["acked"]) + Number(queue["dead"]) >= RECORDS) break;
      }
      run.stopped = true;
      await working;
      const dead = await run.read("work.dead", 1);
      expect({ acked: queue["acked"], dead: queue["dead"] }).toEqual({
        acked: RECORDS - dead.length,
        dead: dead.length,
      });
      expect(dead.length).toBeGreaterThanOrEqual(RECORDS / 50);
      checkWork(run, dead);

      await run.must("DELETE /broker/schedules/each");
      const waiting = async () =>
        ((await run.must("GET /broker/schedules?topic=later"))["schedules"] as Json[]).length;
      while ((await waiting()) > 0) await Bun.sleep(100);
      const later = (await run.read("later", 2)).map(({ value }) => String(value)).sort();
      expect(later).toEqual(Array.from({ length: LATER }, (_, i) => `later ${i}`).sort());
      const slots = (await run.read("cron", 2))
        .map(({ headers }) => Number((headers as Json)["scheduled-for-ms"]))
        .sort((a, b) => a - b);
      expect(slots).toEqual(slots.map((_, at) => (slots[0] ?? 0) + at * 1_000));
      console.log(
        `${KILLS} kills, ${run.given.length} deliveries of ${RECORDS} records, ${dead.length} dead, ${slots.length} slots`,
      );
    } finally {
      run.stopped = true;
      await run.cluster.stop();
    }
  },
  TIMEOUT_MS,
);
