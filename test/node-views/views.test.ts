import { expect, test } from "bun:test";
import type { Command } from "../../src/machine/commands.ts";
import { VIEW_STATE_BYTES_MAX } from "../../src/machine/views.ts";
import type { Offset } from "../../src/record/offset.ts";
import { produceOf, StreamBench, until, VIEW_BODY } from "../tools/node-views/support.ts";

const produce = produceOf;
const deleteBefore = (offset: number): Command => ({
  type: "delete_before",
  topicId: 1,
  partition: 0,
  beforeOffset: offset as Offset,
  bytesBefore: 0,
});
const groups = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => ({ g: from + i }));

async function bench(values: readonly unknown[] = [{ g: 1 }, { g: 2 }, { g: 1 }]) {
  const made = new StreamBench();
  made.run({ type: "create_topic", name: "t", partitions: 2 });
  if (values.length > 0) made.run(produce(values));
  expect(await made.streams.putView("v", VIEW_BODY)).toEqual({ ok: true, created: true });
  return made;
}
/** The same log and machine in a new process. */
const restarted = (before: StreamBench) => new StreamBench(before.machine, before.logs);
const lagOf = (made: StreamBench): number => made.streams.listViews()[0]?.lag ?? -1;
const stateOf = (made: StreamBench) => made.machine.views.byName.get("v")?.state ?? null;

test("a view catches up in the background, without anybody asking", async () => {
  const made = await bench();
  await until("first records", () => lagOf(made) === 0);
  made.run(produce([{ g: 3 }], 1));
  expect(lagOf(made)).toBe(1);
  await until("the next one", () => lagOf(made) === 0);
  expect(made.streams.viewLags()).toEqual([
    { view: "v", lagRecords: 0, fill: expect.any(Number), evictedGroups: 0 },
  ]);
  await made.streams.stop();
});

test("where a view begins is saved at once; then after 10,000 changes or 5 seconds", async () => {
  const made = await bench();
  await until("first save", () => made.saved.length === 1);
  made.run(produce([{ g: 1 }]));
  await made.view();
  await Bun.sleep(600);
  expect(made.saved.length).toBe(1);
  made.clock.movedMs += 5_000;
  await until("save by time", () => made.saved.length === 2);
  await Bun.sleep(600);
  expect(made.saved.length).toBe(2);
  made.clock.movedMs += 300;
  for (let i = 0; i < 11; i++) made.run(produce(groups(1_000).map(() => ({ g: 5 }))));
  await until("save by number", () => made.saved.length === 3);
  await made.streams.stop();
});

test("a follower saves nothing; the leader saves the rest at a stop", async () => {
  const follower = await bench();
  follower.isLeader = false;
  await until("caught up", () => lagOf(follower) === 0);
  await follower.streams.stop();
  expect(follower.saved).toEqual([]);
  const leader = await bench();
  await until("first save", () => leader.saved.length === 1);
  leader.run(produce([{ g: 1 }]));
  await leader.view();
  await leader.streams.stop();
  expect(leader.saved.length).toBe(2);
});

test("the next process goes on from what was saved", async () => {
  const before = await bench();
  await before.view();
  await before.streams.stop();
  before.run(produce([{ g: 1 }]));
  before.log().reads.length = 0;
  const after = restarted(before);
  expect(await after.view()).toMatchObject({
    aggregates: [
      { key: "g=1", count: 3 },
      { key: "g=2", count: 1 },
    ],
    source: { consumed: 4, skipped: 0 },
    lag: 0,
  });
  expect(after.log().reads).toEqual([3]);
  await after.streams.stop();
});

test("records that are deleted unread are counted as skipped, those before the view are not", async () => {
  const made = await bench(groups(10));
  made.run(deleteBefore(4));
  expect(await made.view()).toMatchObject({ source: { consumed: 6, skipped: 0 } });
  await made.streams.stop();
  made.run(produce(groups(5, 10)));
  made.run(deleteBefore(13));
  const after = restarted(made);
  expect(await after.view()).toMatchObject({ source: { consumed: 8, skipped: 3 }, lag: 0 });
  await after.streams.stop();
  const later = restarted(after);
  expect(await later.view()).toMatchObject({ source: { consumed: 8, skipped: 3 }, lag: 0 });
  await later.streams.stop();
});

test("all that is left may be deleted: what was skipped is counted then too", async () => {
  const made = await bench(groups(3));
  await made.view();
  await made.streams.stop();
  made.run(produce(groups(2)));
  made.run(deleteBefore(5));
  const after = restarted(made);
  expect(await after.view()).toMatchObject({ source: { skipped: 2, consumed: 3 }, lag: 0 });
  await after.streams.stop();
});

test("a node that lacks records takes over what another node made of them", async () => {
  const other = await bench(groups(8));
  await other.view();
  await other.streams.stop();
  const state = stateOf(other) ?? new Uint8Array(0);
  // This node has seen three records when a snapshot brings it the low watermark 6.
  const made = await bench(groups(3));
  made.isLeader = false;
  await made.view();
  made.run(produce(groups(5, 3)));
  made.log().gate = new Promise(() => undefined);
  made.run(deleteBefore(6));
  made.run({ type: "save_view", name: "v", viewId: 1, state });
  made.log().gate = null;
  expect(await made.view()).toMatchObject({ source: { consumed: 8, skipped: 0 }, lag: 0 });
  await made.streams.stop();
});

test("a saved state that is damaged is not used: the view reads all again", async () => {
  const before = await bench();
  await before.view();
  await before.streams.stop();
  const good = stateOf(before) ?? new Uint8Array(0);
  for (const state of [good.subarray(0, 9), new Uint8Array(0), new Uint8Array(50).fill(200)]) {
    before.run({ type: "save_view", name: "v", viewId: 1, state });
    const after = restarted(before);
    expect(await after.view()).toMatchObject({ source: { consumed: 3 }, lag: 0 });
    await after.streams.stop();
  }
});

test("a view without windows that is full keeps its groups, counts the others, and goes on", async () => {
  const made = await bench();
  await made.view();
  const filler = "€".repeat(1_000);
  const wanted = VIEW_STATE_BYTES_MAX / 3_000 + 100;
  for (let i = 0; i < wanted; i += 100) {
    made.run(produce(groups(100).map((_, k) => ({ g: `${filler}${i + k}` }))));
  }
  made.run(produce([{ g: 1 }]));
  await until("all is read", () => lagOf(made) === 0);
  made.clock.movedMs += 20_000;
  const saved = made.saved.length;
  await until("it is saved", () => made.saved.length > saved);
  const body = await made.view();
  const { overflow } = body["source"] as { overflow: number };
  expect(overflow).toBeGreaterThan(100);
  expect(body).toMatchObject({ truncated: true, lag: 0, source: { evicted_groups: 0 } });
  expect((body["aggregates"] as { key: string; count: number }[])[0]).toMatchObject({ count: 3 });
  expect(made.streams.viewLags()[0]?.fill).toBeGreaterThan(0.99);
  await made.streams.stop();
  const after = restarted(made);
  expect(await after.view()).toMatchObject({ truncated: true, source: { overflow }, lag: 0 });
  await after.streams.stop();
});

test("a windowed view that is full lets its oldest windows go, and what is left is saved", async () => {
  const made = new StreamBench();
  made.run({ type: "create_topic", name: "t", partitions: 1 });
  const body = JSON.stringify({
    source: { topic: "t" },
    window: { size_ms: 10, time_field: "at" },
    aggregate: { group_by: ["g"], measures: [{ op: "max", field: "n" }] },
  });
  await made.streams.putView("v", body);
  const n = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON("9".repeat(5_000));
  for (let at = 0; at < 2_000; at += 100) {
    made.run(produce(groups(100, at).map(({ g }) => ({ at: g * 10, g: 1, n }))));
  }
  await until("all is read", () => lagOf(made) === 0);
  made.clock.movedMs += 20_000;
  const view = await made.view();
  const rows = view["aggregates"] as { window_start_ms: number }[];
  const { evicted_groups: evicted } = view["source"] as { evicted_groups: number };
  expect(evicted).toBeGreaterThan(0);
  expect(rows.length + evicted).toBe(2_000);
  expect(rows.at(-1)?.window_start_ms).toBe(19_990);
  expect(view["source"]).toMatchObject({
    consumed: 2_000,
    retained_from_ms: rows[0]?.window_start_ms,
    late: 0,
    overflow: 0,
  });
  expect(view["truncated"]).toBe(true);
  await made.streams.stop();
  const after = restarted(made);
  expect((await after.view())["source"]).toMatchObject({
    consumed: 2_000,
    evicted_groups: evicted,
  });
  await after.streams.stop();
});

test("a view that cannot read rests and tries again; the others go on", async () => {
  const made = await bench();
  await made.view();
  const other = JSON.stringify({
    source: { topic: "t", partition: 1 },
    aggregate: { group_by: ["g"] },
  });
  await made.streams.putView("w", other);
  made.log().failure = new Error("damaged");
  made.run(produce([{ g: 9 }]));
  made.run(produce([{ g: 9 }], 1));
  expect(await made.view("w")).toMatchObject({ source: { consumed: 1 }, lag: 0 });
  await until("first try", () => made.log().reads.length > 1);
  made.log().failure = null;
  made.clock.movedMs += 5_000;
  made.run(produce([{ g: 9 }], 1));
  await until("another try", () => made.streams.listViews().every(({ lag }) => lag === 0));
  await made.streams.stop();
});

test("a view that was deleted or replaced is dropped, with its work", async () => {
  const made = await bench();
  await made.view();
  await made.streams.deleteView("v");
  expect(made.streams.listViews()).toEqual([]);
  expect(await made.view()).toMatchObject({ code: "view_not_found" });
  await made.streams.stop();
});
