/**
 * The same load by wrk (Debian: wrk). It takes less of the CPU than the generator here, so that more
 * is left for the server where both have the same cores.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LoadResult, LoadSpec } from "./generator.ts";

export async function runWrk(spec: LoadSpec): Promise<LoadResult> {
  const directory = mkdtempSync(join(tmpdir(), "ayder-wrk-"));
  const script = join(directory, "load.lua");
  await Bun.write(script, scriptOf(spec.requests));
  try {
    const warm = await run(script, spec, Math.ceil(spec.warmupSeconds));
    const result = await run(script, spec, spec.seconds);
    return { ...result, answered: warm.answered + result.answered };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function run(script: string, spec: LoadSpec, seconds: number): Promise<LoadResult> {
  // Without a timeout of its own, wrk counts an answer after 2 s as an error and its latency is lost.
  const args = ["-t1", `-c${spec.connections}`, `-d${seconds}s`, "--timeout", "30s", "-s", script];
  const child = Bun.spawn(["wrk", ...args, `http://127.0.0.1:${spec.port}`], { stdout: "pipe" });
  const line = (await new Response(child.stdout).text()).trimEnd().split("\n").at(-1) ?? "";
  const [requests = 0, micros = 1, p50 = 0, p99 = 0, max = 0, errors = 0, bytes = 0] = line
    .split(" ")
    .map(Number);
  return {
    perSecond: (requests / micros) * 1e6,
    p50Ms: p50 / 1000,
    p99Ms: p99 / 1000,
    maxMs: max / 1000,
    errors,
    bytesPerSecond: (bytes / micros) * 1e6,
    answered: requests,
  };
}

/** Raw requests in turn, and one line of numbers at the end. */
function scriptOf(requests: readonly string[]): string {
  const texts = requests.map((text) => {
    const bytes = [...Buffer.from(text, "base64")];
    return `"${bytes.map((byte) => `\\${String(byte).padStart(3, "0")}`).join("")}"`;
  });
  return `
local requests = { ${texts.join(", ")} }
local turn = 0
request = function()
  turn = turn % #requests + 1
  return requests[turn]
end
done = function(summary, latency)
  local e = summary.errors
  print(string.format("%d %d %d %d %d %d %d", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency.max,
    e.status + e.connect + e.read + e.write + e.timeout, summary.bytes))
end
`;
}
