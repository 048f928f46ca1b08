// Goal: a member whose disk is full when it needs a snapshot goes on, also through a restart, says
// why it lags, and catches up by itself once there is space. Method: real processes, the member's
// directory on a small file system.
import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "../tools/cluster/client.ts";
import { Cluster } from "../tools/cluster/cluster.ts";
import type { NodeProcess } from "../tools/cluster/node-process.ts";
import { SmallDisks } from "../tools/cluster/small-disks.ts";
import { until } from "../tools/cluster/until.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const TIMEOUT_MS = 240_000;
const RECORD = "x".repeat(500_000);
const RECORDS = 24;
const PRODUCE = "/broker/topics/t/produce?partition=0";
const REFUSED = "no space left on the receiver's disk";

const WHY_NOT = SmallDisks.whyNot();
if (WHY_NOT !== null) console.log(`skipped: ${WHY_NOT}`);
const directory = temporaryDirectory();
const disks = new SmallDisks();
afterAll(() => {
  disks.close();
  directory.remove();
});

async function produce(cluster: Cluster, client: Client, body: string): Promise<void> {
  await until("a write", async () => {
    const leader = await cluster.leader();
    if (leader === null) return null;
    const request = { method: "POST", target: PRODUCE, body } as const;
    return (await client.send(leader.node, request)).status === 200 ? true : null;
  });
}

async function endOn(client: Client, node: NodeProcess): Promise<number> {
  const target = "/broker/consume/t/g/0?offset=0&limit=1&max_bytes=1";
  const { status, body } = await client.send(node, { method: "GET", target });
  return status === 200 ? Number(body?.["end_offset"]) : 0;
}

const timesIn = (node: NodeProcess, text: string) =>
  readFileSync(node.logPath, "utf8").split(text).length - 1;

/** Waits until the member has refused snapshots in this life, and stays. */
async function refuses(member: NodeProcess, times: number): Promise<void> {
  const before = timesIn(member, REFUSED);
  await until("a refusal", async () => timesIn(member, REFUSED) >= before + times || null);
  expect(member.endedByItself).toBe(false);
}

test.skipIf(WHY_NOT !== null)(
  "a member without space for a snapshot waits for it, also through a restart",
  async () => {
    const environment = { RF_JOURNAL_KEEP_BYTES: "0" };
    const path = join(directory.path, "cluster");
    const cluster = new Cluster({ size: 3, directory: path, network: "direct", environment });
    const client = new Client("c", cluster);
    const member = cluster.nodes[2];
    if (member === undefined) throw new Error("there are three");
    disks.mount(member.dataDir);
    try {
      cluster.startInitialMembers();
      await produce(cluster, client, `0 ${RECORD}`);
      await until("the record", async () => (await endOn(client, member)) === 1 || null);
      await member.stop();
      for (let i = 1; i < RECORDS; i++) await produce(cluster, client, `${i} ${RECORD}`);
      disks.fill(member.dataDir, 0);
      cluster.start(member);
      await refuses(member, 2);
      expect(await endOn(client, member)).toBe(1);
      const ready = await client.send(member, { method: "GET", target: "/ready" });
      expect(ready).toMatchObject({ status: 503, body: { ready: false } });
      await member.stop();
      expect(member.ending).toBe("code 0");
      disks.fill(member.dataDir, 0);
      cluster.start(member);
      await refuses(member, 1);
      await member.kill();
      disks.fill(member.dataDir, 0);
      cluster.start(member);
      await refuses(member, 1);
      disks.free(member.dataDir);
      await until("all records", async () => (await endOn(client, member)) === RECORDS || null);
      await until("readiness", async () => {
        const { status } = await client.send(member, { method: "GET", target: "/ready" });
        return status === 200 || null;
      });
      expect(timesIn(member, "snapshot installed")).toBeGreaterThan(0);
      await produce(cluster, client, "more");
      await until("the record", async () => (await endOn(client, member)) === RECORDS + 1 || null);
    } finally {
      client.close();
      await cluster.stop();
    }
  },
  TIMEOUT_MS,
);
