import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBunDisk } from "../src/env/bun-disk.ts";
import { encodeRecord } from "../src/record/batch-builder.ts";
import { PartitionStore } from "../src/storage/partitions/store.ts";

/** What 10,000 partitions with ten small records each cost: memory, a checkpoint, a restart. */
const PARTITIONS = 10_000;
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const root = mkdtempSync(join(tmpdir(), "partition-bench-"));
const openStore = (): PartitionStore =>
  new PartitionStore({
    disk: openBunDisk(root),
    directory: "shards/0/partitions",
    nextTurn,
    onFailure: (error) => {
      throw error;
    },
  });
const since = (start: number): number => Math.round((Bun.nanoseconds() - start) / 1e4) / 100;
const report = (figures: object): void => console.log(JSON.stringify(figures));
const rss = (): number => Math.round(process.memoryUsage.rss() / 2 ** 20);

const before = rss();
const store = openStore();
const { bytes, logicalBytes } = encodeRecord(null, new Uint8Array(64));
for (let i = 0; i < PARTITIONS; i++) {
  const log = store.create(1, i);
  for (let n = 0; n < 10; n++) log.append(bytes, n, 1, 1, logicalBytes);
}
Bun.gc(true);
report({ name: "partition/many/memory", rss_mib: rss() - before, ...store.describe() });

for (const name of ["first", "second"]) {
  let start = Bun.nanoseconds();
  const cut = store.beginCut();
  const cutMs = since(start);
  start = Bun.nanoseconds();
  await cut.flush();
  report({
    name: `partition/many/checkpoint/${name}`,
    cut_ms: cutMs,
    flush_ms: since(start),
    manifest_bytes: cut.manifest.length,
  });
  if (name === "second") {
    const restored = openStore();
    start = Bun.nanoseconds();
    restored.restore(cut.manifest);
    report({ name: "partition/many/restore", restore_ms: since(start) });
    start = Bun.nanoseconds();
    for (let i = 0; i < PARTITIONS; i++) await restored.get(1, i)?.read(0, 100, 1e6);
    report({ name: "partition/many/first-read-of-each", us: since(start) / (PARTITIONS / 1000) });
    await restored.close();
  }
  cut.release();
  const some = store.get(1, 5);
  some?.append(bytes, some.endOffset, 1, 1, logicalBytes);
}
await store.close();
rmSync(root, { recursive: true });
