/** `ayder inspect` on the directory of a stopped server shows the data that was sent. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fill } from "../tools/backup/sample.ts";
import { Client } from "../tools/crash/client.ts";
import { ayder } from "../tools/process/ayder.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000);
const directory = temporaryDirectory();
afterAll(directory.remove);
const dataDir = join(directory.path, "data");
const archive = join(directory.path, "a.ayder");
const partitionDir = (partition: number) => join(dataDir, `shards/0/partitions/1-${partition}`);

beforeAll(async () => {
  const server = await startServer({ dataDir });
  const client = new Client(server.url);
  await fill(client);
  const path = "/broker/topics/t/produce?partition=2&key=the%20key&header.a=1";
  await client.must("POST", path, "the last record");
  await ayder(["backup", "--url", server.url, archive]);
  await server.stop();
});

type Shown = Record<string, unknown>;

async function inspect(...args: string[]): Promise<Shown[]> {
  const { code, out, err } = await ayder(["inspect", ...args, "--json"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Shown);
}

test("journal shows every entry once, with its commands", async () => {
  const rows = await inspect("journal", dataDir);
  expect(rows[0]).toMatchObject({ kind: "segment", base_index: 1 });
  const entries = rows.filter(({ kind }) => kind === "entry");
  expect(entries.map(({ index }) => index)).toEqual(entries.map((_, i) => 2 + i));
  const commands = entries.flatMap((entry) => (entry["commands"] ?? []) as Shown[]);
  expect(commands).toContainEqual({ type: "create_topic", name: "t", partitions: 3 });
  const produced = commands.filter(({ type }) => type === "produce");
  expect(produced.reduce((sum, { count }) => sum + Number(count), 0)).toBe(12 * 61 + 1);
  const keys = commands.filter(({ type }) => type === "kv_put").map(({ key }) => key);
  expect(keys).toEqual(Array.from({ length: 12 }, (_, i) => `"key${i}"`));
});

test("journal prints a range of indexes and at most --limit lines", async () => {
  const rows = await inspect("journal", dataDir, "--from", "5", "--to", "7");
  const entries = rows.filter(({ kind }) => kind === "entry");
  expect(entries.map(({ index }) => index)).toEqual([5, 6, 7]);
  expect(await inspect("journal", dataDir, "--limit", "4")).toHaveLength(4);
  const { out } = await ayder(["inspect", "journal", dataDir, "--from", "5", "--to", "5"]);
  expect(out).toMatch(/^@\d+ +entry 5 term 1 \d+ B \S+Z [a-z_]+ \w+=/m);
});

test("partition shows batches without a gap, and records as they were sent", async () => {
  let next = 0;
  for (const batch of await inspect("partition", partitionDir(2))) {
    expect(batch["base_offset"]).toBe(next);
    next = Number(batch["last_offset"]) + 1;
  }
  expect(next).toBe(241);
  const [last] = await inspect("partition", partitionDir(2), "--records", "--from", "240");
  expect(last).toMatchObject({
    offset: 240,
    key: "the key",
    value: "the last record",
    headers: { a: "1" },
  });
  const [batch] = await inspect("partition", partitionDir(2), "--from", "240");
  expect(batch).toMatchObject({ count: 1, first_keys: ['"the key"'] });
});

test("checkpoint shows the state of the machine", async () => {
  const rows = await inspect("checkpoint", dataDir);
  expect(rows[0]).toMatchObject({ term: 1, voters: ["node1"], learners: [] });
  expect(rows.find(({ kind }) => kind === "topic")).toMatchObject({
    name: "t",
    partitions: 3,
    records: 12 * 61 + 1 - 5,
    groups: ["g"],
    idempotency_keys: 12,
    max_bytes: 100_000_000,
  });
  expect(rows.find(({ kind }) => kind === "namespace")).toMatchObject({
    name: "ns",
    keys: 12,
    revision: 12,
  });
  expect(rows.find(({ kind }) => kind === "view")).toMatchObject({ name: "by-g" });
  expect(rows.find(({ kind }) => kind === "member")).toMatchObject({ id: "node1" });
});

test("hard-state shows both copies; snapshot shows an incoming snapshot or a backup", async () => {
  const [, a, b] = await inspect("hard-state", dataDir);
  expect(a).toMatchObject({ slot: "A", whole: true, term: 1, vote: "node1" });
  expect(b).toMatchObject({ slot: "B", whole: true, term: 1, vote: "node1" });
  expect(await inspect("snapshot", dataDir)).toEqual([{ receiving: false }]);
  const [head, checkpoint, ...segments] = await inspect("snapshot", archive);
  expect(head).toMatchObject({ kind: "backup", term: 1, node_id: "node1" });
  expect(checkpoint).toMatchObject({ name: "checkpoint" });
  expect(segments.length).toBe(Number(head?.["files"]) - 1);
});

test("unreadable files are named with code 1, and no file is changed", async () => {
  const copy = join(directory.path, "copy");
  cpSync(dataDir, copy, { recursive: true });
  const segment = readdirSync(join(copy, "shards/0/partitions/1-0"))[0] ?? "";
  for (const [what, file] of [
    ["partition", `shards/0/partitions/1-0/${segment.replace(".idx", ".seg")}`],
    ["journal", "shards/0/journal/0000000000000001.seg"],
  ] as const) {
    const path = join(copy, file);
    const bytes = readFileSync(path);
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const before = statSync(path).mtimeMs;
    const { code, err } = await ayder(["inspect", what, path]);
    expect(code).toBe(1);
    expect(err).toMatch(/at byte \d+: .*checksum/);
    expect(statSync(path).mtimeMs).toBe(before);
  }
  expect((await ayder(["inspect", "journal", join(copy, "absent")])).code).toBe(78);
  expect((await ayder(["inspect", "partition", copy])).code).toBe(2);
  rmSync(copy, { recursive: true });
});
