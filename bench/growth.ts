/**
 * `bun bench/growth.ts [--full] [--only CASE]`: what grows with what is stored. For each case a new
 * server is filled and killed; the table shows how long it then takes to be ready, its memory, and
 * the first page of each partition. `--full` stores ten times as much and takes a quarter of an hour.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "bun";
import { BatchBuilder } from "../src/record/batch-builder.ts";
import { CommandLine } from "../test/tools/arguments.ts";
import { flood } from "./load/flood.ts";
import { residentMiB, type Subject, startSubject } from "./load/subject.ts";

type Case = {
  readonly name: string;
  readonly count: number;
  readonly fill: (subject: Subject, count: number) => Promise<void>;
  /** Partitions whose first pages are read. */
  readonly partitions: number;
  /** Bounds of the time to be ready and of the memory then; null: shown only. */
  readonly bounds: { readonly seconds: number; readonly mib: number } | null;
  readonly grows: string;
};

const LINE = new CommandLine(`usage: bun bench/growth.ts [--full] [--only CASE]
variables:
  AYDER_BINARY  binary of Ayder (default: dist/ayder)
  BENCH_DIR     directory for the data of the server (default: that for temporary files)`);
const { values } = LINE.read({ full: { type: "boolean" }, only: { type: "string" } });
const PARTITIONS = 8;
/** A topic has at most 1024 partitions. */
const PER_TOPIC = 1000;
/** Partitions whose first page is read. */
const PAGES_MAX = 10_000;
const VALUE_BYTES = 64;
/** Messages of a request: one batch of the largest size. */
const PER_REQUEST = 490;
const BOUNDS = { seconds: 2, mib: 300 };
const MEMORY = "nothing: records are in files, the newest 64 MiB and 32 MiB of read ones in memory";

const CASES: readonly Case[] = [
  {
    name: "empty",
    count: 0,
    fill: async () => undefined,
    partitions: 0,
    bounds: BOUNDS,
    grows: "",
  },
  messages("messages", 8_000_000),
  ...(values.full === true ? [messages("messages x10", 80_000_000)] : []),
  partitionsCase("partitions", values.full === true ? 10_000 : 1_000),
  ...(values.full === true ? [partitionsCase("partitions x10", 100_000)] : []),
  {
    name: "keys",
    count: values.full === true ? 1_000_000 : 100_000,
    fill: fillKeys,
    partitions: 0,
    bounds: null,
    grows: "every key and value, in memory and in each checkpoint",
  },
  {
    name: "idempotency keys",
    count: values.full === true ? 1_000_000 : 100_000,
    fill: fillIdempotencyKeys,
    partitions: PARTITIONS,
    bounds: null,
    grows: "an entry a key until RF_MAX_IDEMPOTENCY_KEYS, in memory and in each checkpoint",
  },
  {
    name: "followers",
    count: values.full === true ? 10_000 : 1_000,
    fill: fillFollowers,
    partitions: 1,
    bounds: null,
    grows: "a connection and a waiting read a follower; nothing after they leave",
  },
];

function partitionsCase(name: string, count: number): Case {
  return {
    name,
    count,
    fill: fillPartitions,
    partitions: Math.min(count, PAGES_MAX),
    bounds: null,
    grows: "the state of a partition; its log too while it is one of the 4,096 used last",
  };
}

function messages(name: string, count: number): Case {
  return {
    name,
    count,
    fill: fillMessages,
    partitions: PARTITIONS,
    bounds: BOUNDS,
    grows: MEMORY,
  };
}

const binary = process.env["AYDER_BINARY"] ?? join(import.meta.dir, "../dist/ayder");
const command = existsSync(binary)
  ? [binary]
  : [process.execPath, join(import.meta.dir, "../src/main.ts")];
const headers = { authorization: "Bearer dev" };

const wanted = values.only;
const known = CASES.map(({ name }) => name);
const chosen = wanted === undefined ? null : LINE.oneOf("--only", wanted, known);
const cases = CASES.filter(({ name, count }) => [null, name].includes(chosen) || count === 0);
console.log(
  row("case", "count", "fill s", "MiB then", "ready s", "MiB ready", "bytes each", "first page ms"),
);
let baseMiB = Number.NaN;
let isOver = false;
for (const one of cases) await measure(one);
if (isOver) process.exit(1);

async function measure(one: Case): Promise<void> {
  const directory = mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), "ayder-growth-"));
  const start = () =>
    startSubject([...command, "--port", "0", "--data-dir", directory], { RF_LOG_LEVEL: "error" });
  let subject = await start();
  try {
    const filledAt = performance.now();
    await one.fill(subject, one.count);
    const fillSeconds = (performance.now() - filledAt) / 1000;
    const filledMiB = await residentMiB(subject.pid);
    await subject.kill();
    const startedAt = performance.now();
    subject = await start();
    await waitReady(subject);
    const readySeconds = (performance.now() - startedAt) / 1000;
    const readyMiB = await residentMiB(subject.pid);
    if (one.count === 0) baseMiB = readyMiB;
    const each = one.name === "followers" ? filledMiB : readyMiB;
    const pages = await firstPages(subject, one.partitions);
    const bytesEach =
      one.count === 0 ? "" : String(Math.round(((each - baseMiB) * 2 ** 20) / one.count));
    console.log(
      row(
        one.name,
        one.count.toLocaleString("en"),
        fillSeconds.toFixed(1),
        String(filledMiB),
        readySeconds.toFixed(2),
        String(readyMiB),
        bytesEach,
        pages,
      ) + verdict(one, readySeconds, readyMiB),
    );
    if (one.grows !== "") console.log(`    grows: ${one.grows}`);
  } finally {
    await subject.kill();
    rmSync(directory, { recursive: true, force: true });
  }
}

function verdict({ bounds }: Case, seconds: number, mib: number): string {
  if (bounds === null) return "";
  const isWithin = seconds <= bounds.seconds && mib <= bounds.mib;
  isOver ||= !isWithin;
  return isWithin ? "  ok" : `  OVER ${bounds.seconds} s or ${bounds.mib} MiB`;
}

function row(name: string, ...columns: readonly string[]): string {
  const widths = [12, 8, 9, 8, 10, 11, 16];
  return name.padEnd(18) + columns.map((text, at) => text.padStart(widths[at] ?? 0)).join("");
}

async function waitReady({ port }: Subject): Promise<void> {
  while ((await fetch(`http://127.0.0.1:${port}/ready`)).status !== 200) await Bun.sleep(5);
}

/** The median and the longest time of the first page of each partition, after the start. */
async function firstPages({ port }: Subject, partitions: number): Promise<string> {
  const times: number[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const at = performance.now();
    const path = `/broker/consume/${topicOf(partition)}/g/${partition % PER_TOPIC}?offset=0&limit=100`;
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    const page = (await answer.json()) as { count: number };
    if (page.count === 0) throw new Error(`partition ${partition} is empty`);
    times.push(performance.now() - at);
  }
  if (times.length === 0) return "";
  times.sort((a, b) => a - b);
  const median = times[times.length >> 1] ?? 0;
  return `${median.toFixed(1)} / ${(times[times.length - 1] ?? 0).toFixed(1)}`;
}

/** The topic of a partition that is counted over all topics. */
function topicOf(partition: number): string {
  return partition < PER_TOPIC ? "big" : `big${Math.floor(partition / PER_TOPIC)}`;
}

async function createTopic({ port }: Subject, partitions: number, name = "big"): Promise<void> {
  const body = JSON.stringify({ name, partitions });
  const answer = await fetch(`http://127.0.0.1:${port}/broker/topics`, {
    method: "POST",
    headers,
    body,
  });
  if (answer.status !== 200 && answer.status !== 201) throw new Error(await answer.text());
}

function requestOf(method: string, path: string, length: number, type = ""): string {
  const named = type === "" ? "" : `Content-Type: ${type}\r\n`;
  const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dev\r\n`;
  return `${head}${named}Content-Length: ${length}\r\n\r\n`;
}

async function fillMessages(subject: Subject, count: number): Promise<void> {
  await createTopic(subject, PARTITIONS);
  const builder = new BatchBuilder();
  for (let i = 0; i < PER_REQUEST; i++) builder.add(null, Buffer.from("x".repeat(VALUE_BYTES)));
  const { bytes } = builder.finish();
  const requests = Array.from({ length: PARTITIONS }, (_, partition) => {
    const path = `/broker/topics/big/produce?partition=${partition}`;
    const head = requestOf("POST", path, bytes.length, "application/vnd.ayder.batch");
    return Buffer.concat([Buffer.from(head), bytes]);
  });
  const number = Math.ceil(count / PER_REQUEST);
  await flood(subject.port, number, (i) => requests[i % PARTITIONS] ?? "");
}

async function fillPartitions(subject: Subject, count: number): Promise<void> {
  for (let i = 0; i < count; i += PER_TOPIC) await createTopic(subject, PER_TOPIC, topicOf(i));
  await flood(subject.port, count, (i) => {
    const path = `/broker/topics/${topicOf(i)}/produce?partition=${i % PER_TOPIC}`;
    return `${requestOf("POST", path, 1)}x`;
  });
}

async function fillKeys({ port }: Subject, count: number): Promise<void> {
  const value = "v".repeat(VALUE_BYTES);
  await flood(port, count, (i) => requestOf("POST", `/kv/bench/key-${i}`, VALUE_BYTES) + value);
}

async function fillIdempotencyKeys(subject: Subject, count: number): Promise<void> {
  await createTopic(subject, PARTITIONS);
  await flood(subject.port, count, (i) => {
    const path = `/broker/topics/big/produce?partition=${i % PARTITIONS}&idempotency_key=order-${i}`;
    return `${requestOf("POST", path, 1)}x`;
  });
}

/** They follow one partition, and each has got a record. */
async function fillFollowers(subject: Subject, count: number): Promise<void> {
  await createTopic(subject, 1);
  let got = 0;
  const sockets: Socket<{ done: boolean }>[] = [];
  for (let i = 0; i < count; i++) {
    const follow = requestOf("GET", "/broker/consume/big/g/0?offset=0&follow=1", 0);
    sockets.push(
      await Bun.connect<{ done: boolean }>({
        hostname: "127.0.0.1",
        port: subject.port,
        data: { done: false },
        socket: {
          open: (socket) => void socket.write(follow),
          data: ({ data }, bytes) => {
            if (data.done || !bytes.includes('"offset":0')) return;
            data.done = true;
            got++;
          },
          error: () => undefined,
        },
      }),
    );
  }
  await flood(
    subject.port,
    1,
    () => `${requestOf("POST", "/broker/topics/big/produce?partition=0", 1)}x`,
  );
  while (got < count) await Bun.sleep(10);
  await Bun.sleep(500);
}
