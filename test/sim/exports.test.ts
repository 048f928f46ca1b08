/**
 * Goal: each offset of an exported topic is in exactly one committed file or counted as lost, files and
 * manifests never change, and nothing else stays in the place, under faults of processes, disks,
 * network, clocks and the bucket. Method: seeds whose clients pause, change and delete exports while
 * retention deletes records; the manifests say which files count.
 */
import { expect, test } from "bun:test";
import { allMustHold } from "../tools/sim/must-hold.ts";
import { VERSION_3_SEED } from "../tools/sim/plan.ts";

const SEEDS = Number(process.env["SEEDS"] ?? "6");
const CHANGES = { exports: true, durationMs: 2500, clients: 1 } as const;

test("seeds with exports hold, and records were exported and lost", async () => {
  const totals = await allMustHold(VERSION_3_SEED + 1, VERSION_3_SEED + SEEDS, CHANGES);
  const many = (what: string): number => totals.effects.get(`exports: ${what}`) ?? 0;
  expect(many("judged")).toBeGreaterThanOrEqual(SEEDS);
  for (const what of ["files", "faults of the bucket", "topics that came and went"]) {
    expect([what, many(what) > SEEDS]).toEqual([what, true]);
  }
  for (const what of ["lost", "late requests"])
    expect([what, many(what) > 0]).toEqual([what, true]);
}, 600_000);
