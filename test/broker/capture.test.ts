// Goal: a snapshot has the topics as they were at its beginning, although nothing is copied then.
// Method: between any two steps of the encoding, one thing of each kind changes.
import { expect, test } from "bun:test";
import { Machine } from "../../src/machine/machine.ts";
import { Bench } from "../tools/machine/support.ts";

const TOPICS = 6;

function filled(): Bench {
  const bench = new Bench();
  for (let i = 1; i <= TOPICS; i++) {
    bench.createTopic(`t${i}`, 2);
    bench.produce({ topicId: i, key: `key${i}` });
    bench.produce({ topicId: i, partition: 1 });
    bench.do({ type: "commit_offset", group: "g", topicId: i, partition: 0, offset: 1 as never });
  }
  bench.do({
    type: "create_stream",
    path: "s",
    contentType: "text/plain",
    ttlSeconds: null,
    expiresAt: null,
    closed: false,
    fork: null,
    records: { count: 0, logicalBytes: 0, batches: new Uint8Array(0) },
  });
  return bench;
}

/** Changes all that a snapshot has of a topic. */
function change(bench: Bench, id: number): void {
  const topic = `t${id}`;
  bench.produce({ topicId: id, key: `late${id}` });
  bench.produce({ topicId: id, partition: 1, logicalBytes: 3 });
  bench.do({ type: "commit_offset", group: "g", topicId: id, partition: 0, offset: 2 as never });
  bench.do({ type: "commit_offset", group: "h", topicId: id, partition: 1, offset: 1 as never });
  bench.do({ type: "set_retention", topic, partition: null, ttlMs: 5, maxBytes: null });
  bench.do({ type: "set_retention", topic, partition: 1, ttlMs: null, maxBytes: 7 });
  bench.do({
    type: "delete_before",
    topicId: id,
    partition: 0,
    beforeOffset: 1 as never,
    bytesBefore: 10,
  });
}

/** The chunks of a snapshot, a section or two each. */
function chunksOf(machine: Machine, after: (step: number) => void): Uint8Array[] {
  const snapshot = machine.beginSnapshot();
  const chunks: Uint8Array[] = [];
  for (let step = 0; ; step++) {
    after(step);
    const chunk = snapshot.next(1);
    if (chunk === null) return chunks;
    chunks.push(chunk);
  }
}

const WAYS = ["changes", "is deleted", "changes and is deleted", "changes twice"] as const;

/** @param step 0 is the one at which something happens to the topic. */
function disturb(bench: Bench, what: (typeof WAYS)[number], id: number, step: number): void {
  if (step === 0 && what !== "is deleted") change(bench, id);
  if (step === 0 && what.endsWith("deleted")) bench.do({ type: "delete_topic", name: `t${id}` });
  if (step === 2 && what === "changes twice") change(bench, id);
  if (step === 1) bench.createTopic("new", 3);
}

for (const what of WAYS) {
  test(`a topic that ${what} while a snapshot is encoded is in it as it was`, () => {
    // Each step once: before the topic is taken, while it is encoded, and after that.
    for (let at = 0; at < 40; at++) {
      for (const id of [1, 2, TOPICS]) {
        const bench = filled();
        const digest = bench.machine.digest();
        const chunks = chunksOf(bench.machine, (step) => disturb(bench, what, id, step - at));
        expect(Machine.restore(chunks).digest()).toBe(digest);
        expect(bench.machine.broker.captures).toEqual([]);
      }
    }
  });
}

test("all topics deleted in any order during a snapshot are in it in their order", () => {
  const bench = filled();
  const digest = bench.machine.digest();
  const order = [4, 1, TOPICS, 2, 5, 3];
  const chunks = chunksOf(bench.machine, (step) => {
    const id = order[step];
    if (id !== undefined) bench.do({ type: "delete_topic", name: `t${id}` });
    if (step === 1) bench.do({ type: "delete_stream", path: "s" });
  });
  expect(Machine.restore(chunks).digest()).toBe(digest);
});

test("two snapshots at a time have the state of their own beginning", () => {
  const bench = filled();
  const firstDigest = bench.machine.digest();
  const first = bench.machine.beginSnapshot();
  change(bench, 2);
  const secondDigest = bench.machine.digest();
  const second = bench.machine.beginSnapshot();
  change(bench, 3);
  bench.do({ type: "delete_topic", name: "t2" });
  expect(Machine.restore([first.next(1e9) as Uint8Array]).digest()).toBe(firstDigest);
  expect(Machine.restore([second.next(1e9) as Uint8Array]).digest()).toBe(secondDigest);
  expect(bench.machine.broker.captures).toEqual([]);
});

test("a snapshot that is given up keeps nothing", () => {
  const bench = filled();
  const snapshot = bench.machine.beginSnapshot();
  expect(bench.machine.broker.captures.length).toBe(1);
  snapshot.abandon();
  expect(bench.machine.broker.captures).toEqual([]);
  expect(snapshot.next(1e9)).toBeNull();
});
