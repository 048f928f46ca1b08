import { expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { Machine } from "../../src/machine/machine.ts";
import {
  Bench,
  entryOf,
  memberOf,
  ms,
  produceOf,
  RecordedEffects,
  randomEntries,
} from "../tools/machine/support.ts";
import { forEachSeed } from "../tools/random.ts";

test("two machines that are fed the same bytes are the same, and do the same", () => {
  forEachSeed(60, (random) => {
    const entries = randomEntries(random, 150);
    const [a, b] = [new Machine(), new Machine()];
    for (const entry of entries) {
      const [doneByA, doneByB] = [new RecordedEffects(), new RecordedEffects()];
      a.apply(entry, doneByA);
      b.apply(entry.slice(), doneByB);
      expect(doneByB).toEqual(doneByA);
    }
    expect(b.digest()).toBe(a.digest());
  });
});

test("the digest sees every kind of change", () => {
  const bench = new Bench();
  const seen = new Set([bench.machine.digest()]);
  const note = (what: string) => {
    const digest = bench.machine.digest();
    expect(seen.has(digest), what).toBe(false);
    seen.add(digest);
  };
  const steps = [
    { type: "tick" },
    { type: "create_topic", name: "t", partitions: 2 },
    produceOf({ count: 5 }),
    produceOf({ key: "k" }),
    produceOf({ key: "l", partition: 1 }),
    { type: "commit_offset", topicId: 1, partition: 0, group: "g", offset: 1 },
    { type: "commit_offset", topicId: 1, partition: 0, group: "g", offset: 2 },
    { type: "delete_before", topicId: 1, partition: 0, beforeOffset: 1, bytesBefore: 2 },
    { type: "set_retention", topic: "*", partition: null, ttlMs: 1, maxBytes: null },
    { type: "set_retention", topic: "t", partition: null, ttlMs: 1, maxBytes: null },
    { type: "set_retention", topic: "t", partition: 1, ttlMs: 1, maxBytes: null },
    { type: "configure", dedupeWindowMs: 9, dedupeKeysMax: 9, partitionsMax: 9 },
    { type: "kv_put", namespace: "n", key: utf8("k"), value: utf8("v"), cas: null, ttlMs: null },
    { type: "kv_put", namespace: "n", key: utf8("k"), value: utf8("v"), cas: null, ttlMs: 1 },
    { type: "kv_delete", namespace: "n", key: utf8("k"), cas: null },
    { type: "delete_topic", name: "t" },
    memberOf("n1", null),
    memberOf("n1", "disk"),
    { ...memberOf("n1", "disk"), priority: 9 },
    memberOf("n2", null),
    { type: "remove_member", id: "n1" },
    { type: "put_view", name: "v", query: "{}" },
    { type: "save_view", name: "v", viewId: 1, state: utf8("") },
    { type: "save_view", name: "v", viewId: 1, state: utf8("s") },
    { type: "put_view", name: "v", query: "{ }" },
    { type: "delete_view", name: "v" },
  ] as const;
  for (const step of steps) {
    bench.do(step as Parameters<typeof bench.do>[0]);
    note(step.type);
  }
});

test("the digest does not see how keys are spread or in which order groups came", () => {
  const [a, b] = [new Bench(), new Bench()];
  const put = { type: "kv_put", namespace: "n", value: utf8("v"), cas: null } as const;
  const commit = { type: "commit_offset", topicId: 1, partition: 0, offset: 0 } as const;
  for (const bench of [a, b]) bench.createTopic("t", 1);
  for (const group of ["x", "y"]) a.do({ ...commit, group } as Parameters<typeof a.do>[0]);
  for (const group of ["y", "x"]) b.do({ ...commit, group } as Parameters<typeof b.do>[0]);
  for (let i = 0; i < 2_000; i++) {
    a.do({ ...put, key: utf8(`${1000 + i}`), ttlMs: null });
    b.do({ ...put, key: utf8(`${1000 + i}`), ttlMs: null });
  }
  const copy = Machine.restore([a.machine.beginSnapshot().next(1e9) ?? new Uint8Array()]);
  expect(copy.digest()).toBe(a.machine.digest());
  expect(b.machine.digest()).toBe(a.machine.digest());
});

test("the machine's clock never goes back", () => {
  const bench = new Bench(new Machine(), 500);
  bench.createTopic("t", 1);
  bench.at = 400;
  bench.produce();
  expect(bench.machine.now).toBe(ms(500));
  expect(bench.lines[1]).toContain("at 500");
});

test("results come once for each command, in order, after the command's own effects", () => {
  const order: string[] = [];
  const machine = new Machine();
  const entry = entryOf(
    1,
    { type: "create_topic", name: "t", partitions: 1 },
    produceOf({ count: 2 }),
    { type: "delete_topic", name: "missing" },
    {
      type: "delete_before",
      topicId: 1,
      partition: 0,
      beforeOffset: 1,
      bytesBefore: 5,
    } as Parameters<typeof entryOf>[1],
    { type: "delete_topic", name: "t" },
  );
  machine.apply(entry, {
    result: (position, result) => order.push(`${position} ${result.ok}`),
    append: () => order.push("append"),
    trimmed: () => order.push("trimmed"),
    topicCreated: () => order.push("created"),
    topicDeleted: () => order.push("deleted"),
    streamChanged: () => order.push("changed"),
    membersChanged: () => order.push("members"),
    groupMemberChanged: () => order.push("group member"),
    checksum: () => order.push("members"),
  });
  expect(order).toEqual([
    "created",
    "0 true",
    "append",
    "1 true",
    "2 false",
    "trimmed",
    "3 true",
    "deleted",
    "4 true",
  ]);
});

test("an entry without commands lets time pass", () => {
  const machine = new Machine();
  machine.apply(entryOf(77), new RecordedEffects());
  expect(machine.now).toBe(ms(77));
});

test("a tick is useful from when the first key can be freed or forgotten", () => {
  const bench = new Bench();
  expect(bench.machine.nextExpiry()).toBeNull();
  bench.createTopic("t", 1);
  const put = { type: "kv_put", namespace: "n", key: utf8("k"), value: utf8("v") } as const;
  bench.do({ ...put, cas: null, ttlMs: null });
  expect(bench.machine.nextExpiry()).toBeNull();
  bench.produce({ key: "k" });
  expect(bench.machine.nextExpiry()).toBe(1_000 + 24 * 3_600_000);
  bench.do({ ...put, cas: null, ttlMs: 500 });
  expect(bench.machine.nextExpiry()).toBe(1_000 + 500 + 60_000);

  bench.at = 61_500;
  expect(bench.do({ type: "tick" })).toMatchObject({ keysFreed: 1, duplicatesForgotten: 0 });
  bench.at = 1_000 + 24 * 3_600_000;
  expect(bench.do({ type: "tick" })).toMatchObject({ keysFreed: 0, duplicatesForgotten: 1 });
  expect(bench.machine.nextExpiry()).toBeNull();
  expect(bench.partition("t").dedupe).toBeNull();
});
