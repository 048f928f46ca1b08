import { expect, test } from "bun:test";
import { STREAMS_LEVEL } from "../../src/durable/kind.ts";
import { durablePart } from "../../src/durable/part.ts";
import { ByteReader, ByteWriter, DecodeError } from "../../src/lib/bytes.ts";
import { LEVEL_SHARED_WORK } from "../../src/lib/log-levels.ts";
import { decodeEntry } from "../../src/machine/command-codec.ts";
import { Machine } from "../../src/machine/machine.ts";
import {
  appendOf,
  createOf,
  randomStreamCommand,
  recordsOf,
  StreamBench,
  subscriptionOf,
} from "../tools/durable/support.ts";
import { entryOf } from "../tools/machine/support.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

test("streams need the level that the machine has for shared work", () => {
  expect(STREAMS_LEVEL).toBe(LEVEL_SHARED_WORK);
});

function chunksOf(machine: Machine, between: () => void = () => undefined): Uint8Array[] {
  const snapshot = machine.beginSnapshot();
  const chunks: Uint8Array[] = [];
  for (let chunk = snapshot.next(64); chunk !== null; chunk = snapshot.next(64)) {
    chunks.push(chunk);
    between();
  }
  return chunks;
}

function doSome(bench: StreamBench, random: Random, count: number): string {
  const results: unknown[] = [];
  for (let i = 0; i < count; i++) {
    bench.at += random.pick([0, 10, 400, 1_500]);
    results.push(bench.do(randomStreamCommand(random)));
  }
  return JSON.stringify(results);
}

test("a snapshot is the state at its beginning, and a copy goes on like the original", () => {
  forEachSeed(200, (random) => {
    const bench = new StreamBench();
    doSome(bench, random, random.below(150));
    const digest = bench.machine.digest();
    const { at } = bench;
    const chunks = chunksOf(bench.machine, () => doSome(bench, random, random.below(6)));
    const copy = Machine.restore(chunks);
    expect(copy.digest()).toBe(digest);
    const again = new StreamBench(Machine.restore(chunksOf(copy)), at);
    const original = new StreamBench(copy, at);
    const seed = random.u32();
    const same = (bench: StreamBench) =>
      doSome(bench, new (random.constructor as typeof Random)(seed), 60);
    expect(same(again)).toBe(same(original));
    expect(again.machine.digest()).toBe(original.machine.digest());
    expect(again.durable.due.nextAt()).toBe(original.durable.due.nextAt());
    expect(again.durable.due.size).toBe(original.durable.due.size);
  });
});

test("a state without streams writes no section", () => {
  expect([...{ [Symbol.iterator]: () => durablePart.capture(durablePart.empty()) }]).toEqual([]);
});

test("commands keep their bytes", () => {
  const golden: readonly (readonly [Parameters<typeof entryOf>[1], string])[] = [
    [
      createOf("a/b", { ttlSeconds: 60, records: recordsOf("x") }),
      "5014 00 03612f62 0a746578742f706c61696e 3d 01 01 78",
    ],
    [
      createOf("f", {
        contentType: "",
        closed: true,
        expiresAt: { text: "1970-01-01T00:00:01Z", ms: 1_000 },
        fork: { path: "a", streamId: 7, offset: 2, sub: 1, hasPrefix: true },
      }),
      "5023 0f 0166 00 00 14313937302d30312d30315430303a30303a30315a e807 0161 07 03 01 00 00",
    ],
    [
      appendOf("a", { seq: "s", producer: { id: "p", epoch: 1, seq: 300 }, close: true }),
      "5118 07 0161 0a746578742f706c61696e 0173 0170 01 ac02 01 01 78",
    ],
    [{ type: "delete_stream", path: "a" }, "5202 0161"],
    [{ type: "touch_streams", streamIds: [1, 300] }, "5304 02 01 ac02"],
    [{ type: "delete_subscription", id: "s" }, "5502 0173"],
    [{ type: "link_streams", id: "s", paths: ["a"], unlink: true }, "5606 01 0173 01 0161"],
    [{ type: "claim_wake", id: "s", worker: "w" }, "5704 0173 0177"],
    [
      {
        type: "settle_wake",
        id: "s",
        pull: true,
        wakeId: "w_1_2",
        generation: 2,
        acks: [{ path: "a", offset: "1_1" }],
        done: true,
      },
      "5811 03 0173 05775f315f32 02 01 0161 03315f31",
    ],
    [
      {
        type: "note_delivery",
        id: "s",
        serial: 1,
        generation: 2,
        outcome: "failed",
        retryInMs: 1000,
      },
      "5907 02 0173 01 02 e807",
    ],
  ];
  for (const [command, hex] of golden) {
    const entry = entryOf(0, command);
    expect(Buffer.from(entry.subarray(13)).toString("hex")).toBe(hex.replaceAll(" ", ""));
    expect(decodeEntry(entry).commands).toEqual([command]);
  }
  const put = subscriptionOf("s");
  expect(decodeEntry(entryOf(0, put)).commands).toEqual([put]);
});

test("damaged sections of streams are refused", () => {
  const bench = new StreamBench();
  bench.create("a", { ttlSeconds: 5, records: recordsOf("x") });
  bench.append("a", { seq: "1", producer: { id: "p", epoch: 0, seq: 0 } });
  bench.fork("b", "a");
  bench.do(subscriptionOf("s", { pattern: "**" }));
  bench.append("b");
  const section = durablePart.capture(bench.durable).next().value as { body: Uint8Array };
  const restore = (bytes: Uint8Array): void => {
    const restorer = durablePart.restorer({ nextTopicId: 99 });
    restorer.section(24, new ByteReader(bytes));
    restorer.finish();
  };
  restore(section.body);
  const whole = section.body;
  for (let length = 1; length < whole.length; length++) {
    // A cut between two items is noticed by the number of sections only.
    try {
      restore(whole.slice(0, length));
    } catch (error) {
      expect(error).toBeInstanceOf(DecodeError);
    }
  }
  expect(() => restore(new Uint8Array([2]))).toThrow("streams come before their secrets");
  const newer = durablePart.restorer({ nextTopicId: 1 });
  expect(() => newer.section(24, new ByteReader(whole))).toThrow(
    "a stream is newer than the newest",
  );
  const twice = new ByteWriter();
  twice.raw(whole);
  twice.raw(whole);
  expect(() => restore(twice.take())).toThrow("the secrets of streams are told twice");
  expect(() => restore(new Uint8Array([1, 1, 0, 9]))).toThrow("unknown item 9 of the streams");
});
