// Goal: a backup that is taken under load has all that was acknowledged before it began, and what is
// restored from it goes on as the same log. Method: the workload of the crash tests on a real
// server; `ayder backup`, `ayder restore` elsewhere, and everything is read back.
import { afterAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { S3Server } from "../tools/backup/s3-server.ts";
import { SMALL_FILES } from "../tools/backup/sample.ts";
import { check, checkKeys } from "../tools/crash/check.ts";
import { Client } from "../tools/crash/client.ts";
import { Acknowledged } from "../tools/crash/model.ts";
import { PARTITIONS, TOPIC, Workload } from "../tools/crash/workload.ts";
import { ayder } from "../tools/process/ayder.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const ROUNDS = Number(process.env["ROUNDS"] ?? 3);
const POLICY = { topic: TOPIC, partition: null, ttl_ms: null, max_bytes: 1_000_000_000 };

const directory = temporaryDirectory();
if (process.env["KEEP"] === undefined) afterAll(directory.remove);
const s3 = new S3Server();
afterAll(() => s3.stop());

/** The records acknowledged so far. Records acknowledged later may be in the backup or not. */
function soFar(model: Acknowledged): Acknowledged {
  const copy = new Acknowledged();
  for (const [partition, records] of model.records) copy.records.set(partition, new Map(records));
  for (const [key, place] of model.keys) copy.keys.set(key, place);
  for (const [key, offset] of model.commits) copy.commits.set(key, offset);
  for (const [key, entry] of model.kv) copy.kv.set(key, { ...entry, unknown: new Set() });
  for (const [partition, floor] of model.ackedFloors) copy.ackedFloors.set(partition, floor);
  return copy;
}

/** The rest of the load, as what may be there. */
function addLater(before: Acknowledged, model: Acknowledged): void {
  for (const value of model.unknown) before.unknown.add(value);
  for (const [partition, records] of model.records) {
    const known = before.records.get(partition);
    for (const [offset, value] of records) if (!known?.has(offset)) before.unknown.add(value);
  }
  for (const [partition, floor] of model.floors) before.floors.set(partition, floor);
  for (const [key, entry] of model.kv) {
    const known = before.kv.get(key);
    for (const value of [entry.value, ...entry.unknown]) known?.unknown.add(value);
  }
}

/** A record that was acknowledged after the backup began has, if it is there, its own offset. */
async function checkPlaces(client: Client, model: Acknowledged): Promise<number> {
  let later = 0;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const acked = model.records.get(partition) ?? new Map<number, string>();
    for (let offset = 0; ; ) {
      const path = `/broker/consume/${TOPIC}/places/${partition}?offset=${offset}&limit=1000`;
      const page = await client.must("GET", path);
      for (const message of page["messages"] as { offset: number; value: string }[]) {
        const value = acked.get(message.offset);
        if (value !== undefined) expect(message.value).toBe(value);
        later++;
      }
      if (page["count"] === 0) break;
      offset = page["next_offset"] as number;
    }
  }
  return later;
}

async function setUp(client: Client): Promise<void> {
  await client.must("POST", "/broker/topics", `{"name":"${TOPIC}","partitions":${PARTITIONS}}`);
  await client.must(
    "POST",
    "/broker/retention",
    JSON.stringify({ ...POLICY, partition: undefined, ttl_ms: undefined }),
  );
  const query = `{"source":{"topic":"${TOPIC}"},"aggregate":{"group_by":["g"]}}`;
  await client.must("PUT", "/broker/views/seen", query);
}

/** @returns the last index of the log that the backup has. */
async function backUp(server: Server, place: string, env: Record<string, string>): Promise<number> {
  const run = await ayder(["backup", "--json", "--url", server.url, place], { env });
  expect(run).toMatchObject({ code: 0, err: "" });
  const told: unknown = JSON.parse(run.out);
  expect(told).toMatchObject({ ok: true, place });
  return (told as { index: number }).index;
}

async function checkRestored(
  dataDir: string,
  before: Acknowledged,
  model: Acknowledged,
  index: number,
) {
  const server = await startServer({ dataDir, env: SMALL_FILES });
  try {
    const client = new Client(server.url);
    const seen = await check(client, before, Number.MAX_SAFE_INTEGER);
    expect(await checkPlaces(client, model)).toBe(seen);
    await checkKeys(client, before, 1000);
    expect(await client.must("GET", "/broker/retention")).toMatchObject({ policies: [POLICY] });
    expect(await client.must("GET", "/broker/views/seen")).toMatchObject({ ok: true });
    // Numbers go on: neither log index nor revision of a key is given out twice.
    const produced = await client.must("POST", `/broker/topics/${TOPIC}/produce?partition=0`, "on");
    expect(produced["batch_id"]).toBeGreaterThan(index);
    const highest = Math.max(0, ...[...before.kv.values()].map(({ cas }) => cas));
    const put = await client.must("POST", "/kv/crash/after", "restore");
    expect(put["cas"]).toBeGreaterThan(highest);
    return seen;
  } finally {
    await server.kill();
  }
}

test(
  `${ROUNDS} backups under load are whole (SEED=${SEED} ROUNDS=${ROUNDS} bun test test/backup/load.test.ts)`,
  async () => {
    const random = new Random(SEED);
    const model = new Acknowledged();
    const dataDir = join(directory.path, "origin");
    const server = await startServer({ dataDir, env: SMALL_FILES });
    await setUp(new Client(server.url));
    const env = s3.environment();
    for (let round = 0; round < ROUNDS; round++) {
      let stopped = false;
      const client = new Client(server.url);
      const load = new Workload(client, model, random, `r${round}`).run(16, () => stopped);
      await Bun.sleep(300 + random.below(700));
      const before = soFar(model);
      const place =
        round % 2 === 0 ? join(directory.path, `${round}.ayder`) : `s3://backups/load/${round}`;
      const index = await backUp(server, place, env);
      await Bun.sleep(100);
      stopped = true;
      await load;
      addLater(before, model);
      const restored = join(directory.path, `restored${round}`);
      const run = await ayder(["restore", place, "--data-dir", restored], { env });
      expect(run).toMatchObject({ code: 0, err: "" });
      const seen = await checkRestored(restored, before, model, index);
      console.log(`round ${round}: ${before.recordCount} acknowledged before, ${seen} read back`);
      expect(before.recordCount).toBeGreaterThan(100);
    }
    // A restored node is a cluster of its own.
    const again = await ayder(["restore", join(directory.path, "0.ayder"), "--data-dir", dataDir]);
    expect(again.code).toBe(1);
    expect(again.err).toContain("is in use by process");
    expect(existsSync(join(dataDir, "FORMAT"))).toBe(true);
    await server.kill();
  },
  5 * 60_000,
);
