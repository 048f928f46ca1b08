/**
 * `bun run test:mutation [name …]`: switches on one fault point after the other, runs seeds of the
 * simulator or the named test until one fails, and prints what found the fault. Exits with 1 if a
 * fault is not found. `SEEDS` is the number of seeds that are tried (default 300).
 */
import { CommandLine } from "../arguments.ts";
import { type FaultPoint, FOUND_BY } from "./faults.ts";

const SEEDS_MAX = Number(process.env["SEEDS"] ?? "300");
const SIMULATOR = new URL("../sim/sim.ts", import.meta.url).pathname;

type Found = { readonly seeds: number | null; readonly by: string };

async function outputOf(command: readonly string[]): Promise<string> {
  const child = Bun.spawn([process.execPath, ...command], { stdout: "pipe", stderr: "pipe" });
  const texts = [new Response(child.stdout).text(), new Response(child.stderr).text()];
  await child.exited;
  return (await Promise.all(texts)).join("\n");
}

async function findBySeeds(name: FaultPoint): Promise<Found | null> {
  const seeds = ["--range", `1..${SEEDS_MAX}`, "--first"];
  const text = await outputOf([`--feature=${name}`, SIMULATOR, ...seeds]);
  const match = /^seed (\d+) after \d+ events: (.*)$/m.exec(text);
  if (match !== null) return { seeds: Number(match[1]), by: (match[2] ?? "").slice(0, 70) };
  if (!text.includes("failed: none")) throw new Error(`${name}: ${text}`);
  return null;
}

/** A test that fails by itself finds nothing. */
const holds = new Set<string>();
async function mustHold(test: string): Promise<void> {
  if (holds.has(test)) return;
  const text = await outputOf(["test", "--timeout", "300000", `./${test}`]);
  if (!/^ *0 fail$/m.test(text)) throw new Error(`${test} fails without a fault: ${text}`);
  holds.add(test);
}

async function findByTest(name: FaultPoint, test: string): Promise<Found | null> {
  await mustHold(test);
  const text = await outputOf(["test", "--timeout", "300000", `--feature=${name}`, `./${test}`]);
  const match = /^\(fail\) (.*) \[/m.exec(text);
  if (match !== null) return { seeds: null, by: `${test}: ${match[1]}` };
  if (!/^ *0 fail$/m.test(text)) throw new Error(`${name}: ${text}`);
  return null;
}

const LINE = new CommandLine("usage: bun run test:mutation [name …]");
const all = Object.keys(FOUND_BY) as FaultPoint[];
const names = LINE.read({}, all.length).positionals.map((name) =>
  LINE.oneOf("fault point", name, all),
);
const chosen = all.filter((name) => names.length === 0 || names.includes(name));
const counts: number[] = [];
const missed: string[] = [];
for (const name of chosen) {
  const by = FOUND_BY[name];
  const found = await (by === "seeds" ? findBySeeds(name) : findByTest(name, by));
  if (found === null) missed.push(name);
  else if (found.seeds !== null) counts.push(found.seeds);
  const bySeeds = found?.seeds == null ? "test" : `seed ${found.seeds}`;
  console.log(
    `${name.padEnd(44)} ${(found === null ? "NOT FOUND" : bySeeds).padEnd(10)} ${found?.by ?? ""}`,
  );
}
counts.sort((a, b) => a - b);
console.log(
  `${chosen.length - missed.length} of ${chosen.length} found; seeds to find: ` +
    `median ${counts[counts.length >>> 1] ?? "-"}, maximum ${counts.at(-1) ?? "-"}`,
);
for (const name of missed) console.log(`again: bun run test:mutation ${name}`);
process.exit(missed.length === 0 ? 0 : 1);
