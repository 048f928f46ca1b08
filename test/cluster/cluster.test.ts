// Goal: real processes keep every promise of the history checker while they are killed, stopped and
// cut off. Method: short scenarios of `run.ts`, which runs them for as long as anybody likes.
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { toNdjson } from "../history/operations.ts";
import { temporaryDirectory } from "../process/server.ts";
import { Cluster } from "./cluster.ts";
import { execute } from "./execute.ts";
import { reportText } from "./report.ts";
import { SCENARIOS, type Scenario } from "./scenarios.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
/** Waiting for what may never come takes longer than all that goes well. */
const TIMEOUT_MS = 240_000;

type Short = { readonly name: string; readonly nodes: number; readonly seconds: number };

async function run({ name, nodes, seconds }: Short): Promise<void> {
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
  if (report.passed) {
    directory.remove();
    return;
  }
  writeFileSync(join(directory.path, "history.ndjson"), toNdjson(report.operations));
  const replay = `--scenario ${name} --seed ${SEED} --seconds ${seconds} --nodes ${nodes}`;
  const text = reportText(name, report);
  throw new Error(`bun test/cluster/run.ts ${replay}\nfiles in ${directory.path}\n${text}`);
}

const SHORT: readonly Short[] = [
  { name: "kill-any", nodes: 1, seconds: 5 },
  { name: "kill-leader", nodes: 3, seconds: 6 },
  { name: "kills-in-a-row", nodes: 3, seconds: 8 },
  { name: "pause-leader", nodes: 3, seconds: 8 },
  { name: "partition-leader", nodes: 3, seconds: 8 },
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
