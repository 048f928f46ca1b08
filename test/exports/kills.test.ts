// Goal: each offset is in exactly one committed file although leaders are killed and the store
// misbehaves. Method: a short run of what `test/tools/exports/run.ts` does at length.
import { expect, setDefaultTimeout, test } from "bun:test";
import { runKills } from "../tools/exports/kills.ts";

setDefaultTimeout(300_000);
const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

test.each([1, 3] as const)("%d nodes", async (nodes) => {
  console.log(`SEED=${seed} bun test test/exports/kills.test.ts`);
  const result = await runKills({ nodes, kills: 1, seed });
  expect(result.rows).toBeGreaterThan(50);
});
