/**
 * Goal: numbered writes are stored once and in order, and only real gaps and fenced epochs are
 * refused, under faults of network, disk, clocks and processes. Method: seeds of plans of version 3,
 * whose clients repeat numbers, leave some out and go back to older epochs; the checker judges.
 */
import { expect, test } from "bun:test";
import { commandOf } from "../tools/sim/command.ts";
import { VERSION_3_SEED } from "../tools/sim/plan.ts";
import { simulate } from "../tools/sim/simulation.ts";
import { Totals } from "../tools/sim/totals.ts";

const SEEDS = Number(process.env["SEEDS"] ?? "40");

test("seeds with producers that number their writes hold, and numbers are refused in some", async () => {
  const totals = new Totals();
  for (let seed = VERSION_3_SEED + 1; seed <= VERSION_3_SEED + SEEDS; seed++) {
    const report = await simulate(seed, { durationMs: 3000 });
    const { violation } = report;
    if (violation !== null) {
      throw new Error(commandOf(seed, { durationMs: 3000 }), { cause: violation });
    }
    totals.add(report);
  }
  for (const effect of ["sequence_gap", "stale_epoch"]) {
    expect(totals.effects.get(effect) ?? 0).toBeGreaterThan(20);
  }
}, 600_000);
