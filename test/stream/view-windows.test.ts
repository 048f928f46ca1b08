import { expect, test } from "bun:test";
import { ByteWriter } from "../../src/lib/bytes.ts";
import { DecoderCache } from "../../src/stream/codecs/decoder-cache.ts";
import { toJson } from "../../src/stream/json-output.ts";
import { parseViewRequest, type QueryRequest } from "../../src/stream/query-request.ts";
import { ViewState } from "../../src/stream/view.ts";
import { forEachSeed, type Random } from "../tools/random.ts";
import { feedAll, type TestRecord } from "../tools/stream/records.ts";

const decoders = new DecoderCache();
const LIMITS = { groupsMax: 1000, memoryBytesMax: 1e9 };

function viewOf(retain: object | undefined, size = 10): QueryRequest {
  const parsed = parseViewRequest(
    {
      source: { topic: "t" },
      window: { size_ms: size, time_field: "t" },
      aggregate: { group_by: ["g"], measures: [{ op: "sum", field: "n" }] },
      ...(retain === undefined ? {} : { retain }),
    },
    decoders,
  );
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.request;
}

type Value = { t: number; g: number; n: number };
const at = (offset: number, value: Value, ts = 1e6): TestRecord => ({ offset, ts, value });

/** The windows that must be left of one or more partitions, computed from all records at once. */
function leftOf(records: readonly TestRecord[], retain: Retain, size: number, groupsMax: number) {
  const startOf = (value: Value) => Math.floor(value.t / size) * size;
  const all = records.map(({ value, ts }) => ({ value: value as Value, ts }));
  const newest = Math.max(...all.map(({ value, ts }) => Math.min(value.t, ts)));
  const sums = new Map<string, { start: number; g: number; count: number; sum: number }>();
  for (const { value } of all) {
    const start = startOf(value);
    const key = `${start} ${value.g}`;
    const group = sums.get(key) ?? { start, g: value.g, count: 0, sum: 0 };
    sums.set(key, { ...group, count: group.count + 1, sum: group.sum + value.n });
  }
  const starts = [...new Set([...sums.values()].map(({ start }) => start))].toSorted(
    (a, b) => a - b,
  );
  const groupsFrom = (from: number) => [...sums.values()].filter(({ start }) => start >= from);
  let kept = starts;
  if (retain.age_ms !== undefined) {
    kept = kept.filter((start) => start + size > newest - (retain.age_ms ?? 0));
  }
  if (retain.windows !== undefined) kept = kept.slice(-retain.windows);
  const most = Math.min(groupsMax, retain.groups ?? groupsMax);
  while (kept.length > 1 && groupsFrom(kept[0] ?? 0).length > most) kept = kept.slice(1);
  return groupsFrom(kept[0] ?? Number.POSITIVE_INFINITY)
    .toSorted((a, b) => a.start - b.start || a.g - b.g)
    .map(({ start, g, count, sum }) => [start, g, count, sum]);
}

type Retain = { windows?: number; groups?: number; age_ms?: number };

const shown = (view: ViewState) =>
  view
    .result()
    .aggregates.map((row) => [
      row["window_start_ms"],
      (row["group"] as { g: number }).g,
      row["count"],
      row["sum_n"],
    ]);

function randomRetain(random: Random): Retain {
  return {
    ...(random.below(2) === 0 ? { windows: 1 + random.below(5) } : {}),
    // No window has more groups than that, so that all of its groups have room.
    ...(random.below(2) === 0 ? { groups: 4 + random.below(8) } : {}),
    ...(random.below(3) === 0 ? { age_ms: 1 + random.below(60) } : {}),
  };
}

test("what is left does not depend on the order of partitions, nor on saving in between", () => {
  forEachSeed(2000, (random) => {
    const size = 5 + random.below(20);
    const partitions = [0, 1, 2].map(() =>
      Array.from({ length: random.below(30) }, (_, i) =>
        at(
          i,
          { t: random.below(100) - 20 + i * 3, g: random.below(4), n: i },
          // Some clocks run ahead of the record's own timestamp.
          random.below(9) === 0 ? 20 + i : 1e6,
        ),
      ),
    );
    const retain = randomRetain(random);
    const request = viewOf(retain, size);
    const limits = { ...LIMITS, groupsMax: 4 + random.below(20) };
    let view = new ViewState(request, limits);
    const left = partitions.map((records) => [...records]);
    while (left.some((records) => records.length > 0)) {
      const partition = random.below(3);
      const part = left[partition]?.splice(0, 1 + random.below(6)) ?? [];
      feedAll(part, (cursor) => view.feed(partition, cursor, 1e9, 3));
      if (random.below(4) > 0) continue;
      const restored = new ViewState(request, limits);
      expect(restored.restore(view.snapshot())).toBe(true);
      expect(toJson(restored.result() as never)).toBe(toJson(view.result() as never));
      view = restored;
    }
    const all = partitions.flat();
    if (all.length === 0) return;
    expect(shown(view)).toEqual(leftOf(all, retain, size, limits.groupsMax));
    expect(view.result().agedOut.overflow).toBe(0);
    expect(view.result().consumed).toBe(all.length);
  });
}, 300_000);

test("a full view goes on: the oldest windows make room, and the answer says so", () => {
  const view = new ViewState(viewOf(undefined), { groupsMax: 70, memoryBytesMax: 1e9 });
  const records = Array.from({ length: 700 }, (_, i) =>
    at(i, { t: Math.floor(i / 7) * 10, g: i % 7, n: 1 }),
  );
  feedAll(records, (cursor) => view.feed(0, cursor, 1e9, 1e9));
  const { aggregates, agedOut, consumed } = view.result();
  expect(consumed).toBe(700);
  expect(aggregates.length).toBe(70);
  expect(aggregates[0]?.["window_start_ms"]).toBe(900);
  expect(agedOut).toEqual({ fromMs: 900, evicted: 630, late: 0, overflow: 0, isCut: true });
  expect(view.fill).toBe(1);
  // A window that is gone stays gone.
  feedAll([at(700, { t: 899, g: 1, n: 1 })], (cursor) => view.feed(0, cursor, 1e9, 1e9));
  expect(view.result().agedOut.late).toBe(1);
  expect(view.result().aggregates.length).toBe(70);
});

test("one window with more groups than there is room for keeps those that it has", () => {
  const view = new ViewState(viewOf(undefined), { groupsMax: 5, memoryBytesMax: 1e9 });
  const records = Array.from({ length: 20 }, (_, i) => at(i, { t: 1, g: i % 10, n: 1 }));
  feedAll(records, (cursor) => view.feed(0, cursor, 1e9, 1e9));
  expect(shown(view).map(([, g, count]) => [g, count])).toEqual([0, 1, 2, 3, 4].map((g) => [g, 2]));
  expect(view.result().agedOut).toMatchObject({ overflow: 10, evicted: 0 });
  feedAll([at(20, { t: 11, g: 9, n: 1 })], (cursor) => view.feed(0, cursor, 1e9, 1e9));
  expect(shown(view)).toEqual([[10, 9, 1, 1]]);
});

test("a record that is far in the future makes nothing old", () => {
  const view = new ViewState(viewOf({ age_ms: 50 }), LIMITS);
  const records = [at(0, { t: 100, g: 1, n: 1 }, 100), at(1, { t: 1e12, g: 1, n: 1 }, 110)];
  feedAll([...records, at(2, { t: 105, g: 1, n: 1 }, 111)], (cursor) =>
    view.feed(0, cursor, 1e9, 1e9),
  );
  expect(shown(view).map(([start, , count]) => [start, count])).toEqual([
    [100, 2],
    [1e12, 1],
  ]);
});

test("a state that version 1 saved is opened, and is written as version 1 while nothing aged out", () => {
  const request = viewOf(undefined);
  const out = new ByteWriter();
  out.u8(1);
  out.text(request.aggregateIdentity);
  // Records read, undecodable, untimed; one partition; one group of one measure.
  for (const count of [9, 2, 1]) out.u64(count);
  out.varint(1);
  out.u64(3);
  out.u64(12);
  out.varint(1);
  out.text("20");
  out.text("[7]");
  out.u64(6);
  out.u64(6);
  out.u64(1);
  for (const number of ["9007199254740993n", "9007199254740994", ""]) out.text(number);
  const bytes = out.take();
  const view = new ViewState(request);
  expect(view.restore(bytes)).toBe(true);
  expect(view.nextOffset(3)).toBe(12);
  expect(shown(view)).toEqual([[20, 7, 6, 9007199254740994]]);
  expect(view.snapshot()).toEqual(new Uint8Array(bytes));
});
