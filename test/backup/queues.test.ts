// Goal: a backup has queues, leases, waits, redrives, delayed records and schedules, and what is
// restored from it goes on with them; a receipt of before is still good. Method: a server with one
// of each; `ayder backup`, `ayder restore` elsewhere, and the same questions to both.
import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { Client } from "../tools/crash/client.ts";
import { ayder } from "../tools/process/ayder.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

type Json = Record<string, unknown>;

const HOUR_MS = 3_600_000;
const directory = temporaryDirectory();
afterAll(directory.remove);

const receive = async (client: Client, max: number): Promise<Json[]> =>
  (await client.must("POST", `/broker/queues/q/receive?max=${max}`))["messages"] as Json[];
const send = (client: Client, verb: string, body: Json): Promise<Json> =>
  client.must("POST", `/broker/queues/q/${verb}`, JSON.stringify(body));

/** Six records: acknowledged, leased, waiting, two dead ones, and one that was never given out. */
async function fill(client: Client): Promise<string> {
  await client.must("POST", "/broker/topics", '{"name":"t","partitions":1}');
  const definition = { topic: "t", visibility_ms: HOUR_MS, backoff_ms: [HOUR_MS], order: "key" };
  await client.must("PUT", "/broker/queues/q", JSON.stringify(definition));
  for (const key of ["a", "b", "c", "d", "e", "b"]) {
    await client.must("POST", `/broker/topics/t/produce?partition=0&key=${key}`, `of ${key}`);
  }
  const receipts = (await receive(client, 100)).map(({ receipt }) => receipt as string);
  const [acked, leased = "", waits, ...dead] = receipts;
  expect(dead).toHaveLength(2);
  await send(client, "ack", { receipts: [acked] });
  await send(client, "nack", { receipts: [waits] });
  await send(client, "reject", { receipts: dead });
  const delayed = `/broker/topics/t/produce?partition=0&delay_ms=${HOUR_MS}&idempotency_key=later`;
  await client.must("POST", delayed, "later");
  const cron = { cron: "0 0 1 1 *", topic: "t", value: "new year" };
  await client.must("PUT", "/broker/schedules/yearly", JSON.stringify(cron));
  return leased;
}

/** The description of everything, without what depends on the time of the question. */
async function facts(client: Client): Promise<Json> {
  const { oldest_age_ms: _age, ...queue } = await client.must("GET", "/broker/queues/q");
  const schedules = (await client.must("GET", "/broker/schedules"))["schedules"];
  return { queue, schedules };
}

test("a restore has leases, waits, dead letters, delayed records and schedules", async () => {
  const server = await startServer({ dataDir: join(directory.path, "origin") });
  const origin = new Client(server.url);
  const leased = await fill(origin);
  const before = await facts(origin);
  expect(before["queue"]).toMatchObject({ acked: 1, in_flight: 1, delayed: 1, dead: 2, ready: 1 });
  const place = join(directory.path, "queues.ayder");
  const backup = await ayder(["backup", "--url", server.url, place]);
  expect(backup).toMatchObject({ code: 0, err: "" });
  await server.kill();

  const dataDir = join(directory.path, "restored");
  expect(await ayder(["restore", place, "--data-dir", dataDir])).toMatchObject({ code: 0 });
  const second = await startServer({ dataDir });
  try {
    const client = new Client(second.url);
    expect(await facts(client)).toEqual(before);
    // The key of the last record is still leased.
    expect(await receive(client, 100)).toEqual([]);
    const late = await send(client, "ack", { receipts: [leased] });
    expect(late["results"]).toEqual([{ receipt: leased, ok: true }]);
    expect(await receive(client, 100)).toMatchObject([{ offset: 5, attempt: 1, key: "b" }]);
    const repeated = `/broker/topics/t/produce?partition=0&delay_ms=5&idempotency_key=later`;
    expect(await client.must("POST", repeated, "later")).toMatchObject({ duplicate: true });
    expect(await send(client, "redrive", { max: 1, per_second: 1 })).toMatchObject({ moved: 1 });
    const [again] = await receive(client, 1);
    expect(again).toMatchObject({ offset: 6, attempt: 1 });
  } finally {
    await second.kill();
  }
}, 120_000);
