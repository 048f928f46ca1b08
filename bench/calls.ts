/**
 * `bun bench/calls.ts [filter]`: CPU time of the main thread for one call of the node, without HTTP.
 * The calls come from another thread over a port, with and without rings, or from the main thread
 * itself. Rounds alternate, and a figure is the median of those of the rounds.
 *
 *     ROUNDS=5 SECONDS=1 bun bench/calls.ts produce
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BunClock } from "../src/env/bun-clock.ts";
import { FILE_CALLS } from "../src/env/bun-file.ts";
import { PositionedReads } from "../src/env/positioned-reads.ts";
import { SharedBlocks } from "../src/lib/blocks.ts";
import { LocalGauge } from "../src/lib/gauge.ts";
import type { NodeApi } from "../src/node/api.ts";
import type { Served } from "../src/node/port/calls.ts";
import type { PortMessage } from "../src/node/port/message.ts";
import { PortServer } from "../src/node/port/server.ts";
import { WorkerPort } from "../src/node/port/worker-port.ts";
import { BatchBuilder, encodeRecord } from "../src/record/batch-builder.ts";
import {
  answeringEnds,
  callingEnds,
  newRingMemory,
  type RingMemory,
} from "../src/server/thread-rings.ts";
import { CommandLine } from "../test/tools/arguments.ts";
import { openNode } from "./load/calls-node.ts";
import { medianOf } from "./load/measure.ts";

const LINE = new CommandLine(`usage: bun bench/calls.ts [PART OF A NAME]
variables:
  ROUNDS   rounds of each call (default: 5)
  SECONDS  seconds of each row in a round (default: 1)`);
const ROUNDS = LINE.variable("ROUNDS", 5);
const SECONDS = LINE.variable("SECONDS", 1);
const VALUE = new Uint8Array(64).fill(120);
const CALLS = ["produce", "page of 100", "kv get"] as const;
const WAYS = ["here", "messages", "rings"] as const;
const IN_FLIGHT = [1, 16, 64, 512];
type WayOf = (typeof WAYS)[number];
type CallOf = (typeof CALLS)[number];
type Order = { readonly call: CallOf; readonly inFlight: number };
type Start = { readonly rings: RingMemory | null };
type ToThread = { start: Start } | { order: Order } | { port: PortMessage } | { wake: true };
type FromThread = { ready: true } | { ended: number } | { port: PortMessage } | { wake: true };

const FILE_READS = new PositionedReads(FILE_CALLS);
/** The memory of the node's batches. */
const BLOCKS = new SharedBlocks();

declare const self: Worker;

/** Keeps calls in flight for `SECONDS`. @returns how many have ended. */
async function callFor(node: NodeApi, { call, inFlight }: Order): Promise<number> {
  const endMs = performance.now() + SECONDS * 1000;
  let ended = 0;
  let open = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (outcome: { readonly ok: boolean }): void => {
    if (!outcome.ok) throw new Error(JSON.stringify(outcome));
    ended++;
    open--;
    // A new call in the same iteration as its predecessor's end, as from a client that waits.
    if (performance.now() < endMs) begin();
    else if (open === 0) resolve();
  };
  const begin = (): void => {
    open++;
    if (call === "produce") node.produce(produceOf(), done);
    else if (call === "kv get") void Promise.resolve(node.kvGet(GET)).then(done);
    else void node.consume(PAGE).then(done);
  };
  for (let n = 0; n < inFlight; n++) begin();
  await promise;
  return ended;
}

const produceOf = () => ({
  topic: "bench",
  partition: 0,
  key: null,
  idempotencyKey: null,
  records: encodeRecord(null, VALUE),
  timeoutMs: null,
  rocket: false,
});
const GET = { namespace: "bench", key: "key", linearizable: false };
const PAGE = {
  topic: "pages",
  partition: 0,
  group: "g",
  offset: 0,
  limit: 100,
  maxBytes: 1024 * 1024,
  linearizable: false,
};

async function prepare(node: NodeApi): Promise<void> {
  await node.createTopic("bench", 1);
  await node.createTopic("pages", 1);
  const builder = new BatchBuilder();
  for (let n = 0; n < 2000; n++) builder.add(null, VALUE);
  const request = { ...produceOf(), topic: "pages", records: builder.finish() };
  await new Promise((done) => node.produce(request, done));
  const put = { namespace: "bench", key: "key", value: VALUE };
  const options = { cas: null, ttlMs: null, timeoutMs: null };
  await new Promise((done) => node.kvPut({ ...put, ...options }, done));
}

async function measureAll(filter: string): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "ayder-calls-"));
  const fault = (error: unknown) => {
    console.error(error);
    process.exit(1);
  };
  try {
    const node = await openNode(directory, BLOCKS, fault);
    await prepare(node);
    const threads = {
      messages: await startThread(node, null, fault),
      rings: await startThread(node, newRingMemory(), fault),
    };
    console.log(`${ROUNDS} rounds of ${SECONDS} s each, us of the main thread for one call`);
    const run = (way: WayOf, order: Order) =>
      way === "here" ? callFor(node, order) : threads[way](order);
    const orders = CALLS.flatMap((call) => IN_FLIGHT.map((inFlight) => ({ call, inFlight })));
    for (const order of orders) if (nameOf(order).includes(filter)) await measure(order, run);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  process.exit(0);
}

async function measure(
  order: Order,
  run: (way: WayOf, order: Order) => Promise<number>,
): Promise<void> {
  const figures = { here: [], messages: [], rings: [] } as Record<WayOf, number[]>;
  for (let round = -1; round < ROUNDS; round++) {
    for (const way of WAYS) {
      const before = mainThreadUs();
      const ended = await run(way, order);
      // The first round is for the compiler.
      if (round >= 0) figures[way].push((mainThreadUs() - before) / ended);
    }
  }
  const shown = WAYS.map((way) => `${way} ${medianOf(figures[way]).toFixed(2)}`);
  console.log(`${nameOf(order)}: ${shown.join(", ")}`);
}

const nameOf = ({ call, inFlight }: Order): string => `${call}, ${inFlight} in flight`;

/** @returns a function that lets the thread call, and resolves to how many calls have ended. */
async function startThread(node: NodeApi, rings: RingMemory | null, fault: (e: unknown) => void) {
  const worker = new Worker(import.meta.path);
  let ended: (calls: number) => void = () => undefined;
  const say = (message: ToThread, transfer: ArrayBuffer[] = []) =>
    worker.postMessage(message, transfer);
  const wake = () => say({ wake: true });
  const ends = rings === null ? undefined : answeringEnds(rings, { wake, fault });
  const post = (port: PortMessage, transfer: ArrayBuffer[]) => say({ port }, transfer);
  const shared = ends === undefined ? {} : { rings: ends, blocks: BLOCKS };
  const server = new PortServer({ node } as Served, { post, defer: setImmediate, ...shared });
  const ready = Promise.withResolvers<void>();
  worker.onmessage = ({ data }: MessageEvent<FromThread>) => {
    if ("wake" in data) server.woken();
    else if ("port" in data) server.receive(data.port);
    else if ("ended" in data) ended(data.ended);
    else ready.resolve();
  };
  worker.onerror = ({ message }) => fault(new Error(message));
  say({ start: { rings } });
  await ready.promise;
  return (order: Order) =>
    new Promise<number>((resolve) => {
      ended = resolve;
      say({ order });
    });
}

function serveThread(): void {
  let port: WorkerPort | null = null;
  const say = (message: FromThread, transfer: ArrayBuffer[] = []) =>
    self.postMessage(message, transfer);
  const begin = ({ rings }: Start) => {
    const fault = (error: unknown) => {
      throw error;
    };
    const wake = () => say({ wake: true });
    port = new WorkerPort({
      post: (message, transfer) => say({ port: message }, transfer),
      clock: new BunClock(),
      queueBytesMax: 1024 * 1024 * 1024,
      queueRequestsMax: 1_000_000,
      queued: { bytes: new LocalGauge(), requests: new LocalGauge() },
      readFile: (descriptor, bytes, position) => FILE_READS.fill(descriptor, bytes, position),
      ...(rings === null ? {} : { rings: callingEnds(rings, { wake, fault }) }),
    });
    say({ ready: true });
  };
  self.onmessage = async ({ data }: MessageEvent<ToThread>) => {
    if ("start" in data) begin(data.start);
    else if ("wake" in data) port?.woken();
    else if ("port" in data) port?.receive(data.port);
    else if (port !== null) say({ ended: await callFor(port, data.order) });
  };
}

/** CPU time of the main thread so far (Linux). */
const mainThreadUs = (): number =>
  Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ")[0]) / 1000;

if (Bun.isMainThread) await measureAll(LINE.read({}, 1).positionals[0] ?? "");
else serveThread();
