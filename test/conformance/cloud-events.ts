/** CONTRACT 12: CloudEvents 1.0, judged by the SDK of the project in all three modes. */
import { describe, expect, test } from "bun:test";
import { CloudEvent, HTTP } from "cloudevents";
import { expectError } from "../tools/conformance/expectations.ts";
import { Client, messagesOf, type TargetOf } from "../tools/conformance/target.ts";

const BATCH = "application/cloudevents-batch+json";
const STRUCTURED = { "content-type": "application/cloudevents+json" };
const FIELDS = { specversion: "1.0", id: "a 1/ü€", source: "/shop", type: "order.placed" };

export function register(target: TargetOf): void {
  const client = new Client(target);
  const path = (topic: string) => `POST /broker/topics/${topic}/produce?partition=0`;
  const headersOf = (headers: object) =>
    Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
  const read = async (topic: string) => {
    const answer = await client.ask(`GET /broker/consume/${topic}/g/0?offset=0`, {
      headers: { accept: BATCH },
    });
    expect(answer.headers.get("content-type")).toBe(BATCH);
    const body = new TextDecoder().decode(answer.bytes);
    const events = HTTP.toEvent({ headers: { "content-type": BATCH }, body });
    return { answer, events: events as CloudEvent<unknown>[] };
  };
  const plain = (event: CloudEvent<unknown>) => JSON.parse(JSON.stringify(event));

  describe("CloudEvents", () => {
    test("events of the SDK come back as they were, sent in three modes", async () => {
      const topic = await client.topic("events");
      const time = "2026-01-31T08:00:00.000Z";
      const json = new CloudEvent({ ...FIELDS, id: "1", time, data: { n: [1, "ü"] }, ext: "x y" });
      const text = new CloudEvent({
        ...FIELDS,
        id: "2",
        time,
        datacontenttype: "text/plain",
        subject: "a b",
        data: "hello",
      });
      const bytes = new CloudEvent({
        ...FIELDS,
        id: "3",
        time,
        datacontenttype: "application/octet-stream",
        data_base64: "AP8B",
      });
      const send = async (message: { headers: object; body: unknown }) => {
        const headers = headersOf(message.headers);
        const answer = await client.ask(path(topic), { headers, body: message.body as string });
        expect(answer.status, JSON.stringify(answer.body)).toBe(200);
        return answer.body;
      };
      await send(HTTP.binary(json));
      await send(HTTP.structured(json));
      await send(HTTP.binary(text));
      await send(HTTP.structured(text));
      await send(HTTP.structured(bytes));
      const batch = await client.ask(path(topic), {
        headers: { "content-type": BATCH },
        body: JSON.stringify([json, text, bytes]),
      });
      expect(batch.body).toMatchObject({ first_offset: 5, count: 3 });
      const { answer, events } = await read(topic);
      expect(answer.headers.get("ayder-next-offset")).toBe("8");
      const wanted = [json, json, text, text, bytes, json, text, bytes];
      expect(events.map(({ id }) => id)).toEqual(wanted.map(({ id }) => id));
      for (const [i, event] of events.entries()) {
        const { data, data_base64, datacontenttype, ...rest } = plain(event);
        const {
          data: d,
          data_base64: b,
          datacontenttype: t,
          ...expected
        } = plain(wanted[i] as never);
        expect(rest).toEqual(expected);
        expect([data, data_base64]).toEqual([d, b]);
        expect(String(datacontenttype)).toStartWith(String(t ?? "application/json"));
      }
    });
    test("binary mode is stored as headers, with percent-decoding; data byte for byte", async () => {
      const topic = await client.topic("binary");
      const headers = {
        "ce-specversion": "1.0",
        "ce-id": "caf%C3%A9%2042",
        "ce-source": "/a%25b",
        "ce-type": '"quo\\"ted"',
        "content-type": "application/json",
      };
      await client.ask(path(topic), { headers, body: '{"a" : 1.0}' });
      const [message] = messagesOf((await client.consume(topic)).body);
      expect(message).toMatchObject({
        value: '{"a" : 1.0}',
        headers: {
          "ce-id": "café 42",
          "ce-source": "/a%b",
          "ce-specversion": "1.0",
          "ce-type": 'quo"ted',
          "content-type": "application/json",
        },
      });
    });
    test("a record that is no event gets id, source and type", async () => {
      const topic = await client.topic("plain");
      await client.produce(topic, '{"n":1}');
      await client.produce(topic, "text");
      await client.produce(topic, Uint8Array.of(0, 255));
      const { events } = await read(topic);
      expect(events.map(plain)).toMatchObject([
        {
          id: `${topic}/0/0`,
          source: `/broker/topics/${topic}`,
          type: "ayder.record",
          specversion: "1.0",
          datacontenttype: "application/json",
          data: { n: 1 },
        },
        { id: `${topic}/0/1`, datacontenttype: "text/plain", data: "text" },
        { id: `${topic}/0/2`, data_base64: "AP8=" },
      ]);
    });
    test("data of a type that is not text comes as bytes, also if it is UTF-8", async () => {
      const topic = await client.topic("bytes");
      const send = async (datacontenttype: string) => {
        const event = { ...FIELDS, id: "1", datacontenttype, data_base64: "aGVsbG8=" };
        const headers = { "content-type": "application/cloudevents+json" };
        await client.ask(path(topic), { headers, body: JSON.stringify(event) });
      };
      const types = ["application/octet-stream", "image/png", "text/csv", "image/svg+xml"];
      for (const type of types) await send(type);
      const { events } = await read(topic);
      const dataOf = (event: CloudEvent<unknown>) => {
        const { data, data_base64: base64 } = plain(event);
        return base64 === undefined ? { data } : { base64 };
      };
      expect(events.map(dataOf)).toEqual([
        { base64: "aGVsbG8=" },
        { base64: "aGVsbG8=" },
        { data: "hello" },
        { data: "hello" },
      ]);
    });
    test("what is no event is 400, and nothing is stored", async () => {
      const topic = await client.topic("wrong");
      const event = { "ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-specversion": "1.0" };
      for (const [headers, body, code] of [
        [{ ...event, "ce-id": "" }, "x", "invalid_header"],
        [{ ...event, "ce-specversion": "0.3" }, "x", "invalid_header"],
        [{ "ce-id": "1" }, "x", "invalid_header"],
        [{ ...event, "ce-subject": "%FF" }, "x", "invalid_header"],
        [{ ...event, "ce-time": "yesterday" }, "x", "invalid_header"],
        [{ ...event, "ce-time": "2026-01-31T08:00:00" }, "x", "invalid_header"],
        [STRUCTURED, '{"id":1,"source":"/","type":"t","specversion":"1.0"}', "invalid_header"],
        [
          STRUCTURED,
          '{"id":"1","source":"/","type":"t","specversion":"1.0","time":5}',
          "invalid_header",
        ],
        [{ "content-type": "application/cloudevents+json" }, "{", "invalid_json"],
        [{ "content-type": "application/cloudevents+json; charset=utf-8" }, "[]", "invalid_json"],
        [{ "content-type": "application/cloudevents+json" }, '{"id":"1"}', "invalid_header"],
        [{ "content-type": BATCH }, "[]", "empty_batch"],
        [{ "content-type": BATCH }, '[{"id":"1","source":"/","type":"t"}]', "invalid_header"],
      ] as const) {
        const answer = await client.ask(path(topic), { headers: headersOf(headers), body });
        expectError(answer, 400, code);
      }
      expect(await client.values(topic)).toEqual([]);
    });

    test("names of attributes are the same in all modes, and messages name the field", async () => {
      const topic = await client.topic("names");
      const event = { specversion: "1.0", id: "1", source: "/", type: "t" };
      const binary = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/", "ce-type": "t" };
      const structured = { "content-type": "application/cloudevents+json" };
      const bad = JSON.stringify({ ...event, data_base64: "!!" });
      for (const [headers, body, code, message] of [
        [{ ...binary, "ce-my_ext": "1" }, "x", "invalid_header", 'attribute "my_ext" must have'],
        [structured, bad, "invalid_field", 'Field "data_base64" is "!!"'],
        [{ "content-type": BATCH }, `[${bad}]`, "invalid_field", 'Field "[0].data_base64" is'],
      ] as const) {
        const answer = await client.ask(path(topic), { headers: headersOf(headers), body });
        expectError(answer, 400, code);
        expect(answer.body["message"]).toContain(message);
      }
      expect(await client.values(topic)).toEqual([]);
    });
  });
}
