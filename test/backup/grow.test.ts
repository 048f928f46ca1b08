// Goal: a backup of a cluster, taken from a follower, becomes a new cluster of one that grows to
// three by membership; nodes of the old cluster cannot get in. Method: real processes.
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { Client } from "../tools/crash/client.ts";
import { ayder } from "../tools/process/ayder.ts";
import { freePorts } from "../tools/process/ports.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);
const IDS: readonly string[] = ["a", "b", "c"];
const RECORDS = 60;

const directory = temporaryDirectory();
const running = new Set<Server>();
afterAll(async () => {
  for (const server of running) await server.kill();
  directory.remove();
});

/** Three nodes by name, on ports of their own. */
class Trio {
  readonly raft = freePorts(3);
  readonly http = freePorts(3);
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  dir(id: string): string {
    return join(directory.path, this.#name, id);
  }

  async start(id: string, bootstrap = false): Promise<Server> {
    const at = (each: string) => IDS.indexOf(each);
    const nodes = IDS.map(
      (each) => `${each}:127.0.0.1:${this.raft[at(each)]}:0:${this.http[at(each)]}`,
    );
    const server = await startServer({
      dataDir: this.dir(id),
      args: ["--port", String(this.http[at(id)])],
      env: {
        RF_HA_ENABLED: "1",
        RF_HA_NODE_ID: id,
        RF_HA_NODES: nodes.join(","),
        RF_HA_BOOTSTRAP_LEADER: bootstrap ? "1" : "0",
        RF_HA_HEARTBEAT_MS: "100",
        RF_HA_ELECTION_TIMEOUT_MS: "2000",
        RF_BEARER_TOKENS: "dev",
      },
    });
    running.add(server);
    return server;
  }
}

type Member = { node_id: string; is_voter: boolean; match_index: number | null };

async function until<T>(what: string, ask: () => Promise<T | null>): Promise<T> {
  for (let i = 0; i < 600; i++) {
    const answer = await ask();
    if (answer !== null) return answer;
    await Bun.sleep(100);
  }
  throw new Error(`${what} did not come to pass`);
}

const ready = (server: Server) =>
  until("ready", async () => ((await fetch(`${server.url}/ready`)).ok ? true : null));

async function memberOf(client: Client, id: string): Promise<Member | undefined> {
  const { membership } = (await client.must("GET", "/ha/membership")) as {
    membership: { nodes: Member[] };
  };
  return membership.nodes.find((node) => node.node_id === id);
}

/** Asks again while another change is under way. */
const change = (client: Client, path: string, body: object) =>
  until(`${path} ${JSON.stringify(body)}`, async () => {
    const answer = await client.send("POST", `/ha/membership/${path}`, JSON.stringify(body));
    return answer?.status === 200 ? true : null;
  });

async function values(server: Server): Promise<string[]> {
  const page = await new Client(server.url).must(
    "GET",
    "/broker/consume/t/g/0?offset=0&limit=1000",
  );
  return (page["messages"] as { value: string }[]).map(({ value }) => value);
}

test("a backup of a follower is restored, and grows to three", async () => {
  const old = new Trio("old");
  const nodes = await Promise.all(IDS.map((id, i) => old.start(id, i === 0)));
  for (const server of nodes) await ready(server);
  const health = await until("a leader", async () => {
    const { membership } = (await new Client(nodes[0]?.url ?? "").must(
      "GET",
      "/ha/membership",
    )) as {
      membership: { leader_id: string | null };
    };
    return membership.leader_id;
  });
  const [leader, follower] = [
    nodes[IDS.indexOf(health)],
    nodes[IDS.findIndex((id) => id !== health)],
  ] as [Server, Server];
  const client = new Client(leader.url);
  await client.must("POST", "/broker/topics", '{"name":"t","partitions":1}');
  const expected = Array.from({ length: RECORDS }, (_, i) => `value ${i}`);
  for (const value of expected) await client.must("POST", "/broker/topics/t/produce", value);
  const place = join(directory.path, "follower.ayder");
  const env = { AYDER_TOKEN: "dev" };
  const backup = await ayder(["backup", "--url", follower.url, place], { env });
  expect(backup).toMatchObject({ code: 0, err: "" });
  // The old cluster goes on: its log and the restored one are different from here.
  await client.must("POST", "/broker/topics/t/produce", "only in the old cluster");
  for (const server of nodes) {
    await until("applied", async () => ((await values(server)).length > RECORDS ? true : null));
  }
  // In good order, so that a node alone knows what is committed.
  for (const server of nodes) await server.stop();

  const grown = new Trio("grown");
  const restored = await ayder(["restore", place, "--data-dir", grown.dir("a"), "--node-id", "a"]);
  expect(restored).toMatchObject({ code: 0, err: "" });
  expect((await ayder(["verify", grown.dir("a")])).code).toBe(0);
  // A look at it first, alone: the address of a node that nobody dials must not stay with it.
  const alone = await startServer({ dataDir: grown.dir("a"), env: { RF_HA_NODE_ID: "a" } });
  expect(await values(alone)).toEqual(expected);
  await alone.stop();
  const first = await grown.start("a", true);
  await ready(first);
  expect(await values(first)).toEqual(expected);
  const one = new Client(first.url);
  const address = (i: number) => ({
    advertise_addr: `127.0.0.1:${grown.raft[i]}`,
    http_addr: `127.0.0.1:${grown.http[i]}`,
  });

  // A disk of the old cluster under the new settings: it is refused, and keeps what it has.
  cpSync(old.dir("b"), grown.dir("b"), { recursive: true });
  const stranger = await grown.start("b");
  await change(one, "add", { node_id: "b", ...address(1) });
  await Bun.sleep(2_000);
  expect(await values(stranger)).toEqual([...expected, "only in the old cluster"]);
  expect((await memberOf(one, "b"))?.match_index ?? 0).toBe(0);
  await stranger.kill();
  await change(one, "remove", { node_id: "b" });
  await Bun.$`rm -r ${grown.dir("b")}`.quiet();

  await one.must("POST", "/broker/topics/t/produce", "after the restore");
  for (const [i, id] of [
    [1, "b"],
    [2, "c"],
  ] as const) {
    const joining = await grown.start(id);
    await change(one, "add", { node_id: id, ...address(i) });
    await change(one, "promote", { node_id: id });
    await until(`${id} votes`, async () => ((await memberOf(one, id))?.is_voter ? true : null));
    await ready(joining);
    expect(await values(joining)).toEqual([...expected, "after the restore"]);
  }
  // Two of three continue without the first member.
  await first.kill();
  const rest = [...running].slice(-2);
  const written = await until("a leader among the rest", async () => {
    for (const server of rest) {
      const answer = await new Client(server.url).send("POST", "/broker/topics/t/produce", "still");
      if (answer?.status === 200) return answer.body;
    }
    return null;
  });
  expect(written["offset"]).toBe(RECORDS + 1);
});
