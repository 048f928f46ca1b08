/**
 * Memory of the state of 1,000,000 produces that wait, and the size of its snapshot.
 *
 *     bun bench/later.bench.ts
 */
import { utf8 } from "../src/lib/bytes.ts";
import type { Command } from "../src/machine/commands.ts";
import { Machine } from "../src/machine/machine.ts";
import { bytesInUse, entryOf, NoEffects, snapshotBytes } from "./load/machine.ts";

const RECORDS = 1_000_000;
const PER_ENTRY = 1_000;
const START_MS = 1_700_000_000_000;
const BATCHES = utf8("payload");
const SPREAD_MS = 40 * 86_400_000;

const machine = new Machine();
const effects = new NoEffects();
machine.apply(entryOf(START_MS, [{ type: "create_topic", name: "t", partitions: 1 }]), effects);
const resident = process.memoryUsage.rss();
const before = bytesInUse();
let applyMs = 0;
for (let i = 0; i < RECORDS; i += PER_ENTRY) {
  const commands = Array.from({ length: PER_ENTRY }, (_, j): Command => {
    const deliverAt = START_MS + (((i + j) * 7_919_777) % SPREAD_MS);
    const place = { topicId: 1, partition: 0, deliverAt, idempotency: null };
    return { type: "schedule_records", ...place, count: 1, logicalBytes: 7, batches: BATCHES };
  });
  const entry = entryOf(START_MS, commands);
  const begin = performance.now();
  machine.apply(entry, effects);
  applyMs += performance.now() - begin;
}
const used = bytesInUse() - before;
const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
console.log(
  `${machine.parts.later.pending.size} produces wait: ${mb(used)} of the heap, ` +
    `${mb(process.memoryUsage.rss() - resident)} resident, ` +
    `snapshot ${mb(snapshotBytes(machine))}, apply ${((applyMs * 1e6) / RECORDS).toFixed(0)} ns each`,
);
