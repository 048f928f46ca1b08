/** CONTRACT, webhooks: definitions and what is refused. Deliveries have tests of their own. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import { Client, freshName, type Json, type TargetOf } from "../tools/conformance/target.ts";

const URL_OF_NOBODY = "https://nobody.invalid/hook";
const BACKOFF_MS = [1_000, 10_000, 60_000, 300_000, 900_000, 1_800_000, 3_600_000];

export function register(target: TargetOf): void {
  const client = new Client(target);
  const put = (name: string, body: Json) => client.ask(`PUT /broker/webhooks/${name}`, { body });
  async function made(definition: Json = {}) {
    const topic = await client.topic("hooked", 1);
    const name = freshName("hook");
    const answer = await put(name, { topic, url: URL_OF_NOBODY, ...definition });
    return { topic, name, answer };
  }

  describe("webhooks: definitions", () => {
    test("the defaults, and the secret that is told once", async () => {
      const { topic, name, answer } = await made();
      expect(answer.body).toEqual({
        ok: true,
        webhook: name,
        created: true,
        secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/),
      });
      const again = await put(name, { topic, url: URL_OF_NOBODY });
      expect(again.body).toEqual({ ok: true, webhook: name, created: false });
      const described = {
        webhook: name,
        topic,
        url: URL_OF_NOBODY,
        format: "raw",
        order: "none",
        max_in_flight: 16,
        timeout_ms: 15_000,
        max_deliveries: 10,
        backoff_ms: BACKOFF_MS,
        dead_letter: `${name}.dead`,
        headers: {},
        from: "earliest",
        created_at_ms: expect.any(Number),
        secret_created_at_ms: expect.any(Number),
        previous_secret_until_ms: null,
        paused: false,
        paused_at_ms: null,
        paused_reason: null,
        ...{ ready: 0, in_flight: 0, delayed: 0, dead: 0, delivered: 0, filtered: 0, redriven: 0 },
        purged: 0,
        lost_to_retention: 0,
        oldest_age_ms: 0,
      };
      const partitions = [{ partition: 0, low_offset: 0, end_offset: 0, unfinished: 0 }];
      expect((await client.ask(`GET /broker/webhooks/${name}`)).body).toEqual({
        ok: true,
        ...described,
        partitions,
      });
      const list = (await client.ask("GET /broker/webhooks")).body["webhooks"] as Json[];
      expect(list.find(({ webhook }) => webhook === name)).toEqual(described);
      const { body } = await client.ask("GET /broker/queues");
      expect(JSON.stringify(body)).not.toContain(name);
    });
    test("pause, resume, rotate and delete", async () => {
      const { name } = await made();
      const post = async (verb: string) =>
        (await client.ask(`POST /broker/webhooks/${name}/${verb}`)).body;
      expect(await post("pause")).toEqual({ ok: true, webhook: name, paused: true, changed: true });
      const { body } = await client.ask(`GET /broker/webhooks/${name}`);
      expect(body).toMatchObject({ paused: true, paused_reason: "requested" });
      expect(await post("pause")).toMatchObject({ paused: true, changed: false });
      expect(await post("resume")).toMatchObject({ paused: false, changed: true });
      expect(await post("rotate")).toEqual({
        ok: true,
        webhook: name,
        secret: expect.stringMatching(/^whsec_/),
        previous_secret_until_ms: expect.any(Number),
      });
      expect(await post("redrive")).toEqual({ ok: true, webhook: name, moved: 0, remaining: 0 });
      expect(await post("purge")).toEqual({ ok: true, webhook: name, purged: 0 });
      const { body: log } = await client.ask(`GET /broker/webhooks/${name}/deliveries`);
      expect(log).toEqual({ ok: true, webhook: name, deliveries: [] });
      const gone = await client.ask(`DELETE /broker/webhooks/${name}`);
      expect(gone.body).toEqual({ ok: true, webhook: name, deleted: true });
      for (const line of [
        `GET /broker/webhooks/${name}`,
        `DELETE /broker/webhooks/${name}`,
        `GET /broker/webhooks/${name}/deliveries`,
        ...["pause", "resume", "rotate", "test", "redrive", "purge"].map(
          (verb) => `POST /broker/webhooks/${name}/${verb}`,
        ),
      ]) {
        const answer = await client.ask(line);
        expectError(answer, 404, "webhook_not_found");
        expect(answer.body["message"]).toBe(`No such webhook: webhook "${name}"`);
      }
    });
    test("a topic that does not exist, and what cannot be changed", async () => {
      const { topic, name } = await made({ order: "key" });
      const other = await client.topic("hooked", 1);
      for (const [change, field] of [
        [{ topic: other, order: "key" }, "topic"],
        [{ topic, order: "partition" }, "order"],
        [{ topic, order: "key", from: "latest" }, "from"],
      ] as const) {
        const answer = await put(name, { url: URL_OF_NOBODY, ...change });
        expectError(answer, 409, "webhook_exists", ["field"]);
        expect(answer.body["field"]).toBe(field);
      }
      const absent = await put(freshName("hook"), { topic: "no-such-topic", url: URL_OF_NOBODY });
      expectError(absent, 404, "topic_not_found");
    });
  });

  describe("webhooks: bad input", () => {
    const cases: readonly (readonly [Json, string, string])[] = [
      [{ url: undefined }, "missing_field", 'Field "url" is required'],
      [{ url: 7 }, "invalid_field", 'Field "url" is 7: it must be a string'],
      [{ url: "x" }, "invalid_field", 'Field "url": the URL "x" is malformed'],
      [
        { url: "http://example.com/" },
        "invalid_field",
        'Field "url": the URL http://example.com/ must begin with https:// unless RF_WEBHOOK_ALLOW names example.com',
      ],
      [
        { url: "https://169.254.169.254/latest" },
        "invalid_field",
        'Field "url": the host 169.254.169.254 is not public: it must not be called unless RF_WEBHOOK_ALLOW names 169.254.169.254',
      ],
      [
        { url: "https://u:p@example.com" },
        "invalid_field",
        'Field "url": a URL must not have a user or password',
      ],
      [{ topic: "a b" }, "invalid_topic", ""],
      [
        { format: "xml" },
        "invalid_field",
        'Field "format" is "xml": it must be "raw" or "cloudevents"',
      ],
      [
        { order: "topic" },
        "invalid_field",
        'Field "order" is "topic": it must be "partition" or "key" or "none"',
      ],
      [
        { max_in_flight: 0 },
        "invalid_field",
        'Field "max_in_flight" is 0: it must be a decimal integer from 1 to 1000',
      ],
      [
        { timeout_ms: 120_001 },
        "invalid_field",
        'Field "timeout_ms" is 120001: it must be a decimal integer from 1 to 120000',
      ],
      [
        { backoff_ms: [] },
        "invalid_field",
        'Field "backoff_ms" is a list of 0: it must be a list of 1 to 16',
      ],
      [{ filter: 7 }, "invalid_field", 'Field "filter" must be a list'],
      [
        { filter: [{ field: "a", op: "is", value: 1 }] },
        "invalid_field",
        'Field "filter[0].op" must be one of eq, ne, lt, le, gt, ge, in, contains',
      ],
      [{ filter: [{ fild: "a" }] }, "unknown_field", ""],
      [{ filters: [] }, "unknown_field", ""],
      [
        { headers: { Host: "x" } },
        "invalid_field",
        'Field "headers.Host" is reserved: the server sets it, or it must not be sent',
      ],
      [
        { headers: { "webhook-id": "x" } },
        "invalid_field",
        'Field "headers.webhook-id" is reserved: the server sets it, or it must not be sent',
      ],
      [
        { headers: { "a b": "x" } },
        "invalid_field",
        'Field "headers.a b" is not the name of a header of 1 to 64 characters',
      ],
      [
        { headers: { a: "x\r\nhost: y" } },
        "invalid_field",
        'Field "headers.a" must be visible ASCII characters, with spaces between them only',
      ],
      [
        { headers: { a: "1", A: "2" } },
        "invalid_field",
        'Field "headers.A" is given twice, in other letters',
      ],
    ];
    test("a field that is wrong is named, with what is allowed", async () => {
      const topic = await client.topic("hooked", 1);
      for (const [fields, code, message] of cases) {
        const body = JSON.parse(JSON.stringify({ topic, url: URL_OF_NOBODY, ...fields })) as Json;
        const answer = await put(freshName("hook"), body);
        expect([answer.status, answer.body["error"]], JSON.stringify(fields)).toEqual([400, code]);
        if (message !== "") expect(answer.body["message"]).toBe(message);
      }
      expectError(await put("a%3Ab", { topic, url: URL_OF_NOBODY }), 400, "invalid_webhook");
    });
    test("deliveries are asked for by a status that exists", async () => {
      const { name } = await made();
      const bad = await client.ask(`GET /broker/webhooks/${name}/deliveries?status=bad`);
      expectError(bad, 400, "invalid_parameter");
      expect(bad.body["message"]).toBe(
        'status is "bad": it must be ok, failed, none, a status such as 503, or a class such as 5xx',
      );
    });
  });
}
