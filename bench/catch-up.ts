/**
 * `bun bench/catch-up.ts [messages]`: a follower of three is killed, that many messages are written,
 * and it is started again while writes go on. Measures how long it takes to have everything that
 * was there when it started, and to be as far as the leader, and how many snapshots that took.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../test/tools/arguments.ts";
import { ThreeNodes } from "./load/nodes.ts";
import { NDJSON_100 } from "./load/requests.ts";

const LINE = new CommandLine(`usage: bun bench/catch-up.ts [MESSAGES]
variables:
  PAUSE_MS   milliseconds between two requests while the follower catches up (default: 20; 0: a flood)
  COMPACT    1: the leader takes a checkpoint and lets go of its log before the follower starts
  BENCH_DIR  directory for the data of all nodes (default: that for temporary files)`);
const MESSAGES = LINE.integer("MESSAGES", LINE.read({}, 1).positionals[0], 8_000_000);
const PARTITIONS = 8;
const LINES = 1_000;
const IN_FLIGHT = 16;
/** Between two requests while the follower catches up: the three nodes share this machine. */
const PAUSE_MS = LINE.variable("PAUSE_MS", 20);
/** Messages that a node may be behind the leader while writes go on. */
const NEAR = 20_000;

const directory = mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), "ayder-catch-up-"));
const nodes = new ThreeNodes(directory);
const body = NDJSON_100.repeat(LINES / 100);

try {
  const leaderPort = await nodes.startAll(PARTITIONS);
  const leader = nodes.ports.indexOf(leaderPort);
  const follower = (leader + 1) % nodes.ports.length;
  await nodes.kill(follower);
  const sentBefore = nodes.snapshotsSent();
  const filledMs = await write(leaderPort, MESSAGES);
  if (process.env["COMPACT"] === "1") await nodes.compact(leader);
  const load = { goesOn: true, pauseMs: PAUSE_MS };
  const writing = write(leaderPort, Number.POSITIVE_INFINITY, load);
  const wanted = await nodes.messagesAt(leader);
  const begin = performance.now();
  nodes.start(follower);
  while ((await nodes.messagesAt(follower)) < wanted) await Bun.sleep(20);
  const hasAllMs = performance.now() - begin;
  while ((await nodes.messagesAt(follower)) < (await nodes.messagesAt(leader)) - NEAR) {
    await Bun.sleep(20);
  }
  const levelMs = performance.now() - begin;
  const writtenMeanwhile = (await nodes.messagesAt(leader)) - wanted;
  load.goesOn = false;
  await writing;
  const line = {
    name: "catch-up",
    messages: MESSAGES,
    filled_ms: Math.round(filledMs),
    has_all_ms: Math.round(hasAllMs),
    level_with_leader_ms: Math.round(levelMs),
    written_meanwhile: writtenMeanwhile,
    snapshots_sent: nodes.snapshotsSent() - sentBefore,
  };
  console.log(JSON.stringify(line));
} finally {
  nodes.killAll();
  rmSync(directory, { recursive: true, force: true });
}

/** @returns milliseconds */
async function write(port: number, messages: number, load = { goesOn: true, pauseMs: 0 }) {
  const begin = performance.now();
  let left = messages;
  const writer = async (_: unknown, turn: number): Promise<void> => {
    for (let i = turn; left > 0 && load.goesOn; i++) {
      left -= LINES;
      const url = `http://127.0.0.1:${port}/broker/topics/bench/produce-ndjson?partition=${i % PARTITIONS}`;
      const headers = { authorization: "Bearer dev" };
      const answer = await fetch(url, { method: "POST", headers, body });
      if (answer.status !== 200) throw new Error(await answer.text());
      if (load.pauseMs > 0) await Bun.sleep(load.pauseMs * IN_FLIGHT);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, writer));
  return performance.now() - begin;
}
