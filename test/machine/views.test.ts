import { expect, test } from "bun:test";
import { DecodeError, utf8 } from "../../src/lib/bytes.ts";
import { Machine } from "../../src/machine/machine.ts";
import { VIEW_STATE_BYTES_MAX, VIEWS_MAX, type ViewRecord } from "../../src/machine/views.ts";
import { Bench, entryOf, RecordedEffects } from "../tools/machine/support.ts";

const put = (name: string, query = "{}") => ({ type: "put_view", name, query }) as const;
const save = (viewId: number, state: Uint8Array, name = "v") =>
  ({ type: "save_view", name, viewId, state }) as const;
const viewOf = (machine: Machine, name = "v"): ViewRecord | undefined =>
  machine.views.byName.get(name);

function chunksOf(machine: Machine, maxBytes: number): Uint8Array[] {
  const snapshot = machine.beginSnapshot();
  const chunks: Uint8Array[] = [];
  for (let chunk = snapshot.next(maxBytes); chunk !== null; chunk = snapshot.next(maxBytes)) {
    chunks.push(chunk);
  }
  return chunks;
}

test("the same view again goes on; another query begins anew, under an id never used before", () => {
  const bench = new Bench();
  expect(bench.do(put("v"))).toEqual({ ok: true, type: "put_view", viewId: 1, created: true });
  bench.do(save(1, utf8("state")));
  expect(bench.do(put("v"))).toMatchObject({ viewId: 1, created: false });
  expect(viewOf(bench.machine)?.state).toEqual(utf8("state"));
  expect(bench.do(put("v", "[]"))).toMatchObject({ viewId: 2, created: true });
  expect(viewOf(bench.machine)).toEqual({ name: "v", viewId: 2, query: "[]", state: null });
  bench.do({ type: "delete_view", name: "v" });
  expect(bench.do(put("v"))).toMatchObject({ viewId: 3 });
});

test("a state of a view that is gone or has another query is ignored", () => {
  const bench = new Bench();
  expect(bench.do(save(1, utf8("s")))).toEqual({ ok: true, type: "save_view", saved: false });
  bench.do(put("v"));
  bench.do(put("v", "[]"));
  expect(bench.do(save(1, utf8("old")))).toMatchObject({ saved: false });
  expect(viewOf(bench.machine)?.state).toBeNull();
  expect(bench.do(save(2, utf8("new")))).toMatchObject({ saved: true });
  expect(viewOf(bench.machine)?.state).toEqual(utf8("new"));
});

test("a saved state does not share memory with its entry", () => {
  const machine = new Machine();
  const entry = entryOf(1, put("v"), save(1, utf8("state")));
  machine.apply(entry, new RecordedEffects());
  entry.fill(0);
  expect(viewOf(machine)?.state).toEqual(utf8("state"));
});

test("views are bounded in number, and their states in size", () => {
  const bench = new Bench();
  for (let i = 0; i < VIEWS_MAX; i++) expect(bench.do(put(`v${i}`)).ok).toBe(true);
  expect(bench.do(put("one-more"))).toEqual({
    ok: false,
    code: "too_many_views",
    details: { viewsMax: VIEWS_MAX },
  });
  expect(bench.do(put("v0", "[]")).ok).toBe(true);
  const largest = new Uint8Array(VIEW_STATE_BYTES_MAX);
  expect(bench.do(save(2, largest, "v1"))).toMatchObject({ ok: true, saved: true });
  expect(bench.do(save(2, new Uint8Array(VIEW_STATE_BYTES_MAX + 1), "v1"))).toMatchObject({
    ok: false,
    code: "view_state_too_large",
  });
  expect(viewOf(bench.machine, "v1")?.state).toHaveLength(VIEW_STATE_BYTES_MAX);
});

test("deleting what is not there is a rejection", () => {
  expect(new Bench().do({ type: "delete_view", name: "v" })).toMatchObject({
    ok: false,
    code: "view_not_found",
  });
});

test("a large state goes into a snapshot in pieces, and comes back", () => {
  const bench = new Bench();
  bench.do(put("v"));
  bench.do(put("without-state"));
  bench.do(put("w"));
  bench.do(save(1, new Uint8Array(1_000_000).fill(7)));
  bench.do(save(3, new Uint8Array(0), "w"));
  bench.createTopic("t", 1);
  const chunks = chunksOf(bench.machine, 1);
  expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThan(40_000);
  const copy = Machine.restore(chunks);
  expect(copy.digest()).toBe(bench.machine.digest());
  expect(viewOf(copy, "without-state")?.state).toBeNull();
  expect(viewOf(copy, "w")?.state).toEqual(new Uint8Array(0));
});

test("a snapshot keeps the state that was saved when it began", () => {
  const bench = new Bench();
  bench.do(put("v"));
  bench.do(save(1, utf8("before")));
  const snapshot = bench.machine.beginSnapshot();
  bench.do(save(1, utf8("after!")));
  bench.do({ type: "delete_view", name: "v" });
  const copy = Machine.restore([snapshot.next(1e9) ?? new Uint8Array()]);
  expect(viewOf(copy)?.state).toEqual(utf8("before"));
});

test("ids of deleted views stay used, also over a snapshot", () => {
  const bench = new Bench();
  bench.do(put("v"));
  bench.do({ type: "delete_view", name: "v" });
  const copy = new Bench(Machine.restore(chunksOf(bench.machine, 1e9)));
  expect(copy.do(put("v"))).toMatchObject({ viewId: 2 });
});

const GOLDEN =
  "4159534d010116000000e80300000000000080b89929c0843d904e0100000001" +
  "0a0100000003" +
  "0b070000000101760" +
  "27b7d03" +
  "0c020000007374" +
  "0b070000000201770" +
  "27b7d00" +
  "080400000005000000";

test("the bytes of views in a snapshot stay readable", () => {
  const bench = new Bench();
  bench.do(put("v"));
  bench.do(put("w"));
  bench.do(save(1, utf8("st")));
  const bytes = Buffer.concat(chunksOf(bench.machine, 1e9));
  expect(bytes.toString("hex")).toBe(GOLDEN);
  expect(Machine.restore([Buffer.from(GOLDEN, "hex")]).digest()).toBe(bench.machine.digest());
});

test("states that are too long, too short or without a view are refused", () => {
  const bench = new Bench();
  bench.do(put("v"));
  bench.do(save(1, utf8("st")));
  const hex = Buffer.concat(chunksOf(bench.machine, 1e9)).toString("hex");
  for (const [from, to] of [
    ["027b7d03", "027b7d04"],
    ["027b7d03", "027b7d02"],
    ["027b7d03", "027b7d00"],
    ["0a0100000002", "0a0100000001"],
  ] as const) {
    const damaged = hex.replace(from, to);
    expect(damaged).not.toBe(hex);
    expect(() => Machine.restore([Buffer.from(damaged, "hex")])).toThrow(DecodeError);
  }
});
