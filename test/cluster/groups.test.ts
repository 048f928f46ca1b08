/**
 * Goal: members of a group share a topic while leaders and members are killed. No partition has two
 * members whose commits count, commits only rise, and every record is delivered to some member.
 * Method: three real processes, members that speak HTTP by hand, and a checker of their histories.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createClient } from "../../src/client/index.ts";
import { Cluster, TOKEN } from "../tools/cluster/cluster.ts";
import { type GroupHistory, judge, Worker } from "../tools/cluster/group-workers.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const TIMEOUT_MS = 300_000;
const PARTITIONS = 6;
const directory = temporaryDirectory();
const cluster = new Cluster({ size: 3, directory: directory.path, network: "direct" });
const urls = cluster.nodes.map(({ http }) => `http://${http.host}:${http.port}`);
const client = createClient({ urls, token: TOKEN, retryMs: 60_000, attemptMs: 5_000 });

beforeAll(async () => {
  cluster.startInitialMembers();
  await client.topics.create("jobs", { partitions: PARTITIONS });
}, TIMEOUT_MS);
afterAll(async () => {
  await cluster.stop();
  directory.remove();
});

async function killLeader(): Promise<void> {
  for (let status = await cluster.leader(); ; status = await cluster.leader()) {
    if (status === null) {
      await Bun.sleep(20);
      continue;
    }
    await status.node.kill();
    cluster.start(status.node);
    return;
  }
}

test(
  "members lose nothing and never commit for one partition together, whoever is killed",
  async () => {
    const history: GroupHistory = { deliveries: [], commits: [] };
    const start = (name: string) =>
      new Worker({ urls, token: TOKEN, group: "g", topic: "jobs", name, history });
    const workers = ["a", "b", "c"].map(start);
    let sent = 0;
    const produceSome = async () => {
      for (let i = 0; i < 60; i++) {
        await client.produce("jobs", `${sent}`, { partition: sent++ % PARTITIONS });
      }
    };
    for (let round = 0; round < 3; round++) {
      await produceSome();
      await killLeader();
      // A worker that is killed says nothing to anybody.
      workers[round % 3]?.kill();
      workers[round % 3] = start(round === 1 ? `late-${round}` : `${"abc"[round % 3]}`);
      await produceSome();
    }
    for (;;) {
      const { lag } = await client.describeGroup("g");
      if (lag === 0) break;
      await Bun.sleep(100);
    }
    for (const worker of workers) await worker.stop();
    expect(judge(history)).toEqual([]);
    expect(new Set(history.deliveries.map(({ value }) => value)).size).toBe(sent);
    expect(history.commits.length).toBeGreaterThan(20);
  },
  TIMEOUT_MS,
);

test("the judge finds two owners of a generation, commits that fall, and generations that return", () => {
  const at = { topic: "t", partition: 0 };
  const commit = (member: string, generation: number, offset: number, atMs: number) => ({
    ...at,
    member,
    generation,
    offset,
    sentMs: atMs,
    answeredMs: atMs + 1,
  });
  const problems = (...commits: ReturnType<typeof commit>[]) => judge({ deliveries: [], commits });
  expect(problems(commit("a", 1, 5, 0), commit("b", 2, 7, 10))).toEqual([]);
  expect(problems(commit("a", 1, 5, 0), commit("b", 1, 7, 10))).toEqual([
    "t/0: a and b committed in generation 1",
  ]);
  expect(problems(commit("a", 1, 5, 0), commit("b", 2, 4, 10))).toEqual([
    "t/0: the commit of 4 came after that of 5",
  ]);
  expect(problems(commit("b", 2, 5, 0), commit("a", 1, 7, 10))).toEqual([
    "t/0: a committed in generation 1 after generation 2",
  ]);
});
