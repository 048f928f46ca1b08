import { expect, test } from "bun:test";
import { type CapturedRuns, PackedRuns } from "../../src/storage/partitions/packed-runs.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const KiB = 1024;

function runOf(random: Random): Uint8Array {
  const long = random.below(50) === 0 ? 300 * KiB : 0;
  return new Uint8Array(long + random.below(400)).fill(random.below(256));
}

test("runs are those of a map, and what was captured or returned before does not change", () => {
  // Goal: the same answers as a `Map` of copies. Method: random changes, with captures on the way.
  forEachSeed(30, (random) => {
    const runs = new PackedRuns();
    const model = new Map<number, Uint8Array>();
    const views: [Uint8Array | null, Uint8Array][] = [];
    const captures: { captured: CapturedRuns; expected: Uint8Array[] }[] = [];
    for (let step = 0; step < 2000; step++) {
      const key = random.below(500) * 2 ** 20 + random.below(2);
      const known = model.get(key);
      if (known === undefined) {
        const run = runOf(random);
        model.set(key, run.slice());
        runs.add(key, run);
        run.fill(0xee);
      } else if (random.below(2) === 0) {
        model.delete(key);
        runs.delete(key);
      } else views.push([runs.get(key), known]);
      if (step % 500 !== 250) continue;
      captures.push({ captured: runs.capture(), expected: [...model.values()] });
    }
    expect(runs.size).toBe(model.size);
    expect([...runs.keys()]).toEqual([...model.keys()]);
    expect(runs.get(-1)).toBeNull();
    for (const [key, run] of model) expect(Bun.deepEquals(runs.get(key), run)).toBe(true);
    for (const [view, run] of views) expect(Bun.deepEquals(view, run)).toBe(true);
    for (const { captured, expected } of captures) {
      expect(captured.length).toBe(expected.length);
      expect(expected.every((run, i) => Bun.deepEquals(captured.at(i), run))).toBe(true);
    }
  });
});

test("memory is given back when runs are removed, whatever their order", () => {
  for (const keep of [(key: number) => key < 10_000, (key: number) => key % 10 === 0]) {
    const runs = new PackedRuns();
    for (let key = 0; key < 100_000; key++) runs.add(key, new Uint8Array(50));
    expect(runs.allocatedBytes).toBeLessThan(100_000 * 70);
    for (let key = 0; key < 100_000; key++) if (!keep(key)) runs.delete(key);
    expect(runs.size).toBe(10_000);
    expect(runs.allocatedBytes).toBeLessThan(2 * 10_000 * 62 + 3 * 256 * KiB);
  }
});
