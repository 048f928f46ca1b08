/** Splits a stream of bytes into lines. */

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const QUOTE = 34;

/** @returns the lines without their ends (`\n` or `\r\n`); the end of the last line may be missing. */
export async function* readLines(
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  let rest: Uint8Array[] = [];
  for await (const chunk of stream) {
    let at = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, at)) {
      rest.push(chunk.subarray(at, end));
      yield withoutReturn(joined(rest));
      rest = [];
      at = end + 1;
    }
    if (at < chunk.length) rest.push(chunk.slice(at));
  }
  if (rest.length > 0) yield withoutReturn(joined(rest));
}

/** Copies the parts, because the producer of the chunks may reuse them. */
const joined = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

const withoutReturn = (line: Uint8Array): Uint8Array =>
  line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;

/**
 * Decodes a line of NDJSON as the server does: a JSON string becomes its text, other lines stay
 * unchanged. A byte order mark before a JSON string is skipped.
 */
export function ndjsonValue(line: Uint8Array): string | Uint8Array {
  const first = line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf ? 3 : 0;
  if (line[first] !== QUOTE || line.at(-1) !== QUOTE) return line;
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line));
    return typeof value === "string" && value.isWellFormed() ? value : line;
  } catch {
    return line;
  }
}
