/** Goal: every committed entry is applied once, in order. Method: a machine that takes its time. */
import { expect, test } from "bun:test";
import type { Clock } from "../../src/env/clock.ts";
import { Machine } from "../../src/machine/machine.ts";
import { createInstruments } from "../../src/metrics/instruments.ts";
import { Generation } from "../../src/node/recovery/generation.ts";
import { Applier } from "../../src/node/writes/applier.ts";
import type { Completions } from "../../src/node/writes/completions.ts";
import type { Entry, EntryType, LogIndex, Term } from "../../src/raft/types.ts";

const entry = (index: number, type: EntryType = "normal", length = 1): Entry => ({
  index: index as LogIndex,
  term: 1 as Term,
  type,
  data: new Uint8Array(length).fill(index),
});

/** Each entry takes `costUs`. */
function applierOf(costUs: number) {
  let nowUs = 0;
  const applied: number[] = [];
  const taken: number[] = [];
  const machine = new Machine();
  machine.apply = (payload) => {
    nowUs += costUs;
    applied.push(payload[0] ?? 0);
  };
  const applier = new Applier({
    generation: new Generation(machine, {} as never),
    completions: {
      take: ({ index }: Entry) => {
        taken.push(index);
        return null;
      },
    } as unknown as Completions,
    clock: { monotonic: () => nowUs } as unknown as Clock,
    instruments: createInstruments(),
    emit: () => {},
  });
  return { applier, applied, taken };
}

const ENTRIES = Array.from({ length: 10 }, (_, i) => entry(i + 1));

for (const [costUs, expected] of [
  [0, [10]],
  [1_000, [9, 10]],
  [3_000, [3, 6, 9, 10]],
  [8_000, [2, 4, 6, 8, 10]],
  [50_000, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
] as const) {
  test(`entries of ${costUs} µs are applied once each, in pieces that end at ${expected}`, () => {
    const { applier, applied, taken } = applierOf(costUs);
    const ends: number[] = [];
    for (let at = 0; at < ENTRIES.length; ) {
      at = applier.apply(ENTRIES, at);
      ends.push(at);
      expect(applied.length).toBe(at);
    }
    expect(ends).toEqual([...expected]);
    expect(applied).toEqual(ENTRIES.map(({ index }) => index as number));
    expect(taken).toEqual(applied);
  });
}

test("entries without commands are taken, and never reach the machine", () => {
  const { applier, applied, taken } = applierOf(0);
  const entries = [entry(1, "normal", 0), entry(2, "conf_change"), entry(3)];
  expect(applier.apply(entries, 0)).toBe(3);
  expect(applied).toEqual([3]);
  expect(taken).toEqual([1, 2, 3]);
});
