/** `bun run test:cluster --scenario NAME --seed N --seconds S`: one scenario, one verdict. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../arguments.ts";
import { toNdjson } from "../history/operations.ts";
import { Clocks } from "./clocks.ts";
import { Cluster } from "./cluster.ts";
import { execute } from "./execute.ts";
import { exitCodeOf, reportText } from "./report.ts";
import { SCENARIOS } from "./scenarios.ts";
import { SmallDisks } from "./small-disks.ts";
import { appendRun } from "./totals.ts";

const LINE = new CommandLine(
  [
    "usage: --scenario NAME [--seed N] [--seconds S] [--nodes 1|3|5] [--clients N] [--pause-ms N]",
    "       [--env NAME=VALUE]… [--out DIR] [--log FILE]",
    ...Object.entries(SCENARIOS).map(([name, { help }]) => `  ${name}: ${help}`),
  ].join("\n"),
);
const { values } = LINE.read({
  scenario: { type: "string" },
  seed: { type: "string" },
  seconds: { type: "string" },
  nodes: { type: "string" },
  clients: { type: "string" },
  "pause-ms": { type: "string" },
  /** `NAME=VALUE` for every node, such as `RF_HA_WRITE_CONCERN=1`, which must be refuted. */
  env: { type: "string", multiple: true, default: [] },
  /** Where the history and the logs are left; else they go with a run that passed. */
  out: { type: "string" },
  /** A line with what the run came to is appended here; `soak.ts` sums them up. */
  log: { type: "string" },
});

const name = LINE.oneOf("--scenario", values.scenario ?? "", Object.keys(SCENARIOS));
const scenario = SCENARIOS[name];
if (scenario === undefined) throw new Error("a scenario that is known is there");
const seconds = LINE.integer("--seconds", values.seconds, 20);
const size = LINE.integer("--nodes", values.nodes, scenario.size);
const network = size > 1 ? (scenario.network ?? "direct") : "direct";
const clocks = scenario.clocks === true;
const smallDisks = scenario.smallDisks === true;
const obstacle =
  Cluster.whyNot(network) ??
  (clocks ? Clocks.whyNot() : null) ??
  (smallDisks ? SmallDisks.whyNot() : null);
if (obstacle !== null) {
  console.log(`${name}: skipped, ${obstacle}`);
  process.exit(2);
}
const seed = LINE.integer("--seed", values.seed, Date.now() % 1_000_000);
const directory = values.out ?? mkdtempSync(join(tmpdir(), "ayder-cluster-"));
mkdirSync(directory, { recursive: true });
const replay = `--scenario ${name} --seed ${seed} --seconds ${seconds} --nodes ${size}`;
console.log(`bun run test:cluster ${replay} (files in ${directory})`);
const begin = performance.now();
const report = await execute(scenario, {
  seed,
  seconds,
  directory,
  size,
  ...(scenario.initialMembers === undefined ? {} : { initialMembers: scenario.initialMembers }),
  network,
  clocks,
  smallDisks,
  clients: LINE.integer("--clients", values.clients, 8),
  pauseMs: LINE.integer("--pause-ms", values["pause-ms"], 10),
  environment: Object.fromEntries(values.env.map((pair) => pair.split(/=(.*)/s).slice(0, 2))),
});
const code = exitCodeOf(report);
if (code !== 0 || values.out !== undefined) {
  writeFileSync(join(directory, "history.ndjson"), toNdjson(report.operations));
  writeFileSync(join(directory, "report.txt"), `${replay}\n${reportText(name, report)}\n`);
} else {
  rmSync(directory, { recursive: true, force: true });
}
if (values.log !== undefined) {
  const ran = { scenario: name, seed, nodes: size, code };
  appendRun(values.log, { ...ran, seconds: (performance.now() - begin) / 1000 }, report);
}
console.log(reportText(`${name}, seed ${seed}`, report));
if (code === 1) console.log(`again: bun run test:cluster ${replay}`);
process.exit(code);
