/** The query of a route is read by its schema: each value typed, each refusal with what is allowed. */
import { expect, test } from "bun:test";
import { Type as t } from "@sinclair/typebox";
import type { Call } from "../../src/http/call.ts";
import { ApiError } from "../../src/http/errors.ts";
import { queryReader } from "../../src/http/query.ts";
import { readQuery } from "../../src/http/raw-url.ts";

const SCHEMA = t.Object({
  limit: t.Optional(t.Integer({ minimum: 1, maximum: 60 })),
  key: t.Optional(t.String()),
  mode: t.Optional(t.Union([t.Literal("sealed"), t.Literal("rocket")])),
  encoding: t.Optional(t.Literal("b64")),
});
const read = queryReader(SCHEMA);

/** The part of a call that the reader uses. */
function call(query: string, schema: object = SCHEMA): Call {
  const names = Object.keys(SCHEMA.properties);
  const values = () => readQuery(query, 1, names, true);
  return { route: { query: schema }, query: values } as unknown as Call;
}
function refusal(query: string): string {
  try {
    read(call(query));
  } catch (error) {
    if (error instanceof ApiError) return `${error.code}: ${error.message}`;
  }
  return "not refused";
}

test("values have the types of the schema, absent ones are null", () => {
  expect(read(call("?limit=60&key=a%20b&mode=rocket&encoding=b64"))).toEqual({
    limit: 60,
    key: "a b",
    mode: "rocket",
    encoding: "b64",
  });
  expect(read(call("?"))).toEqual({ limit: null, key: null, mode: null, encoding: null });
  expect(read(call("?key="))).toEqual({ limit: null, key: "", mode: null, encoding: null });
});

test("a value outside its schema is refused with what is allowed", () => {
  const integer = (text: string) =>
    `invalid_parameter: limit is "${text}": it must be a decimal integer from 1 to 60`;
  for (const text of ["0", "61", "-1", "1.0", "1e1", "", "0x10"]) {
    expect(refusal(`?limit=${text}`)).toBe(integer(text));
  }
  expect(refusal("?mode=fast")).toBe(
    'invalid_parameter: mode is "fast": it must be "sealed" or "rocket"',
  );
  expect(refusal("?encoding=")).toBe('invalid_parameter: encoding is "": it must be "b64"');
});

test("a route may read a parameter in its own way", () => {
  const own = { limit: (text: string) => (text === "-1" ? 0 : 7) };
  expect(read(call("?limit=-1"), own).limit).toBe(0);
  expect(read(call("?limit=9"), own).limit).toBe(7);
  expect(read(call("?"), own).limit).toBeNull();
});

test("a reader is for the schema that the route declares", () => {
  expect(() => read(call("?", t.Object({})))).toThrow("reads the query that it declares");
});
