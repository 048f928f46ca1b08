/** Requests to the same URL: what one of them says in its headers does not reach the next. */
import { expect, test } from "bun:test";
import type { ProduceRequest } from "../../src/node/api.ts";
import { fixture } from "../tools/http/fixture.ts";

const URL_OF = "POST /broker/topics/t/produce?partition=0";

async function start() {
  const made = fixture();
  await made.ask("POST /broker/topics", { body: '{"name":"t","partitions":2}' });
  const asked: ProduceRequest[] = [];
  const produce = made.node.produce.bind(made.node);
  made.node.produce = (request, done) => {
    asked.push(request);
    produce(request, done);
  };
  const ask = async (headers: Record<string, string>, line = URL_OF) => {
    const { status } = await made.ask(line, { body: "x", headers });
    return status;
  };
  return { asked, ask, made };
}

test("headers, keys and numbers of a request are its own", async () => {
  const { asked, ask } = await start();
  await ask({});
  await ask({ "ayder-header-a": "1" });
  await ask({ "idempotency-key": "k1" });
  await ask({ "producer-id": "p", "producer-epoch": "0", "producer-seq": "0" });
  await ask({});
  const of = ({ records, idempotencyKey, producer }: ProduceRequest) => [
    records.bytes.length > (asked[0]?.records.bytes.length ?? 0),
    idempotencyKey?.toString() ?? null,
    producer?.id ?? null,
  ];
  const key = new TextEncoder().encode("k1").toString();
  expect(asked.map(of)).toEqual([
    [false, null, null],
    [true, null, null],
    [false, key, null],
    [false, null, "p"],
    [false, null, null],
  ]);
});

test("a content type counts for its own request", async () => {
  const { ask } = await start();
  expect(await ask({})).toBe(200);
  expect(await ask({ "content-type": "text/plain" })).toBe(200);
  expect(await ask({ "content-type": "application/cloudevents+json" })).toBe(400);
  expect(await ask({ "content-type": "application/vnd.ayder.batch" })).toBe(400);
  expect(await ask({})).toBe(200);
});

test("a URL with an error is refused each time, and others go on", async () => {
  const { ask } = await start();
  for (let i = 0; i < 3; i++) {
    expect(await ask({}, "POST /broker/topics/t/produce?partition=x")).toBe(400);
    expect(await ask({}, "POST /broker/topics/t/produce?partition=1&mode=slow")).toBe(400);
    expect(await ask({}, "POST /broker/topics/t/produce?partition=1")).toBe(200);
  }
});

test("more URLs than are remembered are read correctly", async () => {
  const { asked, ask, made } = await start();
  await made.ask("POST /broker/topics", { body: '{"name":"u","partitions":2}' });
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 300; i++) {
      const topic = i % 2 === 0 ? "t" : "u";
      await ask({}, `POST /broker/topics/${topic}/produce?partition=${i % 2}&timeout_ms=${i + 1}`);
    }
  }
  const seen = asked.map(({ topic, partition, timeoutMs }) => [topic, partition, timeoutMs]);
  const expected = Array.from({ length: 600 }, (_, n) => {
    const i = n % 300;
    return [i % 2 === 0 ? "t" : "u", i % 2, i + 1];
  });
  expect(seen).toEqual(expected);
});
