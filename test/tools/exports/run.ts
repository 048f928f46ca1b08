/** `bun run test:exports`: exports while leaders are killed, with three nodes and with one. */
import { CommandLine } from "../arguments.ts";
import { runKills } from "./kills.ts";

const LINE = new CommandLine("usage: bun run test:exports [--nodes 1|3] [--kills N] [--seed N]");
const { values } = LINE.read({
  nodes: { type: "string" },
  kills: { type: "string" },
  seed: { type: "string" },
});
const only = LINE.integer("nodes", values.nodes, 0);
const kills = LINE.integer("kills", values.kills, 20);
const seed = LINE.integer("seed", values.seed, Date.now() % 1_000_000);
for (const nodes of [1, 3] as const) {
  if (only !== 0 && only !== nodes) continue;
  console.log(`bun run test:exports --nodes ${nodes} --kills ${kills} --seed ${seed}`);
  const result = await runKills({ nodes, kills, seed, tell: (line) => console.log(line) });
  console.log(
    `${kills} kills, ${result.faults} faults of the store: ${result.rows} records in ${result.files} files, each once`,
  );
}
process.exit(0);
