/** Subscriptions of durable streams: webhooks on this machine, and workers with leases. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createPublicKey, verify } from "node:crypto";
import { StreamClient } from "../tools/durable/stream-client.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000);

const directory = temporaryDirectory();
let server: Server;
let client: StreamClient;

beforeAll(async () => {
  server = await startServer({
    dataDir: directory.path,
    env: { RF_WEBHOOK_ALLOW: "127.0.0.1", RF_MAX_SUBSCRIPTIONS: "6" },
  });
  client = new StreamClient(server.url);
});
afterAll(async () => {
  await server.kill();
  directory.remove();
});

const JSON_TYPE = "application/json";
type Fields = Record<string, unknown>;

async function call(method: string, path: string, body?: object, token = "dev") {
  const answer = await new StreamClient(server.url, token).send(
    method,
    `__ds/subscriptions${path}`,
    {
      type: JSON_TYPE,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    },
  );
  return {
    status: answer.status,
    body: (answer.text === "" ? {} : JSON.parse(answer.text)) as Fields,
  };
}

const codeOf = ({ body }: { body: Fields }): unknown => (body["error"] as Fields)["code"];

type Call = { readonly body: Fields; readonly raw: string; readonly signature: string };

/** Answers each call with the next of the answers, and the last one again and again. */
function receiver(...answers: readonly { status: number; body: object }[]) {
  const calls: Call[] = [];
  const waiting: (() => void)[] = [];
  const http = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const raw = await request.text();
      const { status, body } = answers[Math.min(calls.length, answers.length - 1)] ?? {
        status: 200,
        body: {},
      };
      calls.push({
        body: JSON.parse(raw),
        raw,
        signature: request.headers.get("webhook-signature") ?? "",
      });
      for (const wake of waiting.splice(0)) wake();
      return Response.json(body, { status });
    },
  });
  return {
    url: `http://127.0.0.1:${http.port}/hook`,
    async call(n: number): Promise<Call> {
      while (calls[n] === undefined) await new Promise<void>((resolve) => waiting.push(resolve));
      return calls[n];
    },
    stop: () => http.stop(true),
  };
}

test("a webhook is called until it answers, with a signature, and acknowledges by its token", async () => {
  const hook = receiver({ status: 500, body: {} }, { status: 200, body: {} });
  const created = await call("PUT", "/hook", {
    type: "webhook",
    pattern: "hooked/*",
    webhook: { url: hook.url },
  });
  expect(created.status).toBe(201);
  const { next } = await client.put("hooked/1", { body: "x" });
  const first = await hook.call(0);
  const { raw, signature, body } = await hook.call(1);
  expect(body["generation"]).toBe(first.body["generation"]);
  const [, seconds, kid, value] = /^t=(\d+),kid=([^,]+),ed25519=(.+)$/.exec(signature) ?? [];
  const keys = (await (await fetch(`${server.url}/v1/stream/__ds/jwks.json`)).json()) as {
    keys: { kid: string }[];
  };
  const key = keys.keys.find((each) => each.kid === kid);
  expect(key).toBeDefined();
  const publicKey = createPublicKey({ key: key as object, format: "jwk" });
  expect(
    verify(
      null,
      Buffer.from(`${seconds}.${raw}`),
      publicKey,
      Buffer.from(value ?? "", "base64url"),
    ),
  ).toBe(true);
  expect(body["streams"]).toEqual([
    {
      path: "hooked/1",
      link_type: "glob",
      acked_offset: "-1",
      tail_offset: next,
      has_pending: true,
    },
  ]);
  const settle = {
    wake_id: body["wake_id"],
    generation: body["generation"],
    acks: [{ stream: "hooked/1", offset: next }],
    done: true,
  };
  const token = String(body["callback_token"]);
  expect(body["callback_url"]).toBe(`${server.url}/v1/stream/__ds/subscriptions/hook/callback`);
  expect(codeOf(await call("POST", "/hook/callback", settle, "dev"))).toBe("TOKEN_INVALID");
  expect(await call("POST", "/hook/callback", settle, token)).toEqual({
    status: 200,
    body: { ok: true, next_wake: false },
  });
  expect(codeOf(await call("POST", "/hook/callback", settle, token))).toBe("FENCED");
  await call("DELETE", "/hook");
  // The token of a deleted subscription fits no later one of the same id.
  await call("PUT", "/hook", { type: "webhook", pattern: "hooked/*", webhook: { url: hook.url } });
  expect(codeOf(await call("POST", "/hook/callback", settle, token))).toBe("TOKEN_INVALID");
  await call("DELETE", "/hook");
  await hook.stop();
});

test("definitions are checked", async () => {
  const define = (body: object) => call("PUT", "/checked", body);
  const hook = { type: "webhook", pattern: "a/*" };
  const cases: readonly (readonly [object, string])[] = [
    [{}, "INVALID_REQUEST"],
    [{ type: "webhook", webhook: { url: "https://example.com" } }, "INVALID_REQUEST"],
    [hook, "INVALID_REQUEST"],
    [{ ...hook, webhook: { url: "http://example.com" } }, "WEBHOOK_URL_REJECTED"],
    [{ ...hook, webhook: { url: "https://10.0.0.1" } }, "WEBHOOK_URL_REJECTED"],
    [{ ...hook, webhook: { url: "https://[::1]/" } }, "WEBHOOK_URL_REJECTED"],
    [{ ...hook, webhook: { url: "https://[::ffff:10.0.0.1]/" } }, "WEBHOOK_URL_REJECTED"],
    [{ ...hook, webhook: { url: "https://localhost" } }, "WEBHOOK_URL_REJECTED"],
    [{ ...hook, webhook: { url: "https://user@example.com" } }, "WEBHOOK_URL_REJECTED"],
    [{ ...hook, webhook: { url: "ftp://example.com" } }, "WEBHOOK_URL_REJECTED"],
    [{ ...hook, webhook: { url: "nonsense" } }, "WEBHOOK_URL_REJECTED"],
    [{ ...hook, webhook: { url: "https://example.com" }, lease_ttl_ms: 999 }, "INVALID_REQUEST"],
    [{ type: "pull-wake", pattern: "a/*" }, "INVALID_REQUEST"],
    [{ type: "pull-wake", streams: [1], wake_stream: "w" }, "INVALID_REQUEST"],
    [{ type: "pull-wake", streams: ["a//b"], wake_stream: "w" }, "INVALID_REQUEST"],
  ];
  for (const [body, code] of cases) {
    const answer = await define(body);
    expect([body, answer.status, codeOf(answer)]).toEqual([body, 400, code]);
  }
  expect((await call("GET", "/checked")).status).toBe(404);
  expect((await call("GET", "/checked/unknown")).status).toBe(404);
});

test("workers share the work of a subscription, and late ones are fenced", async () => {
  await client.put("wake", { type: JSON_TYPE });
  const define = { type: "pull-wake", streams: ["jobs"], wake_stream: "wake", lease_ttl_ms: 1_000 };
  expect((await call("PUT", "/pull", define)).status).toBe(201);
  expect((await call("PUT", "/pull", define)).status).toBe(200);
  expect(codeOf(await call("PUT", "/pull", { ...define, lease_ttl_ms: 2_000 }))).toBe(
    "SUBSCRIPTION_ALREADY_EXISTS",
  );
  expect(codeOf(await call("POST", "/pull/claim", { worker: "w1" }))).toBe("NO_PENDING_WORK");
  await client.put("jobs", { body: "1" });
  const events = JSON.parse((await client.get("wake")).text) as Fields[];
  expect(
    events.map(({ type, subscription_id, stream, generation }) => [
      type,
      subscription_id,
      stream,
      generation,
    ]),
  ).toEqual([["wake", "pull", "jobs", 1]]);
  const claimed = await call("POST", "/pull/claim", { worker: "w1" });
  expect(claimed.status).toBe(200);
  const busy = await call("POST", "/pull/claim", { worker: "w2" });
  expect(busy.body["error"]).toMatchObject({
    code: "ALREADY_CLAIMED",
    current_holder: "w1",
    generation: 1,
  });
  const { wake_id, generation, token } = claimed.body;
  const wrong = {
    wake_id,
    generation,
    acks: [{ stream: "jobs", offset: "9999999999999999_0000000000000000" }],
  };
  expect(codeOf(await call("POST", "/pull/ack", wrong, String(token)))).toBe("INVALID_OFFSET");
  // After the lease the work goes to another worker.
  let second = busy;
  while (second.status !== 200) {
    await Bun.sleep(100);
    second = await call("POST", "/pull/claim", { worker: "w2" });
  }
  expect(second.body["generation"]).toBe(2);
  const late = await call("POST", "/pull/release", { wake_id, generation }, String(token));
  expect([late.status, codeOf(late)]).toEqual([409, "FENCED"]);
  const release = { wake_id: second.body["wake_id"], generation: 2 };
  expect((await call("POST", "/pull/release", release, String(second.body["token"]))).status).toBe(
    204,
  );
  const { subscriptions } = (await call("GET", "")).body as { subscriptions: Fields[] };
  expect(subscriptions.map(({ id, pending, holder }) => [id, pending, holder])).toEqual([
    ["pull", 1, null],
  ]);
  await call("DELETE", "/pull");
});

test("the number of subscriptions is bounded", async () => {
  const define = (i: number) =>
    call("PUT", `/n${i}`, { type: "pull-wake", streams: ["s"], wake_stream: "w" });
  for (let i = 0; i < 6; i++) expect((await define(i)).status).toBe(201);
  const over = await define(6);
  expect([over.status, codeOf(over)]).toEqual([409, "TOO_MANY_SUBSCRIPTIONS"]);
  expect((await define(0)).status).toBe(200);
  for (let i = 0; i < 6; i++) await call("DELETE", `/n${i}`);
});
