import { expect, test } from "bun:test";
import { Type as t } from "@sinclair/typebox";
import { JOIN_BODY, QUERY_BODY } from "../../src/api/queries.ts";
import { refuseUnknownFields } from "../../src/http/fields.ts";
import { parseJsonObject } from "../../src/http/json.ts";
import { fixture } from "../tools/http/fixture.ts";

const { app, ask } = fixture();

test("every route refuses a query parameter that it does not know", async () => {
  for (const { method, path } of app.endpoints) {
    const target = path.replaceAll(/:[a-z]+/g, "0").replace("*", "k");
    const { status, body } = await ask(`${method} ${target}?xyz=1`);
    const { error, message } = body;
    expect({ method, path, status, error, message }).toEqual({
      method,
      path,
      status: 400,
      error: "unknown_parameter",
      message: expect.stringMatching(/^Unknown query parameter "xyz"; allowed: /),
    });
  }
});

test("the nearest parameter is named, and all that are known", async () => {
  const { body } = await ask("GET /broker/consume/t/g/0?ofset=5");
  expect(body["message"]).toMatch(
    /^Unknown query parameter "ofset"; did you mean "offset"\? Allowed: offset, limit, /,
  );
});

test("a field that is not known is refused, and nothing is done", async () => {
  const { ask: tell, node } = fixture();
  const answer = await tell("POST /broker/topics", { body: '{"name":"t","partition":1}' });
  expect(answer.status).toBe(400);
  expect(answer.body).toMatchObject({
    error: "unknown_field",
    message: 'Unknown field "partition"; did you mean "partitions"? Allowed: name, partitions',
  });
  expect(await node.listTopics()).toEqual([]);
  for (const [path, fields] of [
    ["/broker/commit", '"topic":"t","group":"g","partition":0,"offset":0'],
    ["/broker/delete-before", '"topic":"t","partition":0,"before_offset":0'],
    ["/broker/retention", '"topic":"t","ttl_ms":1'],
  ] as const) {
    const { body } = await tell(`POST ${path}`, { body: `{${fields},"x_y":1}` });
    expect(body).toMatchObject({
      error: "unknown_field",
      message: expect.stringContaining('"x_y"'),
    });
  }
});

test("nested objects and lists are looked through", () => {
  const unknown = (schema: typeof QUERY_BODY | typeof JOIN_BODY, body: object): unknown => {
    try {
      refuseUnknownFields(schema, parseJsonObject(Buffer.from(JSON.stringify(body))));
    } catch (error) {
      return error instanceof Error ? error.message.replace(/ Allowed: .*/, "") : error;
    }
    return null;
  };
  const miss = (path: string, meant: string) => `Unknown field "${path}"; did you mean "${meant}"?`;
  expect(unknown(QUERY_BODY, { filters: [] })).toBe(miss("filters", "filter"));
  expect(unknown(QUERY_BODY, { source: { ofset: 1 } })).toBe(miss("source.ofset", "offset"));
  const second = [{ field: "a", op: "eq", value: { any: 1 } }, { feild: "a" }];
  expect(unknown(QUERY_BODY, { filter: second })).toBe(miss("filter[1].feild", "field"));
  expect(unknown(QUERY_BODY, { aggregate: { measures: [{ op: "sum", fields: "a" }] } })).toBe(
    miss("aggregate.measures[0].fields", "field"),
  );
  expect(unknown(QUERY_BODY, { window: { size: 1 } })).toMatch(/"window.size"/);
  expect(unknown(QUERY_BODY, { source: { decode: { scheme_text: "" } } })).toBe(
    miss("source.decode.scheme_text", "schema_text"),
  );
  const aliases = { source: { decode: { field_aliases: { anything: ["x"] } } } };
  expect(unknown(QUERY_BODY, aliases)).toBeNull();
  expect(unknown(JOIN_BODY, { on: { left_key: "a", right_keys: [] } })).toBeNull();
  expect(unknown(JOIN_BODY, { on: { leftkey: "a" } })).toBe(miss("on.leftkey", "left_key"));
  expect(unknown(JOIN_BODY, { emit: { maxrows: 1 } })).toBe(miss("emit.maxrows", "max_rows"));
  expect(() =>
    refuseUnknownFields(t.Object({}), parseJsonObject(Buffer.from('{"__proto__":1}'))),
  ).toThrow(/"__proto__"/);
});

test("a raw # in the target is refused on every route", async () => {
  for (const { method, path } of app.endpoints) {
    const target = path.replaceAll(/:[a-z]+/g, "0").replace("*", "k");
    for (const query of ["#", "#x", "?#", "?a=b#c"]) {
      const { status, body } = await ask(`${method} ${target}${query}`);
      expect({ method, path, query, status, body }).toMatchObject({
        status: 400,
        body: { error: "invalid_request", message: expect.stringContaining("write it as %23") },
      });
    }
  }
});
