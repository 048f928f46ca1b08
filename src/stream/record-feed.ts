/**
 * The parts of a record that a query needs; `RecordCursor` implements it. The bytes are read before
 * `feed` returns and are not retained.
 */
export type RecordSource = {
  next(): boolean;
  readonly offset: number;
  readonly timestampMs: number;
  readonly bytes: Uint8Array;
  readonly valueStart: number;
  readonly valueEnd: number;
  /** -1: the record has no key. */
  readonly keyStart: number;
  readonly keyEnd: number;
  /** Equal: the record has no headers. */
  readonly headersStart: number;
  readonly headersEnd: number;
};

/**
 * Result of a slice of work:
 * `more`: the budget is used up; call again with the same cursor.
 * `drained`: the cursor has no more records; bring the next one, or end.
 * `full`: the limit of the request or the end offset is reached, or there is no room for more.
 * `rejected`: a bound of the request was passed; see `rejection`.
 */
export type FeedState = "more" | "drained" | "full" | "rejected";

/** A request that was well-formed but asks for more than one request may hold. */
export type StreamRejection = { readonly code: "query_too_large"; readonly message: string };

/** Bounds of one request's memory; those of a server are options of its driver. */
export type StreamLimits = {
  readonly groupsMax: number;
  readonly memoryBytesMax: number;
  /** About how long the saved state of a view may be. */
  readonly savedBytesMax?: number;
};
export const DEFAULT_LIMITS: StreamLimits = {
  groupsMax: 100_000,
  memoryBytesMax: 64 * 1024 * 1024,
};

/**
 * Result of a reader for one record:
 * `more`: taken, bring the next one.
 * `last`: taken, and no more after it.
 * `refused`: not taken, there is no room for it; reading ends before it.
 * `rejected`: the request cannot go on.
 */
export type Taken = "more" | "last" | "refused" | "rejected";

/** One unit of budget is one small record, or so many bytes of a large one; about a microsecond. */
const BYTES_PER_UNIT = 256;

export type FeedRange = {
  /** Records before this offset are skipped. */
  readonly fromOffset: number;
  /** Records at or after this offset are not taken. */
  readonly endOffset: number;
  /** Maximum number of records to take. */
  readonly limit: number;
  /** Units of work, see `BYTES_PER_UNIT`. */
  readonly budget: number;
};

/**
 * Hands the records of a range to `take`, which says how to go on.
 *
 * @returns how it ended, how many records were taken, and the offset after the last of them.
 */
export function feedRecords(
  cursor: RecordSource,
  range: FeedRange,
  take: (record: RecordSource) => Taken,
): { state: FeedState; taken: number; nextOffset: number } {
  let { budget } = range;
  let nextOffset = range.fromOffset;
  let taken = 0;
  while (taken < range.limit) {
    if (budget <= 0) return { state: "more", taken, nextOffset };
    if (!cursor.next()) return { state: "drained", taken, nextOffset };
    if (cursor.offset < nextOffset) continue;
    if (cursor.offset >= range.endOffset) return { state: "full", taken, nextOffset };
    budget -= 1 + (cursor.valueEnd - cursor.valueStart) / BYTES_PER_UNIT;
    const verdict = take(cursor);
    if (verdict === "refused") return { state: "full", taken, nextOffset: cursor.offset };
    nextOffset = cursor.offset + 1;
    taken++;
    if (verdict === "rejected") return { state: "rejected", taken, nextOffset };
    if (verdict === "last") return { state: "full", taken, nextOffset };
  }
  return { state: "full", taken, nextOffset };
}
