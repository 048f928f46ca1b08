/** Writes of idempotent producers through a whole node: what is decided, and what is said early. */
import { expect, test } from "bun:test";
import type { ProduceOutcome, ProduceRequest } from "../../src/node/api.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";

const SYNC_MS = 50;

const request = (seq: number, more: Partial<ProduceRequest> = {}, epoch = 0): ProduceRequest => ({
  topic: "t",
  partition: 0,
  key: null,
  idempotencyKey: null,
  records: encodeRecord(null, new Uint8Array([seq])),
  timeoutMs: null,
  rocket: false,
  producer: { id: "p", epoch, seq },
  ...more,
});

const ROCKET = { rocket: true };
const OTHER = { records: encodeRecord(null, new Uint8Array([99])) };

/** A node whose syncs take a while, so that requests meet in flight. */
async function slowNode() {
  const slow = { isOn: false };
  const disk = new SimDisk({
    delay: (operation) =>
      operation === "sync" && slow.isOn
        ? new Promise<void>((resolve) => single.clock.after(SYNC_MS, resolve))
        : null,
  });
  const single: SingleNode = new SingleNode(new Random(1), disk);
  const node = await single.open();
  await single.settled(node.createTopic("t", 2));
  slow.isOn = true;
  return { single, node, slow };
}

/** The answers to requests that are asked one after the other, without waiting. */
async function answersTo(requests: readonly ProduceRequest[]): Promise<ProduceOutcome[]> {
  const { single, node, slow } = await slowNode();
  const answers: ProduceOutcome[] = [];
  for (const [i, each] of requests.entries()) {
    node.produce(each, (outcome) => {
      answers[i] = outcome;
    });
  }
  await single.clock.advance(30_000);
  slow.isOn = false;
  await single.settled(node.stop());
  return answers;
}

const stored = { ok: true, duplicate: false, synced: true, committed: true };
const gap = (expected: number) => ({
  ok: false,
  code: "sequence_gap",
  details: { expected_seq: expected },
});

test("two writes that follow each other are stored by one group commit", async () => {
  const [first, second, other] = await answersTo([
    request(0),
    request(1),
    request(0, { partition: 1 }),
  ]);
  expect(first).toMatchObject({ ...stored, firstOffset: 0, partition: 0 });
  expect(second).toMatchObject({ ...stored, firstOffset: 1, partition: 0 });
  expect(other).toMatchObject({ ...stored, firstOffset: 0, partition: 1 });
});

test("a repetition in flight waits for the proof, and one that leaves a gap is refused", async () => {
  const duplicate = { ok: true, duplicate: true, committed: true };
  expect(await answersTo([request(0), request(0), request(0, OTHER), request(2)])).toMatchObject([
    { ...stored, firstOffset: 0 },
    { ...duplicate, firstOffset: 0, count: 1, payloadMatches: true },
    { ...duplicate, firstOffset: 0, payloadMatches: false },
    gap(1),
  ]);
});

test("a rocket says what is predicted, from the writes in flight too", async () => {
  const early = { ok: true, committed: false, synced: null, batchId: 0 };
  expect(
    await answersTo([
      request(0, ROCKET),
      request(0, ROCKET),
      request(1, ROCKET),
      request(0, ROCKET),
      request(0, ROCKET, 5),
      request(0, { ...ROCKET, producer: null }),
    ]),
  ).toMatchObject([
    { ...early, duplicate: false, firstOffset: 0 },
    { ...early, duplicate: true, firstOffset: 0, count: 1 },
    { ...early, duplicate: false, firstOffset: 1 },
    { ...early, duplicate: true, firstOffset: null, count: 0 },
    { ...early, duplicate: false, firstOffset: 2 },
    { ...early, duplicate: false, firstOffset: 3 },
  ]);
});

test("a refusal is never predicted: rockets and those who wait shortly get the proof", async () => {
  expect(
    await answersTo([
      request(0),
      request(2, ROCKET),
      request(3, { timeoutMs: 1 }),
      request(0, ROCKET, 1),
      request(1, ROCKET, 0),
      // Refused writes do not move the offsets that are predicted for others.
      request(1, ROCKET, 1),
    ]),
  ).toMatchObject([
    { ...stored, firstOffset: 0 },
    gap(1),
    gap(1),
    { ok: true, committed: false, firstOffset: 1 },
    { ok: false, code: "stale_epoch", details: { current_epoch: 1 } },
    { ok: true, committed: false, firstOffset: 2 },
  ]);
});

test("a rocket knows that the write before the one in flight is committed", async () => {
  const { single, node, slow } = await slowNode();
  const answers: ProduceOutcome[] = [];
  const ask = (each: ProduceRequest) => node.produce(each, (outcome) => answers.push(outcome));
  ask(request(0));
  await single.clock.advance(1_000);
  ask(request(1, ROCKET));
  ask(request(0, ROCKET));
  await single.clock.advance(1_000);
  expect(answers).toMatchObject([
    { duplicate: false, firstOffset: 0, committed: true },
    { duplicate: false, firstOffset: 1, committed: false },
    { duplicate: true, firstOffset: 0, committed: true },
  ]);
  slow.isOn = false;
  await single.settled(node.stop());
});

test("numbers survive a restart, and go with their topic", async () => {
  const disk = new SimDisk();
  const ask = (single: SingleNode, each: ProduceRequest) =>
    single.settled(new Promise<ProduceOutcome>((resolve) => single.node?.produce(each, resolve)));
  const first = new SingleNode(new Random(1), disk);
  await first.open();
  await ask(first, request(0));
  await ask(first, request(1));
  expect(first.node === null).toBe(false);
  await first.settled(first.node?.stop() ?? Promise.resolve());
  const second = new SingleNode(new Random(2), disk);
  const node = await second.open();
  expect(await ask(second, request(1))).toMatchObject({ duplicate: true, firstOffset: 1 });
  expect(await ask(second, request(3))).toMatchObject(gap(2));
  expect(await ask(second, request(2))).toMatchObject({ ...stored, firstOffset: 2 });
  await second.settled(node.deleteTopic("t"));
  await second.settled(node.createTopic("t", 1));
  expect(await ask(second, request(3))).toMatchObject(gap(0));
  expect(await ask(second, request(0))).toMatchObject({ ...stored, firstOffset: 0 });
  await second.settled(node.stop());
});

test("the number of producers and its bound are measured", async () => {
  const { single, node, slow } = await slowNode();
  slow.isOn = false;
  const ids = Array.from({ length: 5 }, (_, i) => `p${i}`);
  for (const id of ids) {
    const each = request(0, { producer: { id, epoch: 0, seq: 0 } });
    await single.settled(new Promise((resolve) => node.produce(each, resolve)));
  }
  await single.clock.advance(10_000);
  const { producers, producersMax, producersForgottenEarly } = single.instruments;
  expect([producers.value, producersMax.value, producersForgottenEarly.value]).toEqual([
    5, 1_000, 0,
  ]);
  await single.settled(node.stop());
});
