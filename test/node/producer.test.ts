import { expect, test } from "bun:test";
import type { ProduceOutcome, ProduceRequest } from "../../src/node/api.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";

const request = (more: Partial<ProduceRequest>): ProduceRequest => ({
  topic: "t",
  partition: 0,
  key: null,
  idempotencyKey: null,
  records: encodeRecord(null, new Uint8Array([7])),
  timeoutMs: null,
  rocket: false,
  ...more,
});

/** A sync takes longer than anybody waits who has a deadline. */
const SYNC_MS = 50;

/** Everything that one produce is answered, until long after it was applied. */
const answersTo = (more: Partial<ProduceRequest>, syncMs = SYNC_MS): Promise<ProduceOutcome[]> =>
  answersToAll([more], syncMs);

/** As `answersTo`, for several that are asked one after the other, `everyMs` apart. */
async function answersToAll(
  requests: readonly Partial<ProduceRequest>[],
  syncMs = SYNC_MS,
  everyMs = 0,
): Promise<ProduceOutcome[]> {
  const slow: { clock: SingleNode["clock"] | null } = { clock: null };
  const disk = new SimDisk({
    delay: (operation) =>
      operation === "sync" && slow.clock !== null
        ? new Promise<void>((resolve) => slow.clock?.after(syncMs, resolve))
        : null,
  });
  const single = new SingleNode(new Random(1), disk);
  const node = await single.open();
  await single.settled(node.createTopic("t", 1));
  slow.clock = single.clock;
  const answers: ProduceOutcome[] = [];
  for (const more of requests) {
    node.produce(request(more), (outcome) => answers.push(outcome));
    if (everyMs > 0) await single.clock.advance(everyMs);
  }
  await single.clock.advance(30_000);
  slow.clock = null;
  await single.settled(node.stop());
  return answers;
}

test("a rocket is answered once, although its record is applied later", async () => {
  expect(await answersTo({ rocket: true })).toMatchObject([{ ok: true, batchId: 0, synced: null }]);
});

test("who has waited long enough is answered once, although the write goes on", async () => {
  expect(await answersTo({ timeoutMs: 1 })).toMatchObject([{ ok: true, synced: false }]);
});

test("who asks for more time than the server gives to others gets it", async () => {
  expect(await answersTo({}, 7000)).toMatchObject([{ ok: false, code: "commit_timeout" }]);
  expect(await answersTo({ timeoutMs: 6000 }, 7000)).toMatchObject([{ ok: true, synced: false }]);
  expect(await answersTo({ timeoutMs: 8000 }, 7000)).toMatchObject([{ ok: true, synced: true }]);
});

test("a sealed write is answered once, when it is proven", async () => {
  expect(await answersTo({})).toMatchObject([{ ok: true, synced: true, ackedBy: 1 }]);
});

const KEY = { idempotencyKey: new Uint8Array([1]) };
const OTHER = { records: encodeRecord(null, new Uint8Array([8])) };
const ROCKET = { ...KEY, rocket: true };

test("a rocket whose first write is on its way says so, and compares the payloads", async () => {
  const first = { duplicate: false, committed: false, firstOffset: 0, batchId: 0 };
  const predicted = { duplicate: true, committed: false, firstOffset: 0, count: 1, batchId: 0 };
  expect(await answersToAll([ROCKET, ROCKET, { ...ROCKET, ...OTHER }])).toMatchObject([
    first,
    { ...predicted, payloadMatches: true },
    { ...predicted, payloadMatches: false },
  ]);
});

test("a duplicate that waited long enough says nothing of a first write that is on its way", async () => {
  const impatient = { ...KEY, timeoutMs: 1 };
  expect(await answersToAll([impatient, impatient, { ...impatient, ...OTHER }])).toMatchObject([
    { duplicate: false, synced: false, committed: false },
    { duplicate: true, synced: false, committed: false, firstOffset: 0, payloadMatches: true },
    { duplicate: true, synced: false, committed: false, firstOffset: 0, payloadMatches: false },
  ]);
});

test("a rocket whose first write is committed says that", async () => {
  const answers = await answersToAll([KEY, ROCKET, { ...ROCKET, ...OTHER }], SYNC_MS, 500);
  const proven = { duplicate: true, committed: true, firstOffset: 0 };
  expect(answers.slice(1)).toMatchObject([
    { ...proven, payloadMatches: true },
    { ...proven, payloadMatches: false },
  ]);
});

test("a duplicate does not move the offsets that are predicted", async () => {
  const next = { rocket: true };
  expect(await answersToAll([ROCKET, ROCKET, next, next])).toMatchObject([
    { firstOffset: 0 },
    { firstOffset: 0, duplicate: true },
    { firstOffset: 1, duplicate: false },
    { firstOffset: 2, duplicate: false },
  ]);
});
