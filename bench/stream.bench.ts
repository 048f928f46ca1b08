/**
 * 1,000,000 JSON records in pages of 10,000: filter and group_by, from the bytes of stored batches
 * to the aggregates. Also a view over the same, and a join of 10,000 records with 10,000.
 *
 *     bun bench/stream.bench.ts
 */

import { RecordCursor } from "../src/record/batch-reader.ts";
import { DecoderCache } from "../src/stream/codecs/decoder-cache.ts";
import { JoinRun } from "../src/stream/join.ts";
import { parseJoinRequest } from "../src/stream/join-request.ts";
import { QueryRun } from "../src/stream/query.ts";
import { parseQueryRequest, type QueryRequest } from "../src/stream/query-request.ts";
import { ViewState } from "../src/stream/view.ts";
import { buildBatches } from "../test/tools/stream/batches.ts";

const PAGES = 100;
const PAGE = 10_000;
const BUDGET = 500;
const decoders = new DecoderCache();
const source = { topic: "t", partition: 0, limit: PAGE };

function requestOf<T>(parsed: { ok: true; request: T } | { ok: false; message: string }): T {
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.request;
}

const page = buildBatches(
  Array.from({ length: PAGE }, (_, i) =>
    JSON.stringify({
      id: i,
      region: ["us", "eu", "ap"][i % 3],
      plan: ["pro", "free"][i % 2],
      amount: (i * 37) % 1000,
      user: { id: i % 500, name: `user-${i % 500}` },
    }),
  ),
);

const request = requestOf(
  parseQueryRequest(
    {
      source,
      filter: [{ field: "amount", op: "ge", value: 100 }],
      aggregate: {
        group_by: ["region", "plan"],
        measures: [
          { op: "sum", field: "amount" },
          { op: "avg", field: "amount" },
        ],
      },
    },
    decoders,
  ),
);

let slowestMs = 0;
/** Runs slices until `done`; keeps the longest one. */
function slices(done: () => boolean): void {
  for (;;) {
    const start = performance.now();
    const isDone = done();
    slowestMs = Math.max(slowestMs, performance.now() - start);
    if (isDone) return;
  }
}

function queryPage(query: QueryRequest): number {
  const run = new QueryRun(query, 0);
  const cursor = new RecordCursor(page);
  slices(() => run.feed(cursor, PAGE, BUDGET) !== "more");
  return run.result().consumed;
}

function report(name: string, records: number, seconds: number): void {
  const rate = Math.round(records / seconds);
  console.log(
    JSON.stringify({ name, records_per_s: rate, slowest_slice_ms: +slowestMs.toFixed(2) }),
  );
  slowestMs = 0;
}

function measure(name: string, run: () => number): void {
  run();
  slowestMs = 0;
  const start = performance.now();
  let records = 0;
  for (let i = 0; i < PAGES; i++) records += run();
  report(name, records, (performance.now() - start) / 1000);
}

measure("stream/query/filter+group_by", () => queryPage(request));

const view = new ViewState(request);
let partition = 0;
measure("stream/view/filter+group_by", () => {
  const cursor = new RecordCursor(page);
  const id = partition++;
  slices(() => view.feed(id, cursor, PAGE, BUDGET) !== "more");
  return PAGE;
});

for (const dedupe of [false, true]) {
  const join = requestOf(
    parseJoinRequest(
      {
        left: source,
        right: source,
        on: { left_key: "user.id", right_key: "user.id" },
        dedupe_once: dedupe,
        emit: { max_rows: 10_000, left_fields: ["id"], right_fields: ["id"] },
      },
      decoders,
    ),
  );
  measure(`stream/join/dedupe_once=${dedupe}`, () => {
    const run = new JoinRun(join, { leftOffset: 0, rightOffset: 0 });
    for (const side of ["left", "right"] as const) {
      const cursor = new RecordCursor(page);
      slices(() => run.feed(side, cursor, PAGE, BUDGET) !== "more");
    }
    slices(() => run.step(BUDGET));
    return 2 * PAGE;
  });
}
