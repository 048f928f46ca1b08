import { textOf } from "./bytes.ts";

const SPACE = /^[ \t\n\r]*$/;

/**
 * Returns the elements of a JSON array as they are written, so that no number is rounded. The array
 * comes from the server, so it is taken to be valid.
 */
export function elementsOf(bytes: Uint8Array): readonly string[] {
  const text = textOf(bytes)?.trim() ?? "";
  const elements: string[] = [];
  let depth = 0;
  let start = 1;
  const end = (at: number) => {
    const element = text.slice(start, at);
    if (!SPACE.test(element)) elements.push(element.trim());
    start = at + 1;
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (character === '"') at = endOfString(text, at);
    else if ("[{".includes(character)) depth++;
    else if ("]}".includes(character)) depth--;
    if (depth === 0 || (character === "," && depth === 1)) end(at);
  }
  return elements;
}

/** @returns the position of the quote that ends the string. */
function endOfString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}
