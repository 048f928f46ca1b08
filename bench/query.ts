/**
 * Stream processing over HTTP: a query over 1,000,000 records in pages of 10,000, the catching up
 * of a view over the same, and what both do to the latency of writes beside them.
 *
 *     bun bench/query.ts
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../test/tools/arguments.ts";
import type { LoadResult } from "./load/generator.ts";
import { medianOf, runGenerator } from "./load/measure.ts";
import { rawRequest } from "./load/requests.ts";
import { startSubject } from "./load/subject.ts";

const LINE = new CommandLine(`usage: bun bench/query.ts
variables:
  RECORDS       records that are queried (default: 1000000)
  SECONDS       seconds of each measurement of writes (default: 6)
  ROUNDS        rounds (default: 3)
  CONNECTIONS   connections that write (default: 16)
  AYDER_BINARY  binary of Ayder (default: the source)`);
LINE.read({});
const RECORDS = LINE.variable("RECORDS", 1_000_000);
const PAGE = 10_000;
const SECONDS = LINE.variable("SECONDS", 6);
const ROUNDS = LINE.variable("ROUNDS", 3);
const CONNECTIONS = LINE.variable("CONNECTIONS", 16);

const directory = mkdtempSync(join(tmpdir(), "ayder-bench-"));
const binary = process.env["AYDER_BINARY"];
const main = join(import.meta.dir, "../src/main.ts");
const command = binary === undefined ? [process.execPath, main] : [binary];
const subject = await startSubject([...command, "--port", "0", "--data-dir", directory], {
  RF_LOG_LEVEL: "warn",
});
const url = `http://127.0.0.1:${subject.port}`;

async function ask(method: string, path: string, body?: string): Promise<Record<string, unknown>> {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: "Bearer dev" },
    ...(body === undefined ? {} : { body }),
  });
  if (!response.ok)
    throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Record<string, unknown>;
}

const recordOf = (i: number): string =>
  JSON.stringify({
    id: i,
    region: ["us", "eu", "ap"][i % 3],
    plan: ["pro", "free"][i % 2],
    amount: (i * 37) % 1000,
    user: { id: i % 500, name: `user-${i % 500}` },
  });

async function fill(): Promise<void> {
  for (const name of ["records", "writes"]) {
    await ask("POST", "/broker/topics", JSON.stringify({ name, partitions: 1 }));
  }
  for (let at = 0; at < RECORDS; at += PAGE) {
    const lines = Array.from({ length: Math.min(PAGE, RECORDS - at) }, (_, i) => recordOf(at + i));
    await ask("POST", "/broker/topics/records/produce-ndjson?partition=0", lines.join("\n"));
  }
}

const aggregate = {
  group_by: ["region", "plan"],
  measures: [
    { op: "sum", field: "amount" },
    { op: "avg", field: "amount" },
  ],
};
const filter = [{ field: "amount", op: "ge", value: 100 }];

/** The whole topic, page by page. @returns records a second. */
async function queryAll(isStopped = () => false): Promise<number> {
  const begin = performance.now();
  let offset = 0;
  while (offset < RECORDS && !isStopped()) {
    const source = { topic: "records", partition: 0, offset, limit: PAGE };
    const body = await ask("POST", "/broker/query", JSON.stringify({ source, filter, aggregate }));
    offset = (body["source"] as { next_offset: number }).next_offset;
  }
  return offset / ((performance.now() - begin) / 1000);
}

async function viewAll(name: string): Promise<number> {
  const begin = performance.now();
  const body = JSON.stringify({ source: { topic: "records" }, filter, aggregate });
  await ask("PUT", `/broker/views/${name}`, body);
  while ((await ask("GET", `/broker/views/${name}`))["lag"] !== 0) await Bun.sleep(20);
  return RECORDS / ((performance.now() - begin) / 1000);
}

/** Single writes from a process of its own. */
async function writes(): Promise<LoadResult> {
  const message = "x".repeat(64);
  const request = rawRequest("POST", "/broker/topics/writes/produce?partition=0", message);
  return await runGenerator({
    port: subject.port,
    requests: [request],
    connections: CONNECTIONS,
    warmupSeconds: 1,
    seconds: SECONDS,
  });
}

async function writesBeside(work: (isStopped: () => boolean) => Promise<void>) {
  let stopped = false;
  const working = work(() => stopped);
  const result = await writes();
  stopped = true;
  await working;
  return result;
}

const shown = new Map<string, LoadResult[]>();
function show(what: string, result: LoadResult): void {
  const [kind = what] = what.split(",");
  shown.set(kind, [...(shown.get(kind) ?? []), result]);
  console.log(
    `${what.padEnd(42)} ${Math.round(result.perSecond)} writes/s  p50 ${result.p50Ms.toFixed(2)} ms  ` +
      `p99 ${result.p99Ms.toFixed(2)} ms  max ${result.maxMs.toFixed(1)} ms  errors ${result.errors}`,
  );
}

let views = 0;
try {
  await fill();
  const rate = (perSecond: number) => `${Math.round(perSecond / 1000)} k records/s`;
  for (let run = 0; run < 3; run++)
    console.log(`query, nothing beside:  ${rate(await queryAll())}`);
  console.log(`view, nothing beside:   ${rate(await viewAll("alone"))}`);
  // Turn by turn: what else the machine does changes from minute to minute.
  for (let round = 0; round < ROUNDS; round++) {
    show("writes alone", await writes());
    const queried: number[] = [];
    const beside = await writesBeside(async (isStopped) => {
      while (!isStopped()) queried.push(await queryAll(isStopped));
    });
    show(`writes beside a query, ${rate(medianOf(queried))}`, beside);
    const viewed: number[] = [];
    const besideView = await writesBeside(async (isStopped) => {
      while (!isStopped()) viewed.push(await viewAll(`view-${views++}`));
    });
    show(`writes beside a view, ${rate(medianOf(viewed))}`, besideView);
  }
  for (const [what, results] of shown) {
    const p99 = medianOf(results.map((result) => result.p99Ms));
    const p50 = medianOf(results.map((result) => result.p50Ms));
    console.log(`median of ${what}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`);
  }
} finally {
  await subject.kill();
  rmSync(directory, { recursive: true, force: true });
}
process.exit(0);
