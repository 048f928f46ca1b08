/** `bun run test:queues --seconds S --seed N`: queues and schedules on three processes, one verdict. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../arguments.ts";
import { JobRun } from "./job-run.ts";

const LINE = new CommandLine("usage: bun run test:queues [--seconds S] [--seed N]");
const { values } = LINE.read({ seconds: { type: "string" }, seed: { type: "string" } });
const seconds = LINE.integer("--seconds", values.seconds, 60);
const seed = LINE.integer("--seed", values.seed, Date.now() % 1_000_000);
const directory = mkdtempSync(join(tmpdir(), "ayder-queues-"));
console.log(`bun run test:queues --seconds ${seconds} --seed ${seed} (files in ${directory})`);
const report = await new JobRun({ seed, seconds, directory }).run();
console.log(JSON.stringify(report));
rmSync(directory, { recursive: true, force: true });
process.exit(0);
