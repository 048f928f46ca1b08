/**
 * Strict JSON for the bodies of administrative calls. `JSON.parse` rounds 2^53+1, takes 4.0 for 4
 * and lets the last of repeated fields win; none of that may pass here unseen.
 */
import { fromUtf8 } from "../lib/bytes.ts";
import { ApiError, shown } from "./errors.ts";

/** A number that is not written as a decimal integer of at most 2^53−1 in magnitude. */
export class OtherNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
  toJSON(): string {
    return this.text;
  }
}
export type JsonObject = ReadonlyMap<string, Json>;
export type Json = null | boolean | number | string | OtherNumber | readonly Json[] | JsonObject;

const DEPTH_MAX = 32;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const SPACE = /[ \t\n\r]*/y;

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
  const value = new Parser(textOfBody(bytes)).document();
  if (value instanceof Map) return value;
  throw new ApiError("invalid_json", `The body is ${shown(value)}: it must be a JSON object`);
}

/** JSON text of a document. Numbers that are no `number` print as they were written. */
export function jsonTextOf(value: Json): string {
  if (value instanceof OtherNumber) return value.text;
  if (Array.isArray(value)) return `[${value.map(jsonTextOf).join(",")}]`;
  if (!(value instanceof Map)) return JSON.stringify(value);
  const fields = [...value].map(([name, field]) => `${JSON.stringify(name)}:${jsonTextOf(field)}`);
  return `{${fields.join(",")}}`;
}

/** Parses a part of a body by the same rules. @throws ApiError */
export const parseJson = (text: string): Json => new Parser(text).document();

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Json {
    this.#space();
    const value = this.#value(0);
    if (this.#at < this.#text.length) throw this.#wrong("nothing may follow the object");
    return value;
  }

  #value(depth: number): Json {
    if (depth > DEPTH_MAX) throw this.#wrong(`it is nested deeper than ${DEPTH_MAX}`);
    const value = this.#bareValue(depth);
    this.#space();
    return value;
  }

  #bareValue(depth: number): Json {
    switch (this.#text[this.#at]) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return this.#string();
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  #object(depth: number): JsonObject {
    const fields = new Map<string, Json>();
    this.#skip();
    if (this.#take("}")) return fields;
    do {
      if (this.#text[this.#at] !== '"') throw this.#wrong("a field name in quotes is missing");
      const name = this.#string();
      this.#space();
      if (!this.#take(":")) throw this.#wrong('":" is missing');
      this.#space();
      if (fields.has(name)) {
        throw new ApiError("duplicate_field", `Field ${shown(name)} was given twice`);
      }
      fields.set(name, this.#value(depth + 1));
    } while (this.#comma());
    if (!this.#take("}")) throw this.#wrong('"," or "}" is missing');
    return fields;
  }

  #array(depth: number): readonly Json[] {
    const items: Json[] = [];
    this.#skip();
    if (this.#take("]")) return items;
    do {
      items.push(this.#value(depth + 1));
    } while (this.#comma());
    if (!this.#take("]")) throw this.#wrong('"," or "]" is missing');
    return items;
  }

  #string(): string {
    const source = this.#text.slice(this.#at, this.#stringEnd());
    let text: string;
    try {
      // Refuses what a string may not hold: control characters and unknown escapes.
      text = JSON.parse(source);
    } catch {
      throw this.#wrong("a string is malformed");
    }
    if (!text.isWellFormed()) throw this.#wrong("a string holds half of a surrogate pair");
    this.#at += source.length;
    return text;
  }

  /** After the quote that ends the string, or the end of the text. */
  #stringEnd(): number {
    const text = this.#text;
    let at = this.#at + 1;
    while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
    return at + 1;
  }

  #number(): number | OtherNumber {
    const source = this.#match(NUMBER);
    if (source === "" || source === "-") throw this.#wrong("a value is missing or malformed");
    const value = Number(source);
    const plain = /^-?[0-9]+$/.test(source) && Number.isSafeInteger(value) && source !== "-0";
    return plain ? value : new OtherNumber(source);
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#wrong("a value is malformed");
    this.#at += word.length;
    return value;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const source = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += source.length;
    return source;
  }

  /** Over the opening bracket. */
  #skip(): void {
    this.#at++;
    this.#space();
  }

  #comma(): boolean {
    if (!this.#take(",")) return false;
    this.#space();
    return true;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #space(): void {
    this.#match(SPACE);
  }

  #wrong(why: string): ApiError {
    return new ApiError("invalid_json", `The body is not JSON at character ${this.#at}: ${why}`);
  }
}
