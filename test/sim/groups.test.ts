/**
 * Goal: members of a group share partitions under faults of network, disk, clocks and processes: one
 * owner a generation, no commit of an earlier owner, nothing passed over, and owners in the end.
 * Method: seeds of plans of version 4, whose members join, pause, leave and stop; the checker judges.
 */
import { expect, test } from "bun:test";
import { commandOf } from "../tools/sim/command.ts";
import { VERSION_4_SEED } from "../tools/sim/plan.ts";
import { simulate } from "../tools/sim/simulation.ts";
import { Totals } from "../tools/sim/totals.ts";

const SEEDS = Number(process.env["SEEDS"] ?? "36");
const OVERRIDES = { durationMs: 1000, clients: 1 };
/** Each must occur, so that the seeds prove something. */
const EFFECTS = [
  "group commit",
  "group commit fenced",
  "group deleted",
  "group lease over",
  "group seek",
  "group takeover",
  "group topic deleted",
];

test("seeds with members of a group hold", async () => {
  const totals = new Totals();
  for (let seed = VERSION_4_SEED + 1; seed <= VERSION_4_SEED + SEEDS; seed++) {
    const report = await simulate(seed, OVERRIDES);
    const { violation } = report;
    if (violation !== null) throw new Error(commandOf(seed, OVERRIDES), { cause: violation });
    totals.add(report);
  }
  for (const effect of EFFECTS)
    expect([effect, totals.effects.get(effect) ?? 0]).not.toEqual([effect, 0]);
}, 600_000);
