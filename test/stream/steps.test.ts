import { expect, test } from "bun:test";
import { runSteps, type Steps } from "../../src/lib/steps.ts";
import { toJson } from "../../src/stream/json-output.ts";
import { jsonListSteps, sortSteps } from "../../src/stream/steps.ts";
import { forEachSeed } from "../tools/random.ts";

function countSteps(steps: Steps<unknown>): number {
  for (let count = 0; ; count++) if (steps.next().done === true) return count;
}

test("a list that is sorted in steps is sorted as the runtime does it, equal items in order", () => {
  forEachSeed(200, (random) => {
    const length = random.pick([0, 1, 2, 1023, 1024, 1025, 5_000, random.below(9_000)]);
    const items = Array.from({ length }, (_, at) => ({ by: random.below(50), at }));
    const wanted = items.toSorted((a, b) => a.by - b.by);
    expect(runSteps(sortSteps([...items], (a, b) => a.by - b.by))).toEqual(wanted);
  });
});

test("no step is long: 100,000 items take hundreds of them", () => {
  const items = Array.from({ length: 100_000 }, (_, i) => (i * 7919) % 100_003);
  expect(countSteps(sortSteps([...items], (a, b) => a - b))).toBeGreaterThan(500);
  expect(countSteps(jsonListSteps(items, (item) => item))).toBeGreaterThan(30);
});

test("a list as JSON in steps is the same text", () => {
  const items = Array.from({ length: 300 }, (_, i) => ({ big: 2n ** 64n + BigInt(i), i }));
  for (const length of [0, 1, 300]) {
    expect(runSteps(jsonListSteps(items.slice(0, length), (item) => item))).toBe(
      toJson(items.slice(0, length)),
    );
  }
});
