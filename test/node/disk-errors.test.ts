// Goal: whichever disk call fails, a node ends, refuses or goes on, and loses nothing that it
// acknowledged. Method: one workload over a whole node; its Nth disk call fails, for every N until
// it passes without reaching N; then the power goes, after a stop or in the middle of things (a stop
// takes a checkpoint, which may have what the journal lost), and the next life must have everything.
import { expect, test } from "bun:test";
import { DiskFailure } from "../../src/env/disk.ts";
import { fromUtf8, utf8 } from "../../src/lib/bytes.ts";
import type { ConsumePage } from "../../src/node/api.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { produced, read, stored } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const PRODUCES = 14;
const AT = { topic: "t", partition: 0 };
const FATES = ["lost", "kept", "torn", "zeros"] as const;
const TIMEOUT_MS = 300_000;

type Acked = { readonly records: Map<number, string>; readonly keys: Map<string, string> };

/** @throws what a call was refused with, or what ended the node. */
async function work(single: SingleNode, acked: Acked, stops: boolean): Promise<void> {
  const node = await single.open();
  await single.settled(node.createTopic("t", 1));
  for (let i = 0; i < PRODUCES; i++) {
    await produce(single, `value ${i}`, acked);
    if (i % 4 === 0) await put(single, `key ${i}`, acked);
    if (i === 5) await single.settled(node.commitOffset({ ...AT, group: "g", offset: 3 }));
    if (i === 8) await single.settled(node.compact());
  }
  if (stops) await single.settled(node.stop());
}

async function produce(single: SingleNode, value: string, acked: Acked): Promise<void> {
  const builder = new BatchBuilder();
  builder.add(null, utf8(value.padEnd(600, ".")));
  const request = { ...AT, key: null, idempotencyKey: utf8(value), timeoutMs: null, rocket: false };
  const { node } = single;
  if (node === null) throw new Error("the node is not open");
  const outcome = await single.settled(produced(node, { ...request, records: builder.finish() }));
  if (outcome.ok) acked.records.set(outcome.firstOffset ?? -1, value);
}

async function put(single: SingleNode, key: string, acked: Acked): Promise<void> {
  const request = { namespace: "kv", key, value: utf8(key), cas: null, ttlMs: null };
  const { node } = single;
  if (node === null) throw new Error("the node is not open");
  const outcome = await single.settled(stored(node, { ...request, timeoutMs: null }));
  if (outcome.ok) acked.keys.set(key, key);
}

/** The next life, on a disk without faults. */
async function judge(single: SingleNode, acked: Acked): Promise<void> {
  const node = await single.open();
  await produceOnce(single, acked);
  const page = await single.settled(
    node.consume({
      ...AT,
      group: "g",
      offset: 0,
      limit: 1000,
      maxBytes: 1 << 24,
      linearizable: true,
    }),
  );
  const found = page.ok ? valuesOf(page) : new Map<number, string>();
  for (const [offset, value] of acked.records) expect(found.get(offset)).toBe(value);
  for (const [key, value] of acked.keys) {
    const kept = await single.settled(read(node, { namespace: "kv", key, linearizable: true }));
    expect(kept.ok && fromUtf8(kept.value)).toBe(value);
  }
  await single.settled(node.stop());
}

/** It takes writes again, also if the topic never came to be. */
async function produceOnce(single: SingleNode, acked: Acked): Promise<void> {
  const before = acked.records.size;
  await produce(single, "the last", acked);
  expect(acked.records.size).toBe(before + 1);
}

function valuesOf(page: ConsumePage): Map<number, string> {
  const values = new Map<number, string>();
  for (const slice of page.slices) {
    const cursor = new RecordCursor(slice);
    while (cursor.next()) {
      const text = fromUtf8(slice.subarray(cursor.valueStart, cursor.valueEnd));
      values.set(cursor.offset, text.replace(/\.+$/, ""));
    }
  }
  return values;
}

for (const failWith of ["eio", "full", "short"] as const) {
  test(
    `nothing acknowledged is lost whichever call fails with ${failWith} (SEED=${SEED} bun test test/node/disk-errors.test.ts)`,
    async () => {
      for (const stops of [true, false]) {
        let call = 0;
        let ended = 0;
        for (; ; call++) {
          const result = await tryCall(call, failWith, stops);
          if (result === "not reached") break;
          if (result === "ended") ended++;
        }
        console.log(
          `${failWith}, ${stops ? "stopped" : "not stopped"}: ${call} calls failed, one at a time; ${ended} of them ended the node`,
        );
        expect(ended).toBeGreaterThan(0);
      }
    },
    TIMEOUT_MS,
  );
}

async function tryCall(
  call: number,
  failWith: "eio" | "full" | "short",
  stops: boolean,
): Promise<"not reached" | "ended" | "passed"> {
  const random = new Random(SEED * 10_000 + call);
  const single = new SingleNode(random);
  single.disk.faults.failCall = call;
  single.disk.faults.failWith = failWith;
  const acked: Acked = { records: new Map(), keys: new Map() };
  const error = await work(single, acked, stops).then(
    () => null,
    (cause: unknown) => cause,
  );
  if (single.disk.calls <= call) return "not reached";
  const where = `call ${call} ${failWith}, ${stops ? "stopped" : "not stopped"}`;
  if (error !== null) expect(error, where).toBeInstanceOf(DiskFailure);
  const left = single.disk.afterCrash(() => random.pick(FATES), random);
  await judge(new SingleNode(random, left), acked).catch((cause: unknown) => {
    throw new Error(where, { cause });
  });
  return error === null ? "passed" : "ended";
}
