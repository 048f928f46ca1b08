// Goal: a server shares files from 100 streams on, and everything that reads a data directory knows them:
// the next start, verify, backup and restore. Method: a real server, whose files are looked at when it has
// stopped.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BunDisk } from "../../src/env/bun-disk.ts";
import { verifyDataDir } from "../../src/offline/verify.ts";
import { download, SMALL_FILES } from "../tools/backup/sample.ts";
import { Client } from "../tools/crash/client.ts";
import { ayder } from "../tools/process/ayder.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);

const STREAMS = 120;
const directory = temporaryDirectory();
afterAll(directory.remove);
const dataDir = join(directory.path, "data");
const archive = join(directory.path, "backup");
const headers = { authorization: "Bearer dev", "content-type": "text/plain" };

async function put(server: Server, path: string, body: string): Promise<void> {
  const answer = await fetch(`${server.url}/v1/stream/${path}`, { method: "PUT", headers, body });
  expect(answer.status).toBe(201);
}

async function read(server: Server, path: string): Promise<string> {
  const answer = await fetch(`${server.url}/v1/stream/${path}?offset=-1`, { headers });
  expect(answer.status).toBe(200);
  return await answer.text();
}

const sharedIn = (path: string, root = "partitions"): string[] =>
  readdirSync(join(path, "shards/0", root, "shared"));

const verify = (path: string) =>
  verifyDataDir({
    disk: BunDisk.readOnly(path),
    inUse: false,
    nextTurn: () => new Promise((resolve) => setImmediate(resolve)),
  });

beforeAll(async () => {
  const server = await startServer({ dataDir, env: SMALL_FILES });
  const client = new Client(server.url);
  for (let i = 0; i < 99; i++) await put(server, `s/${i}`, `content ${i}`);
  await client.must("POST", "/admin/compact");
  // With 99 partitions each has a file of its own.
  expect(readdirSync(join(dataDir, "shards/0/partitions"))).not.toContain("shared");
  expect(readFileSync(join(dataDir, "FORMAT"), "utf8")).toContain('"format":1');
  for (let i = 99; i < STREAMS; i++) await put(server, `s/${i}`, `content ${i}`);
  for (let i = 0; !readdirSync(join(dataDir, "shards/0/partitions")).includes("shared"); i++) {
    await put(server, `t/${i}`, "more");
    await client.must("POST", "/admin/compact");
  }
  for (let i = 0; i < 30; i++) await put(server, `u/${i}`, `late ${i}`);
  await client.must("POST", "/admin/compact");
  writeFileSync(archive, await download(server.url));
  await server.stop();
});

test("the format of the directory tells earlier versions that they cannot read it", () => {
  expect(readFileSync(join(dataDir, "FORMAT"), "utf8")).toContain('"format":2');
  expect(sharedIn(dataDir).length).toBeGreaterThan(0);
});

test("the next start has all streams, and appends to them", async () => {
  const copy = join(directory.path, "copy");
  cpSync(dataDir, copy, { recursive: true });
  const server = await startServer({ dataDir: copy, env: SMALL_FILES });
  for (const i of [0, 98, 99, STREAMS - 1]) {
    expect(await read(server, `s/${i}`)).toBe(`content ${i}`);
  }
  const url = `${server.url}/v1/stream/u/7`;
  const answer = await fetch(url, { method: "POST", headers, body: " and more" });
  expect(answer.status).toBe(204);
  expect(await read(server, "u/7")).toBe("late 7 and more");
  await server.kill();
  const again = await startServer({ dataDir: copy, env: SMALL_FILES });
  expect(await read(again, "u/7")).toBe("late 7 and more");
  // Measured once a second.
  const metrics = () => fetch(`${again.url}/metrics`, { headers }).then((answer) => answer.text());
  while (!/^ayder_shared_files_bytes [1-9]/m.test(await metrics())) await Bun.sleep(50);
  await again.stop();
  expect((await verify(copy)).findings).toEqual([]);
});

test("verify names the file, the place and the partition of a damaged piece", async () => {
  expect((await verify(dataDir)).findings).toEqual([]);
  const copy = join(directory.path, "damaged");
  cpSync(dataDir, copy, { recursive: true });
  const name = sharedIn(copy).at(-1) ?? "";
  const file = join(copy, "shards/0/partitions/shared", name);
  const bytes = readFileSync(file);
  const at = bytes.indexOf("late 7");
  bytes[at] = 76;
  writeFileSync(file, bytes);
  const { findings } = await verify(copy);
  expect(findings).toMatchObject([{ kind: "damage", file: `shards/0/partitions/shared/${name}` }]);
  expect(findings[0]?.position).toBeGreaterThan(at - 100);
  expect(findings[0]?.position).toBeLessThan(at);
  expect(findings[0]?.problem).toMatch(/^records of topic \d+, partition 0: /);
});

type Shown = Record<string, unknown>;

async function inspect(...args: string[]): Promise<{ code: number; err: string; rows: Shown[] }> {
  const { code, out, err } = await ayder(["inspect", ...args, "--json"]);
  const lines = out.split("\n").filter((line) => line !== "");
  return { code, err, rows: lines.map((line) => JSON.parse(line) as Shown) };
}

test("inspect shows where the records of each stream lie", async () => {
  const { code, err, rows } = await inspect("shared", dataDir);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const files = rows.filter(({ kind }) => kind === "shared_file");
  expect(files.map(({ file }) => file)).toEqual(
    sharedIn(dataDir).map((name) => `shards/0/partitions/shared/${name}`),
  );
  // Pieces and garbage fill each file to its end, without a gap.
  for (const { file, bytes, pieces, garbage_bytes: garbage } of files) {
    const parts = rows.filter((row) => row["file"] === file && row["kind"] !== "shared_file");
    let end = 0;
    for (const part of parts) {
      expect(part["position"]).toBe(end);
      end += Number(part["bytes"]);
    }
    expect(end).toBe(Number(bytes));
    const ofKind = (kind: string) => parts.filter((part) => part["kind"] === kind);
    expect(ofKind("piece").length).toBe(Number(pieces));
    const sum = ofKind("garbage").reduce((total, part) => total + Number(part["bytes"]), 0);
    expect(sum).toBe(Number(garbage));
  }
  const piece = rows.find(({ stream }) => stream === "u/7");
  expect(piece).toMatchObject({
    kind: "piece",
    partition: 0,
    base_offset: 0,
    last_offset: 0,
    damage: null,
  });
  const { file, position, topic_id: topicId } = piece ?? {};
  const place = join(dataDir, `shards/0/partitions/${topicId}-0`);
  const records = await inspect("partition", place, "--records");
  expect(records).toMatchObject({ code: 0, rows: [{ offset: 0, value: "late 7" }] });
  expect((await inspect("partition", place)).rows).toMatchObject([{ file, position, count: 1 }]);
  const one = await inspect("shared", join(dataDir, String(file)));
  expect(one.rows.filter(({ kind }) => kind === "shared_file")).toMatchObject([{ file }]);
  const [head] = (await inspect("checkpoint", dataDir)).rows;
  expect(head).toMatchObject({
    shared_files: files.length,
    pieces: rows.filter(({ kind }) => kind === "piece").length,
  });
});

test("inspect finds the damaged piece, shows the others, and tells a missing file", async () => {
  const copy = join(directory.path, "inspected");
  cpSync(dataDir, copy, { recursive: true });
  const name = sharedIn(copy).at(-1) ?? "";
  const path = join(copy, "shards/0/partitions/shared", name);
  const bytes = readFileSync(path);
  const at = bytes.indexOf("late 7");
  bytes[at] = 76;
  writeFileSync(path, bytes);
  const { code, err, rows } = await inspect("shared", copy);
  const damaged = rows.filter(({ damage }) => damage !== null && damage !== undefined);
  expect(damaged).toMatchObject([{ stream: "u/7", damage: { reason: expect.any(String) } }]);
  const { position } = (damaged[0]?.["damage"] ?? { position: -1 }) as { position: number };
  expect(position).toBeGreaterThan(at - 100);
  expect(position).toBeLessThan(at);
  expect(rows.length).toBe((await inspect("shared", dataDir)).rows.length);
  expect(code).toBe(1);
  expect(err).toContain(`shards/0/partitions/shared/${name} at byte ${position}: `);
  expect(err).toContain("1 piece is damaged");
  const topicId = damaged[0]?.["topic_id"];
  const place = join(copy, `shards/0/partitions/${topicId}-0`);
  expect(await inspect("partition", place)).toMatchObject({ code: 1, rows: [] });
  rmSync(path);
  const missing = await inspect("shared", copy);
  expect(missing.code).toBe(1);
  expect(missing.err).toContain("the file is missing");
  expect((await inspect("shared", join(copy, "shards"))).code).not.toBe(0);
});

test("a backup with shared files has a format of its own, and its restore has all streams", async () => {
  const shown = await ayder(["inspect", "snapshot", archive, "--json"]);
  expect(shown.out).toContain('"s/');
  const restored = join(directory.path, "restored");
  const { code, err } = await ayder(["restore", archive, "--data-dir", restored]);
  expect({ code, err }).toMatchObject({ code: 0 });
  expect(readFileSync(join(restored, "FORMAT"), "utf8")).toContain('"format":2');
  expect(sharedIn(restored, "partitions@1").length).toBeGreaterThan(0);
  expect((await verify(restored)).findings).toEqual([]);
  const server = await startServer({ dataDir: restored, env: SMALL_FILES });
  expect(await read(server, "s/5")).toBe("content 5");
  expect(await read(server, "u/29")).toBe("late 29");
  await server.stop();
});
