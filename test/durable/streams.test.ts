import { expect, test } from "bun:test";
import type { AppendStreamResult } from "../../src/durable/commands/append-stream.ts";
import type { CreateStreamResult } from "../../src/durable/commands/create-stream.ts";
import { compareUtf8 } from "../../src/durable/compare.ts";
import { parseToken, tokenOf, ZERO_TOKEN } from "../../src/durable/offset-token.ts";
import { mayWrite, PRODUCER_KEEP_MS } from "../../src/durable/producers.ts";
import { piecesOf, resolve, tailOf } from "../../src/durable/records.ts";
import type { DurableRejectCode } from "../../src/durable/state.ts";
import type { CommandResult } from "../../src/machine/commands.ts";
import { recordsOf, StreamBench } from "../tools/durable/support.ts";

const created = (tail: number, streamId = 1): Extract<CreateStreamResult, { ok: true }> => ({
  ok: true,
  type: "create_stream",
  streamId,
  tail,
  contentType: "text/plain",
  closed: false,
  created: true,
});
type Appended = Extract<AppendStreamResult, { ok: true }>;
const appended = (tail: number, fields: Partial<Appended> = {}): Appended => ({
  ok: true,
  type: "append_stream",
  streamId: 1,
  tail,
  closed: false,
  duplicate: false,
  producerSeq: 0,
  ...fields,
});
const refused = (
  code: DurableRejectCode,
  details: Readonly<Record<string, number | string>> = {},
): CommandResult => ({ ok: false, code, details }) as CommandResult;

test("a token has a fixed width and sorts by its bytes", () => {
  expect(tokenOf(7, 12)).toBe("0000000000000007_0000000000000012");
  expect(tokenOf(7, 99) < tokenOf(7, 100)).toBe(true);
  expect(tokenOf(9, 500) < tokenOf(10, 0)).toBe(true);
  expect(parseToken(tokenOf(7, 12))).toEqual({ streamId: 7, offset: 12 });
  expect(parseToken(ZERO_TOKEN)).toEqual({ streamId: 0, offset: 0 });
  for (const wrong of ["-1", "now", "", "7", "7_", "_7", "7_1 ", "7_1,", "a_1", "1".repeat(17)]) {
    expect(parseToken(wrong)).toBeNull();
  }
});

test("texts compare by the bytes of their UTF-8", () => {
  const texts = ["", "0", "1", "10", "2", "B", "a", "é", "￿", "\u{1f600}", "\u{1f600}a"];
  for (const a of texts) {
    for (const b of texts) {
      expect(compareUtf8(a, b)).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
    }
  }
});

test("creating a stream stores its first records, and the same request again changes nothing", () => {
  const bench = new StreamBench();
  expect(bench.create("a", { records: recordsOf("x", "y") })).toEqual(created(2));
  expect(bench.lines).toEqual(["create 1 stream:1 1", "append 1/0 0+2 at 1000, 2 bytes: x|y"]);
  expect(bench.create("a")).toEqual({ ...created(2), created: false });
  expect(bench.create("a", { contentType: "TEXT/plain; charset=utf-8" }).ok).toBe(true);
  expect(bench.create("a", { contentType: "application/json" })).toEqual(refused("stream_exists"));
  expect(bench.create("a", { ttlSeconds: 5 })).toEqual(refused("stream_exists"));
  expect(bench.create("a", { closed: true })).toEqual(refused("stream_exists"));
  expect(bench.create("b", { contentType: "" })).toEqual({
    ...created(0, 2),
    contentType: "application/octet-stream",
  });
  expect(bench.machine.broker.partitionCount).toBe(0);
});

test("a refused append stores nothing", () => {
  const bench = new StreamBench();
  expect(bench.append("a")).toEqual(refused("stream_not_found"));
  bench.create("a");
  expect(bench.append("a", { seq: "b" })).toEqual(appended(1));
  const before = bench.machine.digest();
  const refusals = [
    [{ contentType: "application/json" }, "content_type_mismatch", { contentType: "text/plain" }],
    [{ seq: "b" }, "seq_conflict", { lastSeq: "b" }],
    [{ seq: "B" }, "seq_conflict", { lastSeq: "b" }],
    [
      { producer: { id: "p", epoch: 0, seq: 1 } },
      "sequence_gap",
      { expectedSeq: 0, receivedSeq: 1 },
    ],
  ] as const;
  for (const [fields, code, details] of refusals) {
    expect(bench.append("a", fields)).toEqual(refused(code, details));
  }
  expect(bench.machine.digest()).toBe(before);
  expect(bench.append("a", { seq: "c" })).toEqual(appended(2));
});

test("a close without records has no place in the order of Stream-Seq", () => {
  const bench = new StreamBench();
  bench.create("a");
  bench.append("a", { seq: "b" });
  expect(bench.append("a", { seq: "a", close: true })).toEqual(
    refused("seq_conflict", { lastSeq: "b" }),
  );
  const nothing = { records: recordsOf() };
  expect(bench.append("a", { seq: "a", close: true, ...nothing })).toEqual(
    appended(1, { closed: true }),
  );
  expect(bench.stream("a").lastSeq).toBe("b");
});

test("a producer is fenced by its epoch, and its retries are duplicates", () => {
  const bench = new StreamBench();
  bench.create("a");
  const write = (epoch: number, seq: number, more: object = {}) =>
    bench.append("a", { producer: { id: "p", epoch, seq }, ...more });
  expect(write(1, 0, { seq: "1" })).toEqual(appended(1, { producerSeq: 0 }));
  expect(write(1, 1)).toEqual(appended(2, { producerSeq: 1 }));
  // A duplicate comes before a conflict of Stream-Seq, and tells the highest accepted number.
  expect(write(1, 0, { seq: "1" })).toEqual(appended(2, { duplicate: true, producerSeq: 1 }));
  expect(write(1, 3)).toEqual(refused("sequence_gap", { expectedSeq: 2, receivedSeq: 3 }));
  expect(write(0, 0)).toEqual(refused("stale_epoch", { currentEpoch: 1 }));
  expect(write(2, 1)).toEqual(refused("epoch_not_at_zero", { receivedSeq: 1 }));
  expect(write(2, 0)).toEqual(appended(3, { producerSeq: 0 }));
  expect(bench.append("a", { producer: { id: "q", epoch: 0, seq: 0 } })).toEqual(appended(4));
  bench.at += 8 * 86_400_000;
  // Its state is forgotten after seven days: it begins again.
  expect(write(0, 0)).toEqual(appended(5, { producerSeq: 0 }));
});

test("a closed stream takes nothing but the retry of what closed it", () => {
  const bench = new StreamBench();
  bench.create("a");
  const producer = { id: "p", epoch: 0, seq: 0 };
  const close = { close: true, producer };
  expect(bench.append("a", close)).toEqual(appended(1, { closed: true }));
  expect(bench.lines.at(-1)).toBe("changed 1");
  expect(bench.append("a", close)).toEqual(appended(1, { closed: true, duplicate: true }));
  const closed = refused("stream_closed", { nextOffset: tokenOf(1, 1) });
  expect(bench.append("a")).toEqual(closed);
  expect(bench.append("a", { close: true })).toEqual(closed);
  expect(bench.append("a", { ...close, producer: { ...producer, seq: 1 } })).toEqual(closed);
  const nothing = { records: recordsOf(), contentType: "" };
  expect(bench.append("a", { close: true, ...nothing })).toEqual(appended(1, { closed: true }));
  expect(bench.create("a", { closed: true })).toMatchObject({ ok: true, created: false });
});

test("a stream that was deleted and made again has another streamId", () => {
  const bench = new StreamBench();
  bench.create("a", { records: recordsOf("x") });
  expect(bench.do({ type: "delete_stream", path: "a" })).toEqual({
    ok: true,
    type: "delete_stream",
    streamId: 1,
    retained: false,
  });
  expect(bench.lines.at(-1)).toBe("delete 1 stream:1");
  expect(bench.do({ type: "delete_stream", path: "a" })).toEqual(refused("stream_not_found"));
  expect(bench.create("a")).toEqual(created(0, 2));
  const { durable } = bench;
  expect(resolve(durable, bench.stream("a"), 1, 0)).toBeNull();
  expect(resolve(durable, bench.stream("a"), 2, 0)).toBe(0);
});

test("a time to live counts from the last use, and an expiry time does not move", () => {
  const bench = new StreamBench();
  bench.create("ttl", { ttlSeconds: 10 });
  bench.create("until", { expiresAt: { text: "1970-01-01T00:00:11Z", ms: 11_000 } });
  bench.at = 9_000;
  bench.append("ttl");
  bench.append("until");
  bench.at = 10_999;
  expect(bench.machine.nextExpiry()).toBe(11_000);
  bench.do({ type: "tick" });
  expect([...bench.durable.byPath.keys()]).toEqual(["ttl", "until"]);
  bench.at = 11_000;
  bench.do({ type: "tick" });
  expect([...bench.durable.byPath.keys()]).toEqual(["ttl"]);
  bench.at = 18_000;
  const touch = { type: "touch_streams", streamIds: [1, 2, 99] } as const;
  expect(bench.do(touch)).toEqual({ ok: true, type: "touch_streams", touched: 1 });
  bench.at = 27_999;
  bench.do({ type: "tick" });
  expect([...bench.durable.byPath.keys()]).toEqual(["ttl"]);
  // Without a tick in between, the next command finds it expired.
  bench.at = 28_000;
  expect(bench.append("ttl")).toEqual(refused("stream_not_found"));
  expect(bench.durable.byPath.size).toBe(0);
  expect(bench.machine.nextExpiry()).toBeNull();
});

test("a fork shares the records of its source below its base", () => {
  const bench = new StreamBench();
  bench.create("a", { records: recordsOf("0", "1", "2") });
  expect(bench.fork("b", "a", { offset: 2 })).toEqual(created(2, 2));
  bench.append("b", { records: recordsOf("own") });
  bench.append("a", { records: recordsOf("3") });
  expect(bench.fork("c", "b")).toEqual(created(3, 3));
  bench.append("c");
  const { durable, machine } = bench;
  const c = bench.stream("c");
  expect(tailOf(machine.broker, c)).toBe(4);
  expect(piecesOf(durable, c, 0, 4)).toEqual([
    { streamId: 1, from: 0, to: 2, base: 0 },
    { streamId: 2, from: 0, to: 1, base: 2 },
    { streamId: 3, from: 0, to: 1, base: 3 },
  ]);
  expect(piecesOf(durable, c, 1, 2)).toEqual([{ streamId: 1, from: 1, to: 2, base: 0 }]);
  expect(piecesOf(durable, c, 3, 3)).toEqual([]);
  // A position of the source is one of the fork, up to where they part.
  expect(resolve(durable, c, 1, 2)).toBe(2);
  expect(resolve(durable, c, 1, 3)).toBeNull();
  expect(resolve(durable, c, 2, 3)).toBe(3);
  expect(resolve(durable, c, 2, 4)).toBeNull();
  expect(resolve(durable, c, 3, 4)).toBe(4);
});

test("a fork inherits what its request leaves out", () => {
  const bench = new StreamBench();
  bench.create("a", { ttlSeconds: 60, records: recordsOf("x") });
  bench.fork("b", "a");
  expect(bench.stream("b").config).toMatchObject({ ttlSeconds: 60, contentType: "text/plain" });
  bench.fork("c", "a", {}, { ttlSeconds: 5 });
  expect(bench.stream("c").config.ttlSeconds).toBe(5);
  expect(bench.fork("b", "a")).toMatchObject({ ok: true, created: false });
  expect(bench.fork("b", "a", { offset: 0 })).toEqual(refused("stream_exists"));
  expect(bench.fork("b", "a", { sub: 1 })).toEqual(refused("stream_exists"));
  expect(bench.create("b")).toEqual(refused("stream_exists"));
});

test("a fork that is not possible takes no reference of its source", () => {
  const bench = new StreamBench();
  bench.create("a", { records: recordsOf("x") });
  const wrong = [
    [bench.fork("f", "nowhere"), "fork_source_not_found"],
    [bench.fork("f", "a", {}, { contentType: "application/json" }), "content_type_mismatch"],
    [bench.fork("f", "a", { offset: 2 }), "fork_offset_beyond_end"],
    // The leader reads the first bytes of a record; without them it saw another source.
    [bench.fork("f", "a", { offset: 0, sub: 1 }), "fork_source_changed"],
  ] as const;
  for (const [result, code] of wrong) expect(result).toEqual(refused(code));
  bench.do({ type: "delete_stream", path: "a" });
  expect(bench.durable.byPath.size).toBe(0);
});

test("the sub-offset of a JSON stream counts records, that of any other is a record of its own", () => {
  const bench = new StreamBench();
  const json = { contentType: "application/json" };
  bench.create("j", { ...json, records: recordsOf("1", "2", "3") });
  expect(bench.fork("jf", "j", { offset: 0, sub: 2 })).toMatchObject({ ok: true, tail: 2 });
  expect(bench.stream("jf").config.base).toBe(2);
  expect(bench.fork("jg", "j", { offset: 2, sub: 2 })).toEqual(refused("fork_offset_beyond_end"));
  bench.create("t", { records: recordsOf("hello") });
  const records = recordsOf("hel");
  const prefix = { offset: 0, sub: 3, hasPrefix: true };
  expect(bench.fork("tf", "t", prefix, { records })).toMatchObject({ ok: true, tail: 1 });
  expect(bench.stream("tf").config.base).toBe(0);
});

test("a deleted stream is retained for its forks, and no longer", () => {
  const bench = new StreamBench();
  bench.create("a", { records: recordsOf("x") });
  bench.fork("b", "a");
  bench.fork("c", "b");
  expect(bench.do({ type: "delete_stream", path: "a" })).toMatchObject({ retained: true });
  expect(bench.lines.at(-1)).toBe("changed 1");
  bench.do({ type: "delete_stream", path: "b" });
  expect(bench.append("a")).toEqual(refused("stream_gone"));
  expect(bench.do({ type: "delete_stream", path: "a" })).toEqual(refused("stream_gone"));
  expect(bench.create("a")).toEqual(refused("stream_has_forks"));
  expect(bench.fork("d", "a")).toEqual(refused("fork_source_gone"));
  expect(bench.do({ type: "delete_stream", path: "c" })).toMatchObject({ retained: false });
  expect(bench.lines.slice(-3)).toEqual([
    "delete 3 stream:3",
    "delete 2 stream:2",
    "delete 1 stream:1",
  ]);
  expect(bench.durable.byPath.size).toBe(0);
});

test("a source that expires is retained for its forks", () => {
  const bench = new StreamBench();
  bench.create("a", { ttlSeconds: 1, records: recordsOf("x") });
  bench.fork("b", "a", {}, { ttlSeconds: 60 });
  bench.at += 1_000;
  bench.do({ type: "tick" });
  expect(bench.stream("a").deleted).toBe(true);
  expect(bench.durable.due.size).toBe(1);
  bench.do({ type: "delete_stream", path: "b" });
  expect(bench.durable.byPath.size).toBe(0);
});

test("producers that are forgotten leave room for others", () => {
  const bench = new StreamBench();
  bench.create("a");
  for (const id of ["p", "q"]) bench.append("a", { producer: { id, epoch: 0, seq: 0 } });
  const known = () => bench.stream("a").producers;
  const { at } = bench;
  expect(mayWrite(known(), "p", at, 2)).toBe(true);
  expect(mayWrite(known(), "new", at, 3)).toBe(true);
  expect(mayWrite(known(), "new", at + PRODUCER_KEEP_MS, 2)).toBe(false);
  expect(mayWrite(known(), "new", at + PRODUCER_KEEP_MS + 1, 2)).toBe(true);
});

test("the topic of a stream has a name, and nobody finds it by that name", () => {
  const bench = new StreamBench();
  bench.create("a");
  const { broker } = bench.machine;
  expect(broker.topicsById.get(1)?.name).toBe("stream:1");
  expect([broker.topicsByName.size, broker.userTopics.size, broker.partitionCount]).toEqual([
    0, 0, 0,
  ]);
});
