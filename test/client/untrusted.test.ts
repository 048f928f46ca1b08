/** Answers of a server are checked before they are followed, stored or used. */
import { afterAll, expect, test } from "bun:test";
import { AyderError, createClient, type FetchLike, isLoopback } from "../../src/client/index.ts";
import { baseOf } from "../../src/client/url.ts";

type Answer = (request: Request) => Response | Promise<Response>;
const servers: Bun.Server<undefined>[] = [];
afterAll(() => {
  for (const server of servers) void server.stop(true);
});
function serve(answer: Answer): string {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
  servers.push(server);
  return `http://127.0.0.1:${server.port}`;
}

const clientOf = (url: string, fetch?: FetchLike, answerBytes?: number) =>
  createClient({
    url,
    token: "t0k3n",
    retryMs: 0,
    ...(fetch === undefined ? {} : { fetch }),
    ...(answerBytes === undefined ? {} : { answerBytes }),
  });

async function failure(promise: Promise<unknown>): Promise<AyderError> {
  const error: unknown = await promise.then(
    (value) => new Error(`no error, but ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof AyderError)) throw error;
  return error;
}

const redirect = (location: string) => new Response("{}", { status: 307, headers: { location } });

test("only http and https are followed, and never from https to http", async () => {
  for (const [base, location, why] of [
    ["http://node", "file:///etc/passwd", "only http and https are followed"],
    ["http://node", "data:application/json,{}", "only http and https are followed"],
    ["http://node", "s3://bucket/key", "only http and https are followed"],
    ["http://node", "blob:http://node/x", "only http and https are followed"],
    ["http://node", "javascript:1", "only http and https are followed"],
    ["http://node", "http://user:pw@leader:1", "it has a user or password"],
    ["http://node", "http://", "it is not an address"],
    ["https://node", "http://leader:1/kv/n/k", "it has no TLS; the token is not sent there"],
  ] as const) {
    const asked: string[] = [];
    const client = clientOf(base, async (url) => {
      asked.push(url);
      return redirect(location);
    });
    const error = await failure(client.kv("n").put("k", "v"));
    expect(error.message).toBe(
      `${base} names a leader that is not followed, ${JSON.stringify(location)}: ${why}`,
    );
    expect([error.code, error.outcome, error.isRetriable]).toEqual([
      "bad_answer",
      "refused",
      false,
    ]);
    expect(asked).toEqual([`${base}/kv/n/k`]);
  }
});

test("a redirect changes only host and port, not path and query", async () => {
  const asked: string[] = [];
  const client = clientOf("http://node", async (url, { headers }) => {
    asked.push(`${url} ${headers["authorization"]}`);
    return asked.length === 1
      ? redirect("https://leader:7/admin/other?steal=1#x")
      : Response.json({ ok: true, cas: 1 });
  });
  await client.kv("n").put("k", "v", { cas: 0 });
  expect(asked).toEqual([
    "http://node/kv/n/k?cas=0 Bearer t0k3n",
    "https://leader:7/kv/n/k?cas=0 Bearer t0k3n",
  ]);
});

test("if redirects are hidden, the address in the membership follows the same rules", async () => {
  for (const address of ["x", "http://leader:1/path?x#y"]) {
    const asked: string[] = [];
    const nodes = [{ node_id: "a", http_addr: address, advertise_addr: "", role: "leader" }];
    const client = clientOf("http://node", async (url) => {
      asked.push(url);
      if (url.endsWith("/ha/membership")) {
        return Response.json({ ok: true, membership: { nodes, leader_id: "a", term: 1 } });
      }
      const hidden = { status: 0, headers: new Headers() };
      return asked.length === 1 ? (hidden as Response) : Response.json({ ok: true, cas: 1 });
    });
    await client.kv("n").put("k", "v");
    expect(asked[2]).toBe(
      `${new URL(address, "http://x").origin === "http://x" ? "http://x" : "http://leader:1"}/kv/n/k`,
    );
  }
});

test("redirect loops end, and cookies are not stored", async () => {
  const cookies: (string | null)[] = [];
  const url = serve((request) => {
    cookies.push(request.headers.get("cookie"));
    return new Response("{}", { status: 307, headers: { location: url, "set-cookie": "a=b" } });
  });
  const error = await failure(clientOf(url).topics.list());
  expect([error.code, cookies]).toEqual(["no_leader", [null, null, null, null]]);
});

test("addresses that are not http or https are refused before anything is sent", () => {
  for (const url of ["file:///etc/passwd", "s3://bucket", "data:,x", "unix:/x", "ftp://x", "x"]) {
    expect(() => createClient({ url })).toThrow(TypeError);
  }
  expect(() => createClient({ url: "http://u:p@host" })).toThrow(
    "the address of http://host has a user or password",
  );
  expect(baseOf("HTTP://Host:80/a/")).toBe("http://host/a");
});

const endless = () =>
  new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024).fill(32)),
  });

test("answers are limited in size, also compressed ones, of any status", async () => {
  const MAX = 1024 * 1024;
  const bomb = Bun.gzipSync(new Uint8Array(64 * MAX));
  const answers: Answer[] = [
    () => new Response(endless()),
    () => new Response(endless(), { status: 500 }),
    () => new Response(bomb, { headers: { "content-encoding": "gzip" } }),
    () => new Response(new Uint8Array(MAX + 1)),
  ];
  for (const answer of answers) {
    const url = serve(answer);
    const error = await failure(clientOf(url, undefined, MAX).topics.list());
    expect(error.message).toBe(`${url}: its answer is longer than ${MAX} bytes`);
    expect([error.code, error.isRetriable]).toEqual(["bad_answer", false]);
  }
  const exact = JSON.stringify({ ok: true, topics: [] }).padEnd(MAX);
  expect(
    await clientOf(
      serve(() => new Response(exact)),
      undefined,
      MAX,
    ).topics.list(),
  ).toEqual([]);
});

test("a 200 with another shape is an error, never an undefined value", async () => {
  const problem = async (body: string, call: (url: string) => Promise<unknown>) => {
    const url = serve(() => new Response(body));
    const { message, code, outcome } = await failure(call(url));
    expect(code).toBe("bad_answer");
    return [message.replace(/^.* answered 200,? /, ""), outcome];
  };
  const put = (url: string) => clientOf(url).kv("n").put("k", "v");
  expect(await problem("{}", put)).toEqual([
    "but the answer is not from Ayder: cas is missing",
    "unknown",
  ]);
  expect(await problem("[]", put)).toEqual([
    "but the answer is not from Ayder: the answer is a list, not an object",
    "unknown",
  ]);
  expect(await problem('{"cas":"1"}', put)).toEqual([
    "but the answer is not from Ayder: cas is a string, not an integer",
    "unknown",
  ]);
  expect(await problem("<html>", put)).toEqual(["with a body that is not JSON", "unknown"]);
  expect(await problem("{}", (url) => clientOf(url).topics.list())).toEqual([
    "but the answer is not from Ayder: topics is missing",
    "refused",
  ]);
  const page = { messages: [{ offset: 0, partition: 0 }], next_offset: 1, end_offset: 1 };
  expect(
    await problem(JSON.stringify(page), (url) => clientOf(url).read("t", 0, { group: "g" })),
  ).toEqual(["but the answer is not from Ayder: messages[0].timestamp_ms is missing", "refused"]);
  for (const [etag, said] of [
    [null, "has no ETag"],
    ['"x"', 'has the ETag "\\"x\\""'],
    ['"99999999999999999"', 'has the ETag "\\"99999999999999999\\""'],
  ] as const) {
    const url = serve(() => new Response("v", etag === null ? {} : { headers: { etag } }));
    const { message } = await failure(clientOf(url).kv("n").get("k"));
    expect(message).toBe(`the answer ${said}, which must contain the revision`);
  }
});

test("loopback uses no proxy, other addresses use the named one, and errors name it", async () => {
  const seen: (string | false | undefined)[] = [];
  const fetch: FetchLike = async (_, { proxy }) => {
    seen.push(proxy);
    throw Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
  };
  const proxy = () => ({ url: "http://me:secret@proxy:3128", source: "HTTP_PROXY" });
  const ask = async (url: string, given?: typeof proxy) => {
    const options = { url, retryMs: 0, fetch, ...(given === undefined ? {} : { proxy: given }) };
    return (await failure(createClient(options).topics.list())).message;
  };
  expect(await ask("http://127.0.0.1:1", proxy)).not.toContain("proxy");
  expect(await ask("http://far.example", proxy)).toBe(
    "http://far.example through the proxy http://proxy:3128 (HTTP_PROXY) cannot be reached: ECONNREFUSED",
  );
  expect(await ask("http://far.example")).not.toContain("proxy");
  expect(seen).toEqual([false, "http://me:secret@proxy:3128", undefined]);
});

test("loopback addresses are recognized in every form", () => {
  for (const host of [
    "localhost",
    "a.localhost",
    "127.1",
    "127.9.9.9",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "0.0.0.0",
    "[::]",
  ]) {
    expect([host, isLoopback(`http://${host}:1/x`)]).toEqual([host, true]);
  }
  for (const host of ["localhost.example", "127.example", "10.0.0.1", "[::2]", "xlocalhost"]) {
    expect([host, isLoopback(`http://${host}`)]).toEqual([host, false]);
  }
});

const rowOf = (topic: string) => ({ topic, partitions: 1, messages: 0, bytes: 0 });

test("topics are asked for in pages, and a next that does not go on ends them", async () => {
  for (const [again, names] of [
    ["a", ["a", "a"]],
    ["", ["a"]],
    [null, ["a", "b"]],
  ] as const) {
    const asked: string[] = [];
    const url = serve((request) => {
      asked.push(new URL(request.url).search);
      if (asked.length > 1)
        return Response.json({ ok: true, topics: [rowOf(names[1] ?? "")], next: again });
      return Response.json({ ok: true, topics: [rowOf("a")], next: again === "" ? "" : "a" });
    });
    const found = await clientOf(url).topics.list();
    expect(found.map(({ topic }) => topic)).toEqual([...names]);
    expect(asked).toEqual(["?limit=1000", "?after=a&limit=1000"].slice(0, names.length));
  }
});

test("a server of an earlier version lists all topics at once", async () => {
  const asked: string[] = [];
  const url = serve((request) => {
    const { search } = new URL(request.url);
    asked.push(search);
    return search === ""
      ? Response.json({ ok: true, topics: [rowOf("a"), rowOf("b")] })
      : Response.json({ ok: false, error: "unknown_parameter", message: "limit" }, { status: 400 });
  });
  const client = clientOf(url);
  expect((await client.topics.list()).length).toBe(2);
  expect(asked).toEqual(["?limit=1000", ""]);
  expect((await failure(client.topics.list({ prefix: "a" }))).code).toBe("unknown_parameter");
});
