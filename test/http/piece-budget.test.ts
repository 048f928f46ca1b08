/** Threads that go over the budget of streamed responses together do not wait for each other forever. */
import { expect, test } from "bun:test";
import { AnswerStreams, PIECE_BYTES } from "../../src/http/answer-streams.ts";
import { MemoryBudget } from "../../src/http/memory-budget.ts";
import type { Gauge } from "../../src/lib/gauge.ts";
import { LocalGauge } from "../../src/lib/gauge.ts";
import { createInstruments } from "../../src/metrics/instruments.ts";

/** Shows the amount of another thread one look too late. */
class RacingGauge implements Gauge {
  readonly #all = new LocalGauge();
  isLate = false;

  get value(): number {
    return this.isLate ? 0 : this.#all.value;
  }

  add(amount: number): void {
    this.#all.add(amount);
  }
}

const signal = new AbortController().signal;
const cell = () => ({ value: 0 });

test("pieces for which two threads took the last room are made, and give it back", async () => {
  const all = new RacingGauge();
  const gauges = { all, open: new LocalGauge() };
  const budget = new MemoryBudget(2 * PIECE_BYTES, cell(), cell(), gauges);
  const socket = () => {
    throw new Error("no connection is looked at");
  };
  const instruments = createInstruments();
  const answers = new AnswerStreams({ budget, socket, stalledMs: 1000, instruments });
  const read = Promise.withResolvers<void>();
  const make = () => {
    const piece = answers.piece(
      signal,
      () => read.promise,
      () => new Uint8Array(10),
    );
    return piece.then((bytes) => budget.give(bytes?.length ?? 0));
  };
  const pieces = [make(), make()];
  all.isLate = true;
  pieces.push(make());
  all.isLate = false;
  expect(budget.used).toBe(3 * PIECE_BYTES);
  read.resolve();
  await Promise.all(pieces);
  expect(budget.used).toBe(0);
});

test("nothing is made once the reader has gone", async () => {
  const budget = new MemoryBudget(PIECE_BYTES, cell(), cell());
  const socket = () => {
    throw new Error("no connection is looked at");
  };
  const instruments = createInstruments();
  const answers = new AnswerStreams({ budget, socket, stalledMs: 1000, instruments });
  const gone = AbortSignal.abort();
  const never = () => Promise.reject(new Error("read"));
  expect(await answers.piece(gone, never, () => new Uint8Array(1))).toBeNull();
});
