/** Batches asked of a peer, over the network in memory. */
import { expect, test } from "bun:test";
import type { NodeId } from "../../src/lib/ids.ts";
import type { Batches, BatchesWanted } from "../../src/transport/batch-exchange.ts";
import { BATCHES_BYTES_MAX } from "../../src/transport/batch-exchange.ts";
import { Random } from "../tools/random.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";
import { MemoryWorld } from "../tools/transport/memory-network.ts";
import { MemoryNode } from "../tools/transport/memory-nodes.ts";

const WANTED: BatchesWanted = {
  topicId: 3,
  partition: 1,
  fromOffset: 40,
  endOffset: 2 ** 40,
  maxBytes: 1000,
};
const BATCHES: Batches = { baseOffset: 38, endOffset: 50, bytes: new Uint8Array([1, 2, 3]) };

async function pair(): Promise<{ world: MemoryWorld; a: MemoryNode; b: MemoryNode }> {
  const world = new MemoryWorld(new SimClock(), new Random(1));
  const [a, b] = [new MemoryNode(world, "a"), new MemoryNode(world, "b")];
  a.meet(b);
  b.meet(a);
  await world.clock.advance(1000);
  return { world, a, b };
}

/** Undefined while there is no answer. */
function ask(from: MemoryNode, to: string, wanted = WANTED): { answer?: Batches | null } {
  const outcome: { answer?: Batches | null } = {};
  void from.transport.askBatches(to as NodeId, wanted).then((answer) => {
    outcome.answer = answer;
  });
  return outcome;
}

test("a peer is asked for exactly what is wanted, and its answer comes back", async () => {
  const { world, a, b } = await pair();
  const seen: unknown[] = [];
  b.batches = (wanted, from) => {
    seen.push([wanted, from]);
    return Promise.resolve(BATCHES);
  };
  const asked = ask(a, "b");
  await world.clock.advance(100);
  expect(asked.answer).toEqual(BATCHES);
  expect(seen).toEqual([[WANTED, "a"]]);
});

test("what the peer has not, or whoever cannot be reached, is no answer", async () => {
  const { world, a } = await pair();
  const [missing, stranger] = [ask(a, "b"), ask(a, "c")];
  await world.clock.advance(100);
  expect([missing.answer, stranger.answer]).toEqual([null, null]);
});

test("no more is read for a peer than the limit", async () => {
  const { world, a, b } = await pair();
  let bytes = 0;
  b.batches = ({ maxBytes }) => {
    bytes = maxBytes;
    return Promise.resolve(null);
  };
  ask(a, "b", { ...WANTED, maxBytes: 2 ** 40 });
  await world.clock.advance(100);
  expect(bytes).toBe(BATCHES_BYTES_MAX);
});

test("a silent peer is waited for, but not for ever; nor is one that is removed", async () => {
  const { world, a, b } = await pair();
  b.batches = () => new Promise(() => {});
  const asked = ask(a, "b");
  await world.clock.advance(1000);
  expect(asked.answer).toBeUndefined();
  await world.clock.advance(1500);
  expect(asked.answer).toBeNull();
  const again = ask(a, "b");
  a.meet();
  await world.clock.advance(1);
  expect(again.answer).toBeNull();
});

test("a peer that asks too much at a time gets nothing for the rest", async () => {
  const { world, a, b } = await pair();
  const waiting: (() => void)[] = [];
  b.batches = () => new Promise((resolve) => waiting.push(() => resolve(BATCHES)));
  const asked = Array.from({ length: 5 }, () => ask(a, "b"));
  await world.clock.advance(100);
  for (const answer of waiting) answer();
  await world.clock.advance(100);
  expect(asked.map(({ answer }) => answer)).toEqual([BATCHES, BATCHES, null, null, null]);
  expect(waiting.length).toBe(2);
});

test("a range of offsets that is empty ends the link", async () => {
  const { world, a, b } = await pair();
  ask(a, "b", { ...WANTED, endOffset: WANTED.fromOffset });
  await world.clock.advance(20);
  expect(b.transport.stats().malformed.get("payload")).toBe(1);
});
