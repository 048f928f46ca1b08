/** The query of a route is read by its schema: each value typed, each refusal with what is allowed. */
import { expect, test } from "bun:test";
import { Type as t } from "@sinclair/typebox";
import { ApiError } from "../../src/http/errors.ts";
import { queryReader } from "../../src/http/query.ts";
import { readQuery } from "../../src/http/raw-url.ts";
import type { RequestContext } from "../../src/http/request-context.ts";

const SCHEMA = t.Object({
  limit: t.Optional(t.Integer({ minimum: 1, maximum: 60 })),
  key: t.Optional(t.String()),
  mode: t.Optional(t.Union([t.Literal("sealed"), t.Literal("rocket")])),
  encoding: t.Optional(t.Literal("b64")),
});
const read = queryReader(SCHEMA);

/** The part of a request context that the query reader uses. */
function contextOf(query: string, schema: object = SCHEMA): RequestContext {
  const names = Object.keys(SCHEMA.properties);
  const values = () => readQuery(query, 1, names, true);
  return { route: { query: schema }, query: values } as unknown as RequestContext;
}
function refusal(query: string): string {
  try {
    read(contextOf(query));
  } catch (error) {
    if (error instanceof ApiError) return `${error.code}: ${error.message}`;
  }
  return "not refused";
}

test("values have the types of the schema, absent ones are null", () => {
  expect(read(contextOf("?limit=60&key=a%20b&mode=rocket&encoding=b64"))).toEqual({
    limit: 60,
    key: "a b",
    mode: "rocket",
    encoding: "b64",
  });
  expect(read(contextOf("?"))).toEqual({ limit: null, key: null, mode: null, encoding: null });
  expect(read(contextOf("?key="))).toEqual({ limit: null, key: "", mode: null, encoding: null });
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
  expect(read(contextOf("?limit=-1"), own).limit).toBe(0);
  expect(read(contextOf("?limit=9"), own).limit).toBe(7);
  expect(read(contextOf("?"), own).limit).toBeNull();
});

test("a reader is for the schema that the route declares", () => {
  expect(() => read(contextOf("?", t.Object({})))).toThrow("reads the query that it declares");
});
