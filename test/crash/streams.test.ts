// Goal: no append to a durable stream that was acknowledged is lost or stored twice by SIGKILL at any
// moment, and producers, ends, closes and forks are what they were. Method: one data directory, killed
// under load again and again; after each start all streams are read, and all producers repeat a number.
import { afterAll, expect, test } from "bun:test";
import { StreamModel } from "../tools/crash/streams.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";

const KILLS = Number(process.env["KILLS"] ?? 4);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

const directory = temporaryDirectory();
if (process.env["KEEP"] === undefined) afterAll(directory.remove);

// Tiny files, so that rolls, flushes and checkpoints happen in every life.
const env = {
  RF_JOURNAL_SEGMENT_BYTES: String(256 * 1024),
  RF_SEGMENT_BYTES: String(64 * 1024),
  RF_CHECKPOINT_BYTES: String(128 * 1024),
  RF_MAX_STREAM_PRODUCERS: "3000",
  RF_LOG_LEVEL: "warn",
};

test(
  `${KILLS} kills lose no append (SEED=${SEED} KILLS=${KILLS} bun test test/crash/streams.test.ts)`,
  async () => {
    const random = new Random(SEED);
    const model = new StreamModel();
    let seen = 0;
    for (let life = 0; life <= KILLS; life++) {
      const server = await startServer({ dataDir: directory.path, env });
      try {
        seen += await model.check(server.url);
        if (life === KILLS) break;
        let stopped = false;
        const load = model.write(server.url, random, `life${life}`, () => stopped);
        await Bun.sleep(50 + random.below(300));
        server.process.kill("SIGKILL");
        stopped = true;
        await Promise.all([server.process.exited, load]);
      } finally {
        await server.kill();
      }
    }
    console.log(`${KILLS} kills, ${model.appends} acknowledged appends, ${seen} records read back`);
    expect(model.appends).toBeGreaterThan(KILLS * 10);
  },
  20 * 60_000,
);
