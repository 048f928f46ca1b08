/**
 * Goal: durable streams keep every promise under faults of network, disk, clocks and processes: no
 * acknowledged append is lost or stored twice, closed means closed, ends never go back on any node, and
 * tokens of a deleted stream never give records of a later one. Method: seeds whose clients also use
 * streams; a ledger of what they were told judges each answer, and what all nodes hold in the end.
 */
import { expect, test } from "bun:test";
import { commandOf } from "../tools/sim/command.ts";
import { VERSION_3_SEED } from "../tools/sim/plan.ts";
import { simulate } from "../tools/sim/simulation.ts";
import { Totals } from "../tools/sim/totals.ts";

const SEEDS = Number(process.env["SEEDS"] ?? "20");

test("seeds with durable streams hold", async () => {
  const totals = new Totals();
  for (let seed = VERSION_3_SEED + 1; seed <= VERSION_3_SEED + SEEDS; seed++) {
    const overrides = { durationMs: 3000, streams: true };
    const report = await simulate(seed, overrides);
    const { violation } = report;
    if (violation !== null) throw new Error(commandOf(seed, overrides), { cause: violation });
    totals.add(report);
  }
  for (const what of ["appends", "duplicates", "gone", "closed", "forks", "deleted"]) {
    expect([what, (totals.effects.get(`streams: ${what}`) ?? 0) > 5]).toEqual([what, true]);
  }
}, 600_000);
