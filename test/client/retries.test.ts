/** Retries, and the outcome that errors report, behind a network with faults. */

import { expect, test } from "bun:test";
import { AyderError, type Client, createClient } from "../../src/client/index.ts";
import { type Fault, faultyClient } from "../tools/client/faults.ts";
import { freePorts } from "../tools/process/ports.ts";
import { testServer } from "../tools/process/test-server.ts";

const { server } = testServer();
const url = () => server.url;
let topics = 0;
const newTopic = async (): Promise<string> => {
  const topic = `t${topics++}`;
  await faultyClient(url(), []).client.topics.create(topic, { partitions: 1 });
  return topic;
};
const stored = async (topic: string): Promise<string[]> => {
  const page = await faultyClient(url(), []).client.read(topic, 0);
  return page.messages.map(({ text }) => text);
};
async function failure(promise: Promise<unknown>): Promise<AyderError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof AyderError)) throw new Error(`not an AyderError: ${error}`);
  return error;
}

const busy: Fault = { status: 503, error: "overloaded" };
const late: Fault = { status: 504, error: "commit_timeout" };

test("a message whose answer is lost is stored once, and its offset is returned", async () => {
  for (const fault of ["answer", "request", busy, late] as const) {
    const topic = await newTopic();
    const { client, requests } = faultyClient(url(), [fault, fault]);
    const { offset, duplicate } = await client.produce(topic, "once", { partition: 0 });
    expect([offset, duplicate, requests.length]).toEqual([0, fault === "answer", 3]);
    expect(await stored(topic)).toEqual(["once"]);
  }
});

test("a batch and the messages of a producer are stored once too", async () => {
  const topic = await newTopic();
  const { client } = faultyClient(url(), ["answer", late, null, "answer", "request"]);
  expect(await client.produceBatch(topic, ["a", "b"], { partition: 0 })).toMatchObject({
    firstOffset: 0,
    count: 2,
    duplicate: true,
  });
  const producer = client.producer(topic, { partition: 0 });
  const sent = await Promise.all(["c", "d"].map((value) => producer.send(value)));
  expect(sent).toEqual([2, 3].map((offset) => ({ partition: 0, offset, durable: true })));
  expect(await stored(topic)).toEqual(["a", "b", "c", "d"]);
});

test("a message without an idempotency key is not retried if it may have arrived", async () => {
  const topic = await newTopic();
  const { client, requests } = faultyClient(url(), ["answer"]);
  const error = await failure(client.produce(topic, "x", { idempotencyKey: null }));
  expect(error).toMatchObject({ code: "connection_lost", outcome: "unknown", isRetriable: true });
  expect(requests.length).toBe(1);
  expect(await stored(topic)).toEqual(["x"]);
});

test("writes that could overwrite other writes are not retried if they may have arrived", async () => {
  const topic = await newTopic();
  const attempts: readonly ((client: Client) => Promise<unknown>)[] = [
    (client) => client.kv("n").put("k", "v"),
    (client) => client.kv("n").delete("k"),
    (client) => client.retention.set({ topic, ttlMs: 1 }),
    (client) => client.topics.delete(topic),
    (client) => client.cluster.remove("nobody"),
  ];
  for (const attempt of attempts) {
    for (const fault of ["request", late] as const) {
      const { client, requests } = faultyClient(url(), [fault]);
      expect((await failure(attempt(client))).outcome).toBe("unknown");
      expect(requests.length).toBe(1);
    }
  }
  const { client } = faultyClient(url(), [busy, busy]);
  expect((await client.kv("n").put("k", "v", { cas: 0 })).durable).toBe(true);
});

test("reads, commits and the creation of topics are retried", async () => {
  const topic = await newTopic();
  const attempts: readonly ((client: Client) => Promise<unknown>)[] = [
    (client) => client.read(topic, 0),
    (client) => client.topics.create(topic, { partitions: 1 }),
    (client) => client.commit({ topic, group: "g", partition: 0, offset: 0 }),
    (client) => client.deleteBefore({ topic, partition: 0, beforeOffset: 0 }),
    (client) => client.query({ source: { topic, partition: 0 } }),
  ];
  for (const attempt of attempts) {
    const { client, requests } = faultyClient(url(), ["request", "answer", late, busy]);
    await attempt(client);
    expect(requests.length).toBe(5);
  }
});

test("a refusal after an attempt that may have arrived leaves the outcome unknown", async () => {
  const topic = await newTopic();
  const refusal: Fault = { status: 503, error: "no_leader" };
  const faults = ["answer", ...Array<Fault>(50).fill(refusal)] as const;
  const { client } = faultyClient(url(), faults, { retryMs: 300 });
  const error = await failure(client.produce(topic, "x", { partition: 0 }));
  expect(error).toMatchObject({ code: "no_leader", status: 503, outcome: "unknown" });
  const other = faultyClient(url(), ["answer", { status: 400, error: "invalid_parameter" }]);
  expect(await failure(other.client.produce(topic, "y", { partition: 0 }))).toMatchObject({
    code: "invalid_parameter",
    outcome: "unknown",
  });
});

test("permanent errors are not retried", async () => {
  for (const [status, error] of [
    [400, "invalid_parameter"],
    [404, "topic_not_found"],
    [409, "topic_exists"],
    [507, "disk_full"],
  ] as const) {
    const { client, requests } = faultyClient(url(), [{ status, error }]);
    const thrown = await failure(client.produce("t", "x"));
    expect(thrown).toMatchObject({ code: error, status, outcome: "refused", isRetriable: false });
    expect(requests.length).toBe(1);
  }
});

test("an answer of a proxy leaves the outcome unknown", async () => {
  const { client } = faultyClient(url(), [{ status: 503 }]);
  const error = await failure(client.kv("n").put("k", "v"));
  expect(error).toMatchObject({ code: "bad_answer", status: 503, outcome: "unknown" });
});

test("the time of Retry-After is respected", async () => {
  const limited: Fault = { status: 429, error: "rate_limited", retryAfter: 1 };
  const topic = await newTopic();
  const { client } = faultyClient(url(), [limited]);
  const begin = performance.now();
  await client.read(topic, 0);
  expect(performance.now() - begin).toBeGreaterThanOrEqual(990);
  const patient = faultyClient(url(), [{ ...limited, retryAfter: 60 }]);
  expect((await failure(patient.client.read(topic, 0))).code).toBe("rate_limited");
});

test("if a server is unreachable, the next address is tried", async () => {
  const [port = 0] = freePorts(1);
  const nobody = `http://127.0.0.1:${port}`;
  const alone = faultyClient(nobody, [], { retryMs: 100 });
  expect(await failure(alone.client.produce("t", "x"))).toMatchObject({
    code: "unreachable",
    status: 0,
    outcome: "refused",
    isRetriable: true,
  });
  const errors: string[] = [];
  const { client } = faultyClient("", [], {
    urls: [nobody, url()],
    onRetry: ({ code }) => errors.push(code),
  });
  await client.topics.list();
  expect(errors).toEqual(["unreachable"]);
  expect(client.url).toBe(url());
});

test("a timeout leaves the outcome unknown", async () => {
  const silent = Bun.serve({ port: 0, fetch: () => new Promise<Response>(() => undefined) });
  try {
    const { client } = faultyClient(silent.url.href, [], { attemptMs: 50, retryMs: 0 });
    expect(await failure(client.produce("t", "x"))).toMatchObject({
      code: "timeout",
      outcome: "unknown",
    });
  } finally {
    await silent.stop(true);
  }
});

test("a redirect from https to http does not get the token", async () => {
  const client = createClient({
    url: "https://example.test",
    fetch: async (target) =>
      new Response(null, {
        status: 307,
        headers: { location: target.replace("https://example.test", "http://evil.test") },
      }),
  });
  const error = await failure(client.produce("t", "x", { retryMs: 0 }));
  expect(error.message).toContain("the token is not sent there");
});
