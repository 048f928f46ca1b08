/** Seeds that a test runs. */
import { commandOf } from "./command.ts";
import type { Overrides } from "./plan.ts";
import { type Report, simulate } from "./simulation.ts";
import { Totals } from "./totals.ts";

/** Runs a seed. @throws Error with the command that replays it, if it breaks a promise. */
export async function mustHold(seed: number, overrides: Overrides = {}): Promise<Report> {
  const report = await simulate(seed, overrides);
  const { violation } = report;
  if (violation !== null) throw new Error(commandOf(seed, overrides), { cause: violation });
  return report;
}

/** The same for the seeds from `first` to `last`. */
export async function allMustHold(
  first: number,
  last: number,
  overrides: Overrides = {},
): Promise<Totals> {
  const totals = new Totals();
  for (let seed = first; seed <= last; seed++) totals.add(await mustHold(seed, overrides));
  return totals;
}
