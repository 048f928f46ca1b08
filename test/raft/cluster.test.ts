import { expect, test } from "bun:test";
import { anyFaults, Chaos, noCounts } from "../tools/raft/chaos.ts";
import { forEachSeed } from "../tools/random.ts";

test("figure 3 holds under faults, and the cluster recovers from them", () => {
  const total = noCounts();
  forEachSeed(Number(process.env["SEEDS"] ?? 250), (random) => {
    const chaos = new Chaos(random, anyFaults(random)).run(1500).heal();
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += chaos.counts[key];
  });
  // A run in which nothing happened proves nothing.
  if (process.env["SEED"] === undefined) {
    for (const count of Object.values(total)) expect(count).toBeGreaterThan(30);
  }
  if (process.env["COUNTS"] !== undefined) console.log(total);
}, 300_000);
