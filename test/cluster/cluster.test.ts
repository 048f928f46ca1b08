// Goal: real processes keep every promise of the history checker while they are killed, stopped and
// cut off. Method: short scenarios of `run.ts`, which runs them for as long as anybody likes.
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster } from "../tools/cluster/cluster.ts";
import { execute } from "../tools/cluster/execute.ts";
import { exitCodeOf, reportText } from "../tools/cluster/report.ts";
import { SCENARIOS, type Scenario } from "../tools/cluster/scenarios.ts";
import { toNdjson } from "../tools/history/operations.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

/** Waiting for what may never come takes longer than all that goes well. */
const TIMEOUT_MS = 600_000;
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
type Short = { readonly name: string; readonly nodes: number; readonly seconds: number };

/** A run on a busy machine may show too little: then a longer one decides. */
const LONGER = [1, 3, 9];

async function run(short: Short): Promise<void> {
  for (const times of LONGER) {
    if (await passes({ ...short, seconds: short.seconds * times })) return;
  }
  throw new Error(`${short.name} shows too little, however long it runs`);
}

/** @returns false if the run showed too little. @throws Error if it broke a promise. */
async function passes({ name, nodes, seconds }: Short): Promise<boolean> {
  const scenario = SCENARIOS[name] as Scenario;
  const directory = temporaryDirectory();
  const report = await execute(scenario, {
    seed: SEED,
    seconds,
    directory: directory.path,
    size: nodes,
    network: scenario.network ?? "direct",
    clients: 6,
    pauseMs: 10,
  });
  const code = exitCodeOf(report);
  if (code !== 1) {
    directory.remove();
    return code === 0;
  }
  writeFileSync(join(directory.path, "history.ndjson"), toNdjson(report.operations));
  const replay = `--scenario ${name} --seed ${SEED} --seconds ${seconds} --nodes ${nodes}`;
  const text = reportText(name, report);
  throw new Error(`bun test/tools/cluster/run.ts ${replay}\nfiles in ${directory.path}\n${text}`);
}

const SHORT: readonly Short[] = [
  { name: "kill-any", nodes: 1, seconds: 5 },
  { name: "kill-leader", nodes: 3, seconds: 6 },
  { name: "kills-in-a-row", nodes: 3, seconds: 8 },
  { name: "pause-leader", nodes: 3, seconds: 8 },
  { name: "partition-leader", nodes: 3, seconds: 8 },
  { name: "through-followers", nodes: 3, seconds: 10 },
  { name: "groups", nodes: 3, seconds: 8 },
];

for (const short of SHORT) {
  const obstacle = Cluster.whyNot(SCENARIOS[short.name]?.network ?? "direct");
  const skipped = obstacle !== null;
  const reason = skipped ? ` (skipped: ${obstacle})` : "";
  const title = `${short.name} with ${short.nodes} nodes for ${short.seconds} s${reason}`;
  test.skipIf(skipped)(`${title} (SEED=${SEED})`, () => run(short), TIMEOUT_MS);
}

test("every scenario says what it does", () => {
  for (const { help } of Object.values(SCENARIOS)) expect(help).not.toBe("");
});
