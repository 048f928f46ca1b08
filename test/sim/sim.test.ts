/**
 * Goal: whole nodes keep every promise under faults of network, disk, clocks and processes.
 * Method: seeds through the simulator, among them all that ever failed; `SEEDS` asks for more.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { commandOf } from "./command.ts";
import type { Overrides } from "./plan.ts";
import { simulate } from "./simulation.ts";

const SEEDS = Number(process.env["SEEDS"] ?? "30");
const TIMEOUT_MS = 600_000;

/** Lines of `seed what it showed`, or `seed --ms N what it showed`. */
const failed = readFileSync(new URL("failed-seeds.txt", import.meta.url), "utf8")
  .split("\n")
  .map((line) => /^(\d+)(?: --ms (\d+))? /.exec(line))
  .filter((match) => match !== null)
  .map(([, seed, ms]) => ({
    seed: Number(seed),
    overrides: ms === undefined ? {} : { durationMs: Number(ms) },
  }));

async function mustHold(seed: number, overrides: Overrides = {}): Promise<void> {
  const { violation } = await simulate(seed, overrides);
  if (violation !== null) throw new Error(commandOf(seed, overrides), { cause: violation });
}

test(
  "seeds that failed once hold",
  async () => {
    expect(failed.length).toBeGreaterThan(10);
    for (const { seed, overrides } of failed) await mustHold(seed, overrides);
  },
  TIMEOUT_MS,
);

test(
  `seeds 1 to ${SEEDS} hold`,
  async () => {
    for (let seed = 1; seed <= SEEDS; seed++) await mustHold(seed);
  },
  TIMEOUT_MS,
);

test(
  "a seed is the same simulation each time",
  async () => {
    const [first, second] = [await simulate(7), await simulate(7)];
    expect(second.hash).toBe(first.hash);
    expect(second.events).toBe(first.events);
  },
  TIMEOUT_MS,
);
