/** Messages on their way to the server, and the request that carries several of them. */
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
  readonly key: string | undefined;
  readonly headers: RecordHeaders | undefined;
  /** Key and headers as text, to compare messages. */
  readonly attributes: string;
  /** Null if the value cannot be a line of a batch. */
  readonly line: string | Uint8Array | null;
};

export type Carried = {
  readonly route: "produce" | "produce-ndjson" | "produce-json";
  readonly body: Uint8Array;
  /** Key and headers of all messages. */
  readonly key: string | undefined;
  readonly headers: RecordHeaders;
};

export function outgoing(
  value: Value,
  key: string | undefined,
  headers: RecordHeaders | undefined,
): Outgoing {
  const isPlain = key === undefined && headers === undefined;
  const attributes = isPlain ? "" : JSON.stringify([key ?? null, headers ?? {}]);
  return { value, key, headers, attributes, line: lineOf(value) };
}

/** Chooses the route with the smallest body. All routes store the same records. */
export function carried(messages: readonly Outgoing[]): Carried {
  const [first] = messages;
  const { key, headers = {} } = first ?? {};
  if (first !== undefined && messages.length === 1) {
    return { route: "produce", body: bytesOf(first.value), key, headers };
  }
  const lines: (string | Uint8Array)[] = [];
  for (const { line, attributes } of messages) {
    if (line !== null && attributes === first?.attributes) lines.push(line);
  }
  if (lines.length === messages.length) {
    return { route: "produce-ndjson", body: joinLines(lines), key, headers };
  }
  const records = messages.map((each) => recordJson(each.value, each.key, each.headers));
  const body = bytesOf(`{"records":[${records.join(",")}]}`);
  return { route: "produce-json", body, key: undefined, headers: {} };
}
