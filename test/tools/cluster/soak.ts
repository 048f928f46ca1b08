/**
 * `bun test/tools/cluster/soak.ts --minutes M --log FILE`: all scenarios, again and again, with rising
 * seeds; then the sum of all runs of that log. `--minutes 0` sums up only.
 */
import { parseArgs } from "node:util";
import { SCENARIOS } from "./scenarios.ts";
import { tableOf } from "./totals.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    log: { type: "string" },
    seed: { type: "string", default: "1" },
    seconds: { type: "string", default: "30" },
    /** Only these; the others are left out. */
    scenario: { type: "string", multiple: true, default: Object.keys(SCENARIOS) },
    /** How many run beside each other. */
    jobs: { type: "string", default: "1" },
  },
});
const { log } = values;
if (log === undefined) {
  console.log("usage: --log FILE [--minutes M] [--seed N] [--seconds S] [--jobs N] [--scenario …]");
  process.exit(2);
}

const RUN = new URL("run.ts", import.meta.url).pathname;
const endsAt = performance.now() + Number(values.minutes) * 60_000;
let seed = Number(values.seed);
let turn = 0;
let violated = 0;

async function runNext(): Promise<void> {
  const name = values.scenario[turn++ % values.scenario.length] ?? "";
  const options = ["--scenario", name, "--seed", String(seed++), "--seconds", values.seconds];
  const child = Bun.spawn([process.execPath, RUN, ...options, "--log", log ?? ""], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await new Response(child.stdout).text();
  const code = await child.exited;
  if (code === 1) violated++;
  // The last line is the verdict; all of it tells why it is a bad one.
  console.log(code === 0 ? text.trimEnd().split("\n").at(-1) : text.trimEnd());
}

async function worker(): Promise<void> {
  while (performance.now() < endsAt) await runNext();
}

await Promise.all(Array.from({ length: Number(values.jobs) }, worker));
console.log(tableOf(log));
process.exit(violated === 0 ? 0 : 1);
