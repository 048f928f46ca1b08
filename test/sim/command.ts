import type { Overrides } from "./plan.ts";

/** What to type to see this simulation again. */
export function commandOf(seed: number, { without = [], durationMs, clients }: Overrides): string {
  const parts = [`bun run sim --seed ${seed}`];
  if (durationMs !== undefined) parts.push(`--ms ${durationMs}`);
  if (clients !== undefined) parts.push(`--clients ${clients}`);
  if (without.length > 0) parts.push(`--without ${without.join(",")}`);
  return parts.join(" ");
}
