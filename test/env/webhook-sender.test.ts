/** Goal: a webhook reaches the address that was checked, and none that only this network can reach. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { BunWebhookSender, type SenderOptions } from "../../src/env/bun-webhook-sender.ts";
import { isPublicAddress } from "../../src/env/public-address.ts";
import type { SenderRequest } from "../../src/env/webhook-sender.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

test("special addresses are not public, in whatever form they are written", () => {
  for (const address of [
    ...["0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"],
    ...["168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192"],
    ...["192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"],
    ...["224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
    ...["::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:7f00:1"],
    ...["64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::1", "64:ff9b:1::808:808"],
    ...["100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1"],
    ...["5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"],
    ...["not an address", ""],
  ]) {
    expect(isPublicAddress(address), address).toBe(false);
  }
  for (const address of [
    ...["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1"],
    ...["168.63.129.17", "192.0.1.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1"],
    ...["2001:4860:4860::8888", "64:ff9b::8.8.8.8", "64:FF9B::808:808"],
  ]) {
    expect(isPublicAddress(address), address).toBe(true);
  }
});

test("a URL is refused before it is called, with what would allow it", () => {
  const sender = new BunWebhookSender(["intern.example", "10.0.0.7:8080", "::1"]);
  const unless = (host: string) => `unless RF_WEBHOOK_ALLOW names ${host}`;
  const notPublic = (host: string) =>
    `the host ${host} is not public: it must not be called ${unless(host)}`;
  for (const [url, problem] of [
    ["https://example.com/hook?a=b", null],
    ["https://example.com:8443", null],
    ["https://[2606:4700::1111]/", null],
    ["http://intern.example/x", null],
    ["http://INTERN.example./x", null],
    ["http://10.0.0.7:8080/", null],
    ["http://[::1]:99/", null],
    ["", 'the URL "" is malformed'],
    ["example.com", 'the URL "example.com" is malformed'],
    ["ftp://example.com", 'the URL "ftp://example.com" must begin with https://'],
    ["file:///etc/passwd", 'the URL "file:///etc/passwd" must begin with https://'],
    ["https://user@example.com", "a URL must not have a user or password"],
    ["https://:p@example.com", "a URL must not have a user or password"],
    [
      "http://example.com/",
      `the URL http://example.com/ must begin with https:// ${unless("example.com")}`,
    ],
    ["https://10.0.0.7/", notPublic("10.0.0.7")],
    ["https://10.0.0.7:8081/", notPublic("10.0.0.7")],
    ["https://localhost/", notPublic("localhost")],
    ["https://LOCALHOST./", notPublic("localhost")],
    ["https://a.localhost/", notPublic("a.localhost")],
    // Decimal, octal, hexadecimal, shortened, and with a dot at the end.
    ["https://2130706433/", notPublic("127.0.0.1")],
    ["https://0177.0.0.1/", notPublic("127.0.0.1")],
    ["https://0x7f.1/", notPublic("127.0.0.1")],
    ["https://0x7f000001/", notPublic("127.0.0.1")],
    ["https://127.1/", notPublic("127.0.0.1")],
    ["https://127.0.0.1./", notPublic("127.0.0.1")],
    ["https://１２７.0.0.1/", notPublic("127.0.0.1")],
    ["https://0/", notPublic("0.0.0.0")],
    ["https://169.254.169.254/latest", notPublic("169.254.169.254")],
    ["https://[::ffff:127.0.0.1]/", notPublic("::ffff:7f00:1")],
    ["https://[64:ff9b::7f00:1]/", notPublic("64:ff9b::7f00:1")],
    ["https://[2002:7f00:1::]/", notPublic("2002:7f00:1::")],
    ["https://[fe80::1]/", notPublic("fe80::1")],
  ] as const) {
    expect(sender.check(url), url).toBe(problem);
  }
});

const REQUEST = {
  headers: { "x-own": "1" },
  body: "body",
  timeoutMs: 10_000,
  answerBytesMax: 100,
  needsBody: false,
};
const sendBy = (allowed: string[], options: SenderOptions, url: string, more: object = {}) =>
  new BunWebhookSender(allowed, options).send({ ...REQUEST, url, ...more } as SenderRequest);

/** Names that resolve to these addresses, one list an attempt; the last one again and again. */
function resolver(...answers: readonly (readonly string[])[]) {
  const asked: string[] = [];
  const resolve = async (host: string) => {
    asked.push(host);
    return answers[Math.min(asked.length, answers.length) - 1] ?? [];
  };
  return { resolve, asked };
}

const directory = temporaryDirectory();
let plain: Bun.Server<undefined>;
let secure: Bun.Server<undefined>;
let cert: string;
const heard: { url: string; host: string | null; own: string | null; body: string }[] = [];

async function answer(request: Request): Promise<Response> {
  const { url, headers } = request;
  heard.push({
    url,
    host: headers.get("host"),
    own: headers.get("x-own"),
    body: await request.text(),
  });
  if (url.endsWith("/redirect")) return Response.redirect("http://127.0.0.1:1/", 307);
  if (url.endsWith("/packed")) {
    const body = Bun.gzipSync(new Uint8Array(1_000_000));
    return new Response(body, { headers: { "content-encoding": "gzip" } });
  }
  return new Response("x".repeat(1_000), { headers: { "retry-after": "7" } });
}

beforeAll(async () => {
  const files = { key: `${directory.path}/key.pem`, cert: `${directory.path}/cert.pem` };
  const made = Bun.spawnSync([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
    ...["-nodes", "-keyout", files.key, "-out", files.cert, "-days", "2", "-subj"],
    ...["/CN=receiver.test", "-addext", "subjectAltName=DNS:receiver.test"],
  ]);
  expect(made.exitCode).toBe(0);
  cert = await Bun.file(files.cert).text();
  const options = { hostname: "127.0.0.1", port: 0, fetch: answer };
  plain = Bun.serve(options);
  secure = Bun.serve({
    ...options,
    tls: { key: Bun.file(files.key), cert: Bun.file(files.cert) },
  });
});
afterAll(async () => {
  await Promise.all([plain.stop(true), secure.stop(true)]);
  directory.remove();
});

test("the address is dialled that was checked, with the name in the Host header", async () => {
  const { resolve, asked } = resolver(["127.0.0.1"]);
  const url = `http://receiver.test:${plain.port}/a?b=c`;
  const { status, body, retryAfter } = await sendBy(["receiver.test"], { resolve }, url);
  expect([status, Buffer.from(body).toString(), retryAfter]).toEqual([200, "x".repeat(100), "7"]);
  expect(asked).toEqual(["receiver.test"]);
  expect(heard.pop()).toEqual({
    url,
    host: `receiver.test:${plain.port}`,
    own: "1",
    body: "body",
  });
});

test("TLS is for the name, not for the address", async () => {
  const { resolve } = resolver(["127.0.0.1"]);
  const options = { resolve, ca: [cert] };
  const allowed = ["receiver.test", "other.test"];
  const { port } = secure;
  expect((await sendBy(allowed, options, `https://receiver.test:${port}/`)).status).toBe(200);
  expect(heard.pop()?.host).toBe(`receiver.test:${port}`);
  const { length } = heard;
  await expect(sendBy(allowed, options, `https://other.test:${port}/`)).rejects.toThrow(
    "other.test: ERR_TLS_CERT_ALTNAME_INVALID",
  );
  await expect(sendBy(allowed, { resolve }, `https://receiver.test:${port}/`)).rejects.toThrow(
    "receiver.test: DEPTH_ZERO_SELF_SIGNED_CERT",
  );
  expect(heard.length).toBe(length);
});

test("a name is checked at each attempt, and one address that is not public is enough to refuse it", async () => {
  const { resolve, asked } = resolver(["192.0.2.1"], ["127.0.0.1"], ["8.8.8.8", "::1"], []);
  const sender = new BunWebhookSender([], { resolve });
  const send = () => sender.send({ ...REQUEST, url: "https://rebound.test/" });
  const { length } = heard;
  for (const message of [
    "rebound.test has the address 192.0.2.1, which is not public",
    "rebound.test has the address 127.0.0.1, which is not public",
    "rebound.test has the address ::1, which is not public",
    "rebound.test has no address",
  ]) {
    await expect(send()).rejects.toThrow(message);
  }
  expect(asked).toEqual(Array.from({ length: 4 }, () => "rebound.test"));
  expect(heard.length).toBe(length);
});

test("the next address is tried if nobody listens at the first", async () => {
  const { resolve } = resolver(["127.0.0.2", "127.0.0.1"]);
  const url = `http://receiver.test:${plain.port}/`;
  expect((await sendBy(["receiver.test"], { resolve }, url)).status).toBe(200);
});

test("neither redirects nor proxies are followed, and nothing is unpacked", async () => {
  const { resolve } = resolver(["127.0.0.1"]);
  const url = (path: string) => `http://receiver.test:${plain.port}${path}`;
  const before = process.env["HTTP_PROXY"];
  process.env["HTTP_PROXY"] = "http://127.0.0.1:1";
  try {
    expect((await sendBy(["receiver.test"], { resolve }, url("/redirect"))).status).toBe(307);
    const packed = await sendBy(["receiver.test"], { resolve }, url("/packed"));
    // The first bytes of gzip.
    expect([...packed.body.subarray(0, 2)]).toEqual([0x1f, 0x8b]);
  } finally {
    if (before === undefined) delete process.env["HTTP_PROXY"];
    else process.env["HTTP_PROXY"] = before;
  }
});

test("a name that is not resolved, and a call that is ended, end in time", async () => {
  const url = "http://receiver.test/";
  const never = () => new Promise<never>(() => undefined);
  const late = sendBy(["receiver.test"], { resolve: never }, url, { timeoutMs: 20 });
  await expect(late).rejects.toThrow("no answer within 20 ms");
  const stop = new AbortController();
  const ended = sendBy(["receiver.test"], { resolve: never }, url, { signal: stop.signal });
  stop.abort();
  await expect(ended).rejects.toThrow("aborted");
});
