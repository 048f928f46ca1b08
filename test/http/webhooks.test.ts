/** Goal: a webhook delivers every record to a real receiver, however that receiver behaves. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";
import { BOTH, type Received, Receiver, verified } from "../tools/webhook/receiver.ts";

setDefaultTimeout(60_000);

const directory = temporaryDirectory();
let server: Server;

beforeAll(async () => {
  server = await startServer({
    dataDir: directory.path,
    env: { RF_WEBHOOK_ALLOW: "127.0.0.1", RF_WEBHOOK_CONCURRENCY: "8" },
  });
});
afterAll(async () => {
  await server.kill();
  directory.remove();
});

// biome-ignore lint/suspicious/noExplicitAny: bodies of answers, whose fields the tests compare.
type Body = any;

async function call(method: string, path: string, body?: unknown) {
  const answer = await fetch(`${server.url}/broker/${path}`, {
    method,
    headers: { authorization: "Bearer dev" },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  return { status: answer.status, body: (await answer.json()) as Body };
}

let number = 0;
/** A topic with a webhook on it, and its receiver. */
async function hooked(definition: object = {}, receiver = new Receiver(), partitions = 1) {
  const name = `hook-${++number}`;
  const topic = `topic-${number}`;
  await call("POST", "topics", { name: topic, partitions });
  const put = () =>
    call("PUT", `webhooks/${name}`, { topic, url: receiver.url, backoff_ms: [1], ...definition });
  const created = await put();
  expect(created).toEqual({
    status: 200,
    body: { ok: true, webhook: name, created: true, secret: expect.any(String) },
  });
  const produce = (value: string, query = "partition=0") =>
    call("POST", `topics/${topic}/produce?${query}`, value);
  const state = async () => (await call("GET", `webhooks/${name}`)).body;
  const until = async (isSo: (state: Body) => boolean): Promise<Body> => {
    for (;;) {
      const now = await state();
      if (isSo(now)) return now;
      await Bun.sleep(10);
    }
  };
  const secret: string = created.body.secret;
  const deliveries = async (query = "") =>
    (await call("GET", `webhooks/${name}/deliveries${query}`)).body.deliveries as Body[];
  return { name, topic, receiver, secret, put, produce, state, until, deliveries };
}

const attemptsOf = (requests: readonly Received[]) =>
  requests.map(({ headers }) => `${headers["ayder-offset"]}:${headers["ayder-attempt"]}`);

test("a record is delivered as it is, with headers that both libraries verify", async () => {
  const { receiver, secret, produce, until, topic } = await hooked({
    headers: { Authorization: "Bearer for-the-receiver" },
  });
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  await produce('{"n": 1}', "partition=0&key=k%C3%A9%20&header.trace=a%25b");
  const request = await receiver.request(0);
  expect(request.text).toBe('{"n": 1}');
  expect(verified(request, secret)).toEqual(BOTH);
  expect(request.headers).toMatchObject({
    "content-type": "application/json",
    authorization: "Bearer for-the-receiver",
    "ayder-topic": topic,
    "ayder-partition": "0",
    "ayder-offset": "0",
    "ayder-attempt": "1",
    "ayder-key": "k%C3%A9%20",
    "ayder-header-trace": "a%25b",
    "user-agent": "ayder-webhook",
  });
  expect(request.headers["webhook-id"]).toMatch(/^[0-9]+(-[0-9]+)+$/);
  expect(Math.abs(Number(request.headers["webhook-timestamp"]) * 1000 - Date.now())).toBeLessThan(
    60_000,
  );
  expect(verified({ ...request, text: '{"n": 2}' }, secret)).toEqual({
    standard: false,
    svix: false,
  });
  const state = await until(({ delivered }) => delivered === 1);
  expect(state).toMatchObject({ ready: 0, in_flight: 0, delayed: 0, dead: 0, filtered: 0 });
  await receiver.stop();
});

test("a failure is repeated with the same id until it succeeds, and every attempt verifies", async () => {
  const answers = [500, 302, 200];
  const receiver = new Receiver((_, at) => {
    const status = answers[at] ?? 200;
    const headers = status === 302 ? { location: `${receiver.url}/elsewhere` } : {};
    return new Response(`answer ${at}`, { status, headers });
  });
  const { secret, produce, until, deliveries } = await hooked({}, receiver);
  await produce('"text"');
  await until(({ delivered }) => delivered === 1);
  expect(attemptsOf(receiver.requests)).toEqual(["0:1", "0:2", "0:3"]);
  expect(new Set(receiver.requests.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
  for (const request of receiver.requests) expect(verified(request, secret)).toEqual(BOTH);
  const all = await deliveries();
  expect(all.map(({ status, outcome, body }) => [status, outcome, body])).toEqual([
    [200, "delivered", "answer 2"],
    [302, "retry", "answer 1"],
    [500, "retry", "answer 0"],
  ]);
  expect(all[0]).toEqual({
    webhook_id: receiver.requests[0]?.headers["webhook-id"],
    test: false,
    partition: 0,
    offset: 0,
    attempt: 3,
    at_ms: expect.any(Number),
    duration_ms: expect.any(Number),
    status: 200,
    body: "answer 2",
    error: null,
    outcome: "delivered",
  });
  const statuses = async (status: string) =>
    (await deliveries(`?status=${status}`)).map((each) => each.status);
  expect(await statuses("failed")).toEqual([302, 500]);
  expect(await statuses("ok")).toEqual([200]);
  expect(await statuses("5xx")).toEqual([500]);
  expect(await statuses("302")).toEqual([302]);
  expect(await statuses("none")).toEqual([]);
  expect((await deliveries("?limit=1")).length).toBe(1);
  await receiver.stop();
});

test("after its last attempt a record is put aside, with exactly its attempts, and can be moved back", async () => {
  const receiver = new Receiver(() => new Response("no", { status: 500 }));
  const { name, produce, until } = await hooked({ max_deliveries: 3 }, receiver);
  await produce("x");
  await until(({ dead }) => dead === 1);
  expect(receiver.requests.length).toBe(3);
  const { body } = await call("GET", `consume/${name}.dead/g/0`);
  expect(body.messages[0].headers).toMatchObject({
    "dead-attempts": "3",
    "dead-reason": "max_deliveries",
    "dead-queue": `webhook:${name}`,
    "dead-offset": "0",
  });
  receiver.answer = () => new Response("ok");
  expect((await call("POST", `webhooks/${name}/redrive`)).body).toEqual({
    ok: true,
    webhook: name,
    moved: 1,
    remaining: 0,
  });
  await until(({ delivered }) => delivered === 1);
  expect(attemptsOf(receiver.requests)).toEqual(["0:1", "0:2", "0:3", "1:1"]);
  await receiver.stop();
});

test("a receiver that hangs, cuts or sends without end has its attempt, and no more time than it may", async () => {
  const end = Promise.withResolvers<void>();
  const receiver = new Receiver(async (_, at) => {
    if (at === 0) await end.promise;
    const endless = new ReadableStream({
      async pull(controller) {
        controller.enqueue(new Uint8Array(1024));
        await Bun.sleep(1);
      },
    });
    return new Response(endless);
  });
  const { produce, until, deliveries } = await hooked({ timeout_ms: 300 }, receiver);
  await produce("x");
  await until(({ delivered }) => delivered === 1);
  const [last, first] = await deliveries();
  expect(first).toMatchObject({
    status: null,
    error: "no answer within 300 ms",
    outcome: "retry",
    attempt: 1,
  });
  expect(last).toMatchObject({ status: 200, outcome: "delivered", attempt: 2 });
  expect(last.body.length).toBe(1024);
  // A server of Bun may wait for its open requests when it stops.
  end.resolve();
  await receiver.stop();
  // Nobody listens any more.
  await produce("y");
  await until(({ delayed, in_flight }) => delayed + in_flight > 0);
  for (;;) {
    const [newest] = await deliveries("?status=none");
    if (newest?.offset === 1) {
      expect(newest.error).toBe("127.0.0.1: ECONNREFUSED");
      break;
    }
    await Bun.sleep(10);
  }
});

test("410 pauses the webhook; resume goes on with the same record", async () => {
  const receiver = new Receiver((_, at) => new Response("", { status: at === 0 ? 410 : 200 }));
  const { name, produce, until, deliveries, state } = await hooked({}, receiver);
  await produce("x");
  const paused = await until((now) => now.paused);
  expect(paused).toMatchObject({ paused_reason: "gone", paused_at_ms: expect.any(Number) });
  await until(({ in_flight }) => in_flight === 0);
  await produce("y");
  expect((await call("POST", `webhooks/${name}/pause`)).body).toEqual({
    ok: true,
    webhook: name,
    paused: true,
    changed: false,
  });
  expect(receiver.requests.length).toBe(1);
  expect((await deliveries()).map(({ outcome }) => outcome)).toEqual(["paused"]);
  // A test is sent also while it is paused.
  const tested = await call("POST", `webhooks/${name}/test`);
  expect(tested.body).toMatchObject({ ok: true });
  expect(tested.body.delivery).toMatchObject({ status: 200, test: true, outcome: "delivered" });
  expect((await call("POST", `webhooks/${name}/resume`)).body.changed).toBe(true);
  await until(({ delivered }) => delivered === 2);
  expect((await state()).paused_reason).toBeNull();
  expect(attemptsOf(receiver.requests.slice(2)).sort()).toEqual(["0:2", "1:1"]);
  await receiver.stop();
});

test("429 and 503 put off all deliveries for as long as the receiver says", async () => {
  for (const [status, retryAfter] of [
    [429, () => "1"],
    [503, () => new Date(Date.now() + 2_000).toUTCString()],
  ] as const) {
    const receiver = new Receiver((_, at) =>
      at === 0
        ? new Response("", { status, headers: { "retry-after": retryAfter() } })
        : new Response("ok"),
    );
    const { produce, until } = await hooked({ backoff_ms: [3_600_000] }, receiver);
    await produce("x");
    await receiver.request(0);
    await until(({ delayed }) => delayed === 1);
    await produce("y");
    await until(({ delivered }) => delivered === 2);
    expect(attemptsOf(receiver.requests.slice(1)).sort()).toEqual(["0:2", "1:1"]);
    for (const { atMs } of receiver.requests.slice(1)) {
      expect(atMs - (receiver.requests[0]?.atMs ?? 0)).toBeGreaterThanOrEqual(900);
    }
    await receiver.stop();
  }
});

test("a rotation keeps both secrets valid; a second one ends the oldest", async () => {
  const { name, receiver, secret: first, produce, state } = await hooked();
  const rotate = async (): Promise<string> => {
    const { body } = await call("POST", `webhooks/${name}/rotate`);
    expect(body).toEqual({
      ok: true,
      webhook: name,
      secret: expect.stringMatching(/^whsec_/),
      previous_secret_until_ms: expect.any(Number),
    });
    const aheadMs = body.previous_secret_until_ms - Date.now();
    expect(Math.abs(aheadMs - 24 * 3_600_000)).toBeLessThan(60_000);
    return body.secret;
  };
  const second = await rotate();
  await produce("1");
  const request = await receiver.request(0);
  expect(request.headers["webhook-signature"]?.split(" ").length).toBe(2);
  for (const secret of [first, second]) expect(verified(request, secret)).toEqual(BOTH);
  const third = await rotate();
  await produce("2");
  const later = await receiver.request(1);
  for (const secret of [second, third]) expect(verified(later, secret)).toEqual(BOTH);
  expect(verified(later, first)).toEqual({ standard: false, svix: false });
  // The secrets themselves are never shown again.
  expect(JSON.stringify(await state())).not.toContain("whsec_");
  await receiver.stop();
});

test("the filter leaves records out, in one command for many", async () => {
  const { receiver, produce, until } = await hooked({
    filter: [
      { field: "n", op: "ge", value: 990 },
      { field: "$key", op: "in", value: ["a", "b"] },
    ],
  });
  const lines = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => `{"n":${from + i}}`).join("\n");
  const { topic } = await until(() => true);
  const ndjson = (key: string, from: number, to: number) =>
    call("POST", `topics/${topic}/produce-ndjson?partition=0&key=${key}`, lines(from, to));
  await ndjson("a", 0, 1_000);
  await ndjson("c", 990, 1_000);
  await produce("no JSON at all", "partition=0&key=a");
  await produce('{"n":1000}', "partition=0&key=b");
  const state = await until(({ delivered, filtered }) => delivered === 11 && filtered === 1_001);
  expect(state).toMatchObject({ ready: 0, in_flight: 0, dead: 0 });
  expect(receiver.requests.map(({ text }) => JSON.parse(text).n).sort((a, b) => a - b)).toEqual([
    990, 991, 992, 993, 994, 995, 996, 997, 998, 999, 1000,
  ]);
  await receiver.stop();
});

test("integers of any length are exact in a filter, also when it is shown", async () => {
  const receiver = new Receiver();
  await call("POST", "topics", { name: "long", partitions: 1 });
  const filter = '[{"field":"id","op":"eq","value":9007199254740993}]';
  const body = `{"topic":"long","url":"${receiver.url}","filter":${filter}}`;
  expect((await call("PUT", "webhooks/long", body)).status).toBe(200);
  await call("POST", "topics/long/produce?partition=0", '{"id":9007199254740992}');
  await call("POST", "topics/long/produce?partition=0", '{"id":9007199254740993}');
  expect((await receiver.request(0)).text).toBe('{"id":9007199254740993}');
  const headers = { authorization: "Bearer dev" };
  const shown = await fetch(`${server.url}/broker/webhooks/long`, { headers });
  expect(await shown.text()).toContain(`"filter":${filter}`);
  await receiver.stop();
});

test("order partition: one record at a time, in order, and a failing one holds the others back", async () => {
  const receiver = new Receiver((_, at) => new Response("", { status: at === 1 ? 500 : 200 }));
  const { produce, until } = await hooked({ order: "partition" }, receiver);
  for (let i = 0; i < 6; i++) await produce(`${i}`);
  await until(({ delivered }) => delivered === 6);
  expect(attemptsOf(receiver.requests)).toEqual(["0:1", "1:1", "1:2", "2:1", "3:1", "4:1", "5:1"]);
  expect(receiver.mostAtWork).toBe(1);
  await receiver.stop();
});

test("order partition: a dead letter releases the next record", async () => {
  const receiver = new Receiver(
    ({ text }) => new Response("", { status: text === "0" ? 500 : 200 }),
  );
  const { produce, until } = await hooked({ order: "partition", max_deliveries: 2 }, receiver);
  await produce("0");
  await produce("1");
  await until(({ delivered, dead }) => delivered === 1 && dead === 1);
  expect(attemptsOf(receiver.requests)).toEqual(["0:1", "0:2", "1:1"]);
  await receiver.stop();
});

test("order key: records of a key wait for each other, other keys go on", async () => {
  const receiver = new Receiver(async ({ headers }) => {
    await Bun.sleep(headers["ayder-key"] === "slow" ? 100 : 1);
    return new Response("");
  });
  const { produce, until } = await hooked({ order: "key" }, receiver);
  for (const key of ["slow", "slow", "fast", "fast", "fast"]) {
    await produce(key, `partition=0&key=${key}`);
  }
  await until(({ delivered }) => delivered === 5);
  const order = receiver.requests.map(({ headers }) => headers["ayder-offset"]);
  expect(order.filter((offset) => Number(offset) >= 2)).toEqual(["2", "3", "4"]);
  expect(order.indexOf("1")).toBeGreaterThan(order.indexOf("2"));
  await receiver.stop();
});

test("order key: many records of a key that waits do not keep other keys behind them", async () => {
  const receiver = new Receiver(({ headers }) =>
    headers["ayder-key"] === "stuck" ? new Response("", { status: 500 }) : new Response(""),
  );
  const { topic, until } = await hooked({ order: "key", backoff_ms: [3_600_000] }, receiver);
  const ndjson = (key: string, count: number) =>
    call("POST", `topics/${topic}/produce-ndjson?partition=0&key=${key}`, "1\n".repeat(count));
  await ndjson("stuck", 2_000);
  await ndjson("free", 3);
  await until(({ delivered }) => delivered === 3);
  expect(attemptsOf(receiver.requests.slice(1))).toEqual(["2000:1", "2001:1", "2002:1"]);
  await receiver.stop();
});

test("never more requests at a time than max_in_flight, and than the node allows", async () => {
  const receiver = new Receiver(async () => {
    await Bun.sleep(20);
    return new Response("");
  });
  const { topic, until } = await hooked({ max_in_flight: 3 }, receiver);
  const many = Array.from({ length: 30 }, (_, i) => `{"i":${i}}`).join("\n");
  await call("POST", `topics/${topic}/produce-ndjson?partition=0`, many);
  await until(({ delivered }) => delivered === 30);
  expect(receiver.mostAtWork).toBe(3);
  const wide = await hooked({ max_in_flight: 100 }, new Receiver(receiver.answer));
  await call("POST", `topics/${wide.topic}/produce-ndjson?partition=0`, many);
  await wide.until(({ delivered }) => delivered === 30);
  expect(wide.receiver.mostAtWork).toBe(8);
  await receiver.stop();
  await wide.receiver.stop();
});

test("format cloudevents: a record becomes an event, and an event is what it was", async () => {
  const { receiver, secret, topic, produce } = await hooked({ format: "cloudevents" });
  await produce('{"a":1}');
  const made = await receiver.request(0);
  expect(made.headers["content-type"]).toBe("application/cloudevents+json");
  expect(verified(made, secret)).toEqual(BOTH);
  expect(JSON.parse(made.text)).toEqual({
    specversion: "1.0",
    id: `${topic}/0/0`,
    source: `/broker/topics/${topic}`,
    type: "ayder.record",
    time: expect.any(String),
    datacontenttype: "application/json",
    data: { a: 1 },
  });
  await fetch(`${server.url}/broker/topics/${topic}/produce?partition=0`, {
    method: "POST",
    headers: {
      authorization: "Bearer dev",
      "content-type": "text/plain",
      "ce-id": "1",
      "ce-source": "/s",
      "ce-type": "t",
      "ce-specversion": "1.0",
    },
    body: "hello",
  });
  const event = await receiver.request(1);
  expect(JSON.parse(event.text)).toEqual({
    ...{ id: "1", source: "/s", type: "t", specversion: "1.0" },
    datacontenttype: "text/plain",
    data: "hello",
  });
  await receiver.stop();
});

test("another definition changes what may change, and keeps the secret", async () => {
  const { name, topic, receiver, secret, put, produce } = await hooked();
  expect((await put()).body).toEqual({ ok: true, webhook: name, created: false });
  const other = new Receiver();
  const again = await call("PUT", `webhooks/${name}`, { topic, url: other.url });
  expect(again.body).toEqual({ ok: true, webhook: name, created: false });
  await produce('"x"');
  expect(verified(await other.request(0), secret)).toEqual(BOTH);
  expect(receiver.requests.length).toBe(0);
  for (const [field, value] of [
    ["order", "key"],
    ["order", "partition"],
    ["from", "latest"],
  ] as const) {
    const refused = await call("PUT", `webhooks/${name}`, {
      topic,
      url: other.url,
      [field]: value,
    });
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({ error: "webhook_exists", field });
  }
  expect((await call("DELETE", `webhooks/${name}`)).body).toEqual({
    ok: true,
    webhook: name,
    deleted: true,
  });
  expect((await call("GET", `webhooks/${name}`)).body.error).toBe("webhook_not_found");
  await Promise.all([receiver.stop(), other.stop()]);
});

test("the queue of a webhook is no queue of clients", async () => {
  const { name, receiver } = await hooked();
  const { body } = await call("GET", "queues");
  expect(JSON.stringify(body)).not.toContain(name);
  for (const queue of [`webhook:${name}`, `webhook%3A${name}`]) {
    expect((await call("GET", `queues/${queue}`)).body.error).toBe("invalid_queue");
  }
  const { body: list } = await call("GET", "webhooks");
  expect(list.webhooks.some((each: Body) => each.webhook === name)).toBe(true);
  await receiver.stop();
});

test("after a restart deliveries go on where they were", async () => {
  const receiver = new Receiver(() => new Response("", { status: 500 }));
  const { produce, until, secret } = await hooked({ backoff_ms: [200] }, receiver);
  await produce('"x"');
  await until(({ delayed }) => delayed === 1);
  await server.stop();
  server = await startServer({
    dataDir: directory.path,
    env: { RF_WEBHOOK_ALLOW: "127.0.0.1", RF_WEBHOOK_CONCURRENCY: "8" },
  });
  const before = receiver.requests.length;
  receiver.answer = () => new Response("ok");
  await until(({ delivered }) => delivered === 1);
  const attempts = receiver.requests.map(({ headers }) => Number(headers["ayder-attempt"]));
  expect(attempts).toEqual(attempts.map((_, at) => at + 1));
  expect(verified(receiver.requests[before] as Received, secret)).toEqual(BOTH);
  await receiver.stop();
});
