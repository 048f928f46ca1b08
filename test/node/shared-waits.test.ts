/** Followers of one partition on a thread cost one wait of the node, and none of them is forgotten. */
import { expect, test } from "bun:test";
import type { RecordWait } from "../../src/node/api.ts";
import { SharedWaits } from "../../src/node/port/shared-waits.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

/** A wait of the node, which the test ends. */
type AtNode = { readonly wait: RecordWait; end(): void; fail(error: Error): void };

function start() {
  const clock = new SimClock();
  const waits = new SharedWaits(clock);
  const atNode: AtNode[] = [];
  const ofNode = (wait: RecordWait): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // The node ends its wait soon after its time, and when it is aborted.
    clock.after(wait.timeoutMs + 1, resolve);
    wait.signal.addEventListener("abort", () => resolve(), { once: true });
    atNode.push({ wait, end: resolve, fail: reject });
    return promise;
  };
  const ended: string[] = [];
  const follow = (name: string, changed: Partial<RecordWait> = {}) => {
    const { signal } = new AbortController();
    const place = { topic: "orders", partition: 0, topicId: 1, offset: 5 };
    const wait = { ...place, timeoutMs: 15_000, signal, ...changed };
    void waits.records(wait, ofNode).then(
      () => ended.push(name),
      (error: Error) => ended.push(`${name}: ${error.message}`),
    );
  };
  return { clock, atNode, ended, follow, waits };
}
const aborted = ({ wait }: AtNode): boolean => wait.signal.aborted;

test("a thousand that wait for the same record cross once, and all are woken at once", async () => {
  const { clock, atNode, ended, follow } = start();
  for (let i = 0; i < 1000; i++) follow(`${i}`);
  await clock.advance(1000);
  expect(atNode.length).toBe(1);
  expect(ended).toEqual([]);
  atNode[0]?.end();
  await clock.advance(1);
  expect(ended.length).toBe(1000);
  expect(atNode.map(aborted)).toEqual([false]);
  follow("later");
  await clock.advance(1);
  expect(atNode.length).toBe(2);
});

test("each place has a wait of its own: topic, its id, partition and offset", async () => {
  const { clock, atNode, ended, follow } = start();
  follow("a");
  follow("other topic", { topic: "orders2" });
  follow("topic of the same name", { topicId: 2 });
  follow("other partition", { partition: 1 });
  follow("other offset", { offset: 6 });
  await clock.advance(1);
  expect(
    atNode.map(({ wait: { topic, topicId, partition, offset } }) => [
      topic,
      topicId,
      partition,
      offset,
    ]),
  ).toEqual([
    ["orders", 1, 0, 5],
    ["orders2", 1, 0, 5],
    ["orders", 2, 0, 5],
    ["orders", 1, 1, 5],
    ["orders", 1, 0, 6],
  ]);
  atNode[2]?.end();
  await clock.advance(1);
  expect(ended).toEqual(["topic of the same name"]);
});

test("a stream and a partition with the same numbers have two waits", async () => {
  const { clock, waits } = start();
  const { signal } = new AbortController();
  let begun = 0;
  const ofNode = () => {
    begun++;
    return new Promise<void>(() => {});
  };
  void waits.stream({ streamId: 1, offset: 5, timeoutMs: 10, signal }, ofNode);
  void waits.stream({ streamId: 1, offset: 5, timeoutMs: 10, signal }, ofNode);
  const place = { topic: "", partition: 5, topicId: 1, offset: 5 };
  void waits.records({ ...place, timeoutMs: 10, signal }, ofNode);
  await clock.advance(1);
  expect(begun).toBe(2);
});

test("deadlines are those of each; when the last has gone, the node stops waiting", async () => {
  const { clock, atNode, ended, follow } = start();
  follow("short", { timeoutMs: 100 });
  follow("long", { timeoutMs: 30_000 });
  await clock.advance(200);
  expect(ended).toEqual(["short"]);
  expect(atNode.map(aborted)).toEqual([false]);
  await clock.advance(30_000);
  expect(ended).toEqual(["short", "long"]);
  expect(atNode.map(aborted)).toEqual([true]);
});

test("an abort ends its own wait only; one that came before does not cross", async () => {
  const { clock, atNode, ended, follow } = start();
  const stop = new AbortController();
  follow("gone before", { signal: AbortSignal.abort() });
  await clock.advance(1);
  expect(ended).toEqual(["gone before"]);
  expect(atNode.length).toBe(0);
  follow("stays");
  follow("goes", { signal: stop.signal });
  stop.abort();
  await clock.advance(1);
  expect(ended).toEqual(["gone before", "goes"]);
  expect(atNode.map(aborted)).toEqual([false]);
});

test("when the node has waited its full time it waits again, and nobody is woken for that", async () => {
  const { clock, atNode, ended, follow } = start();
  follow("patient", { timeoutMs: 100_000 });
  await clock.advance(61_000);
  expect(ended).toEqual([]);
  expect(atNode.length).toBe(2);
  atNode[1]?.end();
  await clock.advance(1);
  expect(ended).toEqual(["patient"]);
});

test("a failure of the node is told to all that waited", async () => {
  const { clock, atNode, ended, follow } = start();
  follow("a");
  follow("b");
  await clock.advance(1);
  atNode[0]?.fail(new Error("broken"));
  await clock.advance(1);
  expect(ended).toEqual(["a: broken", "b: broken"]);
});
