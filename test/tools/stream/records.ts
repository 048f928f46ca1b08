import type { RecordSource } from "../../../src/stream/record-feed.ts";

/** A record as tests write it: `value` is JSON to be, or bytes as they are. */
export type TestRecord = {
  readonly offset: number;
  readonly ts: number;
  readonly value: unknown;
};

const encoder = new TextEncoder();

/** JSON with bigints as digits, written apart from the code under test. */
export function jsonText(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return `[${value.map(jsonText).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined);
    return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${jsonText(field)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

/** JSON text with the fields of objects in one order. */
export function canonical(value: unknown): string {
  if (typeof value !== "object" || value === null) return jsonText(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const keys = Object.keys(value).sort();
  const fields = value as Record<string, unknown>;
  return `{${keys.map((key) => `${key}:${canonical(fields[key])}`).join(",")}}`;
}

/** A cursor over records, as `RecordCursor` is over the bytes of batches. */
export class TestCursor implements RecordSource {
  readonly #records: readonly TestRecord[];
  #at = -1;
  offset = -1;
  timestampMs = 0;
  bytes = new Uint8Array(0);
  valueStart = 0;
  valueEnd = 0;
  readonly keyStart = -1;
  readonly keyEnd = -1;
  readonly headersStart = 0;
  readonly headersEnd = 0;

  constructor(records: readonly TestRecord[]) {
    this.#records = records;
  }

  next(): boolean {
    const record = this.#records[++this.#at];
    if (record === undefined) return false;
    this.offset = record.offset;
    this.timestampMs = record.ts;
    const { value } = record;
    const payload = value instanceof Uint8Array ? value : encoder.encode(jsonText(value));
    // Not at the start of the bytes, so that offsets into them matter.
    this.bytes = new Uint8Array(payload.length + 7);
    this.bytes.set(payload, 3);
    this.valueStart = 3;
    this.valueEnd = 3 + payload.length;
    return true;
  }
}

/** Feeds everything in slices of `budget`; returns how it ended. */
export function feedAll(
  records: readonly TestRecord[],
  feed: (cursor: RecordSource) => string,
): string {
  const cursor = new TestCursor(records);
  let state = feed(cursor);
  for (let i = 0; state === "more"; i++) {
    if (i > 1_000_000) throw new Error("never ends");
    state = feed(cursor);
  }
  return state;
}
