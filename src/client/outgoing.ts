/** Messages on their way to the server, and the request that carries several of them. */
import { BATCH_TYPE, encodeBatches } from "./batch-writer.ts";
import {
  bytesOf,
  joinLines,
  lineOf,
  type RecordHeaders,
  recordJson,
  type Value,
} from "./values.ts";

export type Outgoing = {
  readonly value: Value;
  /** The bytes of the value. */
  readonly content: Uint8Array;
  readonly key: string | undefined;
  readonly headers: RecordHeaders | undefined;
};

export type Carried = {
  readonly route: "produce" | "produce-batches" | "produce-ndjson" | "produce-json";
  readonly contentType: string;
  readonly body: Uint8Array;
  /** Key and headers of all messages. */
  readonly key: string | undefined;
  readonly headers: RecordHeaders;
};

export const BYTES_TYPE = "application/octet-stream";

/** @throws TypeError for a value that has no JSON. */
export const outgoing = (
  value: Value,
  key: string | undefined,
  headers: RecordHeaders | undefined,
): Outgoing => ({ value, content: bytesOf(value), key, headers });

/**
 * Chooses the route that takes the least work. All routes store the same records.
 *
 * @param takesBatches the server is taken to know batches.
 */
export function carried(messages: readonly Outgoing[], takesBatches: boolean): Carried {
  const [first] = messages;
  if (first !== undefined && messages.length === 1) {
    const { content, key, headers = {} } = first;
    return { route: "produce", contentType: BYTES_TYPE, body: content, key, headers };
  }
  if (takesBatches && messages.every(({ headers }) => headers === undefined)) {
    const records = messages.map(({ content, key }) => ({ content, key: keyBytes(key) }));
    const body = encodeBatches(records);
    const contentType = BATCH_TYPE;
    return { route: "produce-batches", contentType, body, key: undefined, headers: {} };
  }
  return asText(messages);
}

/** In a form that every version of the server takes. */
function asText(messages: readonly Outgoing[]): Carried {
  const [first] = messages;
  const attributes = first === undefined ? "" : attributesOf(first);
  const lines: (string | Uint8Array)[] = [];
  for (const message of messages) {
    const line = attributesOf(message) === attributes ? lineOf(message.value) : null;
    if (line !== null) lines.push(line);
  }
  const contentType = BYTES_TYPE;
  if (lines.length === messages.length) {
    const { key, headers = {} } = first ?? {};
    return { route: "produce-ndjson", contentType, body: joinLines(lines), key, headers };
  }
  const records = messages.map((each) => recordJson(each.value, each.key, each.headers));
  const body = bytesOf(`{"records":[${records.join(",")}]}`);
  return { route: "produce-json", contentType, body, key: undefined, headers: {} };
}

/** Key and headers as text, to compare messages. */
const attributesOf = ({ key, headers }: Outgoing): string =>
  key === undefined && headers === undefined ? "" : JSON.stringify([key ?? null, headers ?? {}]);

const keyBytes = (key: string | undefined): Uint8Array | null =>
  key === undefined ? null : bytesOf(key);
