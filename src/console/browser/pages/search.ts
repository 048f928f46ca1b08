/** Searches messages in the browser, newest first, one page at a time. */

import type { MessageB64 as Message, PageB64 as Page } from "../../../api/consume.ts";
import type { Partition } from "../../../api/topics.ts";
import { send } from "../api.ts";
import { fromBase64, textOf, toHex } from "../lib/bytes.ts";
import { consume } from "../lib/requests.ts";

const CHUNK = 1000;

export type Search = {
  readonly topic: string;
  readonly partitions: readonly Partition[];
  /** Text, case-insensitive; for bytes that are not UTF-8, hex digits. */
  readonly wanted: string;
};
export type SearchStep = {
  /** Matches, newest first. */
  readonly found: readonly Message[];
  readonly scanned: number;
  readonly total: number;
  readonly isLast: boolean;
};

/** @throws ApiFailure */
export async function* searchBackwards(
  { topic, partitions, wanted }: Search,
  signal: AbortSignal,
): AsyncGenerator<SearchStep, void> {
  const total = partitions.reduce((sum, p) => sum + p.end_offset - p.low_watermark, 0);
  const matches = matcher(wanted);
  let scanned = 0;
  if (total === 0) yield { found: [], scanned, total, isLast: true };
  for (const { partition, low_watermark: low, end_offset: end } of partitions) {
    for (let until = end; until > low; until -= CHUNK) {
      const from = Math.max(low, until - CHUNK);
      const messages = await readRange(topic, partition, from, until, signal);
      scanned += until - from;
      const found = messages.filter(matches).toReversed();
      yield { found, scanned, total, isLast: scanned >= total };
    }
  }
}

/** Reads all of `[from, until)`; a page may contain fewer messages than requested. */
async function readRange(
  topic: string,
  partition: number,
  from: number,
  until: number,
  signal: AbortSignal,
): Promise<readonly Message[]> {
  const messages: Message[] = [];
  for (let at = from; at < until; ) {
    const page = await send<Page>(
      consume({ topic, partition, offset: at, limit: Math.min(CHUNK, until - at) }),
      signal,
    );
    messages.push(...page.messages.filter(({ offset }) => offset < until));
    if (page.next_offset <= at) break;
    at = page.next_offset;
  }
  return messages;
}

function matcher(wanted: string): (message: Message) => boolean {
  const text = wanted.toLowerCase();
  const holds = (base64: string | undefined): boolean => {
    if (base64 === undefined) return false;
    const bytes = fromBase64(base64);
    return (textOf(bytes) ?? toHex(bytes)).toLowerCase().includes(text);
  };
  const headersHold = (headers: Message["headers"] = {}): boolean =>
    Object.entries(headers).some(
      ([name, value]) => name.includes(text) || value.toLowerCase().includes(text),
    );
  return ({ key_b64: key, value_b64: value, headers }) =>
    holds(value) || holds(key) || headersHold(headers);
}
