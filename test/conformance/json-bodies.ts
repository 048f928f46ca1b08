/** CONTRACT 1: JSON bodies are read strictly, and a refused request changes nothing. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import { Client, freshName, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  const create = (text: string | Uint8Array<ArrayBuffer>, headers = {}) =>
    client.ask("POST /broker/topics", { body: text, headers });

  describe("JSON bodies", () => {
    const name = freshName("strict");
    const utf16 = Uint8Array.from(Buffer.from(`{"name":"${name}"}`, "utf16le"));
    for (const [what, text, code] of [
      ["nothing", "", "invalid_json"],
      ["a cut object", '{"name":', "invalid_json"],
      ["an array", "[]", "invalid_json"],
      ["a string", '"x"', "invalid_json"],
      ["null", "null", "invalid_json"],
      ["a trailing comma", `{"name":"${name}",}`, "invalid_json"],
      ["a comment", `{"name":"${name}"/**/}`, "invalid_json"],
      ["something after the object", `{"name":"${name}"}{}`, "invalid_json"],
      ["NaN", `{"name":"${name}","partitions":NaN}`, "invalid_json"],
      ["UTF-16", utf16, "invalid_json"],
      ["invalid UTF-8", Uint8Array.from([0x7b, 0xff, 0x7d]), "invalid_json"],
      ["half a surrogate pair", `{"name":"${name}","x":"\\ud800"}`, "invalid_json"],
      [
        "deep arrays",
        `{"name":"${name}","x":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
        "invalid_json",
      ],
      ["a repeated field", `{"name":"${name}","name":"other"}`, "duplicate_field"],
      ["no name", "{}", "missing_topic"],
      ["an empty name", '{"name":""}', "missing_topic"],
      ["a name that is a number", '{"name":1}', "invalid_field"],
      ["a name with a slash", '{"name":"a/b"}', "invalid_topic"],
      ["the name ..", '{"name":".."}', "invalid_topic"],
      ["the name .", '{"name":"."}', "invalid_topic"],
      ["a name with a line end", '{"name":"ab\\n"}', "invalid_topic"],
      ["a name of 250 characters", `{"name":"${"a".repeat(250)}"}`, "invalid_topic"],
      ...[
        "0",
        "1025",
        "1e9",
        "4.0",
        "4e0",
        '"4"',
        "true",
        "null",
        "-1",
        "-0",
        "[4]",
        "9007199254740993",
      ].map(
        (partitions) =>
          [
            `partitions ${partitions}`,
            `{"name":"${name}","partitions":${partitions}}`,
            "invalid_field",
          ] as const,
      ),
      ["partitions 04", `{"name":"${name}","partitions":04}`, "invalid_json"],
      [
        "a number of 60,000 digits",
        `{"name":"${name}","partitions":${"1".repeat(60_000)}}`,
        "invalid_field",
      ],
    ] as const) {
      test(`${what} is 400 and creates nothing`, async () => {
        expectError(await create(text), 400, code);
        expectError(await client.ask(`GET /broker/topics/${name}`), 404, "topic_not_found");
      });
    }

    test("a body above 64 KiB is 413 with the limit", async () => {
      const answer = await create(`{"name":"${name}","x":"${"a".repeat(70_000)}"}`);
      expectError(answer, 413, "request_too_large", ["limit"]);
      expect(answer.body["limit"]).toBe(65_536);
    });
    test("unknown fields are refused, prototype names too", async () => {
      const topic = freshName("unknown");
      for (const field of ['"__proto__":{"admin":true}', '"constructor":1', '"partition":1']) {
        expectError(await create(`{${field},"name":"${topic}"}`), 400, "unknown_field");
      }
      expectError(await client.ask(`GET /broker/topics/${topic}`), 404, "topic_not_found");
      expect(({} as Record<string, unknown>)["admin"]).toBeUndefined();
    });
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data",
      "application/json",
    ]) {
      test(`the body is read as JSON whatever ${type} says`, async () => {
        const body = `{"name":"${freshName("type")}","partitions":1}`;
        expect((await create(body, { "content-type": type })).status).toBe(200);
      });
    }
    test("escaped names are the names that they spell", async () => {
      const topic = freshName("escaped");
      expect((await create(`{"\\u006eame":"${topic}","partitions":1}`)).body["topic"]).toBe(topic);
    });
  });
}
