/** The command line with hostile servers and data: escape sequences, redirects, proxies. */
import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { table } from "../../src/cli/table.ts";
import { harmless, visible } from "../../src/cli/visible.ts";
import { ayder } from "../tools/process/ayder.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

const servers: Bun.Server<undefined>[] = [];
const directory = temporaryDirectory();
afterAll(() => {
  for (const server of servers) void server.stop(true);
  directory.remove();
});
function serve(answer: (path: string, request: Request) => Response): string {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => answer(new URL(request.url).pathname, request),
  });
  servers.push(server);
  return `http://127.0.0.1:${server.port}`;
}

/** A terminal title, C1, DEL, bidirectional controls, a lone surrogate, and a forged line. */
const EVIL = "\u001b]0;owned\u0007\u009b31m\u007f\u202e\u061c\u2066\r\nayder: forged";
const RAW =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the expression looks for them.
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

const evilServer = () =>
  serve((path, { method }) => {
    const node = { node_id: EVIL, http_addr: EVIL, advertise_addr: EVIL, role: EVIL };
    const evil: Record<string, object> = {
      "/health": { ok: true, [EVIL]: EVIL },
      "/ha/membership": { membership: { nodes: [node], leader_id: EVIL, term: 1 } },
      "/ha/leader/transfer": { ok: true, target: EVIL },
      "/broker/query": {
        ok: true,
        rows: [{ [EVIL]: { [EVIL]: EVIL } }],
        aggregates: [{ key: EVIL, group: { [EVIL]: EVIL }, count: 1, [EVIL]: 1 }],
        source: { topic: EVIL, [EVIL]: EVIL },
      },
      "/broker/topics": { topics: [{ topic: EVIL, partitions: 1, messages: 1, bytes: 1 }] },
      "/broker/join": { ok: true, rows: [{ key: EVIL, left: { [EVIL]: EVIL }, right: EVIL }] },
      "/broker/views": { views: [{ view: EVIL, topic: EVIL, partition: null, lag: 0 }] },
      "/broker/views/v": { aggregates: [{ key: EVIL, group: { [EVIL]: EVIL }, count: 1 }] },
      "/kv": { namespaces: [{ namespace: EVIL, revision: 1 }] },
      "/kv/n": { keys: [{ key: EVIL, cas: 1, ttl_ms: 0, bytes: 1 }], next: null },
      "/broker/consume/t/ayder-client/0": {
        messages: [{ offset: 0, partition: 0, timestamp_ms: 1, key: EVIL, value: EVIL }],
        next_offset: 1,
        end_offset: 1,
        committed_offset: null,
      },
    };
    const answer = method === "GET" || !path.endsWith("topics") ? evil[path] : undefined;
    if (answer !== undefined) return Response.json(answer);
    return Response.json({ ok: false, error: EVIL, message: EVIL }, { status: 400 });
  });

test("text of a server reaches a terminal escaped", async () => {
  const env = { AYDER_URL: evilServer() };
  for (const args of [
    ["health"],
    ["cluster"],
    ["cluster", "transfer"],
    ["query", "{}"],
    ["query", "t", "-p", "0", "--count"],
    ["join", "t", "t", "--left-partition", "0", "--right-partition", "0", "--on", "a"],
    ["views"],
    ["views", "show", "v"],
    ["admin"],
    ["topics"],
    ["topics", "create", "x"],
    ["groups", "lag", "x"],
    ["kv", "list"],
    ["kv", "list", "n"],
    ["kv", "set", "n", "k", "v"],
    ["kv", "meta", "n", "k"],
    ["produce", "t", "x"],
    ["backup", join(directory.path, "never")],
  ]) {
    const { out, err } = await ayder(args, { env });
    expect([args, RAW.exec(out + err)]).toEqual([args, null]);
    expect([args, /^ayder: forged/m.exec(out + err)]).toEqual([args, null]);
    expect(out + err).toContain("owned");
  }
}, 120_000);

test("JSON output keeps all values, with control characters as escapes", async () => {
  const env = { AYDER_URL: evilServer() };
  const json = async (...args: string[]) => {
    const { code, out, err } = await ayder([...args, "--json"], { env });
    expect([code, err, RAW.exec(out)]).toEqual([0, "", null]);
    return JSON.parse(out);
  };
  expect(await json("consume", "t", "--partition", "0")).toMatchObject({ key: EVIL, value: EVIL });
  expect((await json("query", "{}")).rows).toEqual([{ [EVIL]: { [EVIL]: EVIL } }]);
  expect((await json("topics")).topics[0].topic).toBe(EVIL);
  expect((await json("kv", "list", "n")).keys[0].key).toBe(EVIL);
  expect((await json("cluster")).membership.leader_id).toBe(EVIL);
}, 60_000);

test("piped values are the stored bytes", async () => {
  const { out } = await ayder(["consume", "t", "-p", "0", "--keys"], {
    env: { AYDER_URL: evilServer() },
  });
  expect(out).toBe(`${EVIL}\t${EVIL}\n`);
});

test("text and JSON documents are escaped, each in its own way", () => {
  expect(visible("a\tb\n\u009b\u061c\ud800é")).toBe("a\\tb\\n\\x9b\\u061c\\ud800é");
  expect(harmless("a\tb\n\u009b\u202e\r")).toBe("a\tb\n\\u009b\\u202e\\u000d");
  expect(JSON.parse(harmless('"\u009b\u2066\u007f"'))).toBe("\u009b\u2066\u007f");
  expect(table(["a\u001b\n", "b"], [["x", 1]])).toBe("a\\x1b\\n  b\nx        1\n");
});

test("the page of an error is a path of the manual below the address that was asked", async () => {
  for (const [link, shown] of [
    ['</docs/kv>; rel="help"', "/docs/kv"],
    ['<style.css>; rel=preload, </docs/kv>; rel="help"', "/docs/kv"],
    ['<https://evil.example/docs/kv>; rel="help"', null],
    ['<//evil.example/docs/kv>; rel="help"', null],
    ['</docs/../ui>; rel="help"', null],
    ['</docs/kv\u00e9\u009b31m>; rel="help"', null],
    ['</docs/kv>; rel="next"', null],
  ] as const) {
    const base = `${serve(() =>
      Response.json(
        { ok: false, error: "nope", message: "No" },
        { status: 400, headers: { link } },
      ),
    )}/prefix`;
    const { err } = await ayder(["topics", "--url", base]);
    const see = shown === null ? "" : `see ${base}${shown}\n`;
    expect([link, err]).toEqual([link, `ayder: No (nope)\n${see}`]);
  }
});

test("integers keep every digit in tables, groups and sums", async () => {
  const server = await startServer({ dataDir: join(directory.path, "long") });
  try {
    const env = { AYDER_URL: server.url };
    const id = "1234567890123456789";
    await ayder(["produce", "t", `{"id":${id},"__proto__":${id},"in":[-${id}]}`, "-p", "0"], {
      env,
    });
    const body = JSON.stringify({
      source: { topic: "t", partition: 0, offset: 0 },
      aggregate: { group_by: ["id"], measures: [{ op: "max", field: "id", as: "most" }] },
      transform: { emit_rows: 1 },
    });
    const { out } = await ayder(["query", body], { env });
    expect(out).toContain(`\n${id}  ${id}  [-${id}]\n`);
    expect(out).toMatch(new RegExp(`\\n${id} +1 +${id}\\n`));
    expect((await ayder(["query", body, "--json"], { env })).out).toContain(`"most":${id}`);
  } finally {
    await server.kill();
  }
});

test("requests to this machine and health checks use no proxy", async () => {
  const asked: string[] = [];
  const proxy = serve((_, request) => {
    asked.push(request.url);
    return new Response("from the proxy", { status: 502 });
  });
  const url = serve((path) => Response.json(path === "/health" ? { ok: true } : { topics: [] }));
  for (const variable of ["HTTP_PROXY", "http_proxy", "ALL_PROXY"]) {
    const env = { [variable]: proxy, AYDER_URL: url };
    expect(await ayder(["health"], { env })).toMatchObject({ code: 0, out: '{"ok":true}\n' });
    expect(await ayder(["topics"], { env })).toMatchObject({ code: 0, err: "" });
    await ayder(["backup", join(directory.path, "none")], { env });
  }
  expect(asked).toEqual([]);
  const env = {
    HTTP_PROXY: proxy.replace("//", "//me:secret@"),
    AYDER_URL: "http://far.example:1",
  };
  const far = await ayder(["topics"], { env });
  expect(far.code).toBe(3);
  expect(far.err).toContain(`through the proxy ${proxy} (HTTP_PROXY)`);
  expect(far.err).not.toContain("secret");
  expect(asked[0]).toBe("http://far.example:1/broker/topics?limit=1000");
  const archive = await ayder(["backup", join(directory.path, "far")], { env });
  expect(archive.code).not.toBe(0);
  expect(asked.at(-1)).toBe("http://far.example:1/admin/backup");
  const before = asked.length;
  await ayder(["health"], { env });
  await ayder(["topics"], { env: { ...env, NO_PROXY: "other, .example" } });
  expect(asked.length).toBe(before);
}, 60_000);

test("addresses that are not http or https are refused by every command", async () => {
  const before = { AYDER_URL: "file:///etc/passwd" };
  for (const args of [
    ["topics"],
    ["backup", join(directory.path, "none")],
    ["health"],
    ["bench"],
  ]) {
    const { code, out, err } = await ayder(args, { env: before });
    expect([args, code, out]).toEqual([args, args[0] === "health" ? 3 : 2, ""]);
    expect(err).toContain("not an http or https address: file:///etc/passwd");
  }
});

test("health and backup follow no redirects and reject answers of other servers", async () => {
  const elsewhere = serve(() => Response.json({ ok: true }));
  const url = serve(() => new Response("{}", { status: 307, headers: { location: elsewhere } }));
  const moved = await ayder(["health", "--url", url]);
  expect([moved.code, moved.out]).toEqual([3, ""]);
  const backup = await ayder(["backup", "--url", url, join(directory.path, "none")]);
  expect([backup.code, backup.err]).toEqual([1, expect.stringContaining("307")]);
  const page = serve(() => new Response("<html>welcome</html>"));
  const { code, out, err } = await ayder(["health", "--url", page]);
  expect([code, out]).toEqual([3, ""]);
  expect(err).toBe(`ayder: ${page}/health: answered 200, but the answer is not from Ayder\n`);
});
