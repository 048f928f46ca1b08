/**
 * Goal: small partitions that share files keep every promise under faults of network, disk, clocks and
 * processes. Method: seeds with the faults that they draw, in which partitions share files however few
 * there are, with and without durable streams.
 */
import { expect, test } from "bun:test";
import { mustHold } from "../tools/sim/must-hold.ts";
import { type Overrides, VERSION_3_SEED } from "../tools/sim/plan.ts";
import { Totals } from "../tools/sim/totals.ts";

const SEEDS = Number(process.env["SEEDS"] ?? "16");

test("seeds whose partitions share files hold", async () => {
  const totals = new Totals();
  for (let i = 1; i <= SEEDS; i++) {
    const seed = VERSION_3_SEED + i;
    const overrides: Overrides = { durationMs: 3000, shared: true, streams: i % 2 === 0 };
    totals.add(await mustHold(seed, overrides));
  }
  for (const what of ["node with shared files", "node with garbage in shared files"]) {
    expect([what, (totals.effects.get(what) ?? 0) > SEEDS / 4]).toEqual([what, true]);
  }
}, 600_000);
