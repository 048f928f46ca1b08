/** Reads JSON bodies part by part, so that values can be stored as they are written. */
import { ApiError, shown } from "./errors.ts";

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export function base64Of(scanner: JsonScanner, path: string): Uint8Array {
  const text = stringOf(scanner, path);
  const bytes = BASE64.test(text) ? Buffer.from(text, "base64") : null;
  if (bytes !== null && bytes.toString("base64") === text) return Uint8Array.from(bytes);
  throw new ApiError(
    "invalid_field",
    `Field "${path}" is ${shown(text)}: it must be base64 with padding`,
  );
}

export function stringOf(scanner: JsonScanner, path: string): string {
  const source = scanner.source();
  if (source.startsWith('"')) return scanner.checkedString(source);
  throw mustBe(`Field "${path}"`, source, "a string");
}

const SHOWN_MAX = 64;
export const mustBe = (what: string, source: string, allowed: string): ApiError =>
  new ApiError("invalid_field", `${what} is ${source.slice(0, SHOWN_MAX)}: it must be ${allowed}`);

/** Walks JSON text and hands out the parts of it as they are written. */
export class JsonScanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#space();
  }

  /** @param field is called with each name, and must read the value behind it. */
  object(field: (name: string) => void, what: string): void {
    if (this.#text[this.#at] !== "{") {
      const source = this.source().slice(0, SHOWN_MAX);
      const code = what === "The body" ? "invalid_json" : "invalid_field";
      throw new ApiError(code, `${what} is ${source}: it must be a JSON object`);
    }
    const names = new Set<string>();
    this.#list("}", () => {
      if (this.#text[this.#at] !== '"') throw this.#wrong("a field name in quotes is missing");
      const name = this.checkedString(this.source());
      if (!this.#take(":")) throw this.#wrong('":" is missing');
      if (names.has(name)) {
        throw new ApiError("duplicate_field", `Field ${shown(name)} was given twice`);
      }
      names.add(name);
      field(name);
    });
  }

  array(item: (at: number) => void, what: string): void {
    if (this.#text[this.#at] !== "[") throw mustBe(what, this.source(), "a list");
    let at = 0;
    this.#list("]", () => item(at++));
  }

  /** The text of the next value, without blanks around it. It is valid JSON. */
  source(): string {
    const start = this.#at;
    this.#at = this.#valueEnd();
    const source = this.#text.slice(start, this.#at);
    try {
      JSON.parse(source);
    } catch {
      this.#at = start;
      throw this.#wrong("a value is missing or malformed");
    }
    this.#space();
    return source;
  }

  checkedString(source: string): string {
    const text: string = JSON.parse(source);
    if (text.isWellFormed()) return text;
    throw this.#wrong("a string holds half of a surrogate pair");
  }

  end(): void {
    if (this.#at < this.#text.length) throw this.#wrong("nothing may follow the object");
  }

  #list(close: "]" | "}", item: () => void): void {
    this.#at++;
    this.#space();
    if (this.#take(close)) return;
    do item();
    while (this.#take(","));
    if (!this.#take(close)) throw this.#wrong(`"," or "${close}" is missing`);
  }

  /** Finds the end of a value without checking it: `source` parses it afterwards. */
  #valueEnd(): number {
    const text = this.#text;
    const first = text.charCodeAt(this.#at);
    if (first === QUOTE) return this.#stringEnd(this.#at);
    if (first !== BRACE && first !== BRACKET) {
      AFTER_SCALAR.lastIndex = this.#at;
      return AFTER_SCALAR.exec(text)?.index ?? text.length;
    }
    let depth = 0;
    for (let at = this.#at; at < text.length; ) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        at = this.#stringEnd(at);
        continue;
      }
      at++;
      if (code === BRACE || code === BRACKET) depth++;
      else if ((code === BRACE_END || code === BRACKET_END) && --depth === 0) return at;
    }
    return text.length;
  }

  #stringEnd(start: number): number {
    const text = this.#text;
    let at = start + 1;
    while (at < text.length) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) return at + 1;
      at += code === BACKSLASH ? 2 : 1;
    }
    return text.length;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    this.#space();
    return true;
  }

  #space(): void {
    SPACE.lastIndex = this.#at;
    this.#at += SPACE.exec(this.#text)?.[0].length ?? 0;
  }

  #wrong(why: string): ApiError {
    return new ApiError("invalid_json", `The body is not JSON at character ${this.#at}: ${why}`);
  }
}

const QUOTE = 34;
const BACKSLASH = 92;
const BRACKET = 91;
const BRACKET_END = 93;
const BRACE = 123;
const BRACE_END = 125;
const SPACE = /[ \t\n\r]*/y;
const AFTER_SCALAR = /[,\]}\s]/g;
