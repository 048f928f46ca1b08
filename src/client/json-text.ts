/** Parses JSON without rounding: numbers keep their text, and keys keep their order. */

import { JsonNumber, JsonReader, type Json as Tree } from "../lib/json.ts";

export { JsonNumber } from "../lib/json.ts";
export type Json = Tree;

/** Describes the error and its position, counted from 1. */
export class JsonError extends SyntaxError {
  readonly line: number;
  readonly column: number;

  constructor(what: string, text: string, at: number) {
    const before = text.slice(0, at).split("\n");
    const line = before.length;
    const column = (before.at(-1)?.length ?? 0) + 1;
    super(`This is not JSON: ${what}, line ${line}, column ${column}`);
    this.line = line;
    this.column = column;
  }
}

export type Token = {
  readonly kind: "mark" | "key" | "string" | "number" | "word";
  readonly text: string;
};

/** Values nested deeper than this are an error. */
const DEPTH_MAX = 1000;
const LEXEME = /[{}[\],:]|"(?:[^"\\]|\\.)*"|[^\s{}[\],:"]+/g;

/** @throws JsonError */
export function parseJson(text: string): Json {
  const reader = new TextReader(text);
  const value = reader.value();
  reader.end();
  return value;
}

class TextReader extends JsonReader<JsonNumber> {
  readonly #text: string;

  constructor(text: string) {
    super(text, DEPTH_MAX);
    this.#text = text;
  }

  protected override wrong(why: string, at: number): JsonError {
    return new JsonError(why, this.#text, at);
  }

  protected override numberOf(source: string): JsonNumber {
    return new JsonNumber(source);
  }
}

/** Returns the tokens of a document without the whitespace between them. @throws JsonError */
export function tokensOf(text: string): readonly Token[] {
  parseJson(text);
  const lexemes = text.match(LEXEME) ?? [];
  return lexemes.map((lexeme, at) => ({
    kind: kindOf(lexeme, lexemes[at + 1] === ":"),
    text: lexeme,
  }));
}

function kindOf(lexeme: string, isName: boolean): Token["kind"] {
  if (lexeme.startsWith('"')) return isName ? "key" : "string";
  if (/^[-\d]/.test(lexeme)) return "number";
  return /^[tfn]/.test(lexeme) ? "word" : "mark";
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
