import { expect, test } from "bun:test";
import { DecoderCache } from "../../src/stream/codecs/decoder-cache.ts";
import { parseJsonText } from "../../src/stream/codecs/json.ts";
import { toJson } from "../../src/stream/json-output.ts";
import { QueryRun } from "../../src/stream/query.ts";
import { parseQueryRequest, parseViewRequest } from "../../src/stream/query-request.ts";
import { ViewState } from "../../src/stream/view.ts";
import { forEachSeed, type Random } from "../tools/random.ts";
import { canonical, feedAll, jsonText, type TestRecord } from "../tools/stream/records.ts";
import { referenceQuery, UNDECODABLE } from "../tools/stream/reference.ts";

const decoders = new DecoderCache();
const source = { topic: "t", partition: 0, limit: 10_000 };

function runQuery(records: readonly TestRecord[], body: unknown, budget = 1e9) {
  const parsed = parseQueryRequest(parseJsonText(jsonText(body)), decoders);
  if (!parsed.ok) throw new Error(`${parsed.path}: ${parsed.message}`);
  const run = new QueryRun(parsed.request, 0);
  feedAll(records, (cursor) => run.feed(cursor, Number.POSITIVE_INFINITY, budget));
  return run.result();
}

const NUMBERS = [
  0,
  1,
  -1,
  7,
  2.5,
  -0.5,
  1e300,
  2n ** 53n,
  2n ** 53n + 1n,
  -(2n ** 63n),
  10n ** 30n,
];
const SCALARS = [...NUMBERS, null, true, false, "", "7", "us", "eu", "a|b"];

function randomRecord(random: Random, offset: number): TestRecord {
  const value: Record<string, unknown> = {};
  if (random.below(4) > 0) value["a"] = random.pick(SCALARS);
  if (random.below(4) > 0) value["b"] = { c: random.pick(SCALARS), d: random.pick(NUMBERS) };
  if (random.below(4) > 0) value["tags"] = [random.pick(SCALARS), random.pick(SCALARS)];
  if (random.below(4) > 0) value["t"] = random.below(50) - 25;
  if (random.below(9) === 0) value["b"] = random.pick(SCALARS);
  const undecodable = random.below(12) === 0;
  return { offset, ts: 1000 + random.below(50), value: undecodable ? UNDECODABLE : value };
}

const FIELDS = ["a", "b", "b.c", "b.d", "tags", "t", "none", "b.none"];
const OPS = ["eq", "ne", "lt", "le", "gt", "ge", "in", "contains"];

function randomFilter(random: Random) {
  const op = random.pick(OPS);
  const ordered = ["lt", "le", "gt", "ge"].includes(op);
  const scalars: unknown[] = ordered ? [...NUMBERS, "", "7", "us"] : SCALARS;
  const value = op === "in" ? [random.pick(SCALARS), random.pick(SCALARS)] : random.pick(scalars);
  return { field: random.pick(FIELDS), op, value };
}

const GROUPINGS = [[], ["a"], ["a", "b.c"], ["b.none", "t"]];

function randomBody(random: Random) {
  const measures = ["count", "sum", "avg", "min", "max"]
    .filter(() => random.below(2) === 0)
    .map((op) => ({ op, field: random.pick(["a", "b.d", "t", "b.c"]) }));
  const byField = random.below(2) === 0 ? { time_field: "t" } : {};
  const size = 1 + random.below(20);
  return {
    source: {
      topic: "t",
      partition: 0,
      ...(random.below(4) > 0 ? { limit: 1 + random.below(30) } : {}),
    },
    ...(random.below(2) === 0 ? { filter: [randomFilter(random)] } : {}),
    ...(random.below(2) === 0 ? { window: { type: "tumbling", size_ms: size, ...byField } } : {}),
    ...(random.below(5) === 0 ? {} : { aggregate: { group_by: random.pick(GROUPINGS), measures } }),
    transform: {
      emit_rows: random.below(8),
      ...(random.below(2) === 0
        ? { left_fields: random.pick([["a"], ["b.c", "t"], ["b", "b.c"]]) }
        : {}),
    },
  };
}

test("agrees with the naive reference on random queries", () => {
  forEachSeed(5000, (random) => {
    const records = Array.from({ length: random.below(25) }, (_, i) => randomRecord(random, i * 2));
    const body = randomBody(random);
    const actual = runQuery(records, body, 1 + random.below(5));
    const wanted = referenceQuery(records, body);
    // `key` is text made for people; the reference makes it without escapes.
    const unescaped = actual.aggregates.map((row) => ({
      ...row,
      key: String(row["key"]).replaceAll("\\|", "|"),
    }));
    const { rows, consumed, undecodable, nextOffset, rowsNextOffset } = actual;
    if (process.env["SEED"]) {
      console.log(jsonText(body));
      console.log(canonical(actual));
      console.log(canonical(wanted));
    }
    const found = { rows, aggregates: unescaped, consumed, undecodable, nextOffset };
    expect(canonical({ ...found, rowsNextOffset })).toBe(canonical(wanted));
  });
}, 300_000);

test("a view fed in parts, with snapshots in between, equals the query", () => {
  forEachSeed(1500, (random) => {
    const records = Array.from({ length: random.below(40) }, (_, i) => randomRecord(random, i));
    const { transform: _, ...random_ } = randomBody(random);
    const body = { aggregate: {}, ...random_, source };
    const parsed = parseViewRequest(parseJsonText(jsonText(body)), decoders);
    if (!parsed.ok) throw new Error(parsed.message);
    let view = new ViewState(parsed.request);
    for (let at = 0; at < records.length; ) {
      const count = 1 + random.below(10);
      // Some records come twice: the position in the state leaves them out.
      const part = records.slice(Math.max(0, at - random.below(3)), at + count);
      feedAll(part, (cursor) => view.feed(3, cursor, Number.POSITIVE_INFINITY, 2));
      at += count;
      const restored = new ViewState(parsed.request);
      expect(restored.restore(view.snapshot())).toBe(true);
      expect(toJson(restored.result())).toBe(toJson(view.result()));
      view = restored;
    }
    const wanted = runQuery(records, body);
    expect(toJson(view.result().aggregates)).toBe(toJson(wanted.aggregates));
    expect(view.result().undecodable).toBe(wanted.undecodable);
  });
}, 300_000);

test("a view keeps 10,000 groups exactly, and refuses a state that is not its own", () => {
  const body = {
    source: { topic: "t" },
    aggregate: { group_by: ["id"], measures: [{ op: "sum", field: "n" }] },
  };
  const parsed = parseViewRequest(body, decoders);
  if (!parsed.ok) throw new Error(parsed.message);
  const view = new ViewState(parsed.request);
  const records = Array.from({ length: 30_000 }, (_, i) => ({
    offset: i,
    ts: 1,
    value: { id: i % 10_000, n: 2n ** 60n + BigInt(i) },
  }));
  feedAll(records, (cursor) => view.feed(0, cursor, 30_000, 1000));
  const bytes = view.snapshot();
  const restored = new ViewState(parsed.request);
  expect(restored.restore(bytes)).toBe(true);
  const { aggregates, partitions } = restored.result();
  expect(aggregates.length).toBe(10_000);
  expect(partitions).toEqual([{ partition: 0, nextOffset: 30_000 }]);
  for (const [i, row] of aggregates.entries()) {
    expect(row["sum_n"]).toBe(3n * 2n ** 60n + BigInt(3 * i + 30_000));
  }
  const other = parseViewRequest(
    { ...body, filter: [{ field: "id", op: "gt", value: 5 }] },
    decoders,
  );
  if (!other.ok) throw new Error(other.message);
  const empty = new ViewState(other.request);
  expect(empty.restore(bytes)).toBe(false);
  for (let length = 0; length < 400; length++) {
    expect(empty.restore(bytes.subarray(0, length))).toBe(false);
    expect(new ViewState(parsed.request).restore(bytes.subarray(0, length))).toBe(false);
  }
});

const records = (values: readonly unknown[]): TestRecord[] =>
  values.map((value, offset) => ({ offset, ts: offset, value }));

test("the documented answer: group, default names, as, window", () => {
  const { aggregates } = runQuery(
    records([
      { region: "us", plan: "pro", x: 1 },
      { region: "us", plan: "pro", x: 2 },
      { region: "eu", plan: "pro" },
    ]),
    {
      source,
      window: { type: "tumbling", size_ms: 1000 },
      aggregate: {
        group_by: ["region", "plan"],
        measures: [
          { op: "count" },
          { op: "sum", field: "x" },
          { op: "avg", field: "x", as: "mean" },
        ],
      },
    },
  );
  expect(toJson(aggregates)).toBe(
    '[{"key":"region=eu|plan=pro","group":{"region":"eu","plan":"pro"},"count":1,"sum_x":0,"mean":null,"window_start_ms":0,"window_end_ms":1000},' +
      '{"key":"region=us|plan=pro","group":{"region":"us","plan":"pro"},"count":2,"sum_x":3,"mean":1.5,"window_start_ms":0,"window_end_ms":1000}]',
  );
});

test("without group_by there is one group with an empty key", () => {
  const { aggregates } = runQuery(records([{}, 5, "x", null]), { source, aggregate: {} });
  expect(toJson(aggregates)).toBe('[{"key":"","group":{},"count":4}]');
});

test("keys escape what would make them ambiguous", () => {
  const { aggregates } = runQuery(records([{ "a=b": "x|y\\z" }]), {
    source,
    aggregate: { group_by: ["a=b"] },
  });
  expect(aggregates[0]?.["key"]).toBe("a\\=b=x\\|y\\\\z");
});

test("7 and text 7 are two groups, a missing field and null are one", () => {
  const { aggregates } = runQuery(records([{ a: 7 }, { a: "7" }, { a: 7.0 }, {}, { a: null }]), {
    source,
    aggregate: { group_by: ["a"] },
  });
  expect(aggregates.map((row) => [row["key"], row["count"]])).toEqual([
    ["a=null", 2],
    ["a=7", 2],
    ["a=7", 1],
  ]);
});

test("64-bit integers keep their digits through filter, group, aggregate and row", () => {
  const big = 9007199254740993n;
  const values = [{ id: big }, { id: big + 1n }, { id: -(2n ** 63n) }, { id: 2n ** 64n - 1n }];
  const { rows, aggregates } = runQuery(records(values), {
    source,
    filter: [{ field: "id", op: "eq", value: big }],
    aggregate: {
      group_by: ["id"],
      measures: ["sum", "avg", "min", "max"].map((op) => ({ op, field: "id" })),
    },
    transform: { emit_rows: 10 },
  });
  expect(toJson(rows)).toBe('[{"id":9007199254740993}]');
  expect(toJson(aggregates)).toBe(
    '[{"key":"id=9007199254740993","group":{"id":9007199254740993},"count":1,' +
      '"sum_id":9007199254740993,"avg_id":9007199254740993,"min_id":9007199254740993,"max_id":9007199254740993}]',
  );
});

test("a sum of integers is exact where doubles are not", () => {
  const values = [{ n: Number.MAX_SAFE_INTEGER }, { n: 2 }, { n: -1 }, { n: 2n ** 63n }];
  const { aggregates } = runQuery(records(values), {
    source,
    aggregate: { measures: [{ op: "sum", field: "n" }] },
  });
  expect(aggregates[0]?.["sum_n"]).toBe(2n ** 53n + 2n ** 63n);
});

test("windows floor also before 1970 and at the ends of time", () => {
  const times = [-1, -1000, -1001, 0, 999, 2 ** 52 - 1, -(2 ** 52) + 1, 2 ** 52, 1.9, "x", null];
  const { aggregates, untimed } = runQuery(records(times.map((t) => ({ t }))), {
    source,
    window: { type: "tumbling", size_ms: 1000, time_field: "t" },
    aggregate: {},
  });
  expect(aggregates.map((row) => row["window_start_ms"])).toEqual([
    -4503599627371000, -2000, -1000, 0, 4503599627370000,
  ]);
  expect(aggregates.map((row) => row["count"])).toEqual([1, 1, 2, 3, 1]);
  expect(untimed).toBe(3);
  const huge = runQuery(records([{ t: 2 ** 52 - 1 }]), {
    source,
    window: { type: "tumbling", size_ms: 2 ** 52 - 1, time_field: "t" },
  });
  expect(huge.aggregates[0]?.["window_end_ms"]).toBe(2 ** 53 - 2);
});

test("a time field may be RFC 3339 text with a zone, and a day that exists", () => {
  const texts = [
    "2024-02-29T23:59:59.999Z",
    "2024-03-01T01:00:00+01:00",
    "2023-02-29T00:00:00Z",
    "2024-03-01T00:00:00",
  ];
  const { aggregates, untimed } = runQuery(records(texts.map((t) => ({ t }))), {
    source,
    window: { type: "tumbling", size_ms: 86_400_000, time_field: "t" },
  });
  expect(aggregates.map((row) => row["window_start_ms"])).toEqual([
    Date.parse("2024-02-29"),
    Date.parse("2024-03-01"),
  ]);
  expect(untimed).toBe(2);
});

test("names of the prototype are fields like any other", () => {
  const values = [
    new TextEncoder().encode('{"__proto__":{"x":1},"constructor":2}'),
    new TextEncoder().encode('{"y":1}'),
  ];
  const { rows, aggregates } = runQuery(records(values), {
    source,
    filter: [{ field: "__proto__.x", op: "eq", value: 1 }],
    aggregate: { group_by: ["__proto__.x", "constructor", "toString"] },
    transform: { emit_rows: 5, left_fields: ["__proto__.x", "constructor", "toString"] },
  });
  expect(toJson(rows)).toBe('[{"__proto__":{"x":1},"constructor":2}]');
  expect(aggregates.length).toBe(1);
  expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
});

test("a query stops at its limit and at the end offset, and goes on from next_offset", () => {
  const all = Array.from({ length: 10 }, (_, i) => ({ offset: i * 3, ts: 0, value: { i } }));
  const body = { source: { ...source, limit: 4 }, transform: { emit_rows: 100 } };
  const parsed = parseQueryRequest(body, decoders);
  if (!parsed.ok) throw new Error(parsed.message);
  const seen: string[] = [];
  for (let from = 0; from < 28; ) {
    const run = new QueryRun(parsed.request, from);
    feedAll(all, (cursor) => run.feed(cursor, 28, 1));
    const { rows, nextOffset } = run.result();
    if (rows.length === 0) break;
    seen.push(toJson(rows));
    from = nextOffset;
  }
  expect(seen.map((page) => JSON.parse(page).length)).toEqual([4, 4, 2]);
});

test("where there is no room for more groups or bytes, the answer ends and says where", () => {
  const parsed = parseQueryRequest(
    { source, aggregate: { group_by: ["id"] }, transform: { emit_rows: 10_000 } },
    decoders,
  );
  if (!parsed.ok) throw new Error(parsed.message);
  const many = records(Array.from({ length: 200 }, (_, i) => ({ id: i < 150 ? i % 100 : i })));
  for (const [limits, most] of [
    [{ groupsMax: 100, memoryBytesMax: 1e9 }, 100],
    [{ groupsMax: 1e9, memoryBytesMax: 20_000 }, 61],
  ] as const) {
    const run = new QueryRun(parsed.request, 0, limits);
    expect(feedAll(many, (cursor) => run.feed(cursor, 1e9, 10))).toBe("full");
    const first = run.result();
    expect(first.aggregates.length).toBeLessThanOrEqual(most);
    expect(first.consumed).toBe(first.nextOffset);
    // Known groups still grow when there is no room for another.
    if (most === 100) expect(first.nextOffset).toBe(150);
    // Together with the rest it is the whole.
    const counts = new Map<string, number>();
    for (let from = 0; from < 200; ) {
      const part = new QueryRun(parsed.request, from, limits);
      feedAll(many, (cursor) => part.feed(cursor, 1e9, 10));
      const { aggregates, nextOffset } = part.result();
      for (const { key, count } of aggregates) {
        counts.set(String(key), (counts.get(String(key)) ?? 0) + Number(count));
      }
      expect(nextOffset).toBeGreaterThan(from);
      from = nextOffset;
    }
    const whole = runQuery(many, { source, aggregate: { group_by: ["id"] } }).aggregates;
    expect(new Map(whole.map(({ key, count }) => [String(key), Number(count)]))).toEqual(counts);
  }
});

test("a first record that is too large alone is a rejection", () => {
  const parsed = parseQueryRequest({ source, aggregate: { group_by: ["id"] } }, decoders);
  if (!parsed.ok) throw new Error(parsed.message);
  const run = new QueryRun(parsed.request, 0, { groupsMax: 10, memoryBytesMax: 1000 });
  const large = records([{ id: "x".repeat(1000) }]);
  expect(feedAll(large, (cursor) => run.feed(cursor, 1e9, 10))).toBe("rejected");
  expect(run.rejection?.code).toBe("query_too_large");
});

test("integers of hundreds of digits take part in every measure, exactly", () => {
  const huge = 10n ** 499n + 7n;
  const measures = ["sum", "avg", "min", "max", "count"].map((op) => ({ op, field: "n" }));
  const whole = runQuery(records([{ n: huge }, { n: 3 * 2 }, { n: -huge * 5n }, { n: huge }]), {
    source,
    aggregate: { measures },
  });
  expect(whole.aggregates[0]).toMatchObject({
    count: 4,
    sum_n: 6n - huge * 3n,
    // Nearest integer, since no double reaches so far.
    avg_n: -((huge * 3n - 6n) * 2n + 4n) / 8n,
    min_n: -huge * 5n,
    max_n: huge,
    count_n: 4,
  });
  const mixed = runQuery(records([{ n: huge }, { n: 0.5 }, { n: 2.75 }]), {
    source,
    aggregate: { measures },
  });
  expect(mixed.aggregates[0]?.["sum_n"]).toBe(huge + 3n);
  expect(mixed.aggregates[0]?.["min_n"]).toBe(0.5);
  const keyed = runQuery(records([{ n: huge }, { n: huge + 1n }, { n: huge }]), {
    source,
    filter: [{ field: "n", op: "ge", value: huge }],
    aggregate: { group_by: ["n"] },
  });
  expect(keyed.aggregates.map((row) => row["count"])).toEqual([2, 1]);
});

test("numbers that no measure can take are counted", () => {
  const values = ['{"n":1e400}', '{"n":-1e999}', '{"n":5}'].map((text) =>
    new TextEncoder().encode(text),
  );
  const { aggregates, outOfRange } = runQuery(records(values), {
    source,
    aggregate: { measures: [{ op: "sum", field: "n" }] },
  });
  expect([aggregates[0]?.["sum_n"], outOfRange]).toEqual([5, 2]);
});

test("large numbers count as memory: many of them end a query, and stay out of a full view", () => {
  const huge = 10n ** 9000n;
  const measures = [{ op: "sum", field: "n" }];
  const body = { source: { topic: "t", partition: 0 }, aggregate: { group_by: ["id"], measures } };
  const many = records(Array.from({ length: 100 }, (_, id) => ({ id, n: huge })));
  const query = parseQueryRequest(body, decoders);
  const view = parseViewRequest(body, decoders);
  if (!query.ok || !view.ok) throw new Error("wrong");
  const limits = { groupsMax: 1e9, memoryBytesMax: 200_000 };
  const run = new QueryRun(query.request, 0, limits);
  expect(feedAll(many, (cursor) => run.feed(cursor, 1e9, 1e9))).toBe("full");
  expect(run.result().consumed).toBeLessThan(20);
  const state = new ViewState(view.request, limits);
  feedAll(many, (cursor) => state.feed(0, cursor, 1e9, 1e9));
  const { aggregates, agedOut } = state.result();
  expect(aggregates.length + agedOut.overflow).toBe(100);
  expect(aggregates.length).toBeLessThan(20);
  const again = new ViewState(view.request, limits);
  expect(again.restore(state.snapshot())).toBe(true);
  expect(toJson(again.result().aggregates)).toBe(toJson(aggregates));
});

test("any name may stand after `as`", () => {
  for (const as of ["__proto__", "constructor", "toString", "hasOwnProperty", "prototype"]) {
    const { aggregates } = runQuery(records([{ n: 2 }, { n: 3 }]), {
      source,
      aggregate: { group_by: ["__proto__"], measures: [{ op: "sum", field: "n", as }] },
    });
    expect(toJson(aggregates)).toBe(
      `[{"key":"__proto__=null","group":{"__proto__":null},"count":2,${JSON.stringify(as)}:5}]`,
    );
  }
});
