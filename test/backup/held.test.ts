// Goal: the files that a backup names stay until they are sent, even if their records are deleted
// meanwhile. Afterwards, or when the client leaves, they are deleted. Method: a download that
// pauses in the middle of 32 MiB, while all records are deleted and checkpoints are taken.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { restoreTo } from "../tools/backup/sample.ts";
import { Client } from "../tools/crash/client.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);
const MIB = 1024 * 1024;
const RECORDS = 32;
const headers = { authorization: "Bearer dev" };

const directory = temporaryDirectory();
const dataDir = join(directory.path, "origin");
let server: Server;
let client: Client;

beforeAll(async () => {
  const env = { RF_SEGMENT_BYTES: String(2 * MIB), RF_LOG_LEVEL: "warn" };
  server = await startServer({ dataDir, env });
  client = new Client(server.url);
  await client.must("POST", "/broker/topics", '{"name":"t","partitions":1}');
});
afterAll(async () => {
  await server.kill();
  directory.remove();
});

const segments = () => {
  const partition = join(dataDir, "shards/0/partitions/1-0");
  if (!existsSync(partition)) return 0;
  return readdirSync(partition).filter((name) => name.endsWith(".seg")).length;
};

let end = 0;
async function fillPartition(): Promise<void> {
  const value = "v".repeat(MIB - 10);
  for (let i = 0; i < RECORDS; i++, end++) {
    await client.must("POST", "/broker/topics/t/produce?partition=0", `${end} ${value}`);
  }
}

/** Deletes all records, and gives up every checkpoint that has them. */
async function deleteAll(): Promise<void> {
  const body = JSON.stringify({ topic: "t", partition: 0, before_offset: end });
  await client.must("POST", "/broker/delete-before", body);
  for (let i = 0; i < 2; i++) {
    await client.must("POST", "/kv/ns/turn", "something new for a checkpoint");
    await client.must("POST", "/admin/compact");
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !holds(); i++) await Bun.sleep(10);
  expect(holds(), what).toBe(true);
}

test("what is deleted while it is sent arrives, and goes when it was sent", async () => {
  await fillPartition();
  const response = await fetch(`${server.url}/admin/backup`, { headers });
  const reader = response.body?.getReader();
  if (reader === undefined) throw new Error("no body");
  const parts: Uint8Array[] = [];
  const first = await reader.read();
  if (first.value !== undefined) parts.push(first.value);
  const before = segments();
  expect(before).toBeGreaterThan(RECORDS / 4);
  await deleteAll();
  expect(segments()).toBeGreaterThanOrEqual(before);
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    parts.push(read.value);
  }
  await until("the segments are gone", () => segments() <= 1);

  const restored = join(directory.path, "restored");
  await restoreTo(restored, Buffer.concat(parts));
  const again = await startServer({ dataDir: restored });
  const path = "/broker/consume/t/g/0?offset=0&limit=1000&max_bytes=1";
  const page = await new Client(again.url).must("GET", path);
  expect(page).toMatchObject({ low_watermark: 0, end_offset: RECORDS });
  expect(String((page["messages"] as { value: string }[])[0]?.value)).toStartWith("0 vvv");
  await again.kill();
});

test("a client that leaves lets go", async () => {
  await fillPartition();
  const stop = new AbortController();
  const response = await fetch(`${server.url}/admin/backup`, { headers, signal: stop.signal });
  await response.body?.getReader().read();
  await deleteAll();
  expect(segments()).toBeGreaterThan(RECORDS / 4);
  stop.abort();
  await until("the segments are gone", () => segments() <= 1);
});
