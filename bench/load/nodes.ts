/** Three nodes of Ayder on this machine, of the binary if there is one, for a measurement. */
import { existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";

const NODES = [1, 2, 3];
const HEADERS = { authorization: "Bearer dev" };
const binary = join(import.meta.dir, "../../dist/ayder");
const command = existsSync(binary)
  ? [binary]
  : [process.execPath, join(import.meta.dir, "../../src/main.ts")];

export class ThreeNodes {
  readonly #directory: string;
  readonly #list: string;
  /** HTTP ports, by node. */
  readonly ports: readonly number[];
  readonly #children = new Map<number, Subprocess>();

  readonly #followerWrites: "redirect" | "forward";

  /** @param directory the nodes' data go below it; the caller removes it. */
  constructor(directory: string, followerWrites: "redirect" | "forward" = "redirect") {
    this.#directory = directory;
    this.#followerWrites = followerWrites;
    const ports = NODES.map(() => [freePort(), freePort()] as const);
    this.ports = ports.map(([, http]) => http);
    this.#list = ports
      .map(([raft, http], i) => `n${i + 1}:127.0.0.1:${raft}:${3 - i}:${http}`)
      .join(",");
  }

  /** @param node 0, 1 or 2; the first founds the cluster. */
  start(node: number): void {
    const log = openSync(this.#logOf(node), "a");
    const child = Bun.spawn([...command, "--data-dir", join(this.#directory, `n${node + 1}`)], {
      env: {
        ...process.env,
        RF_HA_ENABLED: "1",
        RF_HA_NODE_ID: `n${node + 1}`,
        RF_HA_NODES: this.#list,
        RF_HA_BOOTSTRAP_LEADER: node === 0 ? "1" : "0",
        RF_HA_FOLLOWER_WRITES: this.#followerWrites,
        RF_LOG_LEVEL: "info",
      },
      stdio: ["ignore", "ignore", log],
    });
    this.#children.set(node, child);
  }

  pidOf(node: number): number {
    const pid = this.#children.get(node)?.pid;
    if (pid === undefined) throw new Error(`node ${node} was not started`);
    return pid;
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(node: number): Promise<void> {
    const child = this.#children.get(node);
    child?.kill("SIGKILL");
    await child?.exited;
  }

  /** Starts all and creates the topic `bench`. @returns the HTTP port of the leader. */
  async startAll(partitions: number): Promise<number> {
    for (const node of NODES.keys()) this.start(node);
    const body = JSON.stringify({ name: "bench", partitions });
    for (;;) {
      for (const port of this.ports) {
        const url = `http://127.0.0.1:${port}/broker/topics`;
        const request = { method: "POST", headers: HEADERS, body, redirect: "manual" } as const;
        const answer = await fetch(url, request).catch(() => null);
        if (answer?.status === 200) return port;
      }
      await Bun.sleep(50);
    }
  }

  /** Messages of the topic that the node has applied; -1 while it does not answer. */
  async messagesAt(node: number): Promise<number> {
    const url = `http://127.0.0.1:${this.ports[node]}/broker/topics`;
    const answer = await fetch(url, { headers: HEADERS }).catch(() => null);
    if (answer?.status !== 200) return -1;
    const { topics } = (await answer.json()) as { topics: { topic: string; messages: number }[] };
    return topics.find(({ topic }) => topic === "bench")?.messages ?? -1;
  }

  /** The node takes a checkpoint, and keeps no log for who is down. */
  async compact(node: number): Promise<void> {
    const url = `http://127.0.0.1:${this.ports[node]}/admin/compact`;
    const answer = await fetch(url, { method: "POST", headers: HEADERS });
    if (answer.status !== 200) throw new Error(await answer.text());
  }

  /** Snapshots that any node has begun to send since the start. */
  snapshotsSent(): number {
    const texts = [...this.#children.keys()].map((node) => readFileSync(this.#logOf(node), "utf8"));
    return texts.join("").split("sending snapshot").length - 1;
  }

  #logOf(node: number): string {
    return join(this.#directory, `n${node + 1}.log`);
  }

  killAll(): void {
    for (const child of this.#children.values()) child.kill("SIGKILL");
  }
}

export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}
