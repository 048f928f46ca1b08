/**
 * Goal: the answer to a delayed produce is what becomes of it, and dead letters that are moved back at
 * a rate go on to be moved when the leader changes. Method: three simulated nodes, and followers or
 * leaders that are stopped at chosen moments.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { Scheduled, ScheduleRequest } from "../../src/node/api.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { Script } from "../tools/sim/script.ts";
import type { SimNode } from "../tools/sim/sim-node.ts";

setDefaultTimeout(120_000);

const utf8 = (text: string) => new TextEncoder().encode(text);
const REQUEST: ScheduleRequest = {
  topic: "t",
  partition: 0,
  key: null,
  idempotencyKey: null,
  records: encodeRecord(null, utf8("later")),
  delayMs: 60_000,
  deliverAtMs: 0,
  timeoutMs: null,
  traced: false,
};

async function led() {
  const script = new Script({ spares: 0, queueRequestsMax: 1_000 });
  script.start();
  await script.create("t");
  await script.until("all have it", () =>
    script.cluster.nodes.every(({ node }) => node?.describeTopic("t").ok === true),
  );
  return { script, leader: script.leader as SimNode };
}

const others = ({ cluster }: Script, { id }: SimNode): SimNode[] =>
  cluster.nodes.filter((node) => node.id !== id);

const schedule = (script: Script, { id }: SimNode, more: Partial<ScheduleRequest> = {}) =>
  script.ask((node) => node.later.schedule({ ...REQUEST, ...more }), id);

test("a delayed produce whose own time is over is told with the id that it gets", async () => {
  const { script, leader } = await led();
  expect(await schedule(script, leader)).toMatchObject({ ok: true, scheduleId: 9, synced: true });
  for (const { life } of others(script, leader)) life.pause();
  const first = schedule(script, leader, { timeoutMs: 20, idempotencyKey: utf8("k") });
  expect(await first).toMatchObject({
    ok: true,
    scheduleId: 17,
    partition: 0,
    count: 1,
    synced: false,
    committed: false,
    duplicate: false,
    ackedBy: 1,
  });
  // A repetition finds the first write while that is in flight.
  const again = { timeoutMs: 20, idempotencyKey: utf8("k") };
  expect(await schedule(script, leader, again)).toMatchObject({
    scheduleId: 17,
    synced: false,
    committed: false,
    duplicate: true,
    payloadMatches: true,
  });
  const another = (await schedule(script, leader, { timeoutMs: 20 })) as Scheduled;
  expect(another).toMatchObject({ ok: true, scheduleId: 33, synced: false });
  for (const { life } of others(script, leader)) life.resume();
  const found = () => leader.node?.later.listScheduled({ topic: "t", after: 0, limit: 9 });
  await script.until("they are stored", () => found()?.length === 3);
  expect(found()?.map(({ scheduleId }) => scheduleId)).toEqual([9, 17, 33]);
  // The key is not in flight any more.
  expect(await schedule(script, leader, again)).toMatchObject({
    scheduleId: 17,
    synced: true,
    committed: true,
    duplicate: true,
  });
});

test("without a time of its own, a delayed produce is told that its outcome is not known", async () => {
  const { script, leader } = await led();
  for (const { life } of others(script, leader)) life.pause();
  expect(await schedule(script, leader)).toEqual({ ok: false, code: "commit_timeout" });
});

const LETTERS = 12;
const PER_SECOND = 3;

async function deadLetters(script: Script): Promise<void> {
  const definition = {
    topic: "t",
    visibilityMs: 60_000,
    maxDeliveries: 1,
    backoffMs: [0],
    deadLetter: "d",
    order: "none",
    maxInFlight: 1_000,
    from: "earliest",
  } as const;
  await script.insist(
    (node) => node.queues.define("q", definition),
    ({ ok }) => ok,
  );
  for (let i = 0; i < LETTERS; i++) {
    const records = encodeRecord(null, utf8(`job ${i}`));
    await script.ask(
      (node) =>
        new Promise((resolve) =>
          node.produce({ ...REQUEST, records, rocket: false, timeoutMs: null }, resolve),
        ),
    );
  }
  const received = await script.ask((node) =>
    node.queues.receive({ queue: "q", max: 100, waitMs: 0, visibilityMs: null, signal: null }),
  );
  const receipts = received.ok ? received.messages.map(({ receipt }) => receipt) : [];
  expect(receipts).toHaveLength(LETTERS);
  await script.ask((node) => node.queues.reject({ queue: "q", receipts, reason: null }));
}

/** The end of the topic of the queue: dead letters are appended to it. */
function endOf(simNode: SimNode | null): number {
  const described = simNode?.node?.describeTopic("t");
  return described?.ok === true ? (described.partitionList[0]?.endOffset ?? 0) : 0;
}

const describe = async (script: Script) => {
  const described = await script.ask((node) => node.queues.describeQueue("q"));
  if (!described.ok) throw new Error(described.code);
  return described;
};

test("a redrive with a rate goes on under the next leader, and ends with the last dead letter", async () => {
  const { script, leader } = await led();
  await deadLetters(script);
  const begun = await script.ask((node) =>
    node.queues.redrive({ queue: "q", max: null, perSecond: PER_SECOND }),
  );
  expect(begun).toEqual({ ok: true, moved: PER_SECOND, remaining: LETTERS - PER_SECOND });
  expect((await describe(script)).redrive).toEqual({
    perSecond: PER_SECOND,
    left: null,
    nextAt: expect.any(Number),
  } as never);
  leader.kill();
  await script.until("another leader", () => script.leader !== null && script.leader !== leader);
  const from = script.cluster.queue.elapsedMs;
  const moved = () => endOf(script.leader) - LETTERS;
  await script.until("one more second's worth", () => moved() > PER_SECOND);
  expect(moved()).toBeLessThanOrEqual(2 * PER_SECOND);
  await script.until("all are moved", () => moved() === LETTERS);
  // Four seconds' worth: the first was moved at once, so two more lie between the others.
  expect(script.cluster.queue.elapsedMs - from).toBeGreaterThan(1_900);
  await script.pass(1_500);
  const described = await describe(script);
  expect(described).toMatchObject({ dead: 0, redriven: LETTERS, redrive: null });
});

test("a redrive with a rate can be stopped", async () => {
  const { script } = await led();
  await deadLetters(script);
  await script.ask((node) => node.queues.redrive({ queue: "q", max: 9, perSecond: 2 }));
  expect((await describe(script)).redrive).toMatchObject({ perSecond: 2, left: 7 });
  expect(await script.ask((node) => node.queues.stopRedrive("q"))).toEqual({
    ok: true,
    stopped: true,
  });
  await script.pass(3_000);
  expect(await describe(script)).toMatchObject({ redriven: 2, dead: 10, redrive: null });
  expect(await script.ask((node) => node.queues.stopRedrive("q"))).toEqual({
    ok: true,
    stopped: false,
  });
});
