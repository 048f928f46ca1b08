import type { Overrides } from "./plan.ts";

/** The command that replays this simulation. */
export function commandOf(seed: number, overrides: Overrides): string {
  const { without = [], only, durationMs, clients } = overrides;
  const parts = [`bun run sim --seed ${seed}`];
  if (durationMs !== undefined) parts.push(`--ms ${durationMs}`);
  if (clients !== undefined) parts.push(`--clients ${clients}`);
  if (overrides.streams === true) parts.push("--streams");
  if (overrides.queues === true) parts.push("--queues");
  if (overrides.exports === true) parts.push("--exports");
  if (overrides.webhooks === true) parts.push("--webhooks");
  if (overrides.shared === true) parts.push("--shared");
  if (only !== undefined) parts.push(`--only ${only.join(",")}`);
  if (without.length > 0) parts.push(`--without ${without.join(",")}`);
  return parts.join(" ");
}
