/**
 * Goal: durable streams keep every promise under faults of network, disk, clocks and processes: no
 * acknowledged append is lost or stored twice, closed means closed, ends never go back on any node, and
 * tokens of a deleted stream never give records of a later one. Method: seeds whose clients also use
 * streams; a ledger of what they were told judges each answer, and what all nodes hold in the end.
 */
import { expect, test } from "bun:test";
import { allMustHold } from "../tools/sim/must-hold.ts";
import { VERSION_3_SEED } from "../tools/sim/plan.ts";

const SEEDS = Number(process.env["SEEDS"] ?? "20");

test("seeds with durable streams hold", async () => {
  const totals = await allMustHold(VERSION_3_SEED + 1, VERSION_3_SEED + SEEDS, {
    durationMs: 3000,
    streams: true,
  });
  for (const what of ["appends", "duplicates", "gone", "closed", "forks", "deleted"]) {
    expect([what, (totals.effects.get(`streams: ${what}`) ?? 0) > 5]).toEqual([what, true]);
  }
}, 600_000);
