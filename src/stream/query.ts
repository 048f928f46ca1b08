import { passes } from "./filter.ts";
import { type AggregateRow, GroupTable } from "./group-table.ts";
import { project } from "./project.ts";
import type { QueryRequest } from "./query-request.ts";
import {
  DEFAULT_LIMITS,
  type FeedState,
  feedRecords,
  type RecordSource,
  type StreamLimits,
  type StreamRejection,
} from "./record-feed.ts";
import { runSteps, type Steps } from "./steps.ts";
import { memoryOf, type Value } from "./value.ts";

export type QueryResult = {
  readonly rows: readonly Value[];
  readonly aggregates: readonly AggregateRow[];
  /** Where the next query goes on. */
  readonly nextOffset: number;
  /** Records read, whether or not they passed. */
  readonly consumed: number;
  /** Of these, how many did not decode, and how many had no time for the window. */
  readonly undecodable: number;
  readonly untimed: number;
};

/**
 * One query over the records of a partition, fed in slices: a driver feeds pages until `full` or
 * its end and yields in between. To cancel it, stop feeding.
 */
export class QueryRun {
  readonly #request: QueryRequest;
  readonly #limits: StreamLimits;
  readonly #groups: GroupTable | null;
  readonly #rows: Value[] = [];
  #rowBytes = 0;
  #consumed = 0;
  #undecodable = 0;
  nextOffset: number;
  rejection: StreamRejection | null = null;

  /** @param startOffset the first offset to read, as resolved by the driver. */
  constructor(request: QueryRequest, startOffset: number, limits: StreamLimits = DEFAULT_LIMITS) {
    this.#request = request;
    this.#limits = limits;
    this.#groups = request.aggregation === null ? null : new GroupTable(request.aggregation);
    this.nextOffset = startOffset;
  }

  /** Records that may still be read. */
  get remaining(): number {
    return this.#request.source.limit - this.#consumed;
  }

  /** When the page begins later, because records before it are deleted. */
  skipTo(offset: number): void {
    this.nextOffset = Math.max(this.nextOffset, offset);
  }

  /**
   * @param endOffset records at or after it are not committed yet.
   * @param budget units of work, about a microsecond each.
   */
  feed(cursor: RecordSource, endOffset: number, budget: number): FeedState {
    if (this.rejection !== null) return "rejected";
    const range = { fromOffset: this.nextOffset, endOffset, limit: this.remaining, budget };
    const { state, taken, nextOffset } = feedRecords(cursor, range, (record) => this.#take(record));
    this.nextOffset = nextOffset;
    this.#consumed += taken;
    return state;
  }

  result(): QueryResult {
    return runSteps(this.resultSteps());
  }

  /** The same in steps, for answers of many groups. */
  *resultSteps(): Steps<QueryResult> {
    const aggregates = this.#groups === null ? [] : yield* this.#groups.rowSteps();
    return {
      rows: this.#rows,
      aggregates,
      nextOffset: this.nextOffset,
      consumed: this.#consumed,
      undecodable: this.#undecodable,
      untimed: this.#groups?.untimed ?? 0,
    };
  }

  #take(record: RecordSource): boolean {
    const { source, filters, projection, emitRows } = this.#request;
    const value = source.decoder.decode(record.bytes, record.valueStart, record.valueEnd);
    if (value === undefined) {
      this.#undecodable++;
      return true;
    }
    if (!passes(value, filters)) return true;
    this.#groups?.add(value, record.timestampMs);
    if (this.#rows.length < emitRows) {
      const row = project(value, projection);
      this.#rows.push(row);
      this.#rowBytes += memoryOf(row);
    }
    this.rejection = overLimits(this.#groups, this.#rowBytes, this.#limits);
    return this.rejection === null;
  }
}

export function overLimits(
  groups: GroupTable | null,
  otherBytes: number,
  limits: StreamLimits,
): StreamRejection | null {
  if (groups !== null && groups.size > limits.groupsMax) {
    return tooLarge(`more than ${limits.groupsMax} groups: group by fewer values or filter more`);
  }
  if ((groups?.bytes ?? 0) + otherBytes <= limits.memoryBytesMax) return null;
  return tooLarge(
    `the answer keeps more than ${limits.memoryBytesMax} bytes: lower limit or name fewer fields`,
  );
}

export function tooLarge(message: string): StreamRejection {
  return { code: "query_too_large", message };
}
