/**
 * Strict JSON of request bodies. `JSON.parse` rounds 2^53+1, takes 4.0 for 4 and lets the last of
 * repeated fields win; none of that may pass here unseen.
 */
import { fromUtf8 } from "../lib/bytes.ts";
import { JsonNumber, JsonReader, type Json as Tree } from "../lib/json.ts";
import { ApiError, shown } from "./errors.ts";

/** A `JsonNumber` is not written as a decimal integer of at most 2^53−1 in magnitude. */
export type Json = Tree<number | JsonNumber>;
export type JsonObject = ReadonlyMap<string, Json>;

const DEPTH_MAX = 32;
const SHOWN_MAX = 64;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Decodes a body and skips a byte order mark. @throws ApiError `invalid_json` */
export function textOfBody(body: Uint8Array): string {
  try {
    const text = fromUtf8(body);
    return text.startsWith("\ufeff") ? text.slice(1) : text;
  } catch {
    throw new ApiError("invalid_json", "The body is not valid UTF-8");
  }
}

/** @throws ApiError `invalid_json` or `duplicate_field` with the position in characters. */
export function parseJsonObject(bytes: Uint8Array): JsonObject {
  const reader = new BodyReader(textOfBody(bytes));
  const value = reader.value();
  reader.end("object");
  if (value instanceof Map) return value;
  throw new ApiError("invalid_json", `The body is ${shown(value)}: it must be a JSON object`);
}

/** JSON text of a document. Numbers that are no `number` print as they were written. */
export function jsonTextOf(value: Json): string {
  if (value instanceof JsonNumber) return value.text;
  if (Array.isArray(value)) return `[${value.map(jsonTextOf).join(",")}]`;
  if (!(value instanceof Map)) return JSON.stringify(value);
  const fields = [...value].map(([name, field]) => `${JSON.stringify(name)}:${jsonTextOf(field)}`);
  return `{${fields.join(",")}}`;
}

type RawJson = { rawJSON(text: string): unknown };

/** Parses a document whose numbers `JSON.stringify` then writes with the digits that they had. */
export const exactJson = (text: string): unknown =>
  JSON.parse(text, (_name, value: unknown, context?: { readonly source?: string }) =>
    typeof value === "number" && context?.source !== undefined
      ? (JSON as unknown as RawJson).rawJSON(context.source)
      : value,
  );

/** Reads a body as a tree, or part by part, so that values can be stored as they are written. */
export class BodyReader extends JsonReader<number | JsonNumber> {
  constructor(text: string) {
    super(text, DEPTH_MAX);
  }

  /** @param field is called with each name, and must read the value behind it. */
  object(field: (name: string) => void, what: string): void {
    for (const name of this.fieldsOf(what)) field(name);
  }

  /** Yields each name; the value behind it must be read before the next one. */
  fieldsOf(what: string): Generator<string, void, void> {
    if (this.begins("{")) return this.fields();
    const source = this.source().slice(0, SHOWN_MAX);
    const code = what === "The body" ? "invalid_json" : "invalid_field";
    throw new ApiError(code, `${what} is ${source}: it must be a JSON object`);
  }

  /** Yields each index; the item must be read before the next one. */
  itemsOf(what: string): Generator<number, void, void> {
    if (!this.begins("[")) throw mustBe(what, this.source(), "a list");
    return this.items();
  }

  text(path: string): string {
    if (this.begins('"')) return this.string();
    throw mustBe(`Field "${path}"`, this.source(), "a string");
  }

  base64(path: string): Uint8Array {
    const text = this.text(path);
    const bytes = BASE64.test(text) ? Buffer.from(text, "base64") : null;
    if (bytes !== null && bytes.toString("base64") === text) return Uint8Array.from(bytes);
    throw new ApiError(
      "invalid_field",
      `Field "${path}" is ${shown(text)}: it must be base64 with padding`,
    );
  }

  protected override wrong(why: string, at: number): ApiError {
    return new ApiError("invalid_json", `The body is not JSON at character ${at}: ${why}`);
  }

  protected override numberOf(source: string): number | JsonNumber {
    const value = Number(source);
    const plain = /^-?[0-9]+$/.test(source) && Number.isSafeInteger(value) && source !== "-0";
    return plain ? value : new JsonNumber(source);
  }

  protected override repeated(name: string): never {
    throw new ApiError("duplicate_field", `Field ${shown(name)} was given twice`);
  }

  protected override refusal(text: string): string | null {
    return text.isWellFormed() ? null : "a string holds half of a surrogate pair";
  }
}

export const mustBe = (what: string, source: string, allowed: string): ApiError =>
  new ApiError("invalid_field", `${what} is ${source.slice(0, SHOWN_MAX)}: it must be ${allowed}`);
