/**
 * Goal: a read of a member that its client gave up gives nothing out, when it reaches the leader after
 * the member has joined again. Method: a follower that stands still has the read in its socket.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createClient } from "../../src/client/index.ts";
import { Cluster, TOKEN } from "../tools/cluster/cluster.ts";
import type { NodeProcess } from "../tools/cluster/node-process.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const TIMEOUT_MS = 120_000;
const ROUNDS = 8;
const directory = temporaryDirectory();
const environment = { RF_HA_FOLLOWER_WRITES: "forward" };
const cluster = new Cluster({
  size: 3,
  directory: directory.path,
  network: "direct",
  environment,
});
const urlOf = ({ http }: NodeProcess): string => `http://${http.host}:${http.port}`;

beforeAll(async () => {
  cluster.startInitialMembers();
  const client = createClient({ urls: cluster.nodes.map(urlOf), token: TOKEN, retryMs: 60_000 });
  await client.topics.create("t", { partitions: 1 });
}, TIMEOUT_MS);
afterAll(async () => {
  await cluster.stop();
  directory.remove();
});

type Page = { readonly messages: readonly { readonly value: string }[] };

async function ask(node: NodeProcess, path: string, body: object | null, signal?: AbortSignal) {
  const answer = await fetch(`${urlOf(node)}/broker/groups/g/${path}`, {
    method: body === null ? "GET" : "POST",
    headers: { authorization: `Bearer ${TOKEN}` },
    keepalive: false,
    ...(body === null ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as Page;
}

/** The leader, once there is one, and a follower. */
async function roles(): Promise<[NodeProcess, NodeProcess]> {
  for (;;) {
    const leader = (await cluster.leader())?.node;
    const follower = cluster.nodes.find((node) => node !== leader);
    if (leader !== undefined && follower !== undefined) return [leader, follower];
    await Bun.sleep(20);
  }
}

test(
  "a read that was given up takes no records from the member that joins again",
  async () => {
    const join = { topics: ["t"], member: "m", lease_ms: 60_000 };
    const client = createClient({ urls: cluster.nodes.map(urlOf), token: TOKEN, retryMs: 60_000 });
    for (let round = 0; round < ROUNDS; round++) {
      const [leader, follower] = await roles();
      await ask(leader, "join", join);
      follower.pause();
      const signal = AbortSignal.timeout(100);
      const given = ask(follower, "messages?member=m", null, signal);
      expect(await given.catch((error: Error) => error.name)).toBe("TimeoutError");
      await client.produce("t", `record ${round}`, { partition: 0 });
      await ask(leader, "join", join);
      follower.resume();
      // The follower answers again, so it has gone through what was in its sockets.
      while ((await cluster.ask(follower, "/ready")) === null) await Bun.sleep(10);
      const { messages } = await ask(leader, "messages?member=m", null);
      expect(messages.at(-1)?.value).toBe(`record ${round}`);
    }
  },
  TIMEOUT_MS,
);
