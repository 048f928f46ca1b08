/**
 * Goal: requests of a queue that arrive together share an entry of the log, and each gets its own part
 * of the outcome. Method: three simulated nodes, and requests in one event.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { Received } from "../../src/node/api.ts";
import type { Node } from "../../src/node/node.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { produced } from "../tools/node/as-promises.ts";
import { Script } from "../tools/sim/script.ts";

setDefaultTimeout(120_000);

const RECORDS = 9;
const utf8 = (text: string) => new TextEncoder().encode(text);

/** A queue with nine records in one partition. */
async function queued(): Promise<Script> {
  const script = new Script({ spares: 0, queueRequestsMax: 1_000 });
  script.start();
  await script.create("t");
  const definition = {
    topic: "t",
    visibilityMs: 60_000,
    maxDeliveries: 3,
    backoffMs: [0],
    deadLetter: null,
    order: "none",
    maxInFlight: 100,
    from: "earliest",
  } as const;
  await script.insist(
    (node) => node.queues.define("q", definition),
    ({ ok }) => ok,
  );
  const builder = new BatchBuilder();
  for (let i = 0; i < RECORDS; i++) builder.add(null, utf8(`job ${i}`));
  const place = { topic: "t", partition: 0, key: null, idempotencyKey: null };
  const records = builder.finish();
  await script.ask((node) => produced(node, { ...place, records, timeoutMs: null, rocket: false }));
  return script;
}

const receive = (node: Node, max: number, visibilityMs: number | null = null) =>
  node.queues.receive({ queue: "q", max, waitMs: 0, visibilityMs, signal: null });
type Outcome = Awaited<ReturnType<typeof receive>>;
const offsetsOf = (received: Outcome): readonly number[] =>
  received.ok ? received.messages.map(({ offset }) => offset) : [];
const ack = (node: Node, ...receipts: readonly string[]) =>
  node.queues.settle({ queue: "q", receipts, how: { kind: "ack" } });

/** Entries of the log that the requests took. */
async function entries<T>(script: Script, run: (node: Node) => Promise<T>): Promise<[number, T]> {
  const before = script.leader?.node?.health().appliedIndex ?? 0;
  const outcome = await script.ask(run);
  return [(script.leader?.node?.health().appliedIndex ?? 0) - before, outcome];
}

test("receives of one turn share an entry, and no two get the same record", async () => {
  const script = await queued();
  const [count, received] = await entries(script, (node) =>
    Promise.all([
      receive(node, 1),
      receive(node, 3),
      receive(node, 2, 5_000),
      receive(node, 100),
      receive(node, 5),
    ]),
  );
  expect(count).toBe(1);
  expect(received.map(offsetsOf)).toEqual([[0], [1, 2, 3], [4, 5], [6, 7, 8], []]);
  const [first, , third] = received as readonly Received[];
  expect((first?.visibleAtMs ?? 0) - (third?.visibleAtMs ?? 0)).toBe(55_000);
});

test("acknowledgements of one turn share an entry, and each has its own results in order", async () => {
  const script = await queued();
  const received = await script.ask((node) => receive(node, 100));
  const receipts = received.ok ? received.messages.map(({ receipt }) => receipt) : [];
  const [a = "", b = "", c = "", d = "", e = ""] = receipts;
  const [count, results] = await entries(script, (node) =>
    Promise.all([
      ack(node, a),
      ack(node, b, "none", a, c),
      ack(node, "q9-0-0-1"),
      ack(node, d, c, e),
    ]),
  );
  expect(count).toBe(1);
  expect(results).toEqual([
    { ok: true, results: [null] },
    { ok: true, results: [null, "unknown_receipt", "lease_expired", null] },
    { ok: true, results: ["unknown_receipt"] },
    { ok: true, results: [null, "lease_expired", null] },
  ]);
  const described = await script.ask((node) => node.queues.describeQueue("q"));
  expect(described).toMatchObject({ acked: 5, delayed: 0, inFlight: 4 });
});

test("a request that waits is given what comes, unless its client has left", async () => {
  const script = await queued();
  await script.ask((node) => receive(node, 100));
  const left = new AbortController();
  const signals: string[] = [];
  const outcomes: (readonly number[])[] = [];
  const wait = (node: Node, name: string, signal: AbortSignal): void => {
    const follow = (): AbortSignal => {
      signals.push(name);
      return signal;
    };
    const request = { queue: "q", max: 1, waitMs: 10_000, visibilityMs: null, signal: follow };
    node.queues.receive(request).then((received) => outcomes.push(offsetsOf(received)));
  };
  await script.ask((node) => {
    wait(node, "gone", left.signal);
    wait(node, "there", new AbortController().signal);
  });
  await script.until("both wait", () => signals.length === 2);
  left.abort();
  await script.until("the first one is answered", () => outcomes.length === 1);
  const records = new BatchBuilder();
  records.add(null, utf8("late"));
  const place = { topic: "t", partition: 0, key: null, idempotencyKey: null };
  const write = { ...place, records: records.finish(), timeoutMs: null, rocket: false };
  await script.ask((node) => produced(node, write));
  await script.until("the second one is answered", () => outcomes.length === 2);
  expect(outcomes).toEqual([[], [RECORDS]]);
});
