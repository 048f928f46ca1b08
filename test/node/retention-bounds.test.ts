// Goal: retention removes a record at exactly its age, and keeps exactly the size. Method: one record
// in each millisecond, so that the first one that is kept tells at which age the others went.
import { expect, test } from "bun:test";
import type { Node } from "../../src/node/node.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { produced } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

const SWEEP_MS = 1_000;
const TTL_MS = 3_000;

type Kept = { readonly low: number; readonly timestamps: readonly number[] };

/** Time stands still meanwhile: all of it is in memory. */
async function keptIn(node: Node, topic: string): Promise<Kept> {
  const place = { topic, partition: 0, group: "g", offset: null, linearizable: false };
  const page = await node.consume({ ...place, limit: 10_000, maxBytes: 2 ** 24 });
  if (!page.ok) throw new Error(page.code);
  const timestamps: number[] = [];
  for (const slice of page.slices) {
    const cursor = new RecordCursor(slice);
    while (cursor.next()) {
      if (cursor.offset >= page.lowWatermark) timestamps.push(cursor.timestampMs);
    }
  }
  return { low: page.lowWatermark, timestamps };
}

/** Without waiting: the record has the time of this instant. */
function produce(node: Node, topic: string, bytes: number) {
  return produced(node, {
    topic,
    partition: 0,
    key: null,
    idempotencyKey: null,
    records: encodeRecord(null, new Uint8Array(bytes)),
    timeoutMs: null,
    rocket: false,
  });
}

async function opened(topic: string, policy: { ttlMs: number | null; maxBytes: number | null }) {
  const single = new SingleNode(new Random(1));
  const node = await single.open();
  expect((await single.settled(node.createTopic(topic, 1))).ok).toBe(true);
  const set = await single.settled(node.setRetention({ topic, partition: null, ...policy }));
  expect(set.ok).toBe(true);
  return { single, node };
}

test("a record goes at the first look at which it is exactly as old as its time to live", async () => {
  const { single, node } = await opened("t", { ttlMs: TTL_MS, maxBytes: null });
  const begin = single.clock.now();
  for (let i = 0; i < 2 * SWEEP_MS; i++) await single.settled(produce(node, "t", 10));
  const times = (await keptIn(node, "t")).timestamps;
  // At each time there is a record, as far as the first look is concerned.
  expect(times.length).toBe(2 * SWEEP_MS);
  let looks = 0;
  for (let low = 0; looks < 2; ) {
    await single.clock.advance(1);
    const kept = await keptIn(node, "t");
    if (kept.low === low) continue;
    low = kept.low;
    looks++;
    const now = single.clock.now();
    const left = times.filter((time) => time > now - TTL_MS);
    expect({ now: now - begin, timestamps: kept.timestamps }).toEqual({
      now: now - begin,
      timestamps: left,
    });
  }
  await single.settled(node.stop());
});

test("a record alone goes at exactly its age, and stays for one millisecond less", async () => {
  const { single, node } = await opened("t", { ttlMs: 1, maxBytes: null });
  await single.settled(produce(node, "t", 10));
  while ((await keptIn(node, "t")).low === 0) await single.clock.advance(1);
  const look = single.clock.now();
  for (const [topic, lateMs] of [
    ["exact", 0],
    ["younger", 1],
  ] as const) {
    expect((await single.settled(node.createTopic(topic, 1))).ok).toBe(true);
    await single.settled(produce(node, topic, 10));
    const [time = 0] = (await keptIn(node, topic)).timestamps;
    const ttlMs = look + 2 * SWEEP_MS - time + lateMs;
    await single.settled(node.setRetention({ topic, partition: null, ttlMs, maxBytes: null }));
  }
  while (single.clock.now() < look + 2 * SWEEP_MS) await single.clock.advance(1);
  expect((await keptIn(node, "exact")).low).toBe(1);
  expect((await keptIn(node, "younger")).low).toBe(0);
  await single.settled(node.stop());
});

test("exactly max_bytes are kept, and a record of one byte more removes the oldest", async () => {
  const { single, node } = await opened("t", { ttlMs: null, maxBytes: 1_000 });
  const settle = () => single.clock.advance(3 * SWEEP_MS);
  for (let i = 0; i < 10; i++) await single.settled(produce(node, "t", 100));
  await settle();
  expect((await keptIn(node, "t")).low).toBe(0);
  await single.settled(produce(node, "t", 100));
  await settle();
  expect((await keptIn(node, "t")).low).toBe(1);
  await single.settled(produce(node, "t", 1));
  await settle();
  expect((await keptIn(node, "t")).low).toBe(2);
  await single.settled(produce(node, "t", 99));
  await settle();
  expect((await keptIn(node, "t")).low).toBe(2);
  // One that is larger than the limit leaves nothing of the others, and does not stay itself.
  await single.settled(produce(node, "t", 1_001));
  await settle();
  expect(await keptIn(node, "t")).toEqual({ low: 14, timestamps: [] });
  await single.settled(node.stop());
});
