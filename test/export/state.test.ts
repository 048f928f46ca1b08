/** Exports: commands, one at a time, their bytes, and snapshots. */
import { describe, expect, test } from "bun:test";
import { MANIFEST_FILES_MAX, UNLISTED_MAX } from "../../src/export/definition.ts";
import type { ExportState } from "../../src/export/state.ts";
import { decodeEntry } from "../../src/machine/command-codec.ts";
import type { Command } from "../../src/machine/commands.ts";
import { Machine } from "../../src/machine/machine.ts";
import type { Offset } from "../../src/record/offset.ts";
import { Bench, entryOf } from "../tools/machine/support.ts";

const DEFINITION = {
  topic: "t",
  url: "s3://lake/a",
  everyMs: 600_000,
  maxBytes: 1024,
  compression: "zstd",
  from: "earliest",
  hold: false,
  format: "",
} as const;
const PUT = { type: "put_export", name: "e", definition: DEFINITION } as const;

function benchOf(records = 10, partitions = 1): Bench {
  const bench = new Bench();
  bench.createTopic("t", partitions);
  bench.produce({ count: records, logicalBytes: records });
  return bench;
}
const stateOf = (bench: Bench): ExportState =>
  bench.machine.parts.exports.byName.get("e") as ExportState;
const plan = (first: number, end: number) =>
  ({ type: "plan_export_file", exportId: 1, partition: 0, first, end, day: 20_000 }) as const;
const commit = (first: number, end: number, rows = end - first) =>
  ({ type: "commit_export_file", exportId: 1, partition: 0, first, end, rows, bytes: 7 }) as const;
const planned = (yes: boolean) => ({ ok: true, type: "plan_export_file", planned: yes }) as const;
const committed = (yes: boolean) =>
  ({ ok: true, type: "commit_export_file", committed: yes }) as const;
const trim = (bench: Bench, beforeOffset: number) =>
  bench.do({
    type: "delete_before",
    topicId: 1,
    partition: 0,
    beforeOffset: beforeOffset as Offset,
    bytesBefore: beforeOffset,
  });

test("a range is decided once, and committed once", () => {
  const bench = benchOf();
  expect(bench.do(PUT)).toEqual({ ok: true, type: "put_export", exportId: 1, created: true });
  expect(bench.do(plan(0, 4))).toEqual(planned(true));
  for (const other of [plan(0, 4), plan(0, 5), plan(4, 6)]) {
    expect(bench.do(other)).toEqual(planned(false));
  }
  for (const other of [commit(0, 5), commit(1, 4)]) {
    expect(bench.do(other)).toEqual(committed(false));
  }
  expect(bench.do(commit(0, 4))).toEqual(committed(true));
  expect(bench.do(commit(0, 4))).toEqual(committed(false));
  const [partition] = stateOf(bench).partitions;
  expect(partition).toMatchObject({ next: 4, files: 1, rows: 4, bytes: 7, open: null });
  for (const wrong of [plan(0, 4), plan(5, 6), plan(4, 4), plan(4, 11)]) {
    expect(bench.do(wrong)).toEqual(planned(false));
  }
  expect(bench.do(plan(4, 10))).toEqual(planned(true));
});

test("a file without rows is in no manifest", () => {
  const bench = benchOf();
  bench.do(PUT);
  bench.do(plan(0, 4));
  expect(bench.do(commit(0, 4, 0))).toEqual(committed(true));
  expect(stateOf(bench).files).toEqual([]);
  expect(stateOf(bench).partitions[0]).toMatchObject({ next: 4, files: 0, rows: 0 });
});

test("`latest` begins at the end that the topic has when the export is created", () => {
  const bench = benchOf();
  bench.do({ ...PUT, definition: { ...DEFINITION, from: "latest" } });
  expect(stateOf(bench).partitions[0]?.next).toBe(10);
});

test("deleted records are counted as lost, and an open range that lost some is given up", () => {
  const bench = benchOf();
  bench.do(PUT);
  bench.do(plan(0, 4));
  trim(bench, 2);
  expect(bench.do(plan(2, 2))).toEqual(planned(false));
  expect(stateOf(bench).partitions[0]).toMatchObject({ next: 2, lost: 2, open: null });
  expect(bench.do(commit(0, 4))).toEqual(committed(false));
  expect(bench.do(plan(2, 4))).toEqual(planned(true));
  trim(bench, 10);
  bench.do(plan(10, 10));
  expect(stateOf(bench).partitions[0]).toMatchObject({ next: 10, lost: 10, open: null });
});

test("a range keeps the definition under which it was decided", () => {
  const bench = benchOf();
  bench.do(PUT);
  bench.do(plan(0, 4));
  const changed = { ...DEFINITION, compression: "none", everyMs: 1000 } as const;
  expect(bench.do({ ...PUT, definition: changed })).toMatchObject({ created: false });
  expect(stateOf(bench).definition).toEqual(changed);
  expect(stateOf(bench).partitions[0]?.open?.definition).toEqual(DEFINITION);
});

describe("definitions", () => {
  test.each([
    [{ url: "s3://lake/b" }, { code: "export_exists", details: { field: "url" } }],
    [{ from: "latest" }, { code: "export_exists", details: { field: "from" } }],
    [{ topic: "none" }, { code: "topic_not_found" }],
  ] as const)("a change of %j is refused", (change, rejection) => {
    const bench = benchOf();
    bench.do(PUT);
    const result = bench.do({ ...PUT, definition: { ...DEFINITION, ...change } });
    expect(result).toMatchObject({ ok: false, ...rejection });
  });

  test("two exports cannot have one place, until the first is deleted", () => {
    const bench = benchOf();
    bench.do(PUT);
    expect(bench.do({ ...PUT, name: "f" })).toEqual({
      ok: false,
      code: "export_url_taken",
      details: { export: "e" },
    } as never);
    bench.do({ type: "delete_export", name: "e" });
    expect(bench.do({ ...PUT, name: "f" })).toMatchObject({ created: true, exportId: 2 });
  });

  test("there are at most 1,000 exports, and 16 MiB of definitions", () => {
    const bench = benchOf();
    const put = (at: number, format = "") =>
      bench.do({
        type: "put_export",
        name: `e${at}`,
        definition: { ...DEFINITION, url: `s3://lake/${at}`, format },
      });
    for (let at = 0; at < 1_000; at++) expect(put(at)).toMatchObject({ created: true });
    expect(put(1_000)).toMatchObject({ ok: false, code: "too_many_exports" });
    expect(put(1, "x".repeat(16 * 1024 * 1024))).toMatchObject({ code: "too_many_exports" });
    expect(put(1, "x")).toMatchObject({ ok: true, created: false });
  });

  test("an export of a deleted topic is none, and its place is free", () => {
    const bench = benchOf();
    bench.do(PUT);
    bench.do({ type: "delete_topic", name: "t" });
    for (const command of [
      { type: "delete_export", name: "e" },
      { type: "pause_export", name: "e", paused: true },
      { type: "flush_export", name: "e" },
    ] as const) {
      expect(bench.do(command)).toMatchObject({ ok: false, code: "export_not_found" });
    }
    bench.createTopic("t", 1);
    expect(bench.do({ ...PUT, name: "f" })).toMatchObject({ created: true, exportId: 2 });
  });
});

test("a paused export decides nothing, and a flush names what is left", () => {
  const bench = benchOf();
  bench.do(PUT);
  bench.do({ type: "pause_export", name: "e", paused: true });
  expect(bench.do(plan(0, 4))).toEqual(planned(false));
  bench.do({ type: "pause_export", name: "e", paused: false });
  bench.do(plan(0, 4));
  bench.do(commit(0, 4));
  expect(bench.do({ type: "flush_export", name: "e" })).toEqual({
    ok: true,
    type: "flush_export",
    records: 6,
  });
  expect(stateOf(bench).partitions[0]?.flushTo).toBe(10);
});

describe("manifests", () => {
  const seal = (manifest: number, count: number) =>
    ({ type: "seal_export_manifest", exportId: 1, manifest, count }) as const;
  const list = (manifest: number) =>
    ({ type: "list_export_manifest", exportId: 1, manifest }) as const;

  function withFiles(files: number): Bench {
    const bench = benchOf(files);
    bench.do(PUT);
    for (let at = 0; at < files; at++) {
      bench.do(plan(at, at + 1));
      bench.do(commit(at, at + 1));
    }
    return bench;
  }

  test("are decided once, in order, and have each file", () => {
    const bench = withFiles(3);
    for (const wrong of [seal(2, 1), seal(1, 0), seal(1, 4)]) {
      expect(bench.do(wrong)).toMatchObject({ sealed: false });
    }
    expect(bench.do(list(1))).toMatchObject({ listed: false });
    expect(bench.do(seal(1, 2))).toMatchObject({ sealed: true });
    expect(bench.do(seal(1, 3))).toMatchObject({ sealed: false });
    expect(bench.do(list(2))).toMatchObject({ listed: false });
    expect(bench.do(list(1))).toMatchObject({ listed: true });
    expect(bench.do(list(1))).toMatchObject({ listed: false });
    expect(stateOf(bench)).toMatchObject({ manifest: 1, previous: 0, listed: 2, sealed: 0 });
    expect(bench.do(seal(2, 2))).toMatchObject({ sealed: false });
    expect(bench.do(seal(2, 3))).toMatchObject({ sealed: true });
  });

  test("a full one is followed by one that names it, and its files leave the state", () => {
    const bench = withFiles(MANIFEST_FILES_MAX + 1);
    expect(bench.do(seal(1, MANIFEST_FILES_MAX + 1))).toMatchObject({ sealed: false });
    bench.do(seal(1, MANIFEST_FILES_MAX));
    bench.do(list(1));
    expect(stateOf(bench)).toMatchObject({ manifest: 1, previous: 1, listed: 0, sealed: 0 });
    expect(stateOf(bench).files.map(({ first }) => first)).toEqual([MANIFEST_FILES_MAX]);
  });

  test("files that no manifest lists are bounded", () => {
    const bench = withFiles(UNLISTED_MAX);
    bench.produce();
    expect(bench.do(plan(UNLISTED_MAX, UNLISTED_MAX + 1))).toEqual(planned(false));
    bench.do(seal(1, 1));
    bench.do(list(1));
    expect(bench.do(plan(UNLISTED_MAX, UNLISTED_MAX + 1))).toEqual(planned(true));
  });
});

function chunksOf(machine: Machine): Uint8Array[] {
  const snapshot = machine.beginSnapshot();
  const chunks: Uint8Array[] = [];
  for (let chunk = snapshot.next(999); chunk !== null; chunk = snapshot.next(999))
    chunks.push(chunk);
  return chunks;
}

test("a snapshot has everything, and nothing where there never was an export", () => {
  const bench = benchOf(10, 2);
  const before = Buffer.concat(chunksOf(bench.machine)).length;
  bench.do(PUT);
  bench.do({ ...PUT, name: "f", definition: { ...DEFINITION, url: "file:///x", hold: true } });
  bench.do(plan(0, 4));
  bench.do(commit(0, 4));
  bench.do(plan(4, 6));
  bench.do({ ...PUT, definition: { ...DEFINITION, format: '{"columns":[]}' } });
  bench.do({ type: "pause_export", name: "f", paused: true });
  bench.do({ type: "seal_export_manifest", exportId: 1, manifest: 1, count: 1 });
  const chunks = chunksOf(bench.machine);
  const copy = Machine.restore(chunks);
  expect(copy.parts.exports).toEqual(bench.machine.parts.exports);
  expect(copy.digest()).toBe(bench.machine.digest());
  expect(Buffer.concat(chunks).length).toBeGreaterThan(before + 100);
});

describe("what is left of a file that was given up", () => {
  const removed = (first: number, end: number) =>
    ({ type: "removed_export_file", exportId: 1, partition: 0, first, end }) as const;
  const seal = (manifest: number, count: number) =>
    ({ type: "seal_export_manifest", exportId: 1, manifest, count }) as const;
  const list = (manifest: number) =>
    ({ type: "list_export_manifest", exportId: 1, manifest }) as const;
  const end = (forget = false) => ({ type: "end_export", exportId: 1, forget }) as const;
  const closing = (bench: Bench) => bench.machine.parts.exports.closing;
  const copyOf = (bench: Bench) => {
    const copy = Machine.restore(chunksOf(bench.machine));
    expect(copy.parts.exports).toEqual(bench.machine.parts.exports);
    expect(copy.digest()).toBe(bench.machine.digest());
  };

  test("after retention: it is removed once", () => {
    const bench = benchOf();
    bench.do(PUT);
    bench.do(plan(0, 4));
    trim(bench, 2);
    bench.do(plan(2, 2));
    expect(stateOf(bench).givenUp).toEqual([{ partition: 0, first: 0, end: 4, day: 20_000 }]);
    copyOf(bench);
    expect(bench.do(removed(0, 5))).toMatchObject({ removed: false });
    expect(bench.do(removed(0, 4))).toMatchObject({ removed: true });
    expect(bench.do(removed(0, 4))).toMatchObject({ removed: false });
    expect(stateOf(bench).givenUp).toEqual([]);
  });

  test("after a deletion: committed files are listed, the others removed, then the place is free", () => {
    const bench = benchOf();
    bench.do(PUT);
    bench.do(plan(0, 4));
    bench.do(commit(0, 4));
    bench.do(plan(4, 6));
    expect(bench.do({ type: "delete_export", name: "e" })).toMatchObject({ ok: true });
    expect(stateOf(bench)).toBeUndefined();
    expect(bench.do(commit(4, 6))).toEqual(committed(false));
    copyOf(bench);
    expect(bench.do({ ...PUT, name: "f" })).toMatchObject({
      code: "export_url_taken",
      details: { export: "e" },
    });
    expect(bench.do(removed(4, 6))).toMatchObject({ removed: true });
    expect(bench.do(seal(1, 1))).toMatchObject({ sealed: true });
    expect(closing(bench).size).toBe(1);
    expect(bench.do(list(1))).toMatchObject({ listed: true });
    expect(closing(bench).size).toBe(0);
    expect(bench.do({ ...PUT, name: "f" })).toMatchObject({ created: true, exportId: 2 });
    expect(bench.machine.parts.exports.formatBytes).toBe(DEFINITION.url.length);
  });

  test("after the deletion of the topic: the leader ends the export", () => {
    const bench = benchOf();
    bench.do(PUT);
    bench.do(plan(0, 4));
    expect(bench.do(end())).toMatchObject({ ended: false });
    bench.do({ type: "delete_topic", name: "t" });
    expect(bench.do(end(true))).toMatchObject({ ended: false });
    expect(bench.do(end())).toMatchObject({ ended: true });
    expect(bench.do(end())).toMatchObject({ ended: false });
    expect(closing(bench).get(1)?.givenUp.length).toBe(1);
    // The place could not be reached for too long.
    expect(bench.do(end(true))).toMatchObject({ ended: true });
    expect(closing(bench).size).toBe(0);
    for (const forget of [false, true]) {
      expect(bench.do(end(forget))).toMatchObject({ ended: false });
    }
    expect(bench.machine.parts.exports.formatBytes).toBe(0);
  });

  test("at most 1,024 files are remembered, the newest ones", () => {
    const bench = benchOf(1);
    bench.do(PUT);
    for (let at = 0; at < 1_030; at++) {
      bench.do(plan(at, at + 1));
      bench.produce();
      trim(bench, at + 1);
    }
    bench.do(plan(1_030, 1_030));
    expect(stateOf(bench).givenUp.length).toBe(1_024);
    expect(stateOf(bench).givenUp.at(-1)?.first).toBe(1_029);
    copyOf(bench);
  });
});

const OTHER = { compression: "snappy", from: "latest", hold: true, format: "{}" } as const;
const BYTES: readonly (readonly [Command, string])[] = [
  [PUT, "6e180165000001740b73333a2f2f6c616b652f61c0cf24800800"],
  [
    { ...PUT, definition: { ...DEFINITION, ...OTHER } },
    "6e1a0165030101740b73333a2f2f6c616b652f61c0cf248008027b7d",
  ],
  [{ type: "delete_export", name: "e" }, "6f020165"],
  [{ type: "pause_export", name: "e", paused: true }, "7003016501"],
  [{ type: "flush_export", name: "e" }, "71020165"],
  [plan(3, 300), "7208010003ac02a09c01"],
  [commit(3, 300), "7308010003ac02a90207"],
  [{ type: "seal_export_manifest", exportId: 1, manifest: 2, count: 3 }, "7403010203"],
  [{ type: "list_export_manifest", exportId: 1, manifest: 2 }, "75020102"],
  [{ type: "end_export", exportId: 300, forget: true }, "7603ac0201"],
  [
    { type: "removed_export_file", exportId: 1, partition: 0, first: 3, end: 300 },
    "7705010003ac02",
  ],
];

for (const [command, bytes] of BYTES) {
  test(`the bytes of ${command.type} are those of the first release with it: ${bytes}`, () => {
    const entry = entryOf(5, command);
    expect(Buffer.from(entry.subarray(13)).toString("hex")).toBe(bytes);
    expect(decodeEntry(entry).commands).toEqual([command]);
  });
}
