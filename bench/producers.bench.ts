/**
 * Memory of the state that tells repetitions of 1,000,000 messages: an idempotency key for each
 * message, or the numbers of producers. Also the time to apply them, and the size of a snapshot.
 *
 *     bun bench/producers.bench.ts
 */
import { utf8 } from "../src/lib/bytes.ts";
import { sha256 } from "../src/lib/digest.ts";
import type { Command } from "../src/machine/commands.ts";
import { Machine } from "../src/machine/machine.ts";
import { bytesInUse, entryOf, NoEffects, snapshotBytes } from "./load/machine.ts";

const MESSAGES = 1_000_000;
const PER_ENTRY = 1_000;
const START_MS = 1_700_000_000_000;
const BATCH = utf8("payload");

const place = { topicId: 1, partition: 0, count: 1, logicalBytes: 7, batches: BATCH };

const withKey = (i: number): Command => ({
  type: "produce",
  ...place,
  idempotency: { keyDigest: sha256(`key-${i}`, 16), payloadDigest: sha256(`payload-${i}`, 8) },
});

const numbered =
  (producers: number) =>
  (i: number): Command => ({
    type: "produce_sequenced",
    ...place,
    sequence: {
      id: `producer-${i % producers}`,
      epoch: 0,
      seq: Math.floor(i / producers),
      payload: i,
    },
    producersMax: 1_000_000,
  });

const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

function measure(name: string, commandOf: (i: number) => Command): void {
  const machine = new Machine();
  const effects = new NoEffects();
  machine.apply(entryOf(START_MS, [{ type: "create_topic", name: "t", partitions: 1 }]), effects);
  const before = bytesInUse();
  let applyMs = 0;
  for (let i = 0; i < MESSAGES; i += PER_ENTRY) {
    const commands = Array.from({ length: PER_ENTRY }, (_, j) => commandOf(i + j));
    const entry = entryOf(START_MS + i / PER_ENTRY, commands);
    const begin = performance.now();
    machine.apply(entry, effects);
    applyMs += performance.now() - begin;
  }
  const used = bytesInUse() - before;
  const perMessageNs = (applyMs * 1e6) / MESSAGES;
  console.log(
    `${name.padEnd(44)} ${mib(used).padStart(10)}  snapshot ${mib(snapshotBytes(machine)).padStart(10)}  ` +
      `apply ${perMessageNs.toFixed(0).padStart(5)} ns a message`,
  );
}

// Once for the compiler.
measure("(warm-up)", numbered(1));
measure("a key for each message", withKey);
measure("numbers of 1 producer", numbered(1));
measure("numbers of 1,000 producers", numbered(1_000));
measure("numbers of 100,000 producers", numbered(100_000));
