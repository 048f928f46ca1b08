// Goal: a lack of descriptors never looks like a failed disk. Method: one workload over a whole
// node; from its Nth disk call on, a run of operations finds no descriptor, for every N. The node
// must not end, and the next life must have everything that was acknowledged.
import { expect, test } from "bun:test";
import { fromUtf8, utf8 } from "../../src/lib/bytes.ts";
import type { Node } from "../../src/node/node.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { DataDir } from "../../src/storage/data-dir.ts";
import { produced, stored } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";

const AT = { topic: "t", partition: 0 };
const TRIES_MAX = 1_000;
const TIMEOUT_MS = 300_000;

async function produce(single: SingleNode, node: Node, value: string): Promise<string> {
  const builder = new BatchBuilder();
  builder.add(null, utf8(value.padEnd(600, ".")));
  const request = { ...AT, key: null, idempotencyKey: null, timeoutMs: null, rocket: false };
  const records = builder.finish();
  const outcome = await single.settled(produced(node, { ...request, records }));
  return outcome.ok ? "ok" : outcome.code;
}

async function produceSurely(single: SingleNode, node: Node, value: string): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const outcome = await produce(single, node, value);
    if (outcome === "ok") return;
    expect(outcome).toBe("overloaded");
    await single.clock.advance(10);
  }
  throw new Error("writes are refused for ever");
}

async function valuesOf(single: SingleNode, node: Node): Promise<string[]> {
  const request = { ...AT, group: "g", offset: 0, limit: 1000, maxBytes: 1 << 24 };
  const page = await single.settled(node.consume({ ...request, linearizable: true }));
  if (!page.ok) throw new Error(page.code);
  const values: string[] = [];
  for (const slice of page.slices) {
    const cursor = new RecordCursor(slice);
    while (cursor.next()) {
      const text = fromUtf8(slice.subarray(cursor.valueStart, cursor.valueEnd));
      values.push(text.replace(/\.+$/, ""));
    }
  }
  return values;
}

/** @returns false if the workload has fewer calls. */
async function liveThroughShortage(atCall: number, shortages: number): Promise<boolean> {
  const random = new Random(atCall + 1);
  const disk: SimDisk = new SimDisk({
    onCall: () => {
      if (disk.calls === atCall) disk.faults.shortages = shortages;
    },
  });
  const single = new SingleNode(random, disk);
  const node = await single.open();
  await single.settled(node.createTopic("t", 1));
  const written: string[] = [];
  for (let i = 0; i < 14; i++) {
    await produceSurely(single, node, `value ${i}`);
    written.push(`value ${i}`);
    if (i === 8) await single.settled(node.compact());
  }
  const calls = disk.calls;
  await single.settled(node.stop());
  expect(single.ended).toBeNull();
  const left = disk.afterCrash(() => "lost", random);
  const next = new SingleNode(random, left);
  expect(await valuesOf(next, await next.open())).toEqual(written);
  return calls > atCall;
}

test(
  "no shortage of descriptors ends a node, or loses what it acknowledged",
  async () => {
    // The composition root opens the directory before there is a node.
    const directory = new SimDisk();
    await DataDir.open(directory, { clusterId: "cluster", storageId: "disk" });
    let call = directory.calls;
    while (await liveThroughShortage(call, 1 + (call % 12))) call++;
    expect(call - directory.calls).toBeGreaterThan(20);
  },
  TIMEOUT_MS,
);

test("while an operation waits for a descriptor, writes are refused as overload, and then go on", async () => {
  const single = new SingleNode(new Random(1));
  const node = await single.open();
  await single.settled(node.createTopic("t", 1));
  expect(await produce(single, node, "before")).toBe("ok");
  single.disk.faults.shortages = Number.MAX_SAFE_INTEGER;
  const compacted = node.compact();
  await single.clock.advance(100);
  expect(await produce(single, node, "refused")).toBe("overloaded");
  const put = { namespace: "n", key: "k", value: utf8("v"), cas: null, ttlMs: null };
  const outcome = await single.settled(stored(node, { ...put, timeoutMs: null }));
  expect(outcome).toMatchObject({ ok: false, code: "overloaded" });
  expect(await valuesOf(single, node)).toEqual(["before"]);
  single.disk.faults.shortages = 0;
  await single.settled(compacted);
  expect(await produce(single, node, "after")).toBe("ok");
  expect(await valuesOf(single, node)).toEqual(["before", "after"]);
  await single.settled(node.stop());
});
