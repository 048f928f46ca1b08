import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBunDisk } from "../src/env/bun-disk.ts";
import { BatchBuilder, encodeRecord } from "../src/record/batch-builder.ts";
import { RecordCursor } from "../src/record/batch-reader.ts";
import type { PartitionLog } from "../src/storage/partitions/log.ts";
import { PartitionStore } from "../src/storage/partitions/store.ts";
import { bench } from "./harness.ts";

const PAGE = 1000;
const VALUE = new Uint8Array(64).fill(120);
const RECORDS = 500_000;

type Subject = {
  readonly root: string;
  readonly store: PartitionStore;
  readonly log: PartitionLog;
  next: number;
};

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function open(tailBytes: number): Promise<Subject> {
  const root = mkdtempSync(join(tmpdir(), "partition-bench-"));
  const store = new PartitionStore({
    disk: openBunDisk(root),
    directory: "shards/0/partitions",
    tailBytes,
    nextTurn,
    onFailure: (error) => {
      throw error;
    },
  });
  return { root, store, log: store.create(1, 0), next: 0 };
}

async function filled(tailBytes: number, perBatch: number): Promise<Subject> {
  const subject = await open(tailBytes);
  const builder = new BatchBuilder();
  for (let i = 0; i < perBatch; i++) builder.add(null, VALUE);
  const { bytes, count, logicalBytes } = builder.finish();
  for (let i = 0; i < RECORDS / perBatch; i++) {
    subject.log.append(bytes, subject.log.endOffset, i, count, logicalBytes);
    if (i % 1000 === 0) await nextTurn();
  }
  await subject.store.flushAll();
  return subject;
}

const teardown = async ({ store, root }: Subject): Promise<void> => {
  await store.close();
  rmSync(root, { recursive: true });
};

async function readPage(subject: Subject): Promise<void> {
  if (subject.next + PAGE > RECORDS) subject.next = 0;
  const answer = subject.log.read(subject.next, PAGE, 1e9);
  const slices = answer instanceof Promise ? await answer : answer;
  let records = 0;
  for (const slice of slices) {
    const cursor = new RecordCursor(slice);
    while (cursor.next()) if (cursor.offset >= subject.next && records < PAGE) records++;
  }
  if (records !== PAGE) throw new Error(`${records} records`);
  subject.next += PAGE;
}

for (const [where, tailBytes] of [
  ["memory", 256 * 2 ** 20],
  ["file", 0],
] as const) {
  for (const perBatch of [1, 100]) {
    await bench(
      {
        name: `partition/read/from=${where}/records-per-batch=${perBatch}`,
        unit: "page of 1000 records",
        bytesPerOp: PAGE * VALUE.length,
        setup: () => filled(tailBytes, perBatch),
        run: readPage,
        teardown,
      },
      3000,
    );
  }
}

const APPENDS = 1000;
const one = encodeRecord(null, VALUE);
await bench(
  {
    name: "partition/append/records-per-batch=1",
    unit: "1000 appends",
    bytesPerOp: APPENDS * VALUE.length,
    setup: () => open(64 * 2 ** 20),
    run: async ({ log }) => {
      for (let i = 0; i < APPENDS; i++) {
        log.append(one.bytes, log.endOffset, 1, 1, one.logicalBytes);
      }
      await nextTurn();
    },
    teardown,
  },
  2000,
);
