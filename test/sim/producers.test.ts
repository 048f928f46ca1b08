/**
 * Goal: numbered writes are stored once and in order, and only real gaps and fenced epochs are
 * refused, under faults of network, disk, clocks and processes. Method: seeds of plans of version 3,
 * whose clients repeat numbers, leave some out and go back to older epochs; the checker judges.
 */
import { expect, test } from "bun:test";
import { allMustHold } from "../tools/sim/must-hold.ts";
import { VERSION_3_SEED } from "../tools/sim/plan.ts";

const SEEDS = Number(process.env["SEEDS"] ?? "40");

test("seeds with producers that number their writes hold, and numbers are refused in some", async () => {
  const totals = await allMustHold(VERSION_3_SEED + 1, VERSION_3_SEED + SEEDS, {
    durationMs: 3000,
  });
  for (const effect of ["sequence_gap", "stale_epoch"]) {
    expect(totals.effects.get(effect) ?? 0).toBeGreaterThan(20);
  }
}, 600_000);
