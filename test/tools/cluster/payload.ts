/** The stored values: a unique id, filler and a checksum of both, so that readers see damage. */
import type { Random } from "../random.ts";

const FILLER_BYTES_LARGE = 20_000;
const FILLER_BYTES_SMALL = 100;

export function payloadOf(id: string, random: Random): string {
  const isLarge = random.below(50) === 0;
  const filler = "x".repeat(random.below(isLarge ? FILLER_BYTES_LARGE : FILLER_BYTES_SMALL));
  const text = `${id}|${filler}`;
  return `${text}|${checksum(text)}`;
}

/** The id, or if the bytes are not those that were sent, a name that nobody ever sent. */
export function idOf(payload: string): string {
  const end = payload.lastIndexOf("|");
  const text = payload.slice(0, Math.max(0, end));
  if (end < 0 || payload.slice(end + 1) !== checksum(text)) {
    return `damaged: ${payload.slice(0, 40)}`;
  }
  return text.slice(0, text.indexOf("|"));
}

const checksum = (text: string): string => Bun.hash.crc32(text).toString(16);
