import { describe, expect, test } from "bun:test";
import { encodeJsonRecords } from "../../src/http/json-records.ts";
import { DEFAULT_LIMITS } from "../../src/http/options.ts";
import { NO_REQUEST_HEADERS } from "../../src/http/record-headers.ts";
import { runSteps } from "../../src/lib/steps.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { decodeHeaders } from "../../src/record/headers.ts";
import { fixture } from "../tools/http/fixture.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

async function world(limits = DEFAULT_LIMITS) {
  const { ask, node } = fixture({ limits });
  await node.createTopic("t", 1);
  const send = (body: string, query = "", headers: Record<string, string> = {}) =>
    ask(`POST /broker/topics/t/produce-json?partition=0${query}`, { body, headers });
  const messages = async () =>
    (await ask("GET /broker/consume/t/g/0?offset=0")).body["messages"] as Record<string, unknown>[];
  return { ask, node, send, messages };
}

test("values are stored as they are written, strings as their text", async () => {
  const { send, messages } = await world();
  const body = `\ufeff { "records" : [
    {"value":1.0}, {"value" : {"a" : [1,  2.50e+3],"a":"\\u00e9", "s":"}]\\"," } },
    {"value":"caf\\u00e9 \\"x\\""}, {"value":null,"key":"k"}, {"value_b64":"AP8="},
    {"value":90071992547409931234}, {"value":[],"headers":{"A":"1","b":"ü"}}, {"value":""} ] } `;
  const answer = await send(body);
  expect(answer.body).toEqual({
    ok: true,
    first_offset: 0,
    count: 8,
    partition: 0,
    batch_id: expect.any(Number),
    sealed: true,
    durable: true,
    mode: "sealed",
    synced: true,
    acked_by: 1,
  });
  const plain = (await messages()).map(({ offset, partition, timestamp_ms, ...rest }) => rest);
  expect(plain).toEqual([
    { value: "1.0" },
    { value: '{"a" : [1,  2.50e+3],"a":"\\u00e9", "s":"}]\\"," }' },
    { value: 'café "x"' },
    { key: "k", value: "null" },
    { value_b64: "AP8=" },
    { value: "90071992547409931234" },
    { value: "[]", headers: { a: "1", b: "ü" } },
    { value: "" },
  ]);
});

test("key and headers of the request are defaults; a record's own are used instead", async () => {
  const { send, messages } = await world();
  const body = `{"records":[{"value":1},{"value":2,"key":"own","headers":{"a":"own","traceparent":"own"}}]}`;
  await send(body, "&key=given&header.a=given&header.c=3", { traceparent: "00-1" });
  expect(await messages()).toMatchObject([
    { key: "given", headers: { a: "given", c: "3", traceparent: "00-1" } },
    { key: "own", headers: { a: "own", c: "3", traceparent: "own" } },
  ]);
});

test("the partition is that of the query's key, else that of the first record's key", async () => {
  const { ask, node } = await world();
  await node.createTopic("many", 16);
  const partitionOf = async (route: string, body: string) =>
    (await ask(`POST /broker/topics/many/${route}`, { body })).body["partition"];
  const wanted = await partitionOf("produce?key=user-1", "x");
  const records = `{"records":[{"value":1,"key":"user-1"},{"value":2,"key":"user-2"}]}`;
  expect(await partitionOf("produce-json", records)).toBe(wanted);
  expect(await partitionOf("produce-json?key=user-1", '{"records":[{"value":1,"key":"z"}]}')).toBe(
    wanted,
  );
});

describe("bodies that are refused", () => {
  const one = (record: string) => `{"records":[{"value":1},${record}]}`;
  for (const [body, status, error, message] of [
    [
      "",
      400,
      "invalid_json",
      "The body is not JSON at character 0: a value is missing or malformed",
    ],
    ["[]", 400, "invalid_json", "The body is []: it must be a JSON object"],
    ["{}", 400, "missing_field", 'Field "records" is required'],
    ['{"records":[]}', 400, "empty_batch", 'Field "records" is an empty list: it holds no message'],
    ['{"records":{}}', 400, "invalid_field", 'Field "records" is {}: it must be a list'],
    [
      '{"record":[]}',
      400,
      "unknown_field",
      'Unknown field "record"; did you mean "records"? Allowed: records',
    ],
    ['{"records":[1]}', 400, "invalid_field", 'Field "records[0]" is 1: it must be a JSON object'],
    [one("{}"), 400, "missing_field", 'Field "records[1].value" is required, or value_b64'],
    [
      one('{"value":1,"value_b64":""}'),
      400,
      "invalid_field",
      'Field "records[1]" has both value and value_b64',
    ],
    [
      one('{"value":1,"keys":"a"}'),
      400,
      "unknown_field",
      'Unknown field "records[1].keys"; did you mean "key"? Allowed: value, value_b64, key, headers',
    ],
    [
      one('{"value":1,"key":7}'),
      400,
      "invalid_field",
      'Field "records[1].key" is 7: it must be a string',
    ],
    [
      one('{"value":1,"key":null}'),
      400,
      "invalid_field",
      'Field "records[1].key" is null: it must be a string',
    ],
    [one('{"value":1,"key":"a","key":"a"}'), 400, "duplicate_field", 'Field "key" was given twice'],
    [
      one('{"value_b64":"AP8"}'),
      400,
      "invalid_field",
      'Field "records[1].value_b64" is "AP8": it must be base64 with padding',
    ],
    [
      one('{"value_b64":"AP9="}'),
      400,
      "invalid_field",
      'Field "records[1].value_b64" is "AP9=": it must be base64 with padding',
    ],
    [
      one('{"value":1,"headers":[]}'),
      400,
      "invalid_field",
      'Field "records[1].headers" is []: it must be an object of strings',
    ],
    [
      one('{"value":1,"headers":{"a":1}}'),
      400,
      "invalid_header",
      'Field "records[1].headers.a" is 1: it must be a string',
    ],
    [
      one('{"value":1,"headers":{"a":"1","A":"2"}}'),
      400,
      "invalid_header",
      'The header "a" was given twice',
    ],
    [
      one('{"value":1,"headers":{"":"1"}}'),
      400,
      "invalid_header",
      'The header name is "": it must have 1 to 64 characters of a-z 0-9 . _ -',
    ],
    [
      one(`{"value":1,"headers":{"a":"${"x".repeat(16_384)}"}}`),
      400,
      "invalid_header",
      "Names and values of the headers have more than 16384 bytes, which is the limit",
    ],
    [
      one('{"value":01}'),
      400,
      "invalid_json",
      "The body is not JSON at character 33: a value is missing or malformed",
    ],
    [
      one('{"value":[1,]}'),
      400,
      "invalid_json",
      "The body is not JSON at character 33: a value is missing or malformed",
    ],
    [
      one('{"value":"\\ud800"}'),
      400,
      "invalid_json",
      "The body is not JSON at character 33: a string holds half of a surrogate pair",
    ],
    [
      `${one('{"value":1}')}x`,
      400,
      "invalid_json",
      "The body is not JSON at character 37: nothing may follow the object",
    ],
    [
      '{"records":[{"value":1}',
      400,
      "invalid_json",
      'The body is not JSON at character 23: "," or "]" is missing',
    ],
    [
      '{"records":[{"value":1}]',
      400,
      "invalid_json",
      'The body is not JSON at character 24: "," or "}" is missing',
    ],
    [
      '{"records":[{"value":"abc',
      400,
      "invalid_json",
      "The body is not JSON at character 21: a string is malformed",
    ],
    [
      one(`{"value":"${"x".repeat(2000)}"}`),
      413,
      "message_too_large",
      'Field "records[1].value" has 2000 bytes; the limit is 1000 bytes',
    ],
    [one('{"value":1},{"value":2}'), 413, "too_many_lines", "The batch has more than 2 messages"],
  ] as const) {
    test(`${error}: ${body.slice(0, 60)}`, async () => {
      const limits = { ...DEFAULT_LIMITS, messageBytesMax: 1000, ndjsonLinesMax: 2 };
      const { send, messages } = await world(limits);
      const answer = await send(body);
      const { status: was, body: told } = answer;
      expect([was, told["error"], told["message"]]).toEqual([status, error, message]);
      expect(await messages()).toEqual([]);
    });
  }
  test("a record may have the largest headers, which the head of a request cannot", async () => {
    const { send, messages } = await world();
    const value = "x".repeat(16_383);
    expect((await send(`{"records":[{"value":1,"headers":{"a":"${value}"}}]}`)).status).toBe(200);
    expect((await messages())[0]?.["headers"]).toEqual({ a: value });
  });
});

type Plain = { value: string; key: string | null; headers: Record<string, string> };

// Method: random documents with random blanks, compared with what they were made of.
test("any document is read as it was made", () => {
  forEachSeed(200, (random) => {
    const blank = () => random.pick(["", "", " ", "\n\t", "\r\n  "]);
    const text = () => random.pick(["", "a", 'q"\\', "ü\u2028", "{[,:]}", "\u{1f600}\u0000"]);
    const json = (depth: number): string => {
      const kind = random.below(depth > 3 ? 4 : 6);
      if (kind === 0) return JSON.stringify(text());
      if (kind === 1) return random.pick(["0", "-1.50", "1e400", "12345678901234567890", "2.0E-3"]);
      if (kind < 4) return random.pick(["true", "false", "null"]);
      const items = Array.from(
        { length: random.below(4) },
        () => blank() + json(depth + 1) + blank(),
      );
      if (kind === 4) return `[${blank()}${items.join(",")}]`;
      return `{${blank()}${items.map((item) => `${JSON.stringify(text())}${blank()}:${item}`).join(",")}}`;
    };
    const made = Array.from({ length: 1 + random.below(6) }, () => makeRecord(random, json, text));
    const parts = made.map(
      ({ fields }) =>
        `{${(random.below(2) === 0 ? fields : fields.toReversed())
          .map(([name, source]) => `${blank()}"${name}"${blank()}:${blank()}${source}${blank()}`)
          .join(",")}}`,
    );
    const body = `${blank()}{${blank()}"records"${blank()}:[${parts.join(`${blank()},`)}${blank()}]}${blank()}`;
    const defaults = { key: null, headers: NO_REQUEST_HEADERS };
    const { records } = runSteps(
      encodeJsonRecords(Buffer.from(body), defaults, DEFAULT_LIMITS, false),
    );
    expect(plainOf(records.bytes)).toEqual(made.map(({ plain }) => plain));
  });
});

function makeRecord(random: Random, json: (depth: number) => string, text: () => string) {
  const source = json(0);
  const plain: Plain = {
    value: source.startsWith('"') ? JSON.parse(source) : source,
    key: random.below(2) === 0 ? null : text(),
    headers: random.below(2) === 0 ? {} : { a: text(), "b.c": text() },
  };
  const fields: [string, string][] = [["value", source]];
  if (plain.key !== null) fields.push(["key", JSON.stringify(plain.key)]);
  if (random.below(2) === 0 || Object.keys(plain.headers).length > 0) {
    fields.push(["headers", JSON.stringify(plain.headers)]);
  }
  return { plain, fields };
}

function plainOf(bytes: Uint8Array): Plain[] {
  const found: Plain[] = [];
  const cursor = new RecordCursor(bytes);
  const text = (start: number, end: number) => Buffer.from(bytes.subarray(start, end)).toString();
  while (cursor.next()) {
    const headers = decodeHeaders(bytes, cursor.headersStart, cursor.headersEnd);
    found.push({
      value: text(cursor.valueStart, cursor.valueEnd),
      key: cursor.keyStart < 0 ? null : text(cursor.keyStart, cursor.keyEnd),
      headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])),
    });
  }
  return found;
}
