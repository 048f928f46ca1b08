// Goal: nothing that was acknowledged is lost by SIGKILL at any moment. Method: one data directory,
// killed under load again and again; after each start all that was acknowledged is read back.
import { afterAll, expect, test } from "bun:test";
import { check, checkKeys } from "../tools/crash/check.ts";
import { Client } from "../tools/crash/client.ts";
import { Acknowledged } from "../tools/crash/model.ts";
import { PARTITIONS, TOPIC, Workload } from "../tools/crash/workload.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";

const KILLS = Number(process.env["KILLS"] ?? 20);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

const directory = temporaryDirectory();
if (process.env["KEEP"] === undefined) afterAll(directory.remove);

// Tiny files, so that rolls, flushes and checkpoints happen in every life.
const env = {
  RF_JOURNAL_SEGMENT_BYTES: String(256 * 1024),
  RF_SEGMENT_BYTES: String(64 * 1024),
  RF_CHECKPOINT_BYTES: String(512 * 1024),
  RF_LOG_LEVEL: "warn",
};

test(
  `${KILLS} kills under load lose nothing (SEED=${SEED} KILLS=${KILLS} bun test test/crash)`,
  async () => {
    const random = new Random(SEED);
    const model = new Acknowledged();
    let seen = 0;
    for (let life = 0; life <= KILLS; life++) {
      const server = await startServer({ dataDir: directory.path, env });
      const client = new Client(server.url);
      try {
        if (life === 0) {
          const body = JSON.stringify({ name: TOPIC, partitions: PARTITIONS });
          await client.must("POST", "/broker/topics", body);
        }
        const last = life === KILLS;
        const whole = last || life % 50 === 49;
        seen += await check(client, model, whole ? Number.MAX_SAFE_INTEGER : 2000);
        await checkKeys(client, model, whole ? 2000 : 20);
        if (last) break;
        let stopped = false;
        const load = new Workload(client, model, random, `life${life}`).run(16, () => stopped);
        await Bun.sleep(random.below(120));
        server.process.kill("SIGKILL");
        stopped = true;
        await Promise.all([server.process.exited, load]);
      } finally {
        await server.kill();
      }
    }
    console.log(`${KILLS} kills, ${model.recordCount} acknowledged records, ${seen} read back`);
    expect(model.recordCount).toBeGreaterThan(KILLS * 20);
  },
  20 * 60_000,
);
