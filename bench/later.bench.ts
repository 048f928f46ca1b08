/**
 * Memory of the state of 1,000,000 produces that wait, and the size of its snapshot.
 *
 *     bun bench/later.bench.ts
 */
import { heapStats } from "bun:jsc";
import { ByteWriter, utf8 } from "../src/lib/bytes.ts";
import type { Millis } from "../src/lib/ids.ts";
import { closeEntry, encodeCommand, openEntry } from "../src/machine/command-codec.ts";
import type { Command } from "../src/machine/commands.ts";
import { Machine } from "../src/machine/machine.ts";
import { RecordedEffects } from "../test/tools/machine/support.ts";

const RECORDS = 1_000_000;
const PER_ENTRY = 1_000;
const START_MS = 1_700_000_000_000;
const BATCHES = utf8("payload");
const SPREAD_MS = 40 * 86_400_000;

class NoEffects extends RecordedEffects {
  override result(): void {}
  override append(): void {}
}

function bytesInUse(): number {
  Bun.gc(true);
  Bun.gc(true);
  const { heapSize, extraMemorySize } = heapStats();
  return heapSize + extraMemorySize;
}

function entryOf(at: number, commands: readonly Command[]): Uint8Array {
  const writer = new ByteWriter(PER_ENTRY * 64);
  const start = openEntry(writer);
  for (const command of commands) encodeCommand(writer, command);
  closeEntry(writer, start, at as Millis, commands.length);
  return writer.take();
}

function snapshotBytes(machine: Machine): number {
  const snapshot = machine.beginSnapshot();
  let bytes = 0;
  for (let piece = snapshot.next(1 << 16); piece !== null; piece = snapshot.next(1 << 16)) {
    bytes += piece.length;
  }
  return bytes;
}

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
  `${machine.parts.later.due.size} produces wait: ${mb(used)} of the heap, ` +
    `${mb(process.memoryUsage.rss() - resident)} resident, ` +
    `snapshot ${mb(snapshotBytes(machine))}, apply ${((applyMs * 1e6) / RECORDS).toFixed(0)} ns each`,
);
