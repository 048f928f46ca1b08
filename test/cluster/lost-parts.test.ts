// Goal: a member that loses a part of its data directory ends, says what it lost, and the cluster
// goes on without losing anything acknowledged. Method: a part of a member's directory is moved away
// under load; then every acknowledged record is read from the others and from the member's next life.
import { afterAll, expect, test } from "bun:test";
import { readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { Client } from "../tools/cluster/client.ts";
import { Cluster } from "../tools/cluster/cluster.ts";
import type { NodeProcess } from "../tools/cluster/node-process.ts";
import { until } from "../tools/cluster/until.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const TIMEOUT_MS = 240_000;

const directory = temporaryDirectory();
afterAll(directory.remove);

class Load {
  readonly acknowledged: string[] = [];
  readonly #cluster: Cluster;
  readonly #client: Client;
  #next = 0;
  #stopped = false;
  #done: Promise<void> | null = null;

  constructor(cluster: Cluster, client: Client) {
    this.#cluster = cluster;
    this.#client = client;
  }

  start(): void {
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const leader = await this.#cluster.leader();
      if (leader === null) continue;
      const body = `record ${this.#next++} ${"x".repeat(2000)}`;
      const target = "/broker/topics/t/produce?partition=0";
      const { status } = await this.#client.send(leader.node, { method: "POST", target, body });
      if (status === 200) this.acknowledged.push(body);
    }
  }
}

/** Values of the partition as this node has them; null if it does not answer. */
async function valuesOn(client: Client, node: NodeProcess): Promise<string[] | null> {
  const values: string[] = [];
  for (let offset = 0; ; offset = values.length) {
    const target = `/broker/consume/t/g/0?offset=${offset}&limit=500`;
    const { status, body } = await client.send(node, { method: "GET", target });
    if (status !== 200 || body === null) return null;
    const messages = body["messages"] as readonly { value: string }[];
    if (messages.length === 0) return values;
    values.push(...messages.map(({ value }) => value));
  }
}

async function topicOn(cluster: Cluster, client: Client): Promise<void> {
  const body = JSON.stringify({ name: "t", partitions: 1 });
  await until("the topic", async () => {
    const leader = await cluster.leader();
    if (leader === null) return null;
    const request = { method: "POST", target: "/broker/topics", body } as const;
    return (await client.send(leader.node, request)).status === 200 ? true : null;
  });
}

for (const [part, of] of [
  ["journal", "the leader"],
  ["partitions*/*-0", "a follower"],
  ["checkpoints", "a follower"],
  ["hard-state", "the leader"],
] as const) {
  test(
    `${part} of ${of} is moved away`,
    async () => {
      const cluster = new Cluster({
        size: 3,
        directory: join(directory.path, part.replace(/\W/g, "-")),
        network: "direct",
      });
      const client = new Client("c", cluster);
      const load = new Load(cluster, client);
      try {
        cluster.startInitialMembers();
        await topicOn(cluster, client);
        load.start();
        await until("records", () => Promise.resolve(load.acknowledged.length > 400 || null));
        const leader = (await until("a leader", () => cluster.leader())).node;
        const victim = of === "the leader" ? leader : cluster.nodes.find((one) => one !== leader);
        if (victim === undefined) throw new Error("there is no other node");
        const [path = ""] = [
          ...new Glob(`shards/0/${part}`).scanSync({
            cwd: victim.dataDir,
            absolute: true,
            onlyFiles: false,
          }),
        ];
        renameSync(path, join(victim.dataDir, "gone"));
        await until("its end", () => Promise.resolve(victim.endedByItself || null));
        expect(victim.ending).toBe("code 70");
        expect(readFileSync(victim.logPath, "utf8")).toContain(
          `the data directory is lost: ${path} was removed or moved`,
        );
        const before = load.acknowledged.length;
        await until("writes go on", () =>
          Promise.resolve(load.acknowledged.length > before + 100 || null),
        );
        await load.stop();
        for (const node of cluster.running) {
          const values = await until(`records of ${node.id}`, async () => {
            const found = await valuesOn(client, node);
            return found !== null && found.length >= load.acknowledged.length ? found : null;
          });
          const kept = new Set(values);
          expect(load.acknowledged.filter((value) => !kept.has(value))).toEqual([]);
        }
      } finally {
        await load.stop();
        await cluster.stop();
      }
    },
    TIMEOUT_MS,
  );
}
