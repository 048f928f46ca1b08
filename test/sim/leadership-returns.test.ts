/**
 * Goal: what a leader has promised of writes that it lost does not outlive them. Method: a leader is
 * cut off with writes in its log, another one leads meanwhile, and the first one leads again.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { ProduceOutcome, ProduceRequest } from "../../src/node/api.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { Script } from "../tools/sim/script.ts";
import type { SimNode } from "../tools/sim/sim-node.ts";

setDefaultTimeout(120_000);

const RECORD = encodeRecord(null, new Uint8Array([7]));
const key = (name: string) => new TextEncoder().encode(name);

function produce(
  { life, node }: SimNode,
  more: Partial<ProduceRequest> = {},
): (ProduceOutcome | null)[] {
  const outcomes: ProduceOutcome[] = [];
  const plain = { topic: "t", partition: 0, key: null, idempotencyKey: null, records: RECORD };
  life.run(() =>
    node?.produce({ ...plain, timeoutMs: null, rocket: false, ...more }, (outcome) =>
      outcomes.push(outcome),
    ),
  );
  return outcomes;
}

function isolate({ cluster }: Script, id: string): void {
  for (const other of cluster.nodes) {
    cluster.networks.block(id, other.id);
    cluster.networks.block(other.id, id);
  }
}

/** One entry each: the journal is idle again before the next one comes. */
async function produceApart(
  script: Script,
  leader: SimNode,
  requests: readonly Partial<ProduceRequest>[],
) {
  const outcomes: ReturnType<typeof produce>[] = [];
  for (const more of requests) {
    outcomes.push(produce(leader, more));
    await script.pass(5);
  }
  return outcomes;
}

async function led(changes: ConstructorParameters<typeof Script>[0] = {}) {
  const script = new Script({ spares: 0, queueRequestsMax: 1000, ...changes });
  script.start();
  await script.create("t");
  await script.until("all have it", () =>
    script.cluster.nodes.every(({ node }) => node?.describeTopic("t").ok === true),
  );
  return { script, leader: script.leader as SimNode };
}

/** Another node leads, writes nothing but its own first entry, and hands back. */
async function goAndReturn(script: Script, old: SimNode): Promise<void> {
  await script.until("another one leads", () => {
    const others = script.cluster.nodes.filter(({ id }) => id !== old.id);
    return others.some(({ node }) => node?.health().role === "leader");
  });
  const next = script.cluster.nodes.find(
    ({ id, node }) => id !== old.id && node?.health().role === "leader",
  );
  script.cluster.networks.heal();
  await script.until("the old one follows", () => old.node?.health().role === "follower");
  await script.until("all is level", () => {
    const want = next?.node?.health().commitIndex;
    return old.node?.health().appliedIndex === want;
  });
  for (;;) {
    await script.ask((node) => node.transferLeadership(old.id), next?.id);
    const since = script.cluster.queue.elapsedMs;
    await script.until(
      "leadership moves, or does not",
      () => old.node?.health().role === "leader" || script.cluster.queue.elapsedMs > since + 2_000,
    );
    if (old.node?.health().role === "leader") return;
  }
}

test("a leader again predicts offsets, answers writes and knows keys as if its lost ones never were", async () => {
  const { script, leader } = await led();
  isolate(script, leader.id);
  const keys = ["k0", "k1", "k2", "k3", "k4", "k5"].map(key);
  const rockets = keys.map((idempotencyKey) => ({ rocket: true, idempotencyKey }));
  const lost = await produceApart(script, leader, rockets);
  const waiting = await produceApart(script, leader, [{}, {}, {}, {}]);
  expect(lost.flat()).toMatchObject([0, 1, 2, 3, 4, 5].map((firstOffset) => ({ firstOffset })));
  await goAndReturn(script, leader);
  // Nobody who waited is left without an answer, and none is told that all is well.
  await script.until("all are answered", () => waiting.every(({ length }) => length === 1));
  for (const outcome of waiting.flat()) expect(outcome?.ok).toBe(false);

  const first = produce(leader, { rocket: true, idempotencyKey: key("k3") });
  const sealed = produce(leader, {});
  await script.until("both are answered", () => first.length + sealed.length === 2);
  expect(first).toMatchObject([{ ok: true, firstOffset: 0, duplicate: false }]);
  expect(sealed).toMatchObject([{ ok: true, firstOffset: 1, synced: true }]);
});

test("a node whose writes another leader has cut off stops when it is asked to", async () => {
  const { script, leader } = await led();
  isolate(script, leader.id);
  const lost = await produceApart(script, leader, [{}, {}, {}, {}, {}, {}]);
  await script.until("another one leads", () =>
    script.cluster.nodes.some(
      ({ id, node }) => id !== leader.id && node?.health().role === "leader",
    ),
  );
  script.cluster.networks.heal();
  await script.until("the old one follows", () => leader.node?.health().role === "follower");
  await script.until("all are answered", () => lost.every(({ length }) => length === 1));
  await script.pass(1_000);
  await script.ask((node) => node.stop(), leader.id);
});

test("under write concern 1 a duplicate is answered when its first write is committed", async () => {
  const { script, leader } = await led({ writeConcern: { kind: "appended" } });
  isolate(script, leader.id);
  const request = { idempotencyKey: key("k"), records: encodeRecord(null, key("one")) };
  const first = produce(leader, request);
  const duplicate = produce(leader, request);
  await script.pass(50);
  expect(first).toMatchObject([{ ok: true, duplicate: false, synced: true, ackedBy: 1 }]);
  expect(duplicate).toEqual([]);
  script.cluster.networks.heal();
  await script.until("the duplicate is answered", () => duplicate.length === 1);
  expect(duplicate).toMatchObject([
    { ok: true, duplicate: true, committed: true, payloadMatches: true, firstOffset: 0 },
  ]);
  const other = produce(leader, { ...request, records: encodeRecord(null, key("two")) });
  await script.until("it is answered", () => other.length === 1);
  expect(other).toMatchObject([{ duplicate: true, committed: true, payloadMatches: false }]);
});
