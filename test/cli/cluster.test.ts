// Goal: operators and scripts can do everything with the command line. Method: three real nodes, and
// a fourth that joins; every command is a process that gets the address of one follower only.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createClient, type Membership } from "../../src/client/index.ts";
import { Cluster, TOKEN } from "../tools/cluster/cluster.ts";
import type { NodeProcess } from "../tools/cluster/node-process.ts";
import { ayder, type Run } from "../tools/process/ayder.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const TIMEOUT_MS = 120_000;
const directory = temporaryDirectory();
const cluster = new Cluster({
  size: 4,
  initialMembers: 3,
  directory: directory.path,
  network: "direct",
});
const urlOf = ({ http }: NodeProcess): string => `http://${http.host}:${http.port}`;
const urls = cluster.nodes.map(urlOf);

beforeAll(async () => {
  cluster.startInitialMembers();
  const client = createClient({ urls: urls.slice(0, 3), token: TOKEN, retryMs: 60_000 });
  await client.topics.create("orders", { partitions: 1 });
}, TIMEOUT_MS);
afterAll(async () => {
  await cluster.stop();
  directory.remove();
});

const run = (url: string, ...args: string[]): Promise<Run> =>
  ayder([...args, "--url", url], { env: { AYDER_TOKEN: TOKEN } });

async function membershipAt(url: string): Promise<Membership> {
  return await createClient({ url, token: TOKEN, retryMs: 60_000 }).cluster.membership();
}
async function follower(): Promise<{ url: string; leaderId: string }> {
  for (;;) {
    const leader = await cluster.leader();
    const other = cluster.nodes.slice(0, 3).find(({ id }) => id !== leader?.leaderId);
    if (leader?.leaderId && other !== undefined)
      return { url: urlOf(other), leaderId: leader.leaderId };
    await Bun.sleep(20);
  }
}
const NOT_YET = /change_in_progress|not_caught_up|no_leader|no_quorum|unreachable/;

/**
 * Repeats a command while the server says that it cannot do it yet.
 *
 * @returns null if an attempt had an unknown outcome: then later answers prove nothing.
 */
async function until(...args: string[]): Promise<Run | null> {
  for (let unknown = false; ; ) {
    const result = await run((await follower()).url, ...args);
    unknown ||= result.err.includes("outcome is unknown");
    if (result.code === 0 || !(NOT_YET.test(result.err) || result.code === 3)) {
      return unknown ? null : result;
    }
    await Bun.sleep(50);
  }
}
/** @param partial expected fields of the run; not checked if the outcome is unknown. */
function expectRun(result: Run | null, partial: Partial<Run>): void {
  if (result !== null) expect(result).toMatchObject(partial);
}

test(
  "writes sent to a follower reach the leader, with the token",
  async () => {
    const { url } = await follower();
    const produced = await run(url, "produce", "orders", "a", "b", "-p", "0");
    expect(produced).toEqual({ code: 0, out: "2 messages in orders/0, offsets 0 to 1\n", err: "" });
    expect((await run(url, "kv", "set", "n", "k", "v")).code).toBe(0);
    expect((await run(url, "kv", "get", "n", "k")).out).toBe("v");
  },
  TIMEOUT_MS,
);

test(
  "status names nodes and leader",
  async () => {
    const { url, leaderId } = await follower();
    const { code, out } = await run(url, "cluster");
    expect(code).toBe(0);
    expect(out).toContain(`${leaderId} leads in term`);
    for (const { id } of cluster.nodes.slice(0, 3)) expect(out).toMatch(new RegExp(`^${id} `, "m"));
  },
  TIMEOUT_MS,
);

test(
  "a node is added, promoted, leads, and is removed",
  async () => {
    const joining = cluster.nodes[3] as NodeProcess;
    cluster.start(joining);
    const { id } = joining;
    const args = [cluster.raftAddress(joining), "--http-addr", cluster.httpAddress(joining)];
    const text = `${id} is a learner now; promote it when it has caught up\n`;
    expectRun(await until("cluster", "add", id, ...args), { code: 0, out: text, err: "" });
    expectRun(await until("cluster", "add", id, ...args), { code: 1, out: "" });
    expectRun(await until("cluster", "promote", id), { out: `${id} is a voter now\n` });
    const isVoter = async () => {
      const { nodes, jointActive } = await membershipAt((await follower()).url);
      return !jointActive && nodes.some(({ nodeId, isVoter }) => nodeId === joining.id && isVoter);
    };
    while (!(await isVoter())) await Bun.sleep(20);

    const leads = async () => (await cluster.leader())?.leaderId === joining.id;
    while (!(await leads())) {
      await until("cluster", "transfer", joining.id);
      for (let i = 0; i < 50 && !(await leads()); i++) await Bun.sleep(20);
    }
    const back = cluster.nodes[0]?.id ?? "";
    const goes = `leadership is being transferred to ${back}\n`;
    expectRun(await until("cluster", "transfer", back), { code: 0, out: goes });
    expectRun(await until("cluster", "remove", id), { code: 0, out: `${id} is removed\n` });
    const gone = async () => {
      const { nodes } = await membershipAt((await follower()).url);
      return nodes.every(({ nodeId }) => nodeId !== joining.id);
    };
    while (!(await gone())) await Bun.sleep(20);
  },
  TIMEOUT_MS,
);
