/** Large bodies are encoded between other requests, and small ones at once. */
import { expect, test } from "bun:test";
import { encodeBody } from "../../src/http/slices.ts";
import type { Steps } from "../../src/lib/steps.ts";
import { fixture } from "../tools/http/fixture.ts";

const COUNT = 60_000;
const event = (i: number) =>
  `{"specversion":"1.0","id":"${i}","source":"/s","type":"t","data":{"n":${i}}}`;
const listOf = (make: (i: number) => string) => Array.from({ length: COUNT }, (_, i) => make(i));

const BODIES = {
  "records of JSON": {
    line: "POST /broker/topics/t/produce-json?partition=0",
    body: `{"records":[${listOf((i) => `{"value":{"n":${i}},"headers":{"a":"b"}}`)}]}`,
    type: "application/json",
    last: `{"n":${COUNT - 1}}`,
  },
  events: {
    line: "POST /broker/topics/t/produce?partition=0",
    body: `[${listOf(event)}]`,
    type: "application/cloudevents-batch+json",
    last: `{"n":${COUNT - 1}}`,
  },
};

for (const [what, { line, body, type, last }] of Object.entries(BODIES)) {
  test(`${what}: other requests are answered while a large body is encoded`, async () => {
    const { ask, node } = fixture();
    await node.createTopic("t", 1);
    let others = 0;
    const large = ask(line, { body, headers: { "content-type": type } }).then((answer) => {
      return { answer, others };
    });
    let isDone = false;
    void large.finally(() => {
      isDone = true;
    });
    while (!isDone) {
      expect((await ask("GET /health")).status).toBe(200);
      others++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const outcome = await large;
    expect([outcome.answer.status, outcome.answer.body["count"]]).toEqual([200, COUNT]);
    // Encoding takes much longer than twenty slices.
    expect(outcome.others).toBeGreaterThan(20);
    const page = await ask(`GET /broker/consume/t/g/0?offset=${COUNT - 1}`);
    expect(page.body["messages"]).toMatchObject([{ offset: COUNT - 1, value: last }]);
  });

  test(`${what}: an error at the end of a large body stores nothing`, async () => {
    const { ask, node } = fixture();
    await node.createTopic("t", 1);
    const broken = `${body.slice(0, -1)},`;
    const answer = await ask(line, { body: broken, headers: { "content-type": type } });
    expect([answer.status, answer.body["error"]]).toEqual([400, "invalid_json"]);
    expect((await ask("GET /broker/consume/t/g/0")).body["end_offset"]).toBe(0);
  });
}

test("a value that is too large is refused without being parsed", async () => {
  const { ask, node } = fixture();
  await node.createTopic("t", 1);
  const deep = "[".repeat(4_000_000) + "]".repeat(4_000_000);
  const answer = await ask("POST /broker/topics/t/produce-json?partition=0", {
    body: `{"records":[{"value":${deep}}]}`,
  });
  expect([answer.status, answer.body["message"]]).toEqual([
    413,
    'Field "records[0].value" has more than 1048576 bytes; the limit is 1048576 bytes',
  ]);
});

/** @param order collects the name with each step. */
function* steps(name: string, count: number, order: string[]): Steps<string> {
  for (let i = 0; i < count; i++) {
    order.push(name);
    // Longer than a slice, so that the body waits for other requests.
    const until = performance.now() + 5;
    while (performance.now() < until);
    yield;
  }
  return name;
}

test("large bodies take turns, and a small one does not wait for them", async () => {
  const order: string[] = [];
  const large = new Uint8Array(64 * 1024);
  const both = ["a", "b"].map((name) => encodeBody(large, steps(name, 3, order)));
  expect(encodeBody(large.subarray(1), steps("small", 1, order))).toBe("small");
  expect(await Promise.all(both)).toEqual(["a", "b"]);
  expect(order).toEqual(["small", "a", "b", "a", "b", "a", "b"]);
});

test("a body that fails does not stop the others", async () => {
  const large = new Uint8Array(64 * 1024);
  const order: string[] = [];
  const failing = encodeBody(
    large,
    // biome-ignore lint/correctness/useYield: it fails in its first step.
    (function* (): Steps<string> {
      throw new Error("refused");
    })(),
  );
  const other = encodeBody(large, steps("other", 2, order));
  await expect(Promise.resolve(failing)).rejects.toThrow("refused");
  expect(await other).toBe("other");
});
