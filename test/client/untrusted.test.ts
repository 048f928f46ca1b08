/** What a server says is checked before it is followed, kept or used. */
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

test("only http and https are followed, and what was there before is not left for less", async () => {
  for (const [base, location, why] of [
    ["http://node", "file:///etc/passwd", "only http and https are followed"],
    ["http://node", "data:application/json,{}", "only http and https are followed"],
    ["http://node", "s3://bucket/key", "only http and https are followed"],
    ["http://node", "blob:http://node/x", "only http and https are followed"],
    ["http://node", "javascript:1", "only http and https are followed"],
    ["http://node", "http://user:pw@leader:1", "it has a user or password"],
    ["http://node", "http://", "it is not an address"],
    ["https://node", "http://leader:1/kv/n/k", "it is without TLS; the token stays here"],
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

test("host and port are all that is taken of a redirect: path and query stay ours", async () => {
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

test("where redirects are hidden, the address of the membership is held to the same rules", async () => {
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

test("redirects end, and cookies of a server are not kept", async () => {
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

test("an answer is read up to a bound, also a compressed one, of any status", async () => {
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

test("a 200 of another shape is an error, never a value that is undefined", async () => {
  const problem = async (body: string, call: (url: string) => Promise<unknown>) => {
    const url = serve(() => new Response(body));
    const { message, code, outcome } = await failure(call(url));
    expect(code).toBe("bad_answer");
    return [message.replace(/^.* answered 200,? /, ""), outcome];
  };
  const put = (url: string) => clientOf(url).kv("n").put("k", "v");
  expect(await problem("{}", put)).toEqual(["but not as Ayder does: cas is missing", "unknown"]);
  expect(await problem("[]", put)).toEqual([
    "but not as Ayder does: the answer is a list, not an object",
    "unknown",
  ]);
  expect(await problem('{"cas":"1"}', put)).toEqual([
    "but not as Ayder does: cas is a string, not an integer",
    "unknown",
  ]);
  expect(await problem("<html>", put)).toEqual(["with what is no JSON", "unknown"]);
  expect(await problem("{}", (url) => clientOf(url).topics.list())).toEqual([
    "but not as Ayder does: topics is missing",
    "refused",
  ]);
  const page = { messages: [{ offset: 0, partition: 0 }], next_offset: 1, end_offset: 1 };
  expect(
    await problem(JSON.stringify(page), (url) => clientOf(url).read("t", 0, { group: "g" })),
  ).toEqual(["but not as Ayder does: messages[0].timestamp_ms is missing", "refused"]);
  for (const [etag, said] of [
    [null, "has no ETag"],
    ['"x"', 'has the ETag "\\"x\\""'],
    ['"99999999999999999"', 'has the ETag "\\"99999999999999999\\""'],
  ] as const) {
    const url = serve(() => new Response("v", etag === null ? {} : { headers: { etag } }));
    const { message } = await failure(clientOf(url).kv("n").get("k"));
    expect(message).toBe(`the answer ${said}, where Ayder tells the revision`);
  }
});

test("no proxy for this machine, the one that is named elsewhere, and errors tell which", async () => {
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

test("what is this machine, by any of its names", () => {
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
