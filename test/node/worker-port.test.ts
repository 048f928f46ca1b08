import { describe, expect, spyOn, test } from "bun:test";
import { SharedBlocks } from "../../src/lib/blocks.ts";
import { DecodeError } from "../../src/lib/bytes.ts";
import { ringMemory } from "../../src/lib/ring.ts";
import type { ConsumePage, NodeApi, Produced } from "../../src/node/api.ts";
import type { Served } from "../../src/node/port/calls.ts";
import { KIND } from "../../src/node/port/message.ts";
import { PortServer } from "../../src/node/port/server.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { partitionSeed, stampBatch } from "../../src/record/batch-header.ts";
import { answeringEnds, callingEnds } from "../../src/server/thread-rings.ts";
import { FakeBackup } from "../tools/http/fake-backup.ts";
import { FakeNode } from "../tools/http/fake-node.ts";
import { FakeStreams } from "../tools/http/fake-streams.ts";
import { produced, read, stored } from "../tools/node/as-promises.ts";
import { type PairOptions, portPair as pairOf } from "../tools/node/port-pair.ts";

const produceOf = (value: Uint8Array, topic = "orders") => ({
  topic,
  partition: 0,
  key: null,
  idempotencyKey: null,
  records: encodeRecord(null, value),
  timeoutMs: null,
  rocket: false,
});
const putOf = (key: string, value: Uint8Array) => ({
  namespace: "n",
  key,
  value,
  cas: null,
  ttlMs: null,
  timeoutMs: null,
});
const consumeOf = {
  topic: "orders",
  partition: 0,
  group: "g",
  offset: 0,
  limit: 10,
  maxBytes: 1024,
  linearizable: false,
};
/** So many turns of the loop that everything on its way has arrived. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
}

test("the calls of one turn share a message, and so do their outcomes", async () => {
  const { port, toNode, fromNode } = pairOf({ node: new FakeNode() });
  const value = Buffer.from("x");
  const writes = Array.from({ length: 100 }, () => produced(port, produceOf(value)));
  const outcomes = await Promise.all(writes);
  expect(outcomes.map((each) => each.ok && each.firstOffset)).toEqual([...Array(100).keys()]);
  expect(toNode.length).toBe(1);
  expect(fromNode.length).toBe(1);
});

test("bytes of all sizes arrive as they were, each with its own call", async () => {
  const { port, toNode } = pairOf({ node: new FakeNode() }, { queueBytesMax: 2 ** 30 });
  const sizes = [0, 1, 200, 32 * 1024 - 1, 32 * 1024, 100_000, 3];
  const bytesOf = (size: number) => new Uint8Array(size).fill(size % 251);
  await Promise.all(sizes.map((size, at) => stored(port, putOf(`k${at}`, bytesOf(size)))));
  expect(toNode[0]?.large.map(({ length }) => length)).toEqual([32 * 1024, 100_000]);
  const got = await Promise.all(
    sizes.map((_, at) => read(port, { namespace: "n", key: `k${at}`, linearizable: false })),
  );
  expect(got.map((each) => each.ok && each.value)).toEqual(sizes.map(bytesOf));
});

/** How frequent calls cross: by messages, or in rings. */
const WAYS: readonly (readonly [string, PairOptions])[] = [
  ["messages", {}],
  ["rings", { ringBytes: 1024 * 1024 }],
];
describe.each(WAYS)("over %s", (_, way) => {
  const portPair = (served: Parameters<typeof pairOf>[0], options: PairOptions = {}) =>
    pairOf(served, { ...options, ...way });

  test("large records are handed over, small ones are copied; what was put stays the caller's", async () => {
    const { port } = portPair({ node: new FakeNode() });
    const large = produceOf(new Uint8Array(64 * 1024));
    const small = produceOf(new Uint8Array(10));
    const value = new Uint8Array(64 * 1024);
    await Promise.all([
      produced(port, large),
      produced(port, small),
      stored(port, putOf("k", value)),
    ]);
    expect(large.records.bytes.length).toBe(0);
    expect(small.records.bytes.length).toBeGreaterThan(10);
    expect(value.length).toBe(64 * 1024);
  });

  test("a page of several slices arrives as one; it is taken before the node changes its bytes", async () => {
    const slices = [new Uint8Array(3).fill(1), new Uint8Array(2).fill(2)];
    const marks = {
      first: { offset: 2, at: 41 },
      topicId: 4,
      startOffset: 3,
      committedOffset: null,
      lowWatermark: 1,
      endOffset: 9,
    };
    const page = { ok: true, slices, ...marks } as const;
    const consume: NodeApi["consume"] = async () => {
      setImmediate(() => slices[0]?.fill(9));
      return page;
    };
    const { port } = portPair({ node: Object.assign(new FakeNode(), { consume }) });
    const got = (await port.consume(consumeOf)) as ConsumePage;
    expect(got.slices).toEqual([Uint8Array.of(1, 1, 1, 2, 2)]);
    expect(got).toMatchObject(marks);
  });

  test("rejections come as data, what the node throws as a rejected promise", async () => {
    const node = new FakeNode();
    const { port } = portPair({ node });
    expect(await port.consume(consumeOf)).toEqual({ ok: false, code: "topic_not_found" });
    node.rejectWrites = { ok: false, code: "disk_full", details: { free: 1 } };
    expect(await produced(port, produceOf(Buffer.from("x")))).toEqual(node.rejectWrites);
    node.broken = new Error("the node is broken");
    await expect(port.consume(consumeOf)).rejects.toThrow("the node is broken");
  });

  test("writes on their way count as waiting: past the limits they are refused", async () => {
    const value = new Uint8Array(600);
    const { port } = portPair({ node: new FakeNode() }, { queueBytesMax: 1000 });
    const both = await Promise.all([
      stored(port, putOf("a", value)),
      stored(port, putOf("b", value)),
    ]);
    expect(both.map((each) => each.ok || each.code)).toEqual([true, "overloaded"]);
    // An answered request has left the queue; and an empty queue takes any request.
    const later = await stored(port, putOf("c", new Uint8Array(5000)));
    expect(later.ok).toBe(true);
    const few = portPair({ node: new FakeNode() }, { queueRequestsMax: 2 }).port;
    const three = await Promise.all(["a", "b", "c"].map((key) => stored(few, putOf(key, value))));
    expect(three.map((each) => each.ok || each.code)).toEqual([true, true, "overloaded"]);
  });

  test("an abort crosses the port, before the call has and after", async () => {
    const node = new FakeNode();
    const { port } = portPair({ node });
    await port.createTopic("orders", 1);
    const wait = { topic: "orders", partition: 0, topicId: 1, offset: 0, timeoutMs: 2 ** 30 };
    const later = new AbortController();
    const waiting = port.waitForRecords({ ...wait, signal: later.signal });
    await settled();
    later.abort();
    await waiting;
    await port.waitForRecords({ ...wait, signal: AbortSignal.abort() });
  });

  test("many that wait for a record cross with one wait, and read its page with one read", async () => {
    const node = new FakeNode();
    const waits = spyOn(node, "waitForRecords");
    const reads = spyOn(node, "consume");
    const { port } = portPair({ node });
    await port.createTopic("orders", 1);
    const { signal } = new AbortController();
    const place = { topic: "orders", partition: 0, topicId: 1, offset: 0 };
    const read = { group: "", limit: 10, maxBytes: 1000, linearizable: false, follows: true };
    const waiting = Array.from({ length: 100 }, async () => {
      await port.waitForRecords({ ...place, timeoutMs: 2 ** 30, signal });
      return await port.consume({ ...place, ...read });
    });
    await settled();
    await produced(port, produceOf(new Uint8Array(8)));
    const pages = await Promise.all(waiting);
    expect(pages.map((page) => page.ok && page.endOffset)).toEqual(Array(100).fill(1));
    expect([waits.mock.calls.length, reads.mock.calls.length]).toEqual([1, 1]);
  });

  test("a wait says across the port which topic of the name it means", async () => {
    const { port } = portPair({ node: new FakeNode() });
    await port.createTopic("orders", 1);
    const stop = new AbortController();
    const wait = { topic: "orders", partition: 0, offset: 0, timeoutMs: 2 ** 30 };
    const ended: string[] = [];
    const older = port.waitForRecords({ ...wait, topicId: 7, signal: stop.signal });
    const present = port.waitForRecords({ ...wait, topicId: 1, signal: stop.signal });
    void older.then(() => ended.push("older"));
    void present.then(() => ended.push("present"));
    await settled();
    expect(ended).toEqual(["older"]);
    stop.abort();
    await present;
  });

  test("the signal of a query is that of its caller", async () => {
    const streams = new FakeStreams();
    const { promise, resolve } = Promise.withResolvers<void>();
    streams.gate = promise;
    const { port } = portPair({ node: new FakeNode(), streams });
    const abort = new AbortController();
    const answer = port.streams.query({ body: "{}", signal: abort.signal });
    await settled();
    expect(streams.signal?.aborted).toBe(false);
    abort.abort();
    await settled();
    expect(streams.signal?.aborted).toBe(true);
    resolve();
    await answer;
  });

  test("a backup is fetched piece by piece and let go", async () => {
    const backup = new FakeBackup(2, 40_000);
    const beginBackup = async () => ({ ok: true, backup }) as const;
    const { port } = portPair({ node: Object.assign(new FakeNode(), { beginBackup }) });
    const begun = await port.beginBackup();
    if (!begun.ok) throw new Error(begun.code);
    const pieces = [
      await begun.backup.next(),
      await begun.backup.next(),
      await begun.backup.next(),
    ];
    expect(pieces.map((piece) => piece?.length)).toEqual([40_000, 40_000, undefined]);
    await begun.backup.release();
    await begun.backup.release();
    expect(backup.released).toBe(1);
  });

  test("who leads comes with every answer, and by itself when it has changed", async () => {
    const node = new FakeNode();
    const { port, server, fromNode } = portPair({ node });
    node.healthNow = { leaderUrl: "http://n2:1" };
    expect((await port.health()).leaderUrl).toBe("http://n2:1");
    expect(port.leaderUrl()).toBe("http://n2:1");
    server.refresh();
    expect(fromNode.length).toBe(1);
    node.healthNow = { leaderUrl: "http://n3:1" };
    server.refresh();
    await settled();
    expect(port.leaderUrl()).toBe("http://n3:1");
  });
});

const RINGS = { ringBytes: 1024 * 1024 };

test("frequent calls and their outcomes cross in the rings, without a message", async () => {
  const { port, toNode, fromNode } = pairOf({ node: new FakeNode() }, RINGS);
  const writes = Array.from({ length: 100 }, () => produced(port, produceOf(Buffer.from("x"))));
  const outcomes = await Promise.all(writes);
  expect(outcomes.map((each) => each.ok && each.firstOffset)).toEqual([...Array(100).keys()]);
  expect([toNode.length, fromNode.length]).toEqual([0, 0]);
});

test("keys and values cross in the rings, long ones by message", async () => {
  const { port, toNode, fromNode } = pairOf({ node: new FakeNode() }, RINGS);
  const values = [0, 1, 8000, 16_000, 40_000].map((size) => new Uint8Array(size).fill(size % 251));
  await Promise.all(values.map((value, at) => stored(port, putOf(`k${at}`, value))));
  expect(toNode.length).toBe(1);
  const gets = values.map((_, at) =>
    read(port, { namespace: "n", key: `k${at}`, linearizable: false }),
  );
  const got = await Promise.all(gets);
  expect(got.map((each) => each.ok && each.value)).toEqual(values);
  expect([toNode.length, fromNode.length]).toEqual([1, 1]);
  const missing = await read(port, { namespace: "n", key: "none", linearizable: false });
  expect(missing).toMatchObject({ ok: false, code: "not_found" });
  const elsewhere = await stored(port, { ...putOf("k0", Uint8Array.of(1)), cas: 99 });
  expect(elsewhere).toMatchObject({ ok: false, code: "cas_mismatch" });
  expect([toNode.length, fromNode.length]).toEqual([1, 1]);
});

test("a full ring refuses a call at once, and takes it once the node has read", async () => {
  const { port } = pairOf({ node: new FakeNode() }, { ringBytes: 4096 });
  const write = () => produced(port, produceOf(new Uint8Array(400)));
  const outcomes = await Promise.all(Array.from({ length: 20 }, write));
  const refused = outcomes.filter((each) => !each.ok);
  expect(refused).toEqual(refused.map(() => ({ ok: false, code: "overloaded" })));
  expect([refused.length > 5, refused.length < 20]).toEqual([true, true]);
  expect((await write()).ok).toBe(true);
});

test("no outcome is lost when the ring of outcomes is full", async () => {
  const node = new FakeNode();
  const begun: (() => void)[] = [];
  const produce: NodeApi["produce"] = (request, done) =>
    FakeNode.prototype.produce.call(node, request, (outcome) => begun.push(() => done(outcome)));
  const { port, fromNode } = pairOf(
    { node: Object.assign(node, { produce }) },
    { ringBytes: 8192 },
  );
  const count = 200;
  const writes: Promise<unknown>[] = [];
  while (writes.length < count) {
    writes.push(produced(port, produceOf(Buffer.from("x"))));
    if (writes.length % 20 === 0) await settled();
  }
  await settled();
  for (const answer of begun) answer();
  const outcomes = (await Promise.all(writes)) as Produced[];
  expect(outcomes.map(({ firstOffset }) => firstOffset)).toEqual([...Array(count).keys()]);
  expect(fromNode.length).toBe(1);
});

test("an older leader in a message does not replace a newer one from the ring", async () => {
  const node = new FakeNode();
  const { port, server, fromNode } = pairOf({ node }, RINGS);
  node.healthNow = { leaderUrl: "http://n2:1" };
  server.refresh();
  node.healthNow = { leaderUrl: "http://n3:1" };
  const outcome = produced(port, produceOf(Buffer.from("x")));
  // The message waits for the next event-loop iteration. The ring is faster.
  server.woken();
  await Promise.resolve();
  port.woken();
  await outcome;
  expect([port.leaderUrl(), fromNode.length]).toEqual(["http://n3:1", 1]);
  await settled();
  expect(port.leaderUrl()).toBe("http://n3:1");
});

test("an entry that cannot be read ends the process, and nothing is read after it", () => {
  const memories = { calls: ringMemory(1024), outcomes: ringMemory(1024) };
  const faults: unknown[] = [];
  const fault = (error: unknown) => faults.push(error);
  const calling = callingEnds(memories, { wake: () => undefined, fault });
  const rings = answeringEnds(memories, { wake: () => undefined, fault });
  const served: Partial<Served> = { node: new FakeNode() };
  const post = () => undefined;
  const server = new PortServer(served as Served, { post, defer: setImmediate, rings });
  for (const kind of [0, 250]) {
    const entry = calling.out.reserve(64);
    entry?.putU8(kind);
    entry?.putNumber(1);
    calling.out.publish();
    server.woken();
    server.woken();
  }
  expect(faults).toEqual([new DecodeError("bytes end early")]);
});

const MARKS = {
  first: { offset: 2, at: 41 },
  topicId: 4,
  startOffset: 3,
  committedOffset: null,
  lowWatermark: 1,
  endOffset: 9,
};

/** A node whose page has these slices at the time of the call. */
function pageNode(slices: readonly Uint8Array[]) {
  const consume: NodeApi["consume"] = async () => ({ ok: true, slices: [...slices], ...MARKS });
  return { node: Object.assign(new FakeNode(), { consume }) };
}

test("a page in shared memory is read where it lies, and its blocks are given once", async () => {
  const blocks = new SharedBlocks();
  const a = blocks.own(Uint8Array.of(0, 1, 2, 3));
  const b = blocks.own(Uint8Array.of(4, 5));
  const slices = [a.subarray(1, 3), b];
  const { port, toNode, fromNode } = pairOf(pageNode(slices), { ...RINGS, blocks });
  const [first, second] = (await Promise.all([
    port.consume(consumeOf),
    port.consume(consumeOf),
  ])) as [ConsumePage, ConsumePage];
  expect(first.slices.map((slice) => [...slice])).toEqual([
    [1, 2],
    [4, 5],
  ]);
  expect(first).toMatchObject(MARKS);
  expect(second).toEqual(first);
  // Nothing was copied, so both sides see a byte that is written in front of the page.
  a[0] = 77;
  expect(new Uint8Array(first.slices[0]?.buffer ?? a.buffer)[0]).toBe(77);
  await port.consume(consumeOf);
  expect(toNode).toEqual([]);
  expect(fromNode.map(({ items }) => items.length)).toEqual([6]);
});

test("a block that was freed is not named any more, and its pages are copied", async () => {
  const blocks = new SharedBlocks();
  const slices = [blocks.own(Uint8Array.of(1, 2, 3))];
  const { port, fromNode } = pairOf(pageNode(slices), { ...RINGS, blocks });
  const before = (await port.consume(consumeOf)) as ConsumePage;
  blocks.free(slices[0] as Uint8Array);
  const after = (await port.consume(consumeOf)) as ConsumePage;
  expect([before.slices, after.slices]).toEqual([
    [Uint8Array.of(1, 2, 3)],
    [Uint8Array.of(1, 2, 3)],
  ]);
  expect(fromNode.flatMap(({ items }) => items).filter((item) => item === KIND.freed).length).toBe(
    1,
  );
  // Another block takes a new number.
  slices[0] = blocks.own(Uint8Array.of(9));
  expect(((await port.consume(consumeOf)) as ConsumePage).slices).toEqual([Uint8Array.of(9)]);
});

test("a page of shared and other memory arrives as a copy", async () => {
  const blocks = new SharedBlocks();
  const slices = [blocks.own(Uint8Array.of(1, 2)), Uint8Array.of(3)];
  const { port } = pairOf(pageNode(slices), { ...RINGS, blocks });
  const page = (await port.consume(consumeOf)) as ConsumePage;
  expect(page.slices).toEqual([Uint8Array.of(1, 2, 3)]);
});

describe("windows of files", () => {
  const SEED = partitionSeed(1, 0);
  const batches = (() => {
    const bytes = encodeRecord(null, new Uint8Array(100)).bytes.slice();
    stampBatch(bytes, 0, 7, 1, SEED);
    return bytes;
  })();
  /** A file of which the caller's side reads these bytes. */
  const readsFrom =
    (content: Uint8Array): NonNullable<PairOptions["readFile"]> =>
    async (descriptor, bytes, position) => {
      expect([descriptor, position]).toEqual([42, 1000]);
      bytes.set(content.subarray(0, bytes.length));
      return Math.min(content.length, bytes.length);
    };
  function windowPair(readFile?: PairOptions["readFile"]) {
    const blocks = new SharedBlocks();
    const reads = readFile === undefined ? {} : { readFile };
    const pair = pairOf({ node: new FakeNode() }, { ...RINGS, blocks, ...reads });
    const bytes = blocks.allocate(batches.length);
    const place = { descriptor: 42, position: 1000, bytes, seed: SEED, offset: 7 };
    return { ...pair, bytes, place };
  }

  test("are read into the node's memory and verified, and the end comes in the ring", async () => {
    const { server, bytes, place, toNode } = windowPair(readsFrom(batches));
    expect(await server.windows?.read(place)).toBe(8);
    expect(new Uint8Array(bytes)).toEqual(batches);
    expect(toNode).toEqual([]);
  });

  test.each([
    ["damaged", batches.map((byte, at) => (at === batches.length - 1 ? byte ^ 1 : byte))],
    ["short", batches.subarray(0, batches.length - 1)],
    ["empty", new Uint8Array(0)],
  ])("that are %s are left to the node", async (_, content) => {
    const { server, place } = windowPair(readsFrom(content));
    expect(await server.windows?.read(place)).toBeNull();
  });

  test("that end in the middle of a batch or begin elsewhere are left to the node", async () => {
    const { server, place } = windowPair(readsFrom(batches));
    expect(await server.windows?.read({ ...place, offset: 6 })).toBeNull();
    expect(await server.windows?.read({ ...place, seed: SEED + 1 })).toBeNull();
  });

  test("that cannot be read are left to the node, and so are all at a stop", async () => {
    const { server, place } = windowPair();
    expect(await server.windows?.read(place)).toBeNull();
    const never = windowPair(() => new Promise<number>(() => undefined));
    const waiting = never.server.windows?.read(never.place);
    await settled();
    never.server.windows?.end();
    expect(await waiting).toBeNull();
  });

  test("come by message when the ring is full", async () => {
    const started: (() => void)[] = [];
    const blocks = new SharedBlocks();
    const readFile = (_: number, bytes: Uint8Array) =>
      new Promise<number>((resolve) => {
        bytes.set(batches);
        started.push(() => resolve(bytes.length));
      });
    const { server, toNode } = pairOf(
      { node: new FakeNode() },
      { ringBytes: 1024, blocks, readFile },
    );
    const reads = Array.from({ length: 100 }, () => {
      const bytes = blocks.allocate(batches.length);
      return server.windows?.read({ descriptor: 1, position: 0, bytes, seed: SEED, offset: 7 });
    });
    await settled();
    for (const finish of started) finish();
    expect(await Promise.all(reads)).toEqual(Array(100).fill(8));
    expect(toNode.length).toBe(1);
  });
});
