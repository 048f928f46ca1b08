// Goal: after a crash a view is exact: every record counts once, also those that are deleted by
// now. Method: a view of 10,000 groups is killed under load again and again; after each start its
// counts are compared with a recount of the whole topic, and that with what was acknowledged.
import { afterAll, expect, test } from "bun:test";
import { Client } from "../tools/crash/client.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";

const KILLS = Number(process.env["KILLS"] ?? 5);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const GROUPS = 10_000;
const PARTITIONS = 2;
const WRITERS = 8;
const LINES = 200;

const directory = temporaryDirectory();
if (process.env["KEEP"] === undefined) afterAll(directory.remove);

// Tiny files, so that checkpoints with the saved view happen in every life.
const env = {
  RF_JOURNAL_SEGMENT_BYTES: String(1024 * 1024),
  RF_SEGMENT_BYTES: String(256 * 1024),
  RF_CHECKPOINT_BYTES: String(2 * 1024 * 1024),
  RF_LOG_LEVEL: "warn",
};

/** Records and their sum, by group. */
type Totals = Map<string, { count: number; sum: number }>;

function add(totals: Totals, group: string, x: number, count = 1): void {
  const entry = totals.get(group);
  if (entry === undefined) totals.set(group, { count, sum: x });
  else {
    entry.count += count;
    entry.sum += x;
  }
}

const lineOf = (group: number, x: number): string => `{"g":"g${group}","x":${x}}`;
const linesPath = (partition: number): string =>
  `/broker/topics/viewed/produce-ndjson?partition=${partition}`;

/** Everything that the topic holds. */
async function recount(client: Client): Promise<Totals> {
  const totals: Totals = new Map();
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (let offset = 0; ; ) {
      const path = `/broker/consume/viewed/recount/${partition}?offset=${offset}&limit=1000`;
      const page = await client.must("GET", path);
      for (const { value } of page["messages"] as { value: string }[]) {
        const { g, x } = JSON.parse(value) as { g: string; x: number };
        add(totals, g, x);
      }
      if (page["count"] === 0) break;
      offset = page["next_offset"] as number;
    }
  }
  return totals;
}

async function viewTotals(client: Client): Promise<Totals> {
  for (let i = 0; i < 600; i++) {
    const body = await client.must("GET", "/broker/views/by-group");
    if (body["lag"] !== 0) {
      await Bun.sleep(25);
      continue;
    }
    expect((body["source"] as Record<string, unknown>)["skipped"]).toBe(0);
    const totals: Totals = new Map();
    for (const row of body["aggregates"] as { key: string; count: number; sum_x: number }[]) {
      add(totals, row.key.slice("g=".length), row.sum_x, row.count);
    }
    return totals;
  }
  throw new Error("the view does not catch up");
}

function together(a: Totals, b: Totals): Totals {
  const sum: Totals = new Map();
  for (const totals of [a, b]) {
    for (const [group, { count, sum: x }] of totals) add(sum, group, x, count);
  }
  return sum;
}

function expectSame(view: Totals, wanted: Totals, when: string): void {
  expect(view.size, when).toBe(wanted.size);
  for (const [group, totals] of wanted) {
    const found = view.get(group);
    if (found?.count === totals.count && found.sum === totals.sum) continue;
    throw new Error(
      `${when}: ${group} is ${JSON.stringify(found)} instead of ${JSON.stringify(totals)}`,
    );
  }
}

/** Acknowledged records are there; records that are there were at least sent. */
function expectWithin(found: Totals, acked: Totals, sent: Totals): void {
  for (const [group, { count }] of acked) {
    expect(found.get(group)?.count ?? 0).toBeGreaterThanOrEqual(count);
  }
  for (const [group, { count }] of found) {
    expect(count).toBeLessThanOrEqual(sent.get(group)?.count ?? 0);
  }
}

class Load {
  readonly acked: Totals = new Map();
  readonly sent: Totals = new Map();
  ackedRecords = 0;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Every group once, in both partitions. */
  async preload(client: Client): Promise<void> {
    for (let from = 0; from < GROUPS; from += 1000) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const groups = Array.from({ length: 1000 }, (_, i) => from + i);
        const sent = await this.#send(client, partition, groups);
        expect(sent).toBe(true);
      }
    }
  }

  async run(client: Client, isStopped: () => boolean): Promise<void> {
    const writer = async () => {
      while (!isStopped()) {
        const groups = Array.from({ length: LINES }, () => this.#random.below(GROUPS));
        if (!(await this.#send(client, this.#random.below(PARTITIONS), groups))) return;
      }
    };
    await Promise.all(Array.from({ length: WRITERS }, writer));
  }

  async #send(client: Client, partition: number, groups: readonly number[]): Promise<boolean> {
    const records = groups.map((group) => ({ group, x: this.#random.below(1000) }));
    for (const { group, x } of records) add(this.sent, `g${group}`, x);
    const body = records.map(({ group, x }) => lineOf(group, x)).join("\n");
    const answer = await client.send("POST", linesPath(partition), body);
    if (answer?.status !== 200) return false;
    for (const { group, x } of records) add(this.acked, `g${group}`, x);
    this.ackedRecords += records.length;
    return true;
  }
}

async function begin(client: Client, load: Load): Promise<void> {
  await client.must("POST", "/broker/topics", JSON.stringify({ name: "viewed", partitions: 2 }));
  const view = {
    source: { topic: "viewed" },
    aggregate: { group_by: ["g"], measures: [{ op: "sum", field: "x" }] },
  };
  await client.must("PUT", "/broker/views/by-group", JSON.stringify(view));
  await load.preload(client);
  expect((await viewTotals(client)).size).toBe(GROUPS);
}

/** All of partition 0 goes: from now on only what the view saved knows of it. */
async function deleteRead(client: Client): Promise<Totals> {
  const before = await recount(client);
  const body = { topic: "viewed", partition: 0, before_offset: GROUPS };
  await client.must("POST", "/broker/delete-before", JSON.stringify(body));
  const after = await recount(client);
  const deleted: Totals = new Map();
  for (const [group, { count, sum }] of before) {
    const left = after.get(group);
    add(deleted, group, sum - (left?.sum ?? 0), count - (left?.count ?? 0));
  }
  return deleted;
}

test(
  `a view of ${GROUPS} groups is exact after ${KILLS} kills (SEED=${SEED} KILLS=${KILLS} bun test test/crash/views.test.ts)`,
  async () => {
    const random = new Random(SEED);
    const load = new Load(random);
    let server: Server = await startServer({ dataDir: directory.path, env });
    try {
      await begin(new Client(server.url), load);
      // A graceful stop saves the view, so that its records may go.
      expect(await server.stop()).toBe(0);
      server = await startServer({ dataDir: directory.path, env });
      const deleted = await deleteRead(new Client(server.url));
      for (let life = 1; life <= KILLS; life++) {
        let isStopped = false;
        const writing = load.run(new Client(server.url), () => isStopped);
        await Bun.sleep(200 + random.below(1500));
        server.process.kill("SIGKILL");
        isStopped = true;
        await Promise.all([server.process.exited, writing]);
        server = await startServer({ dataDir: directory.path, env });
        const client = new Client(server.url);
        const all = together(deleted, await recount(client));
        expectWithin(all, load.acked, load.sent);
        expectSame(await viewTotals(client), all, `after kill ${life}`);
      }
      console.log(`${KILLS} kills, ${load.ackedRecords} acknowledged records, all counted once`);
    } finally {
      await server.kill();
    }
  },
  10 * 60_000,
);
