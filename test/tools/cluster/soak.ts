/**
 * `bun test/tools/cluster/soak.ts --minutes M --log FILE`: all scenarios, again and again, with rising
 * seeds; then the sum of all runs of that log. `--minutes 0` sums up only.
 */
import { CommandLine } from "../arguments.ts";
import { SCENARIOS } from "./scenarios.ts";
import { tableOf } from "./totals.ts";

const LINE = new CommandLine(
  "usage: --log FILE [--minutes M] [--seed N] [--seconds S] [--jobs N] [--scenario NAME]…",
);
const { values } = LINE.read({
  minutes: { type: "string" },
  log: { type: "string" },
  seed: { type: "string" },
  seconds: { type: "string" },
  /** Only these; the others are left out. */
  scenario: { type: "string", multiple: true },
  /** How many run beside each other. */
  jobs: { type: "string" },
});
const log = values.log ?? LINE.refused("--log is required");
const KNOWN = Object.keys(SCENARIOS);
const scenarios = (values.scenario ?? KNOWN).map((name) => LINE.oneOf("--scenario", name, KNOWN));
const seconds = LINE.integer("--seconds", values.seconds, 30);
const jobs = LINE.integer("--jobs", values.jobs, 1);

const RUN = new URL("run.ts", import.meta.url).pathname;
const endsAt = performance.now() + LINE.integer("--minutes", values.minutes, 10) * 60_000;
let seed = LINE.integer("--seed", values.seed, 1);
let turn = 0;
let violated = 0;

async function runNext(): Promise<void> {
  const name = scenarios[turn++ % scenarios.length] ?? "";
  const options = ["--scenario", name, "--seed", `${seed++}`, "--seconds", `${seconds}`];
  const child = Bun.spawn([process.execPath, RUN, ...options, "--log", log], {
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

await Promise.all(Array.from({ length: jobs }, worker));
console.log(tableOf(log));
process.exit(violated === 0 ? 0 : 1);
