/** Escapes untrusted text for a terminal: control sequences are shown, not executed. */

const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * C0 and C1 controls (escape sequences begin with one), line and paragraph separators, characters
 * that change the direction of text, and characters without width, which make names look alike.
 */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the expression looks for them.
  /[\u0000-\u001f\u007f-\u009f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\p{Surrogate}/gu;

/** Escapes as in JavaScript. The result is one line. */
export const visible = (text: string): string =>
  text.replaceAll(UNSAFE, (character) => SHORT[character] ?? escaped(character.charCodeAt(0)));

/**
 * Escapes text that may have its own lines and tabs: the last filter before a terminal.
 * The escapes are those of JSON, so a JSON document keeps its meaning.
 */
export const harmless = (text: string): string =>
  text.replaceAll(UNSAFE, (character) =>
    character === "\n" || character === "\t" ? character : unicode(character.charCodeAt(0)),
  );

const unicode = (code: number): string => `\\u${code.toString(16).padStart(4, "0")}`;

const escaped = (code: number): string =>
  code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : unicode(code);
