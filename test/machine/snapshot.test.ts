import { expect, test } from "bun:test";
import { DecodeError, utf8 } from "../../src/lib/bytes.ts";
import { Machine } from "../../src/machine/machine.ts";
import { SnapshotRestorer } from "../../src/machine/snapshot-restorer.ts";
import {
  Bench,
  entryOf,
  offset,
  RecordedEffects,
  randomEntries,
} from "../tools/machine/support.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

function chunksOf(machine: Machine, maxBytes = 1 << 16): Uint8Array[] {
  const snapshot = machine.beginSnapshot();
  const chunks: Uint8Array[] = [];
  for (let chunk = snapshot.next(maxBytes); chunk !== null; chunk = snapshot.next(maxBytes)) {
    chunks.push(chunk);
  }
  return chunks;
}

const bytesOf = (machine: Machine): Uint8Array => new Uint8Array(Buffer.concat(chunksOf(machine)));

function applyAll(machine: Machine, entries: readonly Uint8Array[]): string {
  const effects: RecordedEffects[] = [];
  for (const entry of entries) {
    const recorded = new RecordedEffects();
    machine.apply(entry, recorded);
    effects.push(recorded);
  }
  return JSON.stringify(effects);
}

test("a snapshot is the state at its beginning, whatever is applied while it is written", () => {
  // Goal: restore(snapshot(S)) = S, and S and its copy go on alike. Method: random entries, of
  // which a part is applied between the chunks of the snapshot.
  forEachSeed(150, (random) => {
    const machine = new Machine();
    applyAll(machine, randomEntries(random, random.below(200)));
    const digest = machine.digest();
    const during = randomEntries(random, random.below(150));
    const { chunks, effects } = snapshotWhileApplying(machine, during, random);

    const copy = Machine.restore(chunks);
    expect(copy.digest()).toBe(digest);
    const isNothing =
      !hasExpiring(copy) && !hasDedupe(copy) && !hasLeases(copy) && !hasProducers(copy);
    expect(copy.nextExpiry() === null).toBe(isNothing);
    expect(applyAll(copy, during)).toBe(effects);
    expect(copy.digest()).toBe(machine.digest());
    const rest = randomEntries(random, 40);
    expect(applyAll(copy, rest)).toBe(applyAll(machine, rest));
    expect(copy.digest()).toBe(machine.digest());
  });
});

const hasExpiring = (machine: Machine): boolean =>
  [...machine.kv.namespaces.values()].some(({ keys }) =>
    [...keys.from(new Uint8Array(0))].some(({ page, at }) => page.expiresAt(at) !== 0),
  );

const hasLeases = ({ parts }: Machine): boolean => parts.groups.memberCount > 0;

const hasProducers = (machine: Machine): boolean => !machine.parts.producers.isEmpty;

const hasDedupe = (machine: Machine): boolean =>
  [...machine.broker.topicsById.values()].some((topic) =>
    topic.partitions.some((partition) => (partition.dedupe?.size ?? 0) > 0),
  );

function snapshotWhileApplying(
  machine: Machine,
  entries: readonly Uint8Array[],
  random: Random,
): { chunks: Uint8Array[]; effects: string } {
  const snapshot = machine.beginSnapshot();
  const chunks: Uint8Array[] = [];
  const effects: RecordedEffects[] = [];
  const pending = [...entries];
  let isDone = false;
  while (!isDone || pending.length > 0) {
    const entry = random.below(2) === 0 ? pending.shift() : undefined;
    if (entry !== undefined) {
      const recorded = new RecordedEffects();
      machine.apply(entry, recorded);
      effects.push(recorded);
    }
    if (random.below(3) > 0) continue;
    const chunk = snapshot.next(1 + random.below(300));
    if (chunk === null) isDone = true;
    else chunks.push(chunk);
  }
  return { chunks, effects: JSON.stringify(effects) };
}

test("two snapshots at once do not disturb each other", () => {
  forEachSeed(20, (random) => {
    const machine = new Machine();
    applyAll(machine, randomEntries(random, 60));
    const first = machine.beginSnapshot();
    const firstDigest = machine.digest();
    applyAll(machine, randomEntries(random, 60));
    const second = machine.beginSnapshot();
    const secondDigest = machine.digest();
    applyAll(machine, randomEntries(random, 60));
    const read = (snapshot: typeof first): Machine => {
      const chunk = snapshot.next(Number.MAX_SAFE_INTEGER);
      return Machine.restore(chunk === null ? [] : [chunk]);
    };
    expect(read(second).digest()).toBe(secondDigest);
    expect(read(first).digest()).toBe(firstDigest);
  });
});

test("chunks may be cut anywhere, and their memory reused", () => {
  forEachSeed(20, (random) => {
    const machine = new Machine();
    applyAll(machine, randomEntries(random, 80));
    const bytes = bytesOf(machine);
    const restorer = new SnapshotRestorer();
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + random.below(random.pick([2, 50, 5000]));
      const chunk = bytes.slice(at, at + size);
      restorer.push(chunk);
      chunk.fill(0xff);
      at += size;
    }
    expect(new Machine(restorer.finish()).digest()).toBe(machine.digest());
  });
});

test("a chunk is about as large as asked for", () => {
  const bench = new Bench();
  for (let i = 0; i < 2_000; i++) {
    const key = utf8(`key-${i}`);
    const value = new Uint8Array(500);
    bench.do({ type: "kv_put", namespace: "n", key, value, cas: null, ttlMs: null });
  }
  const chunks = chunksOf(bench.machine, 10_000);
  expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThan(50_000);
  expect(chunks.length).toBeGreaterThan(20);
});

test("a large value comes whole, and groups without number are spread over sections", () => {
  const bench = new Bench();
  bench.createTopic("t", 1);
  bench.produce({ count: 50 });
  for (let i = 0; i < 3_000; i++) {
    const group = `group-${i}-${"x".repeat(40)}`;
    bench.do({ type: "commit_offset", topicId: 1, partition: 0, group, offset: offset(i % 50) });
  }
  const value = new Uint8Array(3_000_000).fill(7);
  const key = utf8("big");
  bench.do({ type: "kv_put", namespace: "n", key, value, cas: null, ttlMs: null });
  const chunks = chunksOf(bench.machine, 1_000);
  expect(chunks.length).toBeGreaterThan(5);
  expect(Machine.restore(chunks).digest()).toBe(bench.machine.digest());
});

test("an abandoned snapshot gives no more bytes and leaves the machine as it is", () => {
  const bench = new Bench();
  bench.createTopic("t", 4);
  const digest = bench.machine.digest();
  const snapshot = bench.machine.beginSnapshot();
  expect(snapshot.next(1)).not.toBeNull();
  snapshot.abandon();
  expect(snapshot.next(1)).toBeNull();
  expect(bench.machine.digest()).toBe(digest);
});

test("an empty machine has a snapshot too", () => {
  const machine = new Machine();
  expect(Machine.restore(chunksOf(machine)).digest()).toBe(machine.digest());
});

test("a snapshot that was cut off anywhere is refused", () => {
  forEachSeed(3, (random) => {
    const machine = new Machine();
    applyAll(machine, randomEntries(random, 20));
    const bytes = bytesOf(machine);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => Machine.restore([bytes.subarray(0, length)])).toThrow(DecodeError);
    }
    expect(() => Machine.restore([bytes, new Uint8Array(1)])).toThrow(DecodeError);
  });
});

test("damaged bytes are refused or read, but nothing else happens", () => {
  forEachSeed(300, (random) => {
    const machine = new Machine();
    applyAll(machine, randomEntries(random, 25));
    const bytes = bytesOf(machine);
    for (let i = 1 + random.below(3); i > 0; i--) {
      const at = random.below(bytes.length);
      bytes[at] =
        random.below(2) === 0 ? random.below(256) : (bytes[at] ?? 0) ^ (1 << random.below(8));
    }
    try {
      Machine.restore([bytes]).apply(entryOf(1, { type: "tick" }), new RecordedEffects());
    } catch (error) {
      expect(error).toBeInstanceOf(DecodeError);
    }
  });
});

test("a key that is no text is refused", () => {
  const bench = new Bench();
  const put = { type: "kv_put", namespace: "n", cas: null, ttlMs: null } as const;
  bench.do({ ...put, key: utf8("key"), value: utf8("value") });
  const bytes = bytesOf(bench.machine);
  bytes[Buffer.from(bytes).indexOf("keyvalue")] = 0xff;
  expect(() => Machine.restore([bytes])).toThrow("key is not UTF-8");
});

test("a snapshot of another format version is refused", () => {
  const bytes = bytesOf(new Machine());
  bytes[4] = 2;
  expect(() => Machine.restore([bytes])).toThrow("snapshot version 2");
});

test("the bytes of version 1 stay readable", () => {
  const bench = new Bench();
  bench.createTopic("t", 1);
  bench.produce({ count: 3, key: "k" });
  bench.do({ type: "commit_offset", topicId: 1, partition: 0, group: "g", offset: offset(2) });
  bench.do({ type: "set_retention", topic: "*", partition: null, ttlMs: 5, maxBytes: null });
  const put = { type: "kv_put", namespace: "n", cas: null, ttlMs: 9 } as const;
  bench.do({ ...put, key: utf8("a"), value: utf8("b") });
  expect(Buffer.from(bytesOf(bench.machine)).toString("hex")).toBe(GOLDEN);
  expect(Machine.restore([Buffer.from(GOLDEN, "hex")]).digest()).toBe(bench.machine.digest());
});

const GOLDEN =
  "4159534d010117000000e80300000000000080b89929c0843d904e02010105010202060000000101740100000307" +
  "000000000003000a00000403000000016702052c0000008254c329a92850f6d539dd376f4816ee239f59ed55e737c7" +
  "e803000000000000000000000000000003000000060400000001016e01070700000001f10701026162080400000007" +
  "000000";
