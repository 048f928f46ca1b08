/** Text of strangers on a terminal: what would steer it is shown instead of obeyed. */

const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * C0 and C1 controls (escape sequences begin with one), line and paragraph separators, what turns
 * the direction of text around, and what has no width: it makes one name look like another.
 */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for.
  /[\u0000-\u001f\u007f-\u009f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\p{Surrogate}/gu;

/** Escapes as in JavaScript. Printed on one line, whatever it was. */
export const visible = (text: string): string =>
  text.replaceAll(UNSAFE, (character) => SHORT[character] ?? escaped(character.charCodeAt(0)));

/**
 * Text for a terminal that may have lines and tabs of its own: the last guard before it is written.
 * The escapes are those of JSON, so a document in it means the same.
 */
export const harmless = (text: string): string =>
  text.replaceAll(UNSAFE, (character) =>
    character === "\n" || character === "\t" ? character : unicode(character.charCodeAt(0)),
  );

const unicode = (code: number): string => `\\u${code.toString(16).padStart(4, "0")}`;

const escaped = (code: number): string =>
  code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : unicode(code);
