/** CONTRACT 5: answers without end. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import { Client, type Json, type TargetOf } from "../tools/conformance/target.ts";

const EVENTS = { accept: "text/event-stream" };
const LINES = { accept: "application/x-ndjson" };

export function register(target: TargetOf): void {
  const client = new Client(target);

  /** The first `count` events or lines that hold JSON; then the stream is closed. */
  async function take(path: string, headers: Record<string, string>, count: number) {
    const stop = new AbortController();
    const response = await client.open(path, headers, stop.signal);
    const found: Found[] = [];
    let text = "";
    const decoder = new TextDecoder();
    const end = headers["accept"] === EVENTS.accept ? "\n\n" : "\n";
    for await (const bytes of response.body ?? []) {
      const parts = (text + decoder.decode(bytes, { stream: true })).split(end);
      text = parts.pop() ?? "";
      found.push(...parts.flatMap(parsed));
      if (found.length >= count) break;
    }
    stop.abort();
    return { type: response.headers.get("content-type"), found: found.slice(0, count) };
  }
  /** All that comes until the stream ends. @param first is done when something has come. */
  async function whole(
    path: string,
    headers: Record<string, string>,
    first: () => Promise<void> = async () => undefined,
  ): Promise<string> {
    const response = await client.open(path, headers, new AbortController().signal);
    expect(response.headers.get("content-type")).toStartWith(headers["accept"] ?? "");
    let text = "";
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      if (text === "") await first();
      text += decoder.decode(bytes, { stream: true });
    }
    return text;
  }
  const produceAll = async (topic: string, values: readonly string[]) => {
    for (const value of values) await client.produce(topic, value);
  };

  describe("follow", () => {
    test("server-sent events: what is there, then what comes", async () => {
      const topic = await client.topic("events");
      await produceAll(topic, ["a", "b\nc"]);
      const taking = take(`/broker/consume/${topic}/g/0?offset=0`, EVENTS, 4);
      await produceAll(topic, ["d", "e"]);
      const { type, found } = await taking;
      expect(type).toStartWith("text/event-stream");
      expect(found.map(({ id }) => id)).toEqual(["0", "1", "2", "3"]);
      expect(found.map(({ message }) => message["value"])).toEqual(["a", "b\nc", "d", "e"]);
      expect(found[0]?.message).toMatchObject({ offset: 0, partition: 0 });
    });
    test("Last-Event-ID goes on after that event, whatever offset says", async () => {
      const topic = await client.topic("resume");
      await produceAll(topic, ["a", "b", "c"]);
      const headers = { ...EVENTS, "last-event-id": "1" };
      const { found } = await take(`/broker/consume/${topic}/g/0?offset=0`, headers, 1);
      expect(found.map(({ id }) => id)).toEqual(["2"]);
    });
    test("a Last-Event-ID that is no offset is 400", async () => {
      const topic = await client.topic("resume");
      const headers = { ...EVENTS, "last-event-id": "x" };
      expectError(
        await client.ask(`GET /broker/consume/${topic}/g/0`, { headers }),
        400,
        "invalid_parameter",
      );
    });
    test("lines: the same with follow=1", async () => {
      const topic = await client.topic("lines");
      await produceAll(topic, ["a"]);
      const taking = take(`/broker/consume/${topic}/g/0?offset=0&follow=1&encoding=b64`, LINES, 2);
      await produceAll(topic, ["b"]);
      const { type, found } = await taking;
      expect(type).toStartWith("application/x-ndjson");
      expect(found.map(({ message }) => message["value_b64"])).toEqual(["YQ==", "Yg=="]);
    });
    for (const [query, accept, type] of [
      ["", "application/json, text/event-stream;q=0.1", "application/json"],
      ["", "text/event-stream;q=0", "application/json"],
      ["", "*/*", "application/json"],
      ["", "application/json, text/event-stream", "application/json"],
      ["", "text/event-stream, */*", "text/event-stream"],
      ["", "text/*", "text/event-stream"],
      ["&follow=1", "*/*", "application/x-ndjson"],
      ["&follow=1", "application/*", "application/x-ndjson"],
      ["&follow=1", "application/x-ndjson;q=0.2, application/json;q=0.1", "application/x-ndjson"],
      ["&follow=1", "application/x-ndjson;q=0.1, application/json", "application/json"],
      ["&follow=1", "text/event-stream;q=0.9, application/x-ndjson;q=0.5", "text/event-stream"],
    ] as const) {
      test(`Accept: ${accept} with ${query} is ${type}`, async () => {
        const topic = await client.topic("weights");
        await produceAll(topic, ["a"]);
        const stop = new AbortController();
        const path = `/broker/consume/${topic}/g/0?offset=0${query}`;
        const response = await client.open(path, { accept }, stop.signal);
        expect(response.headers.get("content-type")).toStartWith(type);
        const streams = type !== "application/json";
        expect(response.headers.get("x-accel-buffering")).toBe(streams ? "no" : null);
        stop.abort();
      });
    }
    test("an empty Last-Event-ID counts as absent", async () => {
      const topic = await client.topic("resume");
      await produceAll(topic, ["a", "b"]);
      const headers = { ...EVENTS, "last-event-id": "" };
      const { found } = await take(`/broker/consume/${topic}/g/0?offset=1`, headers, 1);
      expect(found.map(({ id }) => id)).toEqual(["1"]);
    });
    test("a stream without records opens at once", async () => {
      const topic = await client.topic("silent");
      const stop = new AbortController();
      const response = await client.open(`/broker/consume/${topic}/g/0`, EVENTS, stop.signal);
      expect(response.status).toBe(200);
      stop.abort();
    });
    test("many records come complete and in order", async () => {
      const topic = await client.topic("flood");
      const lines = Array.from({ length: 5000 }, (_, i) => `line ${i}`).join("\n");
      await client.ask(`POST /broker/topics/${topic}/produce-ndjson?partition=0`, { body: lines });
      const { found } = await take(`/broker/consume/${topic}/g/0?offset=0`, EVENTS, 5000);
      expect(found.map(({ message }) => message["offset"])).toEqual(
        Array.from({ length: 5000 }, (_, i) => i),
      );
    });
    for (const [name, accept] of [
      ["events", EVENTS],
      ["lines", LINES],
    ] as const) {
      test(`${name}: a position beyond the end is told, and ends the stream`, async () => {
        const topic = await client.topic("ahead");
        await produceAll(topic, ["a"]);
        const path = `/broker/consume/${topic}/g/0?offset=100&follow=1`;
        const text = await whole(path, accept);
        expectRefusal(text, accept, 1);
      });
      test(`${name}: a stream does not go on in a later topic of the same name`, async () => {
        const topic = await client.topic("later");
        await produceAll(topic, ["a", "b"]);
        const reading = whole(
          `/broker/consume/${topic}/g/0?offset=0&follow=1`,
          accept,
          async () => {
            await client.ask(`DELETE /broker/topics/${topic}`);
            await client.ask("POST /broker/topics", { body: { name: topic, partitions: 8 } });
            const lines = Array.from({ length: 5 }, (_, i) => `new-${i}`).join("\n");
            await client.ask(`POST /broker/topics/${topic}/produce-ndjson?partition=0`, {
              body: lines,
            });
          },
        );
        const text = await reading;
        expect(text).toContain('"value":"b"');
        expect(text).not.toContain("new-");
        const codes = [...text.matchAll(/"error":"(\w+)"/g)].map(([, code]) => code);
        expect(["topic_not_found", "offset_out_of_range"]).toContain(codes[0] ?? "");
        expect(codes.length).toBe(1);
      });
    }
    test("Last-Event-ID ahead of the log is told, and ends the stream", async () => {
      const topic = await client.topic("ahead");
      await produceAll(topic, ["a", "b"]);
      const headers = { ...EVENTS, "last-event-id": "2" };
      expectRefusal(await whole(`/broker/consume/${topic}/g/0`, headers), EVENTS, 2);
      const stop = new AbortController();
      const atEnd = { ...EVENTS, "last-event-id": "1" };
      const response = await client.open(`/broker/consume/${topic}/g/0`, atEnd, stop.signal);
      expect(response.status).toBe(200);
      stop.abort();
    });
    test("an unknown topic is 404 before the stream begins", async () => {
      const answer = await client.ask("GET /broker/consume/no-such-topic/g/0", { headers: EVENTS });
      expectError(answer, 404, "topic_not_found");
    });
  });
}

type Found = { readonly id: string | null; readonly message: Json };

/** Nothing for a comment. */
function parsed(part: string): Found[] {
  const data = /^(?:data: )?(\{.*\})$/m.exec(part)?.[1];
  if (data === undefined) return [];
  return [{ id: /^id: (\d+)$/m.exec(part)?.[1] ?? null, message: JSON.parse(data) }];
}

/** Nothing but one refusal, as an event or as a line. */
function expectRefusal(text: string, { accept }: typeof EVENTS, endOffset: number): void {
  const pattern = accept === EVENTS.accept ? /^event: error\ndata: (.*)\n\n$/ : /^(.*)\n$/;
  const body = JSON.parse(pattern.exec(text)?.[1] ?? "null");
  expect(body).toMatchObject({ ok: false, error: "offset_out_of_range", end_offset: endOffset });
}
