import { expect, test } from "bun:test";
import { compatOf } from "../../src/http/compat.ts";
import { parseJsonObject } from "../../src/http/json.ts";
import { DecoderCache } from "../../src/stream/codecs/decoder-cache.ts";
import { parseJsonText } from "../../src/stream/codecs/json.ts";
import { JoinRun } from "../../src/stream/join.ts";
import { parseJoinRequest } from "../../src/stream/join-request.ts";
import { toJson } from "../../src/stream/json-output.ts";
import { forEachSeed, type Random } from "../tools/random.ts";
import { canonical, feedAll, jsonText, type TestRecord } from "../tools/stream/records.ts";
import { referenceJoin, UNDECODABLE } from "../tools/stream/reference.ts";

const decoders = new DecoderCache();
const side = { topic: "t", partition: 0, limit: 10_000 };

type Options = { compat?: boolean; budget?: number; from?: { left: number; right: number } };

function runJoin(
  left: readonly TestRecord[],
  right: readonly TestRecord[],
  body: object,
  options: Options = {},
) {
  const { compat = false, budget = 1e9, from = { left: 0, right: 0 } } = options;
  const { joinBody, joinRules } = compatOf(compat ? "ayder" : "");
  const text = jsonText({ left: side, right: side, ...body });
  const sent = joinBody({ text, fields: parseJsonObject(new TextEncoder().encode(text)) });
  const parsed = parseJoinRequest(parseJsonText(sent.text), decoders);
  if (!parsed.ok) throw new Error(`${parsed.path}: ${parsed.message}`);
  const run = new JoinRun(parsed.request, {
    leftOffset: from.left,
    rightOffset: from.right,
    rules: joinRules,
  });
  feedAll(right, (cursor) => run.feed("right", cursor, 1e9, budget));
  feedAll(left, (cursor) => run.feed("left", cursor, 1e9, budget));
  while (!run.step(budget));
  if (run.rejection !== null) throw new Error(run.rejection.message);
  return { ...run.result(), operations: run.operations };
}

const ABSENT = "absent";
const KEYS = [1, 2, 3, "1", "2", 2n ** 60n + 1n, 2n ** 60n + 2n, null, true, ABSENT];

function randomSide(random: Random, ties: boolean): TestRecord[] {
  const keys = KEYS.slice(0, 1 + random.below(KEYS.length));
  let offset = random.below(3);
  return Array.from({ length: random.below(14) }, () => {
    offset += 1 + random.below(2);
    const value: Record<string, unknown> = { v: { n: offset, s: "x" } };
    const key = random.pick([...keys, 1]);
    if (key !== ABSENT) value["k"] = key;
    if (random.below(3) > 0) value["k2"] = random.pick(["a", "b"]);
    const time = 100 + random.below(ties ? 8 : 40);
    if (random.below(10) > 0) value["t"] = time;
    const undecodable = random.below(20) === 0;
    return { offset, ts: time, value: undecodable ? UNDECODABLE : value };
  });
}

function randomBody(random: Random) {
  const composite = random.below(3) === 0;
  const keys = composite ? ["k", "k2"] : ["k"];
  const fields = () => [undefined, ["k"], ["v.n", "k"], ["none"]][random.below(4)];
  return {
    left: { ...side, limit: 1 + random.below(16) },
    right: { ...side, limit: 1 + random.below(16) },
    on: { left_keys: keys, right_keys: keys },
    window: {
      size_ms: random.below(12),
      allowed_lateness_ms: random.pick([0, 3, 1000, 1000]),
      ...(random.below(3) === 0 ? { time_field: "t" } : {}),
    },
    join: { type: random.pick(["inner", "left", "right", "full"]) },
    emit: {
      max_rows: 10_000,
      missing_as: random.pick(["null", "empty"]),
      left_fields: fields(),
      right_fields: fields(),
    },
    dedupe_once: random.below(2) === 0,
  };
}

test("agrees with the naive reference on random joins", () => {
  forEachSeed(6000, (random) => {
    const ties = random.below(2) === 0;
    const left = randomSide(random, ties);
    const right = randomSide(random, ties);
    const body = randomBody(random);
    const compat = random.below(6) === 0;
    if (compat) body.emit = { ...body.emit, left_fields: ["v"], right_fields: ["v"] };
    const actual = runJoin(left, right, body, { compat, budget: 1 + random.below(100) });
    const wanted = referenceJoin(left, right, body as Parameters<typeof referenceJoin>[2], compat);
    expect(canonical(actual.rows)).toBe(canonical(wanted.rows));
    expect(actual.stats.late).toBe(wanted.late);
    expect(actual.stats.watermarkMs).toBe(wanted.watermark);
    expect(actual.stats.rows).toBe(wanted.rows.length);
    expect(actual.stats.truncated).toBe(false);
  });
}, 300_000);

/** Lateness is judged by what a page has read; without it, pages must make up the whole. */
function pagedBody(random: Random) {
  const body = randomBody(random);
  const window = { ...body.window, allowed_lateness_ms: 1e6 };
  // Every row is another, so that one that comes twice is seen.
  const emit = { ...body.emit, left_fields: ["v.n"], right_fields: ["v.n"] };
  return { ...body, left: side, right: side, window, emit };
}

type Offsets = { left: number; right: number };

/**
 * Goes through the pages. After each, what was seen and what is still to come are the whole, and
 * nothing is in both; a page that cannot advance shows rows that are still to come.
 *
 * @returns the number of pages, and whether the last one was reached.
 */
function goThrough(left: TestRecord[], right: TestRecord[], body: ReturnType<typeof pagedBody>) {
  const maxRows = body.emit.max_rows;
  const uncapped = { ...body, emit: { ...body.emit, max_rows: 10_000 } };
  const rowsFrom = (from: Offsets) =>
    runJoin(left, right, uncapped, { from }).rows.map((row) => toJson(row));
  const whole = rowsFrom({ left: 0, right: 0 }).toSorted();
  const seen: string[] = [];
  for (let from: Offsets = { left: 0, right: 0 }, pages = 1; ; pages++) {
    const page = runJoin(left, right, body, { from });
    const rows = page.rows.map((row) => toJson(row));
    const rest = page.stats.truncated ? rowsFrom(page.nextOffsets) : [];
    const isStuck = rest.includes(rows[0] ?? "");
    if (!isStuck) seen.push(...rows);
    expect([...seen, ...rest].toSorted()).toEqual(whole);
    expect(rows.length).toBeLessThanOrEqual(maxRows);
    if (!page.stats.truncated || isStuck) return { pages, isStuck };
    expect(rows.length).toBeGreaterThan(0);
    from = page.nextOffsets;
  }
}

test("pages cut by max_rows have every row of the whole once, or do not advance", () => {
  let pages = 0;
  let stuck = 0;
  forEachSeed(1000, (random) => {
    const left = randomSide(random, true);
    const right = randomSide(random, true);
    const body = pagedBody(random);
    const emit = { ...body.emit, max_rows: 1 + random.below(6) };
    const found = goThrough(left, right, { ...body, emit });
    pages += found.pages;
    stuck += found.isStuck ? 1 : 0;
  });
  expect(pages).toBeGreaterThan(1500);
  expect(stuck).toBeLessThan(400);
}, 300_000);

const at = (offset: number, ts: number, value: unknown): TestRecord => ({ offset, ts, value });
const on = { left_key: "id", right_key: "id" };

test("300 to 300 in an inner join with the default cap: 200 rows, then the other 100", () => {
  const left = Array.from({ length: 300 }, (_, i) => at(i, 1000 + i, { id: i }));
  for (const type of ["inner", "left", "right", "full"]) {
    const body = { on, join: { type } };
    const first = runJoin(left, left, body);
    expect([first.rows.length, first.stats.truncated]).toEqual([200, true]);
    expect(first.nextOffsets).toEqual({ left: 200, right: 200 });
    const second = runJoin(left, left, body, { from: first.nextOffsets });
    expect([second.rows.length, second.stats.truncated]).toEqual([100, false]);
    expect(second.nextOffsets).toEqual({ left: 300, right: 300 });
  }
});

test("one left with more rows than fit goes on inside its rights", () => {
  const right = Array.from({ length: 300 }, (_, i) => at(i, 1000, { id: 1 }));
  const first = runJoin([at(0, 1000, { id: 1 })], right, { on });
  expect(first.nextOffsets).toEqual({ left: 0, right: 200 });
  const second = runJoin([at(0, 1000, { id: 1 })], right, { on }, { from: first.nextOffsets });
  expect([first.rows.length, second.rows.length]).toEqual([200, 100]);
});

test("the row of the contract", () => {
  const { rows, nextOffsets, stats } = runJoin(
    [at(4, 1000, { id: 7, name: { first: "Ann", last: "B" } })],
    [at(9, 1500, { id: 7, total: 12 })],
    { on, emit: { left_fields: ["name.first"] } },
  );
  expect(toJson(rows)).toBe(
    '[{"key":"7","leftTsMs":1000,"rightTsMs":1500,"left":{"name":{"first":"Ann"}},"right":{"id":7,"total":12}}]',
  );
  expect(nextOffsets).toEqual({ left: 5, right: 10 });
  expect(toJson(stats)).toBe(
    '{"leftScanned":1,"rightScanned":1,"rows":1,"late":0,"watermarkMs":1000,"outerLeft":0,' +
      '"outerRight":0,"dedupeOnce":false,"undecodable":0,"untimed":0,"truncated":false}',
  );
});

test("keys are equal as values: 7 is 7.0 and not text, and 64-bit keys differ in their last digit", () => {
  const pairs = (left: unknown, right: unknown, compat = false) =>
    runJoin([at(0, 0, { id: left })], [at(0, 0, { id: right })], { on }, { compat }).rows.length;
  const seven = new TextEncoder().encode('{"id":7.0}');
  expect(pairs(7, 7)).toBe(1);
  expect(runJoin([at(0, 0, { id: 7 })], [at(0, 0, seven)], { on }).rows.length).toBe(1);
  expect(pairs(7, "7")).toBe(0);
  expect(pairs(7, "7", true)).toBe(1);
  expect(pairs(2n ** 60n, 2n ** 60n)).toBe(1);
  expect(pairs(2n ** 60n, String(2n ** 60n))).toBe(0);
  expect(pairs(2n ** 60n, 2n ** 60n + 1n)).toBe(0);
  expect(pairs(null, null)).toBe(0);
  expect(pairs(undefined, undefined)).toBe(0);
});

test("a composite key prints its parts with a bar, and does not mix them up", () => {
  const keys = { left_keys: ["a", "b"], right_keys: ["a", "b"] };
  const left = [at(0, 0, { a: 7, b: "us" }), at(1, 0, { a: "x|y", b: "z" })];
  const right = [at(0, 0, { a: 7, b: "us" }), at(1, 0, { a: "x", b: "y|z" })];
  const { rows } = runJoin(left, right, { on: keys, join: { type: "full" } });
  expect(rows.map((row) => row.key)).toEqual(["7|us", "x\\|y|z", "x|y\\|z"]);
});

test("dedupe_once takes pairs by distance, then left offset, then right offset", () => {
  const left = [at(0, 10, { id: 1, n: 0 }), at(1, 14, { id: 1, n: 1 }), at(2, 14, { id: 1, n: 2 })];
  const right = [
    at(0, 12, { id: 1, n: 0 }),
    at(1, 15, { id: 1, n: 1 }),
    at(2, 15, { id: 1, n: 2 }),
  ];
  const { rows } = runJoin(left, right, {
    on,
    dedupe: { mode: "once" },
    emit: { left_fields: ["n"], right_fields: ["n"] },
  });
  expect(toJson(rows.map((row) => [row.left, row.right]))).toBe(
    '[[{"n":0},{"n":0}],[{"n":1},{"n":1}],[{"n":2},{"n":2}]]',
  );
});

test("compat: a side without a list of fields is {}, and pairs keep left offset at most right", () => {
  const left = [at(5, 0, { id: 1 })];
  const right = [at(3, 0, { id: 1 }), at(7, 1, { id: "1" })];
  const { rows } = runJoin(left, right, { on, dedupe_once: true }, { compat: true });
  expect(toJson(rows)).toBe('[{"key":"1","leftTsMs":0,"rightTsMs":1,"left":{},"right":{}}]');
});

/** The worst case is one key: everything may match everything. */
function operationsFor(records: number, dedupe: boolean, spread: number): number {
  const make = (shift: number) =>
    Array.from({ length: records }, (_, i) =>
      at(i, ((i * 7919 + shift) % records) * spread, { id: 1 }),
    );
  const body = { on, window: { size_ms: 1000, allowed_lateness_ms: 1e9 }, dedupe_once: dedupe };
  return runJoin(make(0), make(3), body, { budget: 1e9 }).operations;
}

test("twice the records are little more than twice the steps", () => {
  for (const dedupe of [false, true]) {
    for (const spread of [0, 1, 400]) {
      const small = operationsFor(2000, dedupe, spread);
      const large = operationsFor(4000, dedupe, spread);
      expect(large / small).toBeLessThan(2.5);
    }
  }
}, 300_000);

test("a join that keeps too much is rejected, and compat dedupe has a bound on pairs", () => {
  const parsed = parseJoinRequest({ left: side, right: side, on, dedupe_once: true }, decoders);
  if (!parsed.ok) throw new Error(parsed.message);
  const records = Array.from({ length: 1000 }, (_, i) => at(i, 0, { id: 1 }));
  const small = new JoinRun(parsed.request, {
    leftOffset: 0,
    rightOffset: 0,
    limits: { groupsMax: 1, memoryBytesMax: 10_000 },
  });
  expect(feedAll(records, (cursor) => small.feed("left", cursor, 1e9, 10))).toBe("rejected");
  expect(small.rejection?.code).toBe("query_too_large");
  expect(() =>
    runJoin(records, records, { on, dedupe_once: true }, { compat: true, budget: 100 }),
  ).toThrow("too many pairs");
});
