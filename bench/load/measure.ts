import { join } from "node:path";
import type { LoadResult, LoadSpec } from "./generator.ts";
import { cpuMicros } from "./subject.ts";

/** CPU time per answered request: of the main thread, and of all others. */
export type Measured = LoadResult & { readonly mainUs: number; readonly othersUs: number };

/** Runs the load generator as a process of its own, so that it shares no thread with what it measures. */
export async function runGenerator(spec: LoadSpec): Promise<LoadResult> {
  const generator = join(import.meta.dir, "generator.ts");
  const child = Bun.spawn([process.execPath, generator, JSON.stringify(spec)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  return JSON.parse(await new Response(child.stdout).text()) as LoadResult;
}

/** One run of load, by whatever makes it, with what it cost the server. */
export async function measured(
  { pid }: { readonly pid: number },
  run: () => Promise<LoadResult>,
): Promise<Measured> {
  const before = await cpuMicros(pid);
  const result = await run();
  const after = await cpuMicros(pid);
  return {
    ...result,
    mainUs: (after.main - before.main) / result.answered,
    othersUs: (after.others - before.others) / result.answered,
  };
}

export function medianOf(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
