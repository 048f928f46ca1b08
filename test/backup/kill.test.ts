// Goal: a restore that is killed leaves no directory in which a node would start as if all were
// there. Method: SIGKILL at random moments of a restore that takes a while; then a node is started,
// and the same directory is given to another restore.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { download } from "../tools/backup/sample.ts";
import { Client } from "../tools/crash/client.ts";
import { ayder, spawnAyder } from "../tools/process/ayder.ts";
import { ServerEnded, startServer, temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";

setDefaultTimeout(120_000);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const KILLS = Number(process.env["KILLS"] ?? 6);
const PARTITIONS = 300;

const directory = temporaryDirectory();
afterAll(directory.remove);
const archive = join(directory.path, "archive.ayder");

beforeAll(async () => {
  const server = await startServer({ dataDir: join(directory.path, "origin") });
  const client = new Client(server.url);
  await client.must("POST", "/broker/topics", `{"name":"t","partitions":${PARTITIONS}}`);
  const produce = (i: number) =>
    client.must("POST", `/broker/topics/t/produce?partition=${i}`, `value ${i}`);
  await Promise.all(Array.from({ length: PARTITIONS }, (_, i) => produce(i)));
  await Bun.write(archive, await download(server.url));
  await server.kill();
}, 300_000);

/** @returns whether a node started, with everything. */
async function starts(dataDir: string): Promise<boolean> {
  try {
    const server = await startServer({ dataDir });
    const topics = await new Client(server.url).must("GET", "/broker/topics");
    await server.kill();
    expect(topics).toMatchObject({ topics: [{ topic: "t", messages: PARTITIONS }] });
    return true;
  } catch (error) {
    if (!(error instanceof ServerEnded)) throw error;
    expect(error.code).toBe(78);
    expect(error.log).toContain("a restore into the data directory was not finished");
    return false;
  }
}

test(
  `a killed restore is refused or whole (SEED=${SEED} KILLS=${KILLS} bun test test/backup/kill.test.ts)`,
  async () => {
    const random = new Random(SEED);
    const outcomes: string[] = [];
    let cut = 0;
    for (let i = 0; i < KILLS || cut === 0; i++) {
      const target = join(directory.path, `target${i}`);
      const child = spawnAyder(["restore", archive, "--data-dir", target]);
      while (!existsSync(target) && child.exitCode === null) await Bun.sleep(1);
      await Bun.sleep(random.below(300));
      child.kill("SIGKILL");
      await child.exited;
      const found = existsSync(target) ? readdirSync(target) : [];
      if (found.includes("RESTORING")) {
        expect(await starts(target)).toBe(false);
        const again = await ayder(["restore", archive, "--data-dir", target]);
        expect(again.code).toBe(1);
        expect(again.err).toContain("interrupted");
        cut++;
        outcomes.push("refused");
      } else if (found.length === 0) {
        outcomes.push("empty");
      } else {
        expect(await starts(target)).toBe(true);
        outcomes.push("whole");
      }
    }
    console.log(`kills in the middle of a restore: ${outcomes.join(", ")}`);
  },
  2 * 60_000,
);

test("a restore that is interrupted takes everything back", async () => {
  const target = join(directory.path, "interrupted");
  const child = spawnAyder(["restore", archive, "--data-dir", target]);
  while (!existsSync(join(target, "RESTORING"))) await Bun.sleep(1);
  child.kill("SIGINT");
  const code = await child.exited;
  if (code === 0) return;
  expect({ code, left: existsSync(target) }).toEqual({ code: 3, left: false });
}, 300_000);
