/** Pages are the same bytes, whichever thread makes them, and wherever their records lie. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000); // For busy machines.
const headers = { authorization: "Bearer dev" };
const directory = temporaryDirectory();
afterAll(directory.remove);

const BATCHES = "application/vnd.ayder.batches";
/** More than the tail and the read cache have room for: records come from files, too. */
const SMALL = {
  RF_TAIL_BYTES: "1048576",
  RF_READ_CACHE_BYTES: "1048576",
  RF_SEGMENT_BYTES: "262144",
};
const RECORDS_PER_REQUEST = 500;
const REQUESTS = 60;

async function fill(url: string): Promise<void> {
  for (let n = 0; n < REQUESTS; n++) {
    const lines = Array.from(
      { length: RECORDS_PER_REQUEST },
      (_, at) => `${n}-${at} "quoted" é 🎈 ${"x".repeat((n * at) % 150)}`,
    );
    const answer = await fetch(`${url}/broker/topics/t/produce-ndjson?partition=0&key=k${n}`, {
      method: "POST",
      headers,
      body: lines.join("\n"),
    });
    expect(answer.status).toBe(200);
  }
  for (const body of [new Uint8Array([255, 0, 128]), "one", ""]) {
    const produce = `${url}/broker/topics/t/produce?partition=0`;
    const answer = await fetch(produce, {
      method: "POST",
      headers: { ...headers, "Ayder-Header-Name": "value" },
      body,
    });
    expect(answer.status).toBe(200);
  }
}

/** All pages, by what was asked for. */
async function pagesOf(url: string): Promise<Map<string, string>> {
  const pages = new Map<string, string>();
  const end = REQUESTS * RECORDS_PER_REQUEST + 3;
  const offsets = [0, 1, 499, 500, 7777, 15_000, 22_222, end - 1200, end - 103, end - 2, end];
  const kinds = ["limit=1", "limit=100", "limit=1000", "limit=100&encoding=b64", "max_bytes=3000"];
  for (const offset of offsets) {
    for (const kind of kinds) {
      for (const accept of ["application/json", BATCHES]) {
        const path = `/broker/consume/t/g/0?offset=${offset}&${kind}`;
        const answer = await fetch(url + path, { headers: { ...headers, accept } });
        expect([path, answer.status]).toEqual([path, 200]);
        const bytes = Buffer.from(await answer.arrayBuffer());
        pages.set(`${path} ${accept}`, bytes.toString("base64"));
      }
    }
  }
  return pages;
}

test("pages of threads are byte for byte those of the main thread", async () => {
  const dataDir = join(directory.path, "data");
  const threads = await startServer({ dataDir, env: { ...SMALL, RF_WORKERS: "2" } });
  await fill(threads.url);
  const first = await pagesOf(threads.url);
  // Again, now that windows of files are cached, and all at once.
  const [second, third] = await Promise.all([pagesOf(threads.url), pagesOf(threads.url)]);
  expect(await threads.stop()).toBe(0);
  const one = await startServer({ dataDir, env: { ...SMALL, RF_WORKERS: "0" } });
  const expected = await pagesOf(one.url);
  await one.kill();
  expect(first).toEqual(expected);
  expect([second, third]).toEqual([expected, expected]);
});

/** Reads from the low watermark on, and from random places, until `isOver`. Returns the records seen. */
async function readWhile(url: string, isOver: () => boolean): Promise<number> {
  let seen = 0;
  let low = 0;
  for (let n = 0; !isOver(); n++) {
    const offset = low + (n % 3 === 0 ? 0 : Math.floor(Math.random() * 2_000));
    const answer = await fetch(`${url}/broker/consume/t/g/0?offset=${offset}&limit=50`, {
      headers: { ...headers, ...(n % 7 === 0 ? { connection: "close" } : {}) },
    });
    const page = (await answer.json()) as Page;
    // Retention may be faster than a reader, and a reader faster than the writer.
    if (answer.status === 416) continue;
    expect(answer.status).toBe(200);
    low = page.low_watermark;
    let next: number | null = null;
    for (const { offset: at, value } of page.messages) {
      if (next !== null) expect(at).toBe(next);
      expect(value).toBe(valueAt(at));
      next = at + 1;
    }
    seen += page.messages.length;
  }
  return seen;
}

type Page = {
  readonly low_watermark: number;
  readonly messages: readonly { readonly offset: number; readonly value: string }[];
};
const valueAt = (offset: number): string => `${offset} ${"v".repeat(offset % 300)}`;

test("threads read files while they are removed and checkpoints are taken", async () => {
  const dataDir = join(directory.path, "removed");
  const env = { ...SMALL, RF_SEGMENT_BYTES: "65536", RF_READ_CACHE_BYTES: "600000" };
  const server = await startServer({ dataDir, env: { ...env, RF_WORKERS: "2" } });
  const post = async (path: string, body: string): Promise<void> => {
    const answer = await fetch(server.url + path, { method: "POST", headers, body });
    expect([path, answer.status]).toEqual([path, 200]);
  };
  const produce = (n: number) =>
    post(
      "/broker/topics/t/produce-ndjson?partition=0",
      Array.from({ length: 300 }, (_, at) => valueAt(n * 300 + at)).join("\n"),
    );
  await produce(0);
  let isOver = false;
  const readers = Array.from({ length: 8 }, () => readWhile(server.url, () => isOver));
  for (let n = 1; n < 100; n++) {
    await produce(n);
    if (n % 10 !== 0) continue;
    const before = { topic: "t", partition: 0, before_offset: Math.max(0, n * 300 - 7_000) };
    await post("/broker/delete-before", JSON.stringify(before));
    await post("/admin/compact", "");
  }
  isOver = true;
  const seen = await Promise.all(readers);
  expect(Math.min(...seen)).toBeGreaterThan(0);
  const files = readdirSync(join(dataDir, "shards/0/partitions"), { recursive: true });
  const segments = files
    .map(String)
    .filter((name) => name.endsWith(".seg"))
    .sort();
  expect(segments[0]).not.toEndWith(`${"0".repeat(20)}.seg`);
  expect(await server.stop()).toBe(0);
  expect(server.log()).not.toContain("level=error");
});
