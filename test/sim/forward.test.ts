/**
 * Goal: writes through followers keep every promise under faults of network, disk, clocks and
 * processes: none is lost, none is done twice, and none is refused and done. Method: seeds of plans of
 * version 5 in which followers forward; half of the requests go to any node, and the checker judges.
 */
import { expect, test } from "bun:test";
import { mustHold } from "../tools/sim/must-hold.ts";
import { planOf, VERSION_5_SEED } from "../tools/sim/plan.ts";
import { Totals } from "../tools/sim/totals.ts";

const SEEDS = Number(process.env["SEEDS"] ?? "14");
/** Each must occur. */
const EFFECTS = ["forwarded", "forwarded again", "forwarded, outcome unknown", "not forwarded"];

test(`${SEEDS} seeds with followers that forward writes hold`, async () => {
  const totals = new Totals();
  for (let seed = VERSION_5_SEED, tried = 0; tried < SEEDS; seed++) {
    const { forwards, nodes } = planOf(seed);
    if (!forwards || nodes === 1) continue;
    tried++;
    totals.add(await mustHold(seed, { durationMs: 3000 }));
  }
  for (const effect of EFFECTS)
    expect([effect, (totals.effects.get(effect) ?? 0) > 0]).toEqual([effect, true]);
}, 600_000);
