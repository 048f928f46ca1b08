/** `RF_COMPAT=ayder` on real servers: one alone, three in a cluster, and one with TLS and IPv6. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { startNodes, untilReady } from "../tools/process/nodes.ts";
import { freePorts } from "../tools/process/ports.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";
import { Authority } from "../tools/transport/certificates.ts";

const TIMEOUT_MS = 120_000;
const directory = temporaryDirectory();
afterAll(() => directory.remove());

type Body = Record<string, unknown>;
/** `GET /path`, with a body as JSON unless it is text. */
async function ask(url: string, line: string, body?: unknown) {
  const [method = "", path = ""] = line.split(" ");
  const response = await fetch(url + path, {
    method,
    headers: { authorization: "Bearer dev" },
    tls: { rejectUnauthorized: false },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Body };
}

describe.each(["0", "1"])("a node alone, RF_HA_DEDICATED_WORKER=%s", (dedicated) => {
  let server: Server;
  beforeAll(async () => {
    const env = { RF_COMPAT: "ayder", RF_HA_DEDICATED_WORKER: dedicated };
    server = await startServer({ dataDir: join(directory.path, `alone-${dedicated}`), env });
    for (const topic of ["t", "u"]) {
      await ask(server.url, "POST /broker/topics", { name: topic, partitions: 1 });
      for (const value of [
        { id: 1, s: "1" },
        { id: 2, s: "2" },
        { id: 3, s: "3" },
      ]) {
        await ask(server.url, `POST /broker/topics/${topic}/produce?partition=0`, value);
      }
    }
  }, TIMEOUT_MS);
  afterAll(async () => {
    await server.kill();
  });

  const commit = async (group: string, offset: number) =>
    await ask(server.url, "POST /broker/commit", { topic: "t", group, partition: 0, offset });
  const read = async (group: string, query = "") => {
    const { body } = await ask(server.url, `GET /broker/consume/t/${group}/0${query}`);
    const messages = body["messages"] as readonly { offset: number }[];
    return [body["committed_offset"], body["next_offset"], messages.map(({ offset }) => offset)];
  };

  test("health, unknown names, and a group without a commit", async () => {
    expect((await ask(server.url, "GET /health")).body).toEqual({ ok: 1 });
    expect((await ask(server.url, "GET /broker/consume/t/none/0?unknown=1")).status).toBe(200);
    expect(await read("none")).toEqual([null, 3, [0, 1, 2]]);
  });
  test("a committed offset is the last one that was processed", async () => {
    expect((await commit("g", 0)).body).toEqual({ ok: true, committed_offset: 0 });
    expect(await read("g")).toEqual([0, 3, [1, 2]]);
    expect((await commit("g", 2)).body).toEqual({ ok: true, committed_offset: 2 });
    expect(await read("g")).toEqual([2, 3, []]);
    // It never moves back.
    expect((await commit("g", 1)).body).toEqual({ ok: true, committed_offset: 2 });
  });
  test("a commit of the end, and one beyond it, mean that all was read", async () => {
    for (const [group, offset] of [
      ["end", 3],
      ["beyond", 10],
      ["far", Number.MAX_SAFE_INTEGER],
    ] as const) {
      const { status, body } = await commit(group, offset);
      expect([status, body["ok"], body["committed_offset"]]).toEqual([200, true, 2]);
      expect(await read(group)).toEqual([2, 3, []]);
    }
    await ask(server.url, "POST /broker/topics", { name: "grows", partitions: 1 });
    const place = { topic: "grows", group: "g", partition: 0 };
    const empty = await ask(server.url, "POST /broker/commit", { ...place, offset: 0 });
    expect(empty.body["committed_offset"]).toBeNull();
    await ask(server.url, "POST /broker/topics/grows/produce?partition=0", "x");
    const first = await ask(server.url, "GET /broker/consume/grows/g/0");
    expect(first.body["count"]).toBe(1);
  });
  test("offset=-1 is the start for consume, query, join and views", async () => {
    await commit("late", 1);
    expect(await read("late", "?offset=-1")).toEqual([1, 3, [0, 1, 2]]);
    const source = { topic: "t", partition: 0, group: "late", offset: -1 };
    const query = await ask(server.url, "POST /broker/query", {
      source,
      transform: { emit_rows: 9 },
    });
    expect((query.body["rows"] as Body[]).map((row) => row["id"])).toEqual([1, 2, 3]);
    const joined = await ask(server.url, "POST /broker/join", {
      left: source,
      right: { ...source, topic: "u" },
      on: { left_key: "id", right_key: "s" },
      emit: { left_fields: ["id"] },
    });
    const rows = joined.body["rows"] as Body[];
    expect(rows.map(({ key, left, right }) => [key, left, right])).toEqual([
      ["1", { id: 1 }, {}],
      ["2", { id: 2 }, {}],
      ["3", { id: 3 }, {}],
    ]);
    const view = { source: { topic: "t", offset: -1 }, aggregate: { group_by: ["id"] } };
    expect((await ask(server.url, "PUT /broker/views/v", view)).status).toBe(200);
    // Without it both begin after the committed offset.
    const { offset: _, ...committed } = source;
    const rest = await ask(server.url, "POST /broker/query", {
      source: committed,
      transform: { emit_rows: 9 },
    });
    expect((rest.body["rows"] as Body[]).map((row) => row["id"])).toEqual([3]);
    const wrong = await ask(server.url, "POST /broker/query", {
      source: { ...source, offset: -2 },
    });
    expect([wrong.status, wrong.body["error"]]).toEqual([400, "invalid_field"]);
  });
  test("offset=-1 is the first record that is kept", async () => {
    await ask(server.url, "POST /broker/topics", { name: "cut", partitions: 1 });
    for (const value of [{ n: 0 }, { n: 1 }, { n: 2 }]) {
      await ask(server.url, "POST /broker/topics/cut/produce?partition=0", value);
    }
    const place = { topic: "cut", partition: 0 };
    await ask(server.url, "POST /broker/delete-before", { ...place, before_offset: 2 });
    const consumed = await ask(server.url, "GET /broker/consume/cut/g/0?offset=-1");
    expect([consumed.body["count"], consumed.body["next_offset"]]).toEqual([1, 3]);
    const source = { ...place, offset: -1 };
    const query = await ask(server.url, "POST /broker/query", {
      source,
      transform: { emit_rows: 9 },
    });
    expect(query.body["rows"]).toEqual([{ n: 2 }]);
  });
  test("dedupe_once keeps a pair only if the left offset is not above the right one", async () => {
    await ask(server.url, "POST /broker/topics", { name: "w", partitions: 1 });
    for (const value of [{ id: 9 }, { id: 2 }]) {
      await ask(server.url, "POST /broker/topics/w/produce?partition=0", value);
    }
    const side = (topic: string) => ({ topic, partition: 0, offset: 0 });
    const run = async (left: string, right: string) => {
      const { body } = await ask(server.url, "POST /broker/join", {
        left: side(left),
        right: side(right),
        on: { left_key: "id", right_key: "id" },
        dedupe_once: true,
        window: { size_ms: 3_600_000 },
      });
      return (body["rows"] as Body[]).map(({ key }) => key);
    };
    // Both have the key 2 at offset 1.
    expect(await run("t", "w")).toEqual(["2"]);
    await ask(server.url, "POST /broker/topics/w/produce?partition=0", { id: 1 });
    // Key 1 lies at 0 in one topic and at 2 in the other.
    expect(await run("t", "w")).toEqual(["1", "2"]);
    expect(await run("w", "t")).toEqual(["2"]);
  });
});

test(
  "in a cluster consume is linearizable unless it asks otherwise",
  async () => {
    const nodes = startNodes(join(directory.path, "three"), {
      RF_COMPAT: "ayder",
      RF_HA_FOLLOWER_WRITES: "forward",
      RF_HA_ELECTION_TIMEOUT_MS: "600",
      RF_HA_HEARTBEAT_MS: "60",
    });
    try {
      await untilReady(nodes.urls);
      const [url = "", second = "", third = ""] = nodes.urls;
      await ask(url, "POST /broker/topics", { name: "t", partitions: 1 });
      for (let i = 0; i < 20; i++) {
        expect((await ask(url, "POST /broker/topics/t/produce?partition=0", "x")).status).toBe(200);
        for (const each of [second, third]) {
          const { body } = await ask(each, "GET /broker/consume/t/g/0");
          expect(body["next_offset"]).toBe(i + 1);
        }
      }
      for (const child of nodes.children.slice(0, 2)) child.kill("SIGSTOP");
      const alone = await ask(third, "GET /broker/consume/t/g/0");
      expect(alone.status).toBe(503);
      expect(["no_leader", "no_quorum"]).toContain(String(alone.body["error"]));
      const applied = await ask(third, "GET /broker/consume/t/g/0?consistency=applied");
      expect([applied.status, applied.body["next_offset"]]).toEqual([200, 20]);
    } finally {
      for (const child of nodes.children) child.kill("SIGKILL");
      await Promise.all(nodes.children.map((child) => child.exited));
    }
  },
  TIMEOUT_MS,
);

test(
  "addresses of members are URLs with the scheme in force, and IPv6 stands in brackets",
  async () => {
    const authority = new Authority(join(directory.path, "ca"));
    authority.issue({ id: "n1", alternativeNames: ["IP:::1", "DNS:n1"] });
    const file = (name: string) => join(authority.directory, name);
    const https = { RF_TLS_CERT: file("n1.pem"), RF_TLS_KEY: file("n1.key") };
    const peers = {
      RF_HA_TLS: "1",
      RF_HA_TLS_CA: file("ca.pem"),
      RF_HA_TLS_CERT: file("n1.pem"),
      RF_HA_TLS_KEY: file("n1.key"),
    };
    const cases = [
      ["ayder", {}, "http://", "http://"],
      ["ayder", https, "http://", "https://"],
      ["ayder", peers, "https://", "http://"],
      ["ayder", { ...https, ...peers }, "https://", "https://"],
      ["", { ...https, ...peers }, "", ""],
    ] as const;
    for (const [i, [compat, tls, raft, http]] of cases.entries()) {
      const [raftPort = 0, httpPort = 0] = freePorts(2);
      const server = await startServer({
        dataDir: join(directory.path, `tls-${i}`),
        args: ["--host", "::1"],
        env: {
          ...(compat === "" ? {} : { RF_COMPAT: compat }),
          RF_HA_ENABLED: "1",
          RF_HA_NODE_ID: "n1",
          RF_HA_NODES: `n1:[::1]:${raftPort}:1:${httpPort}`,
          RF_HA_BOOTSTRAP_LEADER: "1",
          ...tls,
        },
      });
      const { body } = await ask(server.url, "GET /ha/membership");
      const { nodes } = body["membership"] as { nodes: Body[] };
      expect(nodes[0]).toMatchObject({
        node_id: "n1",
        advertise_addr: `${raft}[::1]:${raftPort}`,
        http_addr: `${http}[::1]:${httpPort}`,
      });
      await server.kill();
    }
  },
  TIMEOUT_MS,
);
