// Goal: the checker accepts all that a correct server can do, and notices what it cannot. Method:
// histories of a naive model with overlapping calls must pass; each mutation of them that takes
// away or changes something a client relies on must be refuted.
import { expect, test } from "bun:test";
import { check } from "../tools/history/check.ts";
import { Model } from "../tools/history/model.ts";
import { MUTATIONS } from "../tools/history/mutations.ts";
import { fromNdjson, toNdjson } from "../tools/history/operations.ts";
import { forEachSeed, Random } from "../tools/random.ts";

const STEPS = 300;

test("every history of the model passes", () => {
  forEachSeed(300, (random) => {
    const verdict = check(new Model(random).run(STEPS));
    if (verdict.kind !== "passed") throw new Error(JSON.stringify(verdict, null, 1));
  });
});

test("a history keeps its verdict on disk", () => {
  const history = new Model(new Random(1)).run(STEPS);
  const read = fromNdjson(toNdjson(history));
  expect(read).toEqual(history);
  expect(check(read)).toEqual(check(history));
});

for (const [name, mutate] of Object.entries(MUTATIONS)) {
  test(`${name}: refuted wherever it matters`, () => {
    let applied = 0;
    forEachSeed(120, (random) => {
      const history = mutate(new Model(random).run(STEPS), random);
      if (history === null) return;
      applied++;
      expect(check(history).kind).toBe("violation");
    });
    if (process.env["SEED"] === undefined) expect(applied).toBeGreaterThan(30);
  });
}
