/** Reads the query of a request by the schema of its route. */
import type { Static, TObject, TProperties, TSchema } from "@sinclair/typebox";
import { assert } from "../lib/assert.ts";
import { decimal, oneOf } from "./raw-url.ts";
import type { RequestContext } from "./request-context.ts";

/** Each parameter by its name; null where it is absent. */
export type QueryOf<T extends TObject<TProperties>> = {
  readonly [Name in keyof Static<T>]-?: Exclude<Static<T>[Name], undefined> | null;
};

type Read = (text: string) => unknown;
/** Parameters that are not read by their schema alone. */
type OwnReads<T extends TObject<TProperties>> = {
  readonly [Name in keyof Static<T>]?: (text: string) => Exclude<Static<T>[Name], undefined>;
};

/**
 * @param schema of the route's query: integers, texts and choices, all of them optional.
 * @returns a function that reads the query of a request.
 */
export function queryReader<T extends TObject<TProperties>>(
  schema: T,
): (context: RequestContext, own?: OwnReads<T>) => QueryOf<T> {
  const properties = Object.entries(schema.properties);
  const names = properties.map(([name]) => name);
  const reads = properties.map(([name, property]) => readerOf(name, property));
  return (context, own) => {
    assert(context.route.query === schema, "a route reads the query that it declares");
    const texts = context.query();
    const values: Record<string, unknown> = {};
    for (let i = 0; i < names.length; i++) {
      const text = texts[i] as string | null;
      const name = names[i] as string;
      values[name] = text === null ? null : (own?.[name] ?? (reads[i] as Read))(text);
    }
    // Each value was read by the schema of its property.
    return values as QueryOf<T>;
  };
}

function readerOf(name: string, schema: TSchema): Read {
  if (schema["type"] === "integer") {
    const { minimum, maximum } = schema as { minimum?: number; maximum?: number };
    return (text) => decimal(text, name, minimum, maximum);
  }
  const choices = choicesOf(schema);
  return choices === null ? (text) => text : (text) => oneOf(text, name, choices);
}

/** The texts of a literal or of a union of literals; null for any other schema. */
function choicesOf(schema: TSchema): readonly string[] | null {
  const alternatives: readonly TSchema[] = schema["anyOf"] ?? [schema];
  const choices = alternatives.map((each): unknown => each["const"]);
  return choices.every((each) => typeof each === "string") ? choices : null;
}
