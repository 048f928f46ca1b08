import { expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import type { MemberPage } from "../../src/node/api.ts";
import type { Node } from "../../src/node/node.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

const NEVER = new AbortController().signal;

/** A node with a topic of two partitions and the group `g`. */
class Bench {
  readonly single = new SingleNode(new Random(1));
  node: Node | null = null;

  async open(): Promise<Node> {
    this.node = await this.single.open();
    return this.node;
  }

  get groups(): Node["groups"] {
    if (this.node === null) throw new Error("the node is not open");
    return this.node.groups;
  }

  async join(member: string, leaseMs = 30_000) {
    const request = { group: "g", member, topics: ["t"], leaseMs };
    const joined = await this.single.settled(this.groups.join(request));
    if (!joined.ok) throw new Error(joined.code);
    return joined;
  }

  reading(member: string, waitMs = 0, signal = NEVER) {
    return this.groups.read({ group: "g", member, limit: 100, maxBytes: 1e6, waitMs, signal });
  }

  async read(member: string, waitMs = 0, signal = NEVER): Promise<MemberPage> {
    const page = await this.single.settled(this.reading(member, waitMs, signal));
    if (!page.ok) throw new Error(page.code);
    return page;
  }

  async produce(partition: number, ...values: string[]): Promise<void> {
    const builder = new BatchBuilder();
    for (const value of values) builder.add(null, utf8(value));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.node?.produce(
      {
        topic: "t",
        partition,
        key: null,
        idempotencyKey: null,
        records: builder.finish(),
        timeoutMs: null,
        rocket: false,
      },
      () => resolve(),
    );
    await this.single.settled(promise);
  }

  get logLength(): number {
    return this.node?.lastSyncedIndex() ?? 0;
  }
}

async function opened(): Promise<Bench> {
  const bench = new Bench();
  const node = await bench.open();
  await bench.single.settled(node.createTopic("t", 2));
  return bench;
}

const given = ({ records }: MemberPage) =>
  records.map(({ partition, startOffset, nextOffset }) => [partition, startOffset, nextOffset]);

test("reads in the first half of a lease write nothing to the log", async () => {
  const bench = await opened();
  await bench.produce(0, "a", "b");
  await bench.join("m");
  const before = bench.logLength;
  expect(given(await bench.read("m"))).toEqual([[0, 0, 2]]);
  for (let i = 0; i < 20; i++) expect(given(await bench.read("m", 500))).toEqual([]);
  expect(bench.logLength).toBe(before);
  await bench.single.clock.advance(6_000);
  const { leaseUntilMs } = await bench.read("m");
  expect(bench.logLength).toBe(before + 1);
  expect(leaseUntilMs).toBeGreaterThan(bench.single.clock.now() + 29_000);
});

test("a read that waits longer than the lease renews it, and a record ends the wait", async () => {
  const bench = await opened();
  await bench.join("m", 1_000);
  const before = bench.logLength;
  const waiting = bench.reading("m", 60_000);
  await bench.single.clock.advance(5_000);
  // Twice in a lease of a second; the log also has what the node writes for itself.
  expect(bench.logLength - before).toBeLessThanOrEqual(12);
  await bench.produce(1, "x");
  const page = await bench.single.settled(waiting);
  expect(page.ok ? given(page) : page).toEqual([[1, 0, 1]]);
});

test("the lease of a client that is gone is not renewed, and ends in time", async () => {
  const bench = await opened();
  await bench.join("m", 1_000);
  const gone = new AbortController();
  const waiting = bench.reading("m", 60_000, gone.signal);
  await bench.single.clock.advance(3_000);
  gone.abort();
  expect(await bench.single.settled(waiting)).toMatchObject({ ok: true, records: [] });
  await bench.single.clock.advance(1_300);
  const described = await bench.single.settled(bench.groups.describe("g"));
  expect(described?.members).toEqual([]);
});

test("records that were given to a client that is gone are given again", async () => {
  const bench = await opened();
  await bench.join("m");
  const gone = new AbortController();
  const waiting = bench.reading("m", 60_000, gone.signal);
  gone.abort();
  await bench.produce(0, "a");
  expect(await bench.single.settled(waiting)).toMatchObject({ ok: true, records: [] });
  expect(given(await bench.read("m"))).toEqual([[0, 0, 1]]);
});

test("after a restart members keep their partitions, and reading begins at the committed offsets", async () => {
  const bench = await opened();
  await bench.produce(0, "a", "b", "c");
  const { assigned } = await bench.join("m");
  const offset = { topic: "t", partition: 0, generation: assigned[0]?.generation ?? 0, offset: 1 };
  const commit = { group: "g", member: "m", offsets: [offset] };
  expect(given(await bench.read("m"))).toEqual([[0, 0, 3]]);
  await bench.single.settled(bench.groups.commit(commit));
  expect(given(await bench.read("m"))).toEqual([]);
  await bench.single.settled(bench.node?.stop() ?? Promise.resolve());
  await bench.open();
  const page = await bench.read("m");
  expect(given(page)).toEqual([[0, 1, 3]]);
  expect(page.assigned.map(({ generation }) => generation)).toEqual(
    assigned.map(({ generation }) => generation),
  );
  const again = { ...commit, offsets: [{ ...offset, offset: 3 }] };
  expect(await bench.single.settled(bench.groups.commit(again))).toMatchObject({
    ok: true,
    results: [{ ok: true, committedOffset: 3 }],
  });
});

test("a partition that was revoked and stays with its owner is read from the committed offset", async () => {
  const bench = await opened();
  await bench.produce(1, "a", "b");
  await bench.join("m");
  expect(given(await bench.read("m"))).toEqual([[1, 0, 2]]);
  await bench.join("n");
  expect((await bench.read("m")).revoked).toEqual([{ topic: "t", partition: 1 }]);
  await bench.single.settled(bench.groups.leave({ group: "g", member: "n" }));
  // The member was told to give the partition up, so it may have dropped what it had.
  expect(given(await bench.read("m"))).toEqual([[1, 0, 2]]);
});

test("a partition that stays with its owner and is revoked later is handed over after the owner was told anew", async () => {
  const bench = await opened();
  await bench.join("m");
  await bench.join("n");
  expect((await bench.read("m")).revoked).toEqual([{ topic: "t", partition: 1 }]);
  await bench.single.settled(bench.groups.leave({ group: "g", member: "n" }));
  const { assigned } = await bench.read("m");
  expect(assigned.map(({ partition }) => partition)).toEqual([0, 1]);
  await bench.join("n");
  await bench.single.settled(bench.groups.commit({ group: "g", member: "m", offsets: [] }));
  const owners = async () => {
    const described = await bench.single.settled(bench.groups.describe("g"));
    return described?.partitions.map(({ owner, next }) => [owner, next]);
  };
  expect(await owners()).toEqual([
    ["m", null],
    ["m", "n"],
  ]);
  expect((await bench.read("m")).revoked).toEqual([{ topic: "t", partition: 1 }]);
  await bench.read("m");
  expect(await owners()).toEqual([
    ["m", null],
    ["n", null],
  ]);
});

test("a partition that is revoked before its owner has read is handed over without a wait", async () => {
  const bench = await opened();
  const joining = ["m", "n"].map((member) =>
    bench.groups.join({ group: "g", member, topics: ["t"], leaseMs: 30_000 }),
  );
  await bench.single.settled(Promise.all(joining));
  const before = bench.single.clock.now();
  const page = await bench.single.settled(bench.reading("m", 20_000));
  expect(page.ok && page.revoked).toEqual([{ topic: "t", partition: 1 }]);
  const waiting = bench.reading("m", 20_000);
  const other = await bench.single.settled(bench.reading("n", 20_000));
  expect(other.ok && other.assigned.map(({ partition }) => partition)).toEqual([1]);
  expect(bench.single.clock.now() - before).toBeLessThan(1_000);
  await bench.single.settled(waiting);
});

test("members that wait write nothing while half of their leases is left", async () => {
  const bench = new Bench();
  const node = await bench.open();
  await bench.single.settled(node.createTopic("t", 90));
  const count = 300;
  for (let i = 0; i < count; i++) await bench.join(`m${i}`);
  for (let i = 0; i < count; i++) await bench.read(`m${i}`);
  for (let i = 0; i < count; i++) await bench.read(`m${i}`);
  const waiting = Array.from({ length: count }, (_, i) => bench.reading(`m${i}`, 10_000));
  const before = bench.logLength;
  await bench.single.settled(Promise.all(waiting));
  expect(bench.logLength).toBe(before);
});

test("a read that a follower sent before the member joined again gives nothing and moves nothing", async () => {
  const bench = await opened();
  await bench.produce(0, "a", "b");
  await bench.join("m");
  const late = { group: "g", member: "m", limit: 100, maxBytes: 1e6, waitMs: 500, signal: NEVER };
  const appliedIndex = bench.logLength;
  const open = bench.groups.read({ ...late, appliedIndex });
  expect(await bench.single.settled(open)).toMatchObject({ records: [{ nextOffset: 2 }] });
  await bench.join("m");
  const newest = bench.reading("m", 500);
  const refused = await bench.single.settled(bench.groups.read({ ...late, appliedIndex }));
  expect(refused).toMatchObject({ ok: true, records: [], positions: [], revoked: [] });
  if (!refused.ok) throw new Error(refused.code);
  const { joinedIndex = 0 } = refused;
  expect(joinedIndex).toBeGreaterThan(appliedIndex);
  // It did not end the read that came after the join either.
  expect(await bench.single.settled(newest)).toMatchObject({ records: [{ nextOffset: 2 }] });
  await bench.produce(0, "c");
  const again = bench.groups.read({ ...late, appliedIndex: joinedIndex });
  expect(await bench.single.settled(again)).toMatchObject({ records: [{ startOffset: 2 }] });
});

test("a read that waits when the member joins again ends without records, whatever wakes it first", async () => {
  const bench = await opened();
  await bench.join("m");
  const appliedIndex = bench.logLength;
  const request = { group: "g", member: "m", limit: 100, maxBytes: 1e6, waitMs: 5_000 };
  const waiting = bench.groups.read({ ...request, appliedIndex, signal: NEVER });
  await bench.single.settled(Promise.resolve());
  await bench.join("m");
  await bench.produce(0, "a");
  expect(await bench.single.settled(waiting)).toMatchObject({ ok: true, records: [] });
  expect(given(await bench.read("m"))).toEqual([[0, 0, 1]]);
});
