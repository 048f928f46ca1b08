/** CONTRACT 12: reading by time. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import { Client, messagesOf, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);

  /** Three records of three different times, and these times. */
  async function threeTimes(): Promise<{ topic: string; times: number[] }> {
    const topic = await client.topic("times", 2);
    for (const value of ["a", "b", "c"]) {
      await client.produce(topic, value, "partition=0");
      await Bun.sleep(3);
    }
    const messages = messagesOf((await client.consume(topic)).body);
    return { topic, times: messages.map((message) => Number(message["timestamp_ms"])) };
  }

  describe("by time", () => {
    test("offsets are those of the first record that is not older", async () => {
      const { topic, times } = await threeTimes();
      const [a = 0, b = 0, c = 0] = times;
      for (const [time, offset, found] of [
        [0, 0, a],
        [a, 0, a],
        [a + 1, 1, b],
        [c, 2, c],
        [c + 1, 3, null],
        [Number.MAX_SAFE_INTEGER, 3, null],
      ] as const) {
        const { status, body } = await client.ask(
          `GET /broker/topics/${topic}/offsets?time_ms=${time}`,
        );
        expect(status).toBe(200);
        expect(body).toEqual({
          ok: true,
          topic,
          offsets: [
            { partition: 0, offset, timestamp_ms: found },
            { partition: 1, offset: 0, timestamp_ms: null },
          ],
        });
      }
    });
    test("from_ms starts a read there, also a long poll and a stream", async () => {
      const { topic, times } = await threeTimes();
      const [, b = 0, c = 0] = times;
      const read = async (query: string) => (await client.consume(topic, query)).body;
      const page = await read(`from_ms=${b}`);
      expect(messagesOf(page).map(({ value }) => value)).toEqual(["b", "c"]);
      expect(page["next_offset"]).toBe(3);
      expect(await read(`from_ms=${c + 1}&wait_ms=1`)).toMatchObject({ count: 0, next_offset: 3 });
      expect(messagesOf(await read("from_ms=0&limit=1"))).toMatchObject([{ offset: 0 }]);
      expect(await read(`from_ms=${b}&consistency=linearizable`)).toMatchObject({ count: 2 });
    });
    test("a time that is none, or none at all, is 400; an unknown topic 404", async () => {
      const topic = await client.topic("times");
      const path = `GET /broker/topics/${topic}/offsets`;
      for (const query of ["", "?time_ms=", "?time_ms=-1", "?time_ms=1.5", "?time_ms=now"]) {
        expectError(await client.ask(path + query), 400, "invalid_parameter");
      }
      expectError(await client.ask(`${path}?time_ms=0&time=1`), 400, "unknown_parameter");
      expectError(await client.consume(topic, "from_ms=1&offset=0"), 400, "invalid_parameter");
      expectError(await client.consume(topic, "from_ms=x"), 400, "invalid_parameter");
      const missing = await client.ask("GET /broker/topics/never-created/offsets?time_ms=0");
      expectError(missing, 404, "topic_not_found");
      expectError(
        await client.ask("GET /broker/consume/never-created/g/0?from_ms=0"),
        404,
        "topic_not_found",
      );
    });
  });
}
