/**
 * Goal: whole nodes keep every promise under faults of network, disk, clocks and processes.
 * Method: seeds through the simulator, among them all that ever failed; `SEEDS` asks for more.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { commandOf } from "./command.ts";
import { simulate } from "./simulation.ts";

const SEEDS = Number(process.env["SEEDS"] ?? "30");
const TIMEOUT_MS = 600_000;

const failed = readFileSync(new URL("failed-seeds.txt", import.meta.url), "utf8")
  .split("\n")
  .map((line) => Number.parseInt(line, 10))
  .filter((seed) => !Number.isNaN(seed));

async function mustHold(seed: number): Promise<void> {
  const { violation } = await simulate(seed);
  if (violation !== null) throw new Error(commandOf(seed, {}), { cause: violation });
}

test(
  "seeds that failed once hold",
  async () => {
    for (const seed of failed) await mustHold(seed);
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
