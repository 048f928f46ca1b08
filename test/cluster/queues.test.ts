// Goal: each record of a queue is finished once: acknowledged, or a dead letter with its attempts,
// while nodes are killed and paused. Records for later and the slots of a schedule come once.
// Method: a short run of `bun run test:queues`.
import { afterAll, expect, test } from "bun:test";
import { JobRun } from "../tools/cluster/job-run.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const SECONDS = Number(process.env["SECONDS"] ?? 8);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const TIMEOUT_MS = 300_000 + SECONDS * 1_000;

const directory = temporaryDirectory();
afterAll(directory.remove);

test(
  `queues and schedules keep their promises (bun run test:queues --seed ${SEED} --seconds ${SECONDS})`,
  async () => {
    const run = new JobRun({ seed: SEED, seconds: SECONDS, directory: directory.path });
    const report = await run.run();
    console.log(JSON.stringify(report));
    expect(report.deliveries).toBeGreaterThanOrEqual(report.records);
    for (const many of [report.faults, report.dead, report.later, report.slots]) {
      expect(many).toBeGreaterThan(0);
    }
  },
  TIMEOUT_MS,
);
