/** Parses JSON without rounding: numbers keep their text, and keys keep their order. */

export class JsonNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}
export type Json = null | boolean | string | JsonNumber | Json[] | Map<string, Json>;

/** Describes the error and its position, counted from 1. */
export class JsonError extends SyntaxError {
  readonly line: number;
  readonly column: number;

  constructor(what: string, text: string, at: number) {
    const before = text.slice(0, at).split("\n");
    const line = before.length;
    const column = (before.at(-1)?.length ?? 0) + 1;
    super(`${what}, line ${line}, column ${column}`);
    this.line = line;
    this.column = column;
  }
}

export type Token = {
  readonly kind: "mark" | "key" | "string" | "number" | "word";
  readonly text: string;
};

// The contents of a string are checked by JSON.parse.
const LEXEME =
  /[{}[\],:]|"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/sy;
const SPACE = /[ \t\n\r]*/y;
/** Values nested deeper than this are an error. */
const DEPTH_MAX = 1000;

/** @throws JsonError */
export function parseJson(text: string): Json {
  return new Parser(text).document().value;
}

/** Returns the tokens of a document without the whitespace between them. @throws JsonError */
export function tokensOf(text: string): readonly Token[] {
  return new Parser(text).document().tokens;
}

class Parser {
  readonly #text: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #next = "";
  #nextAt = 0;

  constructor(text: string) {
    this.#text = text;
    this.#advance();
  }

  document(): { value: Json; tokens: readonly Token[] } {
    const value = this.#value(0);
    if (this.#next !== "") throw this.#error("Unexpected text after the end");
    return { value, tokens: this.#tokens };
  }

  /** Reads the next lexeme; an empty string at the end. */
  #advance(): void {
    SPACE.lastIndex = this.#at;
    SPACE.exec(this.#text);
    this.#nextAt = SPACE.lastIndex;
    if (this.#nextAt === this.#text.length) {
      this.#next = "";
      return;
    }
    LEXEME.lastIndex = this.#nextAt;
    const match = LEXEME.exec(this.#text);
    if (match === null) throw this.#error("This is not valid JSON");
    this.#next = match[0];
    this.#at = LEXEME.lastIndex;
  }

  #take(kind: Token["kind"]): string {
    const text = this.#next;
    this.#tokens.push({ kind, text });
    this.#advance();
    return text;
  }

  #expect(mark: string): void {
    if (this.#next !== mark) throw this.#error(`Here "${mark}" is missing`);
    this.#take("mark");
  }

  #value(depth: number): Json {
    if (depth > DEPTH_MAX) throw this.#error("This is nested too deeply");
    const first = this.#next.charAt(0);
    if (first === "{") return this.#object(depth);
    if (first === "[") return this.#array(depth);
    if (first === '"') return this.#string("string");
    if (first === "-" || (first >= "0" && first <= "9"))
      return new JsonNumber(this.#take("number"));
    if (/[tfn]/.test(first)) return JSON.parse(this.#take("word")) as boolean | null;
    throw this.#error("A value is missing here");
  }

  #object(depth: number): Json {
    const members = new Map<string, Json>();
    this.#take("mark");
    while (this.#next !== "}") {
      if (members.size > 0) this.#expect(",");
      if (!this.#next.startsWith('"')) throw this.#error("A name in quotes is missing here");
      const name = this.#string("key");
      this.#expect(":");
      members.set(name, this.#value(depth + 1));
    }
    this.#take("mark");
    return members;
  }

  #array(depth: number): Json {
    const items: Json[] = [];
    this.#take("mark");
    while (this.#next !== "]") {
      if (items.length > 0) this.#expect(",");
      items.push(this.#value(depth + 1));
    }
    this.#take("mark");
    return items;
  }

  #string(kind: "string" | "key"): string {
    let value: string;
    try {
      value = JSON.parse(this.#next) as string;
    } catch {
      throw this.#error("This character or escape is not allowed in a string");
    }
    this.#take(kind);
    return value;
  }

  #error(what: string): JsonError {
    return new JsonError(what, this.#text, this.#nextAt);
  }
}

const isMark = (token: Token | undefined, marks: string): boolean =>
  token?.kind === "mark" && marks.includes(token.text);

/** Lists and objects shorter than this stay on one line, except the outermost one. */
const ONE_LINE_MAX = 60;

/** Returns the start and end of these lists and objects. */
function oneLiners(tokens: readonly Token[]): ReadonlyMap<number, number> {
  const ends = new Map<number, number>();
  const opened: { readonly at: number; readonly length: number }[] = [];
  let length = 0;
  for (const [at, token] of tokens.entries()) {
    if (isMark(token, "{[")) opened.push({ at, length });
    length += token.text.length;
    if (!isMark(token, "}]")) continue;
    const start = opened.pop();
    const isShort = start !== undefined && length - start.length <= ONE_LINE_MAX;
    if (isShort && (opened.length > 0 || at === start.at + 1)) ends.set(start.at, at);
  }
  return ends;
}

/** Formats the document with one member per line; the whitespace is in tokens of its own. */
export function indented(tokens: readonly Token[]): readonly Token[] {
  const ends = oneLiners(tokens);
  const out: Token[] = [];
  let depth = 0;
  let together = -1;
  for (const [at, token] of tokens.entries()) {
    const next = tokens[at + 1];
    together = Math.max(together, ends.get(at) ?? -1);
    out.push(token);
    if (isMark(token, "{[")) depth++;
    if (isMark(next, "}]")) depth--;
    const isTogether = at < together;
    const breaks = isMark(token, "{[,") || isMark(next, "}]");
    const spaced = isMark(token, ":") || (isTogether && isMark(token, ","));
    if (spaced) out.push({ kind: "mark", text: " " });
    else if (breaks && !isTogether) out.push({ kind: "mark", text: `\n${"  ".repeat(depth)}` });
  }
  return out;
}

export const indentedText = (text: string): string =>
  indented(tokensOf(text))
    .map((token) => token.text)
    .join("");

/** Formats a value on one line, for a table. */
export function shortText(value: Json): string {
  if (value === null) return "null";
  if (typeof value === "string") return value;
  if (value instanceof JsonNumber) return value.text;
  if (typeof value === "boolean") return String(value);
  return compact(value);
}

function compact(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(compact).join(",")}]`;
  if (value instanceof Map) {
    const members = [...value].map(([name, item]) => `${JSON.stringify(name)}:${compact(item)}`);
    return `{${members.join(",")}}`;
  }
  return value instanceof JsonNumber ? value.text : JSON.stringify(value);
}
