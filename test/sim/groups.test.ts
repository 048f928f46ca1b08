/**
 * Goal: members of a group share partitions under faults of network, disk, clocks and processes: one
 * owner a generation, no commit of an earlier owner, nothing passed over, and owners in the end.
 * Method: seeds of plans of version 4, whose members join, pause, leave and stop; the checker judges.
 */
import { expect, test } from "bun:test";
import { allMustHold } from "../tools/sim/must-hold.ts";
import { VERSION_4_SEED } from "../tools/sim/plan.ts";

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
  const totals = await allMustHold(VERSION_4_SEED + 1, VERSION_4_SEED + SEEDS, OVERRIDES);
  for (const effect of EFFECTS)
    expect([effect, totals.effects.get(effect) ?? 0]).not.toEqual([effect, 0]);
}, 600_000);
