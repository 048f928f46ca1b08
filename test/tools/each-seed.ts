import { Random } from "./random.ts";

/** As `forEachSeed`, for what takes promises. */
export async function forEachSeedAsync(
  count: number,
  body: (random: Random, seed: number) => Promise<void>,
): Promise<void> {
  const only = process.env["SEED"];
  const seeds =
    only === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(only)];
  for (const seed of seeds) {
    try {
      await body(new Random(seed), seed);
    } catch (cause) {
      throw new Error(`seed ${seed} failed; replay with SEED=${seed} bun test <this file>`, {
        cause,
      });
    }
  }
}
