// Goal: what is stored can be listed and thinned out, and nothing else is ever removed. Method: a
// directory and a bucket with backups of two clusters, one that was cut off, and other files.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { S3Server } from "../tools/backup/s3-server.ts";
import { Client } from "../tools/crash/client.ts";
import { ayder } from "../tools/process/ayder.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000);
const directory = temporaryDirectory();
const made = join(directory.path, "made");
const s3 = new S3Server();
const env: Record<string, string> = { ...s3.environment(), AYDER_TOKEN: "dev" };
const NAMES = ["one.ayder", "two.ayder", "three.ayder", "other-cluster.ayder"] as const;

beforeAll(async () => {
  mkdirSync(made);
  for (const cluster of ["first", "second"]) {
    const server = await startServer({ dataDir: join(directory.path, cluster) });
    const client = new Client(server.url);
    await client.must("POST", "/broker/topics", '{"name":"t","partitions":1}');
    for (const name of cluster === "first" ? NAMES.slice(0, 3) : NAMES.slice(3)) {
      await client.must("POST", "/broker/topics/t/produce?partition=0", "a record");
      const run = await ayder(["backup", "--url", server.url, join(made, name)], { env });
      expect(run).toMatchObject({ code: 0, err: "" });
    }
    await server.stop();
  }
});
afterAll(async () => {
  await s3.stop();
  directory.remove();
});

/** A directory with all of it. */
function filled(name: string): string {
  const path = join(directory.path, name);
  mkdirSync(join(path, "sub"), { recursive: true });
  for (const each of NAMES) copyFileSync(join(made, each), join(path, each));
  const whole = readFileSync(join(made, NAMES[0]));
  writeFileSync(join(path, "zz-cut.ayder"), whole.subarray(0, whole.length - 1));
  const flipped = Buffer.from(whole);
  const inList = whole.indexOf("checkpoint");
  flipped[inList] = (flipped[inList] ?? 0) ^ 1;
  writeFileSync(join(path, "zz-flipped.ayder"), flipped);
  writeFileSync(join(path, "notes.txt"), "not a backup");
  writeFileSync(join(path, "empty"), "");
  return path;
}

type Row = { place: string; state: string; bytes: number; cluster_id?: string; problem?: string };

async function listed(place: string): Promise<{ backups: Row[]; other_files: number }> {
  const { code, out, err } = await ayder(["backup", "list", place, "--json"], { env });
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return JSON.parse(out);
}

const namesOf = (rows: readonly Row[]) => rows.map(({ place }) => basename(place));

test("a directory: the newest first, with size, time, index and state", async () => {
  const path = filled("listed");
  const { backups, other_files } = await listed(path);
  expect(other_files).toBe(2);
  expect(namesOf(backups)).toEqual([
    "other-cluster.ayder",
    "three.ayder",
    "two.ayder",
    "one.ayder",
    "zz-cut.ayder",
    "zz-flipped.ayder",
  ]);
  const [other, three, two, one, cut, flipped] = backups;
  const bytes = statSync(join(path, "three.ayder")).size;
  expect(three).toMatchObject({ state: "complete", bytes, format: 1, term: 1, node_id: "node1" });
  expect(new Set([one, two, three].map((row) => row?.cluster_id)).size).toBe(1);
  expect(other?.cluster_id).not.toBe(three?.cluster_id);
  const whole = one?.bytes ?? 0;
  expect(cut).toMatchObject({ state: "incomplete", problem: `${whole} bytes are expected` });
  expect(flipped?.state).toBe("unreadable");
  expect(flipped?.problem).toContain("checksum differs");
});

test("a table for people, with the way to verify one", async () => {
  const path = filled("table");
  const { code, out } = await ayder(["backup", "list", path]);
  expect(code).toBe(0);
  const lines = out.split("\n");
  expect(lines[0]).toMatch(/^PLACE +TAKEN +INDEX +SIZE +NODE +CLUSTER +FORMAT +STATE$/);
  expect(lines[2]).toMatch(/three\.ayder +20\d\d-.*Z +\d+ +[\d.]+ K?i?B +node1 .* complete$/);
  expect(lines.at(-2)).toBe(
    "6 backups; 2 other files not listed; the length was compared only, ayder verify PLACE reads all of it",
  );
});

test("prune keeps the newest of each cluster, and everything that is not a whole backup", async () => {
  const path = filled("pruned");
  const before = readdirSync(path);
  const trial = await ayder(["backup", "prune", path, "--keep", "1", "--dry-run"]);
  expect(trial).toEqual({
    code: 0,
    out: `would remove ${path}/two.ayder\nwould remove ${path}/one.ayder\n4 backups kept\n`,
    err: "",
  });
  expect(readdirSync(path)).toEqual(before);
  const run = await ayder(["backup", "prune", path, "--keep", "2", "--json"]);
  expect(JSON.parse(run.out)).toEqual({
    ok: true,
    place: path,
    removed: [`${path}/one.ayder`],
    dry_run: false,
    kept: 5,
  });
  expect(readdirSync(path)).toEqual(before.filter((name) => name !== "one.ayder"));
});

test("prune removes nothing if the newest backup is damaged", async () => {
  const path = filled("damaged");
  const newest = join(path, "three.ayder");
  const bytes = readFileSync(newest);
  bytes[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 1;
  writeFileSync(newest, bytes);
  const before = readdirSync(path);
  const run = await ayder(["backup", "prune", path, "--keep", "2"]);
  expect({ code: run.code, out: run.out }).toEqual({ code: 1, out: "" });
  expect(run.err).toContain(`${newest} is not a whole backup`);
  expect(readdirSync(path)).toEqual(before);
});

test("a bucket: all pages of its prefix, little of each object is read, and pruned as well", async () => {
  const path = filled("bucket");
  for (const name of readdirSync(path)) {
    if (name !== "sub") s3.objects.set(`b/nightly/${name}`, readFileSync(join(path, name)));
  }
  const whole = readFileSync(join(made, "one.ayder"));
  const far = Buffer.concat([whole, Buffer.alloc(20 * 1024 * 1024)]);
  s3.objects.set("b/nightly/far.ayder", far);
  s3.objects.set("b/weekly/one.ayder", whole);
  s3.pageKeys = 2;
  s3.asked.length = 0;
  const { backups, other_files } = await listed("s3://b/nightly/");
  expect(other_files).toBe(2);
  expect(backups.length).toBe(7);
  expect(backups.find(({ place }) => place === "s3://b/nightly/far.ayder")).toMatchObject({
    state: "incomplete",
    bytes: far.length,
  });
  expect(s3.asked.filter((line) => line.includes("list-type=2")).length).toBe(5);
  expect((await listed("s3://b")).backups.length).toBe(8);
  const run = await ayder(["backup", "prune", "s3://b/nightly/", "--keep", "2"], { env });
  expect(run.out).toBe("removed s3://b/nightly/one.ayder\n6 backups kept\n");
  expect(s3.objects.has("b/nightly/one.ayder")).toBe(false);
  expect(s3.objects.has("b/weekly/one.ayder")).toBe(true);
});

test("a store that repeats a page for ever is given up", async () => {
  s3.pageKeys = 2;
  s3.repeatsPages = true;
  const run = await ayder(["backup", "list", "s3://b/nightly/"], { env });
  s3.repeatsPages = false;
  expect(run).toEqual({
    code: 3,
    out: "",
    err: 'ayder: s3://b/nightly/: the list begins again after "nightly/far.ayder"\n',
  });
});

test("what cannot be listed is said", async () => {
  const absent = join(directory.path, "absent");
  expect(await ayder(["backup", "list", absent])).toEqual({
    code: 3,
    out: "",
    err: `ayder: ${absent} is not a directory\n`,
  });
  const wrong = await ayder(["backup", "list", "gs://bucket"]);
  expect(wrong.code).toBe(2);
  expect(wrong.err).toContain("gs://bucket is neither a directory nor s3://bucket/prefix");
  const secret = { ...env, S3_ACCESS_KEY_ID: "wrong" };
  const refused = await ayder(["backup", "list", "s3://b"], { env: secret });
  expect(refused.code).toBe(3);
  expect(refused.err).toContain("s3://b/");
  const none = await ayder(["backup", "prune", absent]);
  expect(none.code).toBe(2);
  expect(none.err).toContain("give --keep N");
});
