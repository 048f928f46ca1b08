/** Topics, groups, keys and cluster with the command line, as processes against a real server. */

import { expect, test } from "bun:test";
import { createClient } from "../../src/client/index.ts";
import { ayder, type Run } from "../tools/process/ayder.ts";
import { freePorts } from "../tools/process/ports.ts";
import { testServer } from "../tools/process/test-server.ts";

const { directory, server } = testServer();
const url = () => server.url;
const client = () => createClient({ url: url(), token: "dev" });
const run = (...args: string[]): Promise<Run> => ayder([...args, "--url", url()]);
const lines = (text: string): string[] => text.trimEnd().split("\n");

test("topics are created, listed, described and deleted", async () => {
  expect(await run("topics", "create", "orders", "-p", "2")).toEqual({
    code: 0,
    out: "orders has 2 partitions\n",
    err: "",
  });
  await client().produceBatch("orders", ["aa", "b", "c"], { partition: 1 });
  await client().commit({ topic: "orders", group: "billing", partition: 1, offset: 1 });

  const list = await run("topics");
  expect(lines(list.out)[0]).toBe("TOPIC   PARTITIONS  MESSAGES  SIZE");
  expect(lines(list.out)[1]).toBe("orders           2         3  4 B");
  expect(JSON.parse((await run("topics", "list", "--json")).out)).toEqual({
    topics: [{ topic: "orders", partitions: 2, messages: 3, bytes: 4 }],
  });
  const { out } = await run("topics", "describe", "orders");
  expect(lines(out)).toEqual([
    "PARTITION  LOW  END  OFFSETS  SIZE",
    "        0    0    0        0  0 B",
    "        1    0    3        3  4 B",
    "",
    "GROUP    PARTITION  COMMITTED  LAG",
    "billing          0          -    0",
    "billing          1          1    2",
  ]);
  const described = JSON.parse((await run("topics", "describe", "orders", "--json")).out);
  expect(described.partitions[1]).toEqual({
    partition: 1,
    low_watermark: 0,
    end_offset: 3,
    bytes: 4,
  });

  const other = await run("topics", "create", "orders", "--partitions", "3");
  expect([other.code, other.out]).toEqual([1, ""]);
  expect(other.err).toContain("topic_exists");
  const unsure = await run("topics", "delete", "orders");
  expect([unsure.code, (await client().topics.list()).length]).toEqual([2, 1]);
  expect((await run("topics", "delete", "orders", "--yes")).code).toBe(0);
  expect(await client().topics.list()).toEqual([]);
  expect((await run("topics", "describe", "orders")).code).toBe(1);
});

test("groups show their lag and seek forward and back", async () => {
  await client().topics.create("g", { partitions: 2 });
  for (const partition of [0, 1]) await client().produceBatch("g", [1, 2, 3], { partition });
  await client().commit({ topic: "g", group: "a", partition: 0, offset: 2 });
  await client().commit({ topic: "g", group: "b", partition: 1, offset: 1 });
  expect(lines((await run("groups")).out)).toEqual([
    "TOPIC  GROUP  PARTITION  COMMITTED  LAG",
    "g      a              0          2    1",
    "g      a              1          -    3",
    "g      b              0          -    3",
    "g      b              1          1    2",
  ]);
  expect(JSON.parse((await run("groups", "lag", "g", "b", "--json")).out)).toEqual({
    groups: [
      { topic: "g", group: "b", partition: 0, committed_offset: null, lag: 3 },
      { topic: "g", group: "b", partition: 1, committed_offset: 1, lag: 2 },
    ],
  });
  const seek = await run("groups", "seek", "g", "b", "--partition", "1", "--to", "2");
  expect(seek).toEqual({ code: 0, out: "b continues at g/1 offset 2\n", err: "" });
  const back = await run("groups", "seek", "g", "b", "--to", "0", "-p", "1");
  expect(back).toEqual({ code: 0, out: "b continues at g/1 offset 0\n", err: "" });
  const fresh = await run("groups", "seek", "g", "new", "-p", "0", "--to", "latest");
  expect(fresh).toEqual({ code: 0, out: "new continues at g/0 offset 3\n", err: "" });
  expect(await run("groups", "seek", "g", "b", "--to", "9")).toEqual({
    code: 1,
    out: "",
    err: "ayder: offset 9 is beyond the end of g/0, which is 3; nothing was committed\n",
  });
  expect((await run("groups", "seek", "g", "b", "-p", "7")).code).toBe(1);
  expect((await run("groups", "seek", "g", "b", "--to", "soon")).code).toBe(2);
  expect((await run("groups", "seek", "g", "b", "--to", "latest")).code).toBe(0);
  expect((await client().groups("g")).filter(({ group }) => group === "b")).toEqual([
    { group: "b", partition: 0, committedOffset: 3, lag: 0 },
    { group: "b", partition: 1, committedOffset: 3, lag: 0 },
  ]);
  expect(await run("groups", "delete", "b")).toEqual({
    code: 0,
    out: "deleted b with 2 committed offsets\n",
    err: "",
  });
  expect((await client().groups("g")).filter(({ group }) => group === "b")).toEqual([]);
  expect((await run("groups", "delete", "b")).err).toContain("group_not_found");
});

test("retention is set for a topic, a partition and all topics, and listed", async () => {
  await client().topics.create("old", { partitions: 2 });
  expect(await run("retention", "set", "old", "--ttl-ms", "86400000")).toEqual({
    code: 0,
    out: "set the retention of old\n",
    err: "",
  });
  expect((await run("retention", "set", "old", "-p", "1", "--max-bytes", "5")).code).toBe(0);
  expect(lines((await run("retention")).out)).toEqual([
    "TOPIC  PARTITION  TTL_MS    MAX_BYTES",
    "old    all        86400000  not set",
    "old    1          not set   5",
  ]);
  const { policies } = JSON.parse((await run("retention", "list", "--json")).out);
  expect(policies).toEqual([
    { topic: "old", partition: null, ttl_ms: 86_400_000, max_bytes: null },
    { topic: "old", partition: 1, ttl_ms: null, max_bytes: 5 },
  ]);
  const removed = ["--max-bytes", "inherit", "--json"];
  expect(await run("retention", "set", "old", "-p", "1", ...removed)).toEqual({
    code: 0,
    out: '{"topic":"old","partition":1,"max_bytes":null}\n',
    err: "",
  });
  expect(lines((await run("retention")).out)).toEqual([
    "TOPIC  PARTITION    TTL_MS  MAX_BYTES",
    "old    all        86400000  not set",
  ]);
  expect((await run("retention", "set", "old", "--ttl-ms", "inherits")).err).toContain(
    '--ttl-ms: "inherits" is not an integer',
  );
  expect((await run("retention", "set", "old")).code).toBe(2);
  expect((await run("retention", "set", "none", "--ttl-ms", "1")).err).toContain("topic_not_found");
  await client().topics.delete("old");
});

test("keys are set, read byte for byte, listed and deleted", async () => {
  expect((await run("kv", "set", "ns", "a/b", "blue")).out).toBe("revision 1\n");
  expect((await run("kv", "get", "ns", "a/b")).out).toBe("blue");
  const bytes = Uint8Array.of(0, 10, 255, 13);
  const piped = await ayder(["kv", "set", "ns", "raw", "--url", url()], { stdin: bytes });
  expect(piped.code).toBe(0);
  expect((await client().kv("ns").get("raw"))?.bytes).toEqual(bytes);
  const shown = JSON.parse((await run("kv", "get", "ns", "raw", "--json")).out);
  expect(shown).toEqual({ key: "raw", value_b64: Buffer.from(bytes).toString("base64"), cas: 2 });

  const raced = await run("kv", "set", "ns", "a/b", "red", "--cas", "0");
  expect([raced.code, (await client().kv("ns").get("a/b"))?.text]).toEqual([1, "blue"]);
  expect(raced.err).toContain("cas_mismatch");
  expect((await run("kv", "set", "ns", "a/b", "red", "--cas", "1", "--ttl", "2h")).code).toBe(0);
  expect((await run("kv", "meta", "ns", "a/b")).out).toMatch(/a\/b +3 +3 B +119 min/);
  expect((await run("kv", "set", "ns", "x", "y", "--ttl", "soon")).code).toBe(2);
  const list = await run("kv", "list", "ns", "--json");
  expect(JSON.parse(list.out).keys.map(({ key }: { key: string }) => key)).toEqual(["a/b", "raw"]);
  expect(lines((await run("kv", "list", "ns", "a", "-n", "1")).out).length).toBe(2);
  expect((await run("kv", "list")).out).toMatch(/^ns +2 +13 B +3$/m);

  expect((await run("kv", "del", "ns", "a/b")).out).toBe("deleted\n");
  expect((await run("kv", "del", "ns", "a/b")).out).toBe("key does not exist\n");
  const gone = await run("kv", "get", "ns", "a/b");
  expect([gone.code, gone.out]).toEqual([1, ""]);

  const kept = await run("kv", "drop", "ns", "--if-empty");
  expect([kept.code, kept.err]).toEqual([1, expect.stringContaining("namespace_not_empty")]);
  expect((await run("kv", "drop", "ns")).out).toBe("deleted ns with 1 key, 7 B\n");
  expect((await run("kv", "drop", "ns")).out).toBe("namespace ns does not exist\n");
  expect((await run("kv", "list")).out).not.toContain("ns ");
  expect((await run("kv", "set", "ns", "a/b", "blue")).out).toBe("revision 4\n");
  expect(JSON.parse((await run("kv", "drop", "ns", "--json")).out)).toMatchObject({
    deleted: true,
    keys: 1,
    bytes: 7,
  });
});

test("cluster shows a single node, and errors of the server", async () => {
  const status = await run("cluster");
  expect(status.out).toMatch(/^node1 +leader +yes +yes +\d+ /m);
  expect(status.out).toContain("node1 leads in term");
  const { membership } = JSON.parse((await run("cluster", "status", "--json")).out);
  expect(membership).toMatchObject({ leader_id: "node1", node_count: 1, joint_active: false });
  const promoted = await run("cluster", "promote", "nobody");
  expect([promoted.code, promoted.err.includes("member_not_found")]).toEqual([1, true]);
  expect((await run("cluster", "add", "node2")).code).toBe(2);
});

test("an unreachable server is code 3, a wrong token 1, an invalid address 2", async () => {
  const [port = 0] = freePorts(1);
  const nobody = await ayder(["topics", "--url", `http://127.0.0.1:${port}`]);
  expect([nobody.code, nobody.out]).toEqual([3, ""]);
  expect(nobody.err).toContain("unreachable");
  const env = { AYDER_URL: url(), AYDER_TOKEN: "wrong" };
  const denied = await ayder(["topics"], { env });
  expect([denied.code, denied.err.includes("unauthorized")]).toEqual([1, true]);
  expect((await ayder(["topics"], { env: { AYDER_URL: url() } })).code).toBe(0);
  expect((await ayder(["topics", "--url", "ftp://x"])).code).toBe(2);
  expect((await ayder(["topics", "--url", "nonsense"])).code).toBe(2);
  const second = await ayder(["topics", "--url", `http://127.0.0.1:${port},${url()}`]);
  expect(second.code).toBe(0);
}, 30_000);

test("errors of a wrong setting or name say what to do next, except with --json", async () => {
  const [port = 0] = freePorts(1);
  const nobody = `http://127.0.0.1:${port}`;
  const start =
    "`ayder serve` starts a server on this machine; --url or AYDER_URL names another one\n";
  for (const [args, env, code, next] of [
    [["topics", "--url", nobody], {}, 3, start],
    [["topics"], { AYDER_TOKEN: "wrong" }, 1, "AYDER_TOKEN is not a token of this server\n"],
    [["topics", "--url", url().replace("http:", "https:")], {}, 3, "may begin with http://\n"],
    [["topics"], { AYDER_TOKEN: "a\nb" }, 2, "AYDER_TOKEN has a line break or another character"],
    [["query"], {}, 2, "a query in JSON as an argument, a file or standard input, is missing\n"],
    [["queues", "create", "q"], {}, 2, 'no action "create"; did you mean define?'],
    [["views", "rm", "v"], {}, 2, 'no action "rm"; did you mean delete?'],
    [["topics", "creat", "t"], {}, 2, 'no action "creat"; did you mean create?'],
  ] as const) {
    const told = await ayder(args, { env: { AYDER_URL: url(), ...env } });
    expect([told.code, told.err]).toEqual([code, expect.stringContaining(next)]);
  }
  const json = await ayder(["topics", "--json", "--url", nobody]);
  expect(json.err).not.toContain("ayder serve");
}, 60_000);

test("an error of the server names its page of the manual, except with --json", async () => {
  const env = { AYDER_URL: url() };
  const failing: readonly (readonly [page: string, args: readonly string[], env?: object])[] = [
    ["topics", ["topics", "describe", "nothing"]],
    ["topics", ["produce", "orders", "x", "-p", "99"]],
    ["topics", ["produce", "orders", "x", "-p", "99", "--atomic"]],
    ["kv", ["kv", "set", "help", "k", "v", "--cas", "7"]],
    ["cluster", ["cluster", "promote", "nobody"]],
    ["errors", ["query", "{}"]],
    ["security", ["topics"], { AYDER_TOKEN: "wrong" }],
    ["security", ["bench", "kv", "-s", "1"], { AYDER_TOKEN: "wrong" }],
    ["security", ["backup", `${directory.path}/never`], { AYDER_TOKEN: "wrong" }],
  ];
  for (const [page, args, more] of failing) {
    const { code, err } = await ayder(args, { env: { ...env, ...more } });
    const [, last = ""] = /\nsee (.*)\n$/.exec(err) ?? [];
    expect([args, code, last]).toEqual([args, 1, `${url()}/docs/${page}`]);
    expect((await fetch(last)).status).toBe(200);
    const json = await ayder([...args, "--json"], { env: { ...env, ...more } });
    expect([args, json.code, json.err.includes("see ")]).toEqual([args, 1, false]);
  }
}, 60_000);

test("the default token is not sent to another machine", async () => {
  const seen: (string | null)[] = [];
  const other = Bun.serve({
    port: 0,
    fetch(request) {
      seen.push(request.headers.get("authorization"));
      return Response.json({ ok: true, topics: [] });
    },
  });
  try {
    // The address is not a loopback name, but it leads to this machine.
    const elsewhere = `http://0.0.0.0:${other.port}`;
    expect((await ayder(["topics", "--url", elsewhere])).code).toBe(0);
    const env = { AYDER_TOKEN: "given" };
    expect((await ayder(["topics", "--url", elsewhere], { env })).code).toBe(0);
    expect((await ayder(["topics", "--url", `http://127.0.0.1:${other.port}`])).code).toBe(0);
    expect(seen).toEqual([null, "Bearer given", "Bearer dev"]);
  } finally {
    await other.stop(true);
  }
});
