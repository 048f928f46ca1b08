/**
 * Raw bytes that no client library would send. After each of them the server must be as before:
 * healthy, and byte-exact for the next client.
 */
import { describe, expect, test } from "bun:test";
import { exchange } from "../tools/conformance/raw-socket.ts";
import { Client, messagesOf, type TargetOf, valueBytes } from "../tools/conformance/target.ts";
import { CASES } from "./bad-input-cases.ts";

const PROBE = Uint8Array.from({ length: 256 }, (_, byte) => 255 - byte);

export function register(target: TargetOf): void {
  const client = new Client(target);
  const stored = new Map<string, string>();
  const topicOf = async (hint: string) => {
    const known = stored.get(hint) ?? (await client.topic(hint));
    stored.set(hint, known);
    return known;
  };

  async function probe(): Promise<void> {
    expect((await client.ask("GET /health", { token: null })).status).toBe(200);
    const topic = await topicOf("probe");
    const { status, body } = await client.produce(topic, PROBE);
    expect(status).toBe(200);
    const page = await client.consume(topic, `offset=${body["offset"]}&encoding=b64&limit=1`);
    expect([...valueBytes(messagesOf(page.body)[0])]).toEqual([...PROBE]);
  }

  describe("bad inputs", () => {
    for (const {
      id,
      send,
      expectStatus,
      expectClose = false,
      finish = false,
      stores = 0,
    } of CASES) {
      test(id, async () => {
        const { url, token } = target();
        const topic = await topicOf("bad");
        const end = async () => Number((await client.consume(topic)).body["end_offset"]);
        const before = await end();
        const parts = send({ topic, token }).map((part) => Buffer.from(part, "latin1"));
        const { status, text, closed } = await exchange(url, parts, expectClose, finish);
        const allowed = [expectStatus].flat();
        expect(allowed, `${id}: ${text.slice(0, 300)}`).toContain(status);
        if (expectClose) expect(closed, `${id}: the connection ends`).toBe(true);
        // A refusal of the HTTP parser itself has no body, and ends the connection.
        const byParser = /^connection: close\r$/im.test(text) && text.endsWith("\r\n\r\n");
        if (status >= 400 && !byParser) expect(text).toContain('"ok":false');
        expect([stores].flat(), `${id}: records stored`).toContain((await end()) - before);
        await probe();
      });
    }
  });
}
