import { expect, test } from "bun:test";
import { applyProduceSequenced } from "../../src/broker/commands/produce-sequenced.ts";
import { PRODUCER_CHUNK_ENTRIES, type ProducerEntry } from "../../src/broker/producer-chunk.ts";
import { PRODUCER_WINDOW_MS, type ProducerSequence } from "../../src/broker/producer-sequence.ts";
import { ProducersState } from "../../src/broker/producers.ts";
import { addTopic, BrokerState, PartitionState, TopicState } from "../../src/broker/state.ts";
import { ByteReader, ByteWriter, DecodeError } from "../../src/lib/bytes.ts";
import { Bench, ms, offset, RecordedEffects } from "../tools/machine/support.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const ALL = Number.POSITIVE_INFINITY;

class Room {
  readonly broker = new BrokerState();
  producers = new ProducersState();
  readonly effects = new RecordedEffects();
  now = 1_000;
  producersMax = 100;

  constructor(partitions = 2) {
    const list = Array.from({ length: partitions }, (_, i) => new PartitionState(1, i));
    addTopic(this.broker, new TopicState(1, "t", list));
  }

  write(seq: number, rest: Partial<ProducerSequence & { partition: number; count: number }> = {}) {
    const { id = "p", epoch = 0, payload = 7, partition = 0, count = 1 } = rest;
    const command = {
      type: "produce_sequenced",
      topicId: 1,
      partition,
      sequence: { id, epoch, seq, payload },
      producersMax: this.producersMax,
      count,
      logicalBytes: 10,
      batches: new Uint8Array(1),
    } as const;
    const { broker, producers, now } = this;
    const state = { broker, parts: { producers }, now: ms(now) };
    return applyProduceSequenced(state, command, this.effects);
  }

  get end(): number {
    return this.broker.topicsById.get(1)?.partitions[0]?.endOffset ?? -1;
  }
}

const stored = (firstOffset: number, count = 1) => ({
  ok: true,
  type: "produce_sequenced",
  firstOffset,
  count,
  duplicate: false,
  payloadMatches: true,
});
const duplicate = (firstOffset: number | null, count = 1) => ({
  ...stored(0, firstOffset === null ? 0 : count),
  firstOffset,
  duplicate: true,
});
const gap = (expected: number) => ({
  ok: false,
  code: "sequence_gap",
  details: { expected_seq: expected },
});
const stale = (current: number) => ({
  ok: false,
  code: "stale_epoch",
  details: { current_epoch: current },
});

test("writes that follow each other are stored, and each attempt after the first is a duplicate", () => {
  const room = new Room();
  expect(room.write(0)).toEqual(stored(0) as never);
  expect(room.write(1, { count: 3 })).toEqual(stored(1, 3) as never);
  expect(room.write(1, { count: 3 })).toEqual(duplicate(1, 3) as never);
  expect(room.write(0)).toEqual(duplicate(null) as never);
  expect(room.end).toBe(4);
  expect(room.effects.lines).toHaveLength(2);
});

test("a gap is refused and tells the expected number", () => {
  const room = new Room();
  expect(room.write(3)).toEqual(gap(0) as never);
  room.write(0);
  expect(room.write(2)).toEqual(gap(1) as never);
  expect(room.write(0, { epoch: 0, id: "other" })).toEqual(stored(1) as never);
  expect(room.end).toBe(2);
});

test("a higher epoch begins at 0 and fences the lower ones", () => {
  const room = new Room();
  room.write(0);
  room.write(1);
  expect(room.write(2, { epoch: 5 })).toEqual(gap(0) as never);
  expect(room.write(0, { epoch: 5 })).toEqual(stored(2) as never);
  expect(room.write(2, { epoch: 0 })).toEqual(stale(5) as never);
  expect(room.write(1, { epoch: 0 })).toEqual(stale(5) as never);
  expect(room.write(1, { epoch: 5 })).toEqual(stored(3) as never);
});

test("a number that was used with another payload is told so", () => {
  const room = new Room();
  room.write(0, { payload: 1 });
  const other = { ...duplicate(0), payloadMatches: false };
  expect(room.write(0, { payload: 2 })).toEqual(other as never);
  expect(room.end).toBe(1);
});

test("each partition and each producer has its own numbers", () => {
  const room = new Room();
  room.write(0);
  expect(room.write(0, { partition: 1 })).toEqual(stored(0) as never);
  expect(room.write(1, { partition: 1 })).toEqual(stored(1) as never);
  expect(room.write(1)).toEqual(stored(1) as never);
  expect(room.write(0, { id: "__proto__" })).toEqual(stored(2) as never);
  expect(room.write(0, { partition: 2 })).toMatchObject({ code: "partition_not_found" });
});

test("a producer is forgotten 7 days after its last write, not before", () => {
  const room = new Room();
  room.write(0);
  room.now += PRODUCER_WINDOW_MS - 1;
  expect(room.producers.expire(room.now, 10)).toBe(0);
  expect(room.write(1)).toEqual(stored(1) as never);
  room.now += PRODUCER_WINDOW_MS - 1;
  // An attempt that stores nothing does not make it live longer.
  expect(room.write(1)).toEqual(duplicate(1) as never);
  room.now += 1;
  expect(room.write(2)).toEqual(gap(0) as never);
  expect(room.producers.size).toBe(1);
  expect(room.producers.expire(room.now, 10)).toBe(1);
  expect(room.producers.isEmpty).toBe(true);
  expect(room.producers.oldestAt).toBe(ALL);
});

test("the machine asks for a tick when the first producer may be forgotten, and drops it then", () => {
  const bench = new Bench();
  bench.createTopic("t", 1);
  expect(bench.machine.nextExpiry()).toBeNull();
  const sequence = { id: "p", epoch: 0, seq: 0, payload: 0 };
  const write = { topicId: 1, partition: 0, count: 1, logicalBytes: 1, batches: new Uint8Array(1) };
  bench.do({ type: "produce_sequenced", ...write, sequence, producersMax: 9 });
  expect(bench.machine.nextExpiry()).toBe(bench.at + PRODUCER_WINDOW_MS);
  bench.at += PRODUCER_WINDOW_MS - 1;
  expect(bench.do({ type: "tick" })).toMatchObject({ dueEnded: 0 });
  bench.at += 1;
  expect(bench.do({ type: "tick" })).toMatchObject({ dueEnded: 1 });
  expect(bench.machine.nextExpiry()).toBeNull();
  expect(bench.machine.parts.producers.isEmpty).toBe(true);
});

test("entries are listed by their last writes, within their time", () => {
  const room = new Room();
  for (const id of ["a", "b", "c"]) room.write(0, { id });
  room.now += 1_000;
  room.write(1, { id: "a" });
  room.write(0, { id: "b", partition: 1 });
  const { producers } = room;
  const list = (wanted: { partition?: number; id?: string; topicId?: number }, max = 9, now = 0) =>
    producers
      .latest({ topicId: 1, partition: null, id: null, ...wanted }, max, room.now + now)
      .map(({ id, partition, seq }) => `${id}/${partition}/${seq}`);
  expect(list({})).toEqual(["b/1/0", "a/0/1", "c/0/0", "b/0/0"]);
  expect(list({}, 2)).toEqual(["b/1/0", "a/0/1"]);
  expect(list({ partition: 0 })).toEqual(["a/0/1", "c/0/0", "b/0/0"]);
  expect(list({ id: "b" })).toEqual(["b/1/0", "b/0/0"]);
  expect(list({ topicId: 2 })).toEqual([]);
  expect(list({}, 9, PRODUCER_WINDOW_MS - 1_000)).toEqual(["b/1/0", "a/0/1"]);
});

test("a producer is forgotten in all partitions of a topic", () => {
  const bench = new Bench();
  bench.createTopic("t", 2);
  const write = { count: 1, logicalBytes: 1, batches: new Uint8Array(1), producersMax: 9 };
  for (const [id, partition] of [
    ["p", 0],
    ["p", 1],
    ["q", 1],
  ] as const) {
    const sequence = { id, epoch: 0, seq: 0, payload: 0 };
    bench.do({ type: "produce_sequenced", ...write, topicId: 1, partition, sequence });
  }
  const forget = (topicId: number, id: string) =>
    bench.do({ type: "forget_producer", topicId, id });
  expect(forget(1, "p")).toEqual({ ok: true, type: "forget_producer", partitions: 2 });
  expect(forget(1, "p")).toMatchObject({ ok: false, code: "producer_not_found" });
  expect(forget(7, "q")).toMatchObject({ ok: false, code: "topic_not_found" });
  expect([...bench.machine.parts.producers.entries()]).toMatchObject([{ id: "q" }]);
});

test("the producers of a topic go with it", () => {
  const bench = new Bench();
  bench.createTopic("t", 2);
  bench.createTopic("u", 1);
  const write = { count: 1, logicalBytes: 1, batches: new Uint8Array(1), producersMax: 9 };
  const sequence = { id: "p", epoch: 0, seq: 0, payload: 0 };
  for (const [topicId, partition] of [
    [1, 0],
    [1, 1],
    [2, 0],
  ] as const) {
    bench.do({ type: "produce_sequenced", ...write, topicId, partition, sequence });
  }
  bench.do({ type: "delete_topic", name: "t" });
  expect([...bench.machine.parts.producers.entries()]).toMatchObject([{ topicId: 2 }]);
});

test("a tick drops at most as many as it may", () => {
  const room = new Room();
  for (let i = 0; i < 30; i++) room.write(0, { id: `p${i}` });
  const { producers } = room;
  expect(producers.expire(room.now + PRODUCER_WINDOW_MS, 12)).toBe(12);
  expect(producers.size).toBe(18);
  expect(producers.droppedEarly).toBe(0);
});

test("beyond the limit, the producers that did not write for the longest time are dropped", () => {
  const room = new Room();
  room.producersMax = 3;
  for (const id of ["a", "b", "c"]) room.write(0, { id });
  room.write(1, { id: "a" });
  room.write(0, { id: "d" });
  expect(room.producers.size).toBe(3);
  expect(room.producers.droppedEarly).toBe(1);
  expect(room.write(1, { id: "b" })).toEqual(gap(0) as never);
  expect(room.write(2, { id: "a" })).toMatchObject({ ok: true });
  expect(room.write(1, { id: "c" })).toMatchObject({ ok: true });
});

test("a lower limit is reached in bounded steps, and a limit of 0 counts as 1", () => {
  const room = new Room();
  for (let i = 0; i < 100; i++) room.write(0, { id: `p${i}` });
  room.producersMax = 0;
  room.write(0, { id: "x" });
  expect(room.producers.size).toBe(101 - 64);
  room.write(1, { id: "x" });
  expect(room.producers.size).toBe(1);
  expect(room.write(2, { id: "x" })).toMatchObject({ ok: true, duplicate: false });
});

test("entries are removed by producer and by topic", () => {
  const room = new Room();
  for (const partition of [0, 1]) {
    room.write(0, { partition });
    room.write(0, { partition, id: "q" });
  }
  const { producers } = room;
  expect(producers.forget(1, [1, 2, 0], "p")).toBe(2);
  expect(producers.forget(1, [0, 1], "p")).toBe(0);
  expect(producers.countOfTopic(1, 2)).toBe(2);
  const inOne = { topicId: 1, partition: 1, id: null };
  expect(producers.latest(inOne, 9, room.now)).toMatchObject([{ id: "q", seq: 0, partition: 1 }]);
  producers.forgetTopic(1, 2);
  expect(producers.isEmpty).toBe(true);
  expect(room.write(0)).toMatchObject({ ok: true, duplicate: false });
});

/** The same rules over a plain list of all writes. */
class Model {
  readonly last = new Map<string, { epoch: number; seq: number; first: number; at: number }>();
  readonly ends = [0, 0];

  write(id: string, partition: number, epoch: number, seq: number, now: number, max: number) {
    const name = `${id}/${partition}`;
    const found = this.last.get(name);
    const last = found !== undefined && now - found.at < PRODUCER_WINDOW_MS ? found : undefined;
    if (last !== undefined && epoch < last.epoch) return stale(last.epoch);
    const next = last === undefined || epoch > last.epoch ? 0 : last.seq + 1;
    if (seq > next) return gap(next);
    if (seq < next) return duplicate(seq === next - 1 ? (last?.first ?? null) : null);
    const first = this.ends[partition] as number;
    this.ends[partition] = first + 1;
    this.last.delete(name);
    this.last.set(name, { epoch, seq, first, at: now });
    while (this.last.size > max) this.last.delete(this.last.keys().next().value as string);
    return stored(first);
  }
}

test("every history of attempts is judged as by a plain map of last writes", () => {
  // Goal: no write is stored twice, none out of order, none after its epoch was fenced. Method:
  // random attempts with repeats, gaps, old epochs, pauses and restores, against the rules in ten lines.
  forEachSeed(60, (random) => {
    const room = new Room();
    const model = new Model();
    room.producersMax = 1 + random.below(20);
    let { producers } = room;
    for (let i = 0; i < 600; i++) {
      room.now += random.pick([0, 1, 1_000, 1_000, PRODUCER_WINDOW_MS / 8]);
      const id = `p${random.below(12)}`;
      const partition = random.below(2);
      const known = model.last.get(`${id}/${partition}`);
      const epoch = Math.max(0, (known?.epoch ?? 0) + random.pick([0, 0, 0, 0, 1, -1]));
      const seq = Math.max(0, (known?.seq ?? -1) + random.pick([1, 1, 1, 0, -1, 2, -99]));
      const expected = model.write(id, partition, epoch, seq, room.now, room.producersMax);
      expect(room.write(seq, { id, partition, epoch })).toEqual(expected as never);
      if (random.below(10) === 0) producers.expire(room.now, random.below(4));
      if (random.below(50) === 0) {
        producers = restored([...take(producers)]);
        room.producers = producers;
      }
    }
  });
});

const take = (state: ProducersState): Iterable<Uint8Array> => ({
  [Symbol.iterator]: () => state.capture(),
});

function restored(pieces: readonly Uint8Array[]): ProducersState {
  const restorer = ProducersState.restorer();
  for (const piece of pieces) restorer.push(new ByteReader(piece));
  return restorer.finish();
}

function digestOf(state: ProducersState): string {
  const writer = new ByteWriter();
  state.digest(writer);
  return Buffer.from(writer.view()).toString("hex");
}

function randomState(random: Random, size: number): ProducersState {
  const state = new ProducersState();
  for (let i = 0; i < size; i++) change(state, random, i);
  return state;
}

function change(state: ProducersState, random: Random, now: number): void {
  const place = { topicId: 1 + random.below(3), partition: random.below(3) };
  const id = `producer-${random.below(3 * PRODUCER_CHUNK_ENTRIES)}`;
  const last = { epoch: random.below(9), seq: random.u32(), firstOffset: offset(random.u32()) };
  const count = 1 + random.below(1000);
  state.remember({ ...place, id }, { ...last, count, payload: random.u32() }, now, ALL);
}

test("a snapshot has the entries of the moment of its capture, while entries go on changing", () => {
  forEachSeed(8, (random) => {
    const size = random.pick([0, 1, 500, 5_000]);
    const state = randomState(random, size);
    const before = digestOf(state);
    const list: ProducerEntry[] = [...state.entries()];
    const capture = state.capture();
    const pieces: Uint8Array[] = [];
    for (let i = 0; ; i++) {
      const { value, done } = capture.next();
      if (done === true) break;
      expect(value.length).toBeLessThan(34 * 1024);
      pieces.push(value);
      for (let j = 0; j < 50; j++) change(state, random, size + i);
      state.forgetTopic(1 + random.below(3), 3);
      state.expire(PRODUCER_WINDOW_MS + random.below(size + 1), random.below(500));
    }
    const copy = restored(pieces);
    expect([...copy.entries()]).toEqual(list);
    expect(digestOf(copy)).toBe(before);
    expect(copy.counts()).toEqual([list.length, list.at(-1)?.at ?? 0]);
  });
});

test("a restored state goes on like the one that it was taken of", () => {
  forEachSeed(6, (random, seed) => {
    const state = randomState(random, 3_000);
    const copy = restored([...take(state)]);
    const again = [state, copy].map((each) => {
      const own = new (random.constructor as new (seed: number) => Random)(seed);
      for (let i = 0; i < 500; i++) {
        change(each, own, 3_000 + i);
        if (own.below(9) === 0) each.forgetTopic(1 + own.below(3), 3);
        each.expire(PRODUCER_WINDOW_MS + own.below(3_000), own.below(9));
      }
      return digestOf(each);
    });
    expect(again[0]).toBe(again[1] as string);
  });
});

test("an empty state writes nothing, and a state that became empty is empty again", () => {
  const state = new ProducersState();
  expect([...take(state)]).toEqual([]);
  change(state, { below: () => 0, u32: () => 1 } as unknown as Random, 5);
  expect([...take(state)]).toHaveLength(1);
  state.expire(5 + PRODUCER_WINDOW_MS, 9);
  expect([...take(state)]).toEqual([]);
  expect(digestOf(state)).toBe(digestOf(new ProducersState()));
});

const GOLDEN = "2a 03 027031 01 05 ac02 02 efbeadde a08d06";
const entryBytes = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex");

test("the bytes of an entry stay as they are", () => {
  const state = restored([entryBytes(GOLDEN)]);
  expect([...state.entries()]).toEqual([
    {
      topicId: 42,
      partition: 3,
      id: "p1",
      epoch: 1,
      seq: 5,
      firstOffset: offset(300),
      count: 2,
      payload: 0xdeadbeef,
      at: 100_000,
    },
  ]);
  expect(Buffer.concat([...take(state)]).toString("hex")).toBe(GOLDEN.replaceAll(" ", ""));
});

test("bytes that no snapshot wrote are refused", () => {
  const bad: readonly [string, string][] = [
    ["00 03 027031 01 05 00 02 00000000 01", "a producer of no topic"],
    ["01 03 00 01 05 00 02 00000000 01", "the id of a producer has 0 bytes"],
    [
      `01 03 8101 ${"61".repeat(129)} 01 05 00 02 00000000 01`,
      "the id of a producer has 129 bytes",
    ],
    ["01 03 027031 01 05 00 00 00000000 01", "a producer wrote 0 records"],
    ["01 03 027031 01 05 00 02 00000000", "bytes end early"],
    [
      "01 03 0161 01 05 00 02 00000000 02 01 03 0162 01 05 00 02 00000000 01",
      "producers are not in the order of their writes",
    ],
    [
      "01 03 0161 01 05 00 02 00000000 02 01 03 0161 01 05 00 02 00000000 02",
      "a producer is there twice",
    ],
  ];
  for (const [hex, message] of bad) {
    expect(() => restored([entryBytes(hex)])).toThrow(new DecodeError(message));
  }
});
