/** The thread that serves HTTP in trouble, with `RF_HA_DEDICATED_WORKER=1`; for the rest see `test/binary`. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { untilReady } from "../tools/process/nodes.ts";
import { freePorts } from "../tools/process/ports.ts";
import { cleanEnvironment, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000); // For busy machines.
const DEDICATED = { RF_HA_DEDICATED_WORKER: "1" };
const TRAPPED = [process.execPath, join(import.meta.dir, "../tools/process/trapped-main.ts")];
const headers = { authorization: "Bearer dev" };
const directory = temporaryDirectory();
const children: Subprocess[] = [];
let directories = 0;
const freshDirectory = () => join(directory.path, `data-${directories++}`);

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});
afterAll(directory.remove);

/** Tells the thread that serves HTTP what to do; it cannot read half of the order. */
function order(trap: string, text: "block" | "throw"): void {
  writeFileSync(`${trap}.new`, text);
  renameSync(`${trap}.new`, trap);
}

const produce = (url: string, body: string) =>
  fetch(`${url}/broker/topics/t/produce?partition=0`, { method: "POST", headers, body });

test("a thread that serves HTTP and ends takes the process with it, with code 70", async () => {
  const dataDir = freshDirectory();
  const trap = `${dataDir}.trap`;
  const child = Bun.spawn([...TRAPPED, "--port", "0", "--data-dir", dataDir], {
    env: cleanEnvironment({ ...DEDICATED, TRAP_FILE: trap }),
    stdout: "pipe",
    stderr: "pipe",
  });
  children.push(child);
  const reader = child.stdout.getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toContain("listening on");
  order(trap, "throw");
  const text = await child.stderr.text();
  expect(await child.exited).toBe(70);
  expect(text).toContain("a thread that serves HTTP");
  expect(text).toContain("trapped");
});

test("a leader leads on while the thread that serves HTTP does something else", async () => {
  const cluster = startTrapped();
  await untilReady(cluster.urls);
  const leader = await leaderOf(cluster.urls);
  const follower = (leader + 1) % IDS.length;
  const followerUrl = cluster.urls[follower] ?? "";
  await produce(cluster.urls[leader] ?? "", "before");
  const term = await termAt(followerUrl);

  order(cluster.trap(leader), "block");
  await deaf(cluster.urls[leader] ?? "");
  // Each asks the leader for a round of heartbeats; it goes on for longer than two election timeouts.
  for (let i = 0; i < 35; i++) {
    const read = await fetch(
      `${followerUrl}/broker/consume/t/g/0?offset=0&consistency=linearizable`,
      {
        headers,
      },
    );
    expect(read.status).toBe(200);
    await Bun.sleep(100);
  }
  expect(await termAt(followerUrl)).toBe(term);
  rmSync(cluster.trap(leader));
  expect((await produce(cluster.urls[leader] ?? "", "after")).status).toBe(200);
});

const IDS = ["n1", "n2", "n3"];

function startTrapped() {
  const ports = freePorts(2 * IDS.length);
  const nodes = IDS.map((id, i) => `${id}:127.0.0.1:${ports[2 * i]}:1:${ports[2 * i + 1]}`);
  const base = freshDirectory();
  const trap = (i: number) => `${base}-${i}.trap`;
  for (const [i, id] of IDS.entries()) {
    children.push(
      Bun.spawn([...TRAPPED, "--data-dir", `${base}-${i}`], {
        env: cleanEnvironment({
          ...DEDICATED,
          TRAP_FILE: trap(i),
          RF_HA_ENABLED: "1",
          RF_HA_NODE_ID: id,
          RF_HA_NODES: nodes.join(","),
          RF_HA_BOOTSTRAP_LEADER: IDS[0] ?? "",
          RF_HA_ELECTION_TIMEOUT_MS: "1500",
        }),
        stdout: "ignore",
        stderr: "ignore",
        stdin: "ignore",
      }),
    );
  }
  return { urls: IDS.map((_, i) => `http://127.0.0.1:${ports[2 * i + 1]}`), trap };
}

async function membershipAt(url: string): Promise<{ leader_id: string; term: number }> {
  const answer = await fetch(`${url}/ha/membership`, { headers });
  return ((await answer.json()) as { membership: { leader_id: string; term: number } }).membership;
}
const termAt = async (url: string) => (await membershipAt(url)).term;
const leaderOf = async (urls: readonly string[]) =>
  IDS.indexOf((await membershipAt(urls[0] ?? "")).leader_id);

/** Until a request is not answered for a while: the trap has closed. */
async function deaf(url: string): Promise<void> {
  for (;;) {
    try {
      await fetch(`${url}/health`, { signal: AbortSignal.timeout(300) });
    } catch {
      return;
    }
  }
}
