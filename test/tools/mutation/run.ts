/**
 * `bun run zoo [name …]`: runs seeds against every mutant until one fails, and prints what found
 * it. Exits with 1 if a mutant is not found.
 */
import { MUTANTS, type Mutant } from "./mutants.ts";

const SEEDS_MAX = Number(process.env["SEEDS"] ?? "300");
const HERE = new URL("..", import.meta.url).pathname;

type Found = { readonly seeds: number | null; readonly by: string };

async function outputOf(name: string, command: readonly string[]): Promise<string> {
  const child = Bun.spawn([process.execPath, ...command], {
    env: { ...process.env, MUTANT: name },
    stdout: "pipe",
    stderr: "pipe",
  });
  const texts = [new Response(child.stdout).text(), new Response(child.stderr).text()];
  await child.exited;
  return (await Promise.all(texts)).join("\n");
}

async function findBySeeds({ name }: Mutant): Promise<Found | null> {
  const seeds = ["--range", `1..${SEEDS_MAX}`, "--first"];
  const text = await outputOf(name, [
    "--preload",
    `${HERE}mutation/mutate.ts`,
    `${HERE}sim/sim.ts`,
    ...seeds,
  ]);
  const match = /^seed (\d+) after \d+ events: (.*)$/m.exec(text);
  if (match !== null) return { seeds: Number(match[1]), by: (match[2] ?? "").slice(0, 70) };
  if (!text.includes("failed: none")) throw new Error(`${name}: ${text}`);
  return null;
}

async function findByTest({ name }: Mutant, test: string): Promise<Found | null> {
  const text = await outputOf(name, ["test", "--preload", "./test/tools/mutation/mutate.ts", test]);
  const match = /^\(fail\) (.*) \[/m.exec(text);
  return match === null ? null : { seeds: null, by: `${test}: ${match[1]}` };
}

const names = process.argv.slice(2);
const chosen = MUTANTS.filter(({ name }) => names.length === 0 || names.includes(name));
const counts: number[] = [];
let missed = 0;
for (const mutant of chosen) {
  const { test } = mutant;
  const found = await (test === undefined ? findBySeeds(mutant) : findByTest(mutant, test));
  if (found === null) missed++;
  else if (found.seeds !== null) counts.push(found.seeds);
  const bySeeds = found?.seeds == null ? "named test" : `seed ${found.seeds}`;
  const how = found === null ? "NOT FOUND" : bySeeds;
  console.log(`${mutant.name.padEnd(36)} ${how.padEnd(12)} ${found?.by ?? ""}`);
}
counts.sort((a, b) => a - b);
console.log(
  `${chosen.length - missed} of ${chosen.length} found; seeds to find: ` +
    `median ${counts[counts.length >>> 1] ?? "-"}, maximum ${counts.at(-1) ?? "-"}`,
);
process.exit(missed === 0 ? 0 : 1);
