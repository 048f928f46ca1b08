/**
 * `bun test/sim/zoo.ts [name …]`: runs seeds against every seeded bug until one fails, and prints
 * what found it. Exits with 1 if a bug stays unfound.
 */
import { MUTANTS, type Mutant } from "./mutants.ts";

const SEEDS_MAX = Number(process.env["SEEDS"] ?? "300");
const HERE = new URL(".", import.meta.url).pathname;

type Found = { readonly seeds: number; readonly rule: string };

async function find({ name }: Mutant): Promise<Found | null> {
  const command = [
    process.execPath,
    "--preload",
    `${HERE}mutate.ts`,
    `${HERE}sim.ts`,
    ...["--range", `1..${SEEDS_MAX}`, "--first"],
  ];
  const child = Bun.spawn(command, {
    env: { ...process.env, MUTANT: name },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [text, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  const match = /^seed (\d+) after \d+ events: (.*)$/m.exec(text);
  if (match !== null) return { seeds: Number(match[1]), rule: (match[2] ?? "").slice(0, 70) };
  if (!text.includes("failed: none")) throw new Error(`${name}: ${text}${errors}`);
  return null;
}

const names = process.argv.slice(2);
const chosen = MUTANTS.filter(({ name }) => names.length === 0 || names.includes(name));
const counts: number[] = [];
for (const mutant of chosen) {
  const found = await find(mutant);
  if (found !== null) counts.push(found.seeds);
  const how = found === null ? `not found in ${SEEDS_MAX} seeds` : `seed ${found.seeds}`;
  console.log(`${mutant.name.padEnd(36)} ${how.padEnd(24)} ${found?.rule ?? ""}`);
}
counts.sort((a, b) => a - b);
console.log(
  `${counts.length} of ${chosen.length} found; seeds to find: ` +
    `median ${counts[counts.length >>> 1] ?? "-"}, maximum ${counts.at(-1) ?? "-"}`,
);
process.exit(counts.length === chosen.length ? 0 : 1);
