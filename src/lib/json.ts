/**
 * Reads JSON text without losing a digit. Values come as trees, whose numbers keep their text, or
 * part by part, as they are written.
 */

import { jsonValueEnd, TOO_LONG } from "./json-skip.ts";

export class JsonNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toJSON(): string {
    return this.text;
  }
}

/** Objects are maps, so that their fields keep their order and may have any name. */
export type Json<N = JsonNumber> =
  | null
  | boolean
  | string
  | N
  | readonly Json<N>[]
  | ReadonlyMap<string, Json<N>>;

/** A subclass decides what numbers become, what is refused beyond the grammar, and the errors. */
export abstract class JsonReader<N> {
  readonly #text: string;
  readonly #depthMax: number;
  #at = 0;

  /** @param depthMax deeper values are an error in `value`. */
  constructor(text: string, depthMax: number) {
    this.#text = text;
    this.#depthMax = depthMax;
    this.#space();
  }

  /** @param at position in the text, in characters from 0. */
  protected abstract wrong(why: string, at: number): Error;
  protected abstract numberOf(source: string): N;
  /** Called for a name that its object already has. The default is that the last value wins. */
  protected repeated(_name: string): void {}
  /** @returns why a string is refused; null if it is accepted. */
  protected refusal(_text: string): string | null {
    return null;
  }

  /** The next value as a tree. */
  value(): Json<N> {
    return this.#tree(0);
  }

  /** @throws the error of `wrong` if anything follows the last value that was read. */
  end(what = "value"): void {
    if (this.#at < this.#text.length) throw this.#wrong(`nothing may follow the ${what}`);
  }

  /** True if the next value begins with this character. */
  begins(character: "{" | "[" | '"'): boolean {
    return this.#text[this.#at] === character;
  }

  /** Reads an object. @param field is called with each name, and must read its value. */
  eachField(field: (name: string) => void): void {
    for (const name of this.fields()) field(name);
  }

  /** Reads an object. Yields each name; the value must be read before the next one. */
  *fields(): Generator<string, void, void> {
    if (this.#isEmpty("}")) return;
    const names = new Set<string>();
    do {
      const name = this.#name();
      if (names.has(name)) this.repeated(name);
      names.add(name);
      yield name;
    } while (this.#take(","));
    this.#close("}");
  }

  /** Reads a list. @param item is called with each index, and must read the item. */
  eachItem(item: (at: number) => void): void {
    for (const at of this.items()) item(at);
  }

  /** Reads a list. Yields each index; the item must be read before the next one. */
  *items(): Generator<number, void, void> {
    if (this.#isEmpty("]")) return;
    let at = 0;
    do yield at++;
    while (this.#take(","));
    this.#close("]");
  }

  /** The next value, which begins with a quote. */
  string(): string {
    const text = this.#string();
    this.#space();
    return text;
  }

  /** The text of the next value as it is written. It is valid JSON. */
  source(): string {
    return this.sourceWithin(this.#text.length) ?? "";
  }

  /**
   * As `source`.
   *
   * @returns null for a list or an object that is longer than `max` characters, which costs no more than
   *   one of that length.
   */
  sourceWithin(max: number): string | null {
    const start = this.#at;
    const end = jsonValueEnd(this.#text, start, max);
    if (end === TOO_LONG) return null;
    if (end < 0) throw this.#wrong("a value is missing or malformed");
    this.#at = end;
    this.#space();
    return this.#text.slice(start, end);
  }

  #tree(depth: number): Json<N> {
    if (depth > this.#depthMax) throw this.#wrong(`it is nested deeper than ${this.#depthMax}`);
    const value = this.#bareValue(depth);
    this.#space();
    return value;
  }

  #bareValue(depth: number): Json<N> {
    switch (this.#text.charCodeAt(this.#at)) {
      case BRACE:
        return this.#object(depth);
      case BRACKET:
        return this.#array(depth);
      case QUOTE:
        return this.#string();
      case LETTER_T:
        return this.#word("true", true);
      case LETTER_F:
        return this.#word("false", false);
      case LETTER_N:
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  #object(depth: number): Json<N> {
    const fields = new Map<string, Json<N>>();
    if (this.#isEmpty("}")) return fields;
    do {
      const name = this.#name();
      if (fields.has(name)) this.repeated(name);
      fields.set(name, this.#tree(depth + 1));
    } while (this.#take(","));
    this.#close("}");
    return fields;
  }

  #array(depth: number): Json<N> {
    const items: Json<N>[] = [];
    if (this.#isEmpty("]")) return items;
    do items.push(this.#tree(depth + 1));
    while (this.#take(","));
    this.#close("]");
    return items;
  }

  /** Goes over the mark that begins a list or an object, and over the other if it is empty. */
  #isEmpty(close: "]" | "}"): boolean {
    this.#at++;
    this.#space();
    return this.#take(close);
  }

  #close(mark: "]" | "}"): void {
    if (!this.#take(mark)) throw this.#wrong(`"," or "${mark}" is missing`);
  }

  /** The name of a field and the colon after it. */
  #name(): string {
    if (!this.begins('"')) throw this.#wrong("a field name in quotes is missing");
    const name = this.string();
    if (!this.#take(":")) throw this.#wrong('":" is missing');
    return name;
  }

  /** Most strings contain no escapes, so that their text is a part of the document. */
  #string(): string {
    const text = this.#text;
    const start = this.#at;
    let end = start + 1;
    let code = text.charCodeAt(end);
    while (code >= SPACE && code !== QUOTE && code !== BACKSLASH) code = text.charCodeAt(++end);
    const string = code === QUOTE ? text.slice(start + 1, end) : this.#escapedString(start);
    const refusal = this.refusal(string);
    if (refusal !== null) throw this.#wrong(refusal);
    this.#at = code === QUOTE ? end + 1 : stringEnd(text, start);
    return string;
  }

  #escapedString(start: number): string {
    try {
      // Refuses what a string may not contain: control characters and unknown escapes.
      return JSON.parse(this.#text.slice(start, stringEnd(this.#text, start))) as string;
    } catch {
      throw this.#wrong("a string is malformed");
    }
  }

  #number(): N {
    NUMBER.lastIndex = this.#at;
    const source = NUMBER.exec(this.#text)?.[0];
    if (source === undefined) throw this.#wrong("a value is missing or malformed");
    this.#at += source.length;
    return this.numberOf(source);
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#wrong("a value is malformed");
    this.#at += word.length;
    return value;
  }

  #take(mark: "," | ":" | "]" | "}"): boolean {
    if (this.#text[this.#at] !== mark) return false;
    this.#at++;
    this.#space();
    return true;
  }

  #space(): void {
    const text = this.#text;
    let at = this.#at;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code !== SPACE && code !== LINE_FEED && code !== RETURN && code !== TAB) break;
      at++;
    }
    this.#at = at;
  }

  #wrong(why: string): Error {
    return this.wrong(why, this.#at);
  }
}

/** The position after the quote that ends a string, or the end of the text. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    at += code === BACKSLASH ? 2 : 1;
  }
  return text.length;
}

const TAB = 9;
const LINE_FEED = 10;
const RETURN = 13;
const SPACE = 32;
const QUOTE = 34;
const BRACKET = 91;
const BACKSLASH = 92;
const LETTER_F = 102;
const LETTER_N = 110;
const LETTER_T = 116;
const BRACE = 123;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
