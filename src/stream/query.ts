import { runSteps, type Steps } from "../lib/steps.ts";
import { passes } from "./filter.ts";
import { type AggregateRow, GroupTable } from "./group-table.ts";
import type { TableLimits } from "./group-windows.ts";
import { project } from "./project.ts";
import type { QueryRequest } from "./query-request.ts";
import {
  DEFAULT_LIMITS,
  type FeedState,
  feedRecords,
  type RecordSource,
  type StreamLimits,
  type StreamRejection,
  type Taken,
} from "./record-feed.ts";
import { withRecordFields } from "./record-fields.ts";
import { memoryOf, type Value } from "./value.ts";

export type QueryResult = {
  readonly rows: readonly Value[];
  readonly aggregates: readonly AggregateRow[];
  /** The offset at which the next query continues. */
  readonly nextOffset: number;
  /** The offset of the next rows, if more of the records that were read pass than `emit_rows`. */
  readonly rowsNextOffset: number | null;
  /** Records read, whether or not they passed. */
  readonly consumed: number;
  /** Number of these records that did not decode, and that had no time for the window. */
  readonly undecodable: number;
  readonly untimed: number;
  /** Numbers beyond the range of doubles, which the measures ignore. */
  readonly outOfRange: number;
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
  #rowsNextOffset: number | null = null;
  #consumed = 0;
  #undecodable = 0;
  nextOffset: number;
  rejection: StreamRejection | null = null;

  /** @param startOffset the first offset to read, as resolved by the driver. */
  constructor(request: QueryRequest, startOffset: number, limits: StreamLimits = DEFAULT_LIMITS) {
    this.#request = request;
    this.#limits = limits;
    const { aggregation } = request;
    this.#groups = aggregation === null ? null : new GroupTable(aggregation, tableLimits(limits));
    this.nextOffset = startOffset;
  }

  /** Records that may still be read. */
  get remaining(): number {
    // Rows alone end with the last one that is asked for, so that the next query misses none.
    if (this.#groups === null && this.#areRowsFull) return 0;
    return this.#request.limit - this.#consumed;
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
    if (state !== "full" || this.#consumed > 0 || !this.#isRefused) return state;
    this.rejection = tooLarge(
      `the record at offset ${nextOffset} alone keeps more than ${this.#limits.memoryBytesMax} bytes`,
    );
    return "rejected";
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
      rowsNextOffset: this.#rowsNextOffset,
      consumed: this.#consumed,
      undecodable: this.#undecodable,
      untimed: this.#groups?.untimed ?? 0,
      outOfRange: this.#groups?.outOfRange ?? 0,
    };
  }

  get #areRowsFull(): boolean {
    const { emitRows } = this.#request;
    return emitRows > 0 && this.#rows.length >= emitRows;
  }

  #isRefused = false;

  #take(record: RecordSource): Taken {
    const { source, filters } = this.#request;
    const value = source.decoder.decode(record.bytes, record.valueStart, record.valueEnd);
    if (value === undefined) {
      this.#undecodable++;
      return "more";
    }
    const fields = this.#request.namesRecord ? withRecordFields(value, record) : value;
    if (!passes(fields, filters)) return "more";
    if (this.#groups !== null && !this.#groups.add(fields, record.timestampMs)) {
      this.#isRefused = true;
      return "refused";
    }
    const row = this.#request.projection === true ? value : fields;
    return this.#addRow(row, record.offset);
  }

  #addRow(value: Value, offset: number): Taken {
    const { projection, emitRows } = this.#request;
    if (this.#rows.length < emitRows) {
      const row = project(value, projection);
      this.#rows.push(row);
      this.#rowBytes += memoryOf(row);
    } else if (emitRows > 0) {
      this.#rowsNextOffset ??= offset;
    }
    const bytes = this.#rowBytes + (this.#groups?.bytes ?? 0);
    if (bytes > this.#limits.memoryBytesMax) return "last";
    return this.#groups === null && this.#areRowsFull ? "last" : "more";
  }
}

export function tableLimits(limits: StreamLimits): TableLimits {
  return {
    groupsMax: limits.groupsMax,
    bytesMax: limits.memoryBytesMax,
    savedBytesMax: limits.savedBytesMax ?? Number.POSITIVE_INFINITY,
  };
}

export function tooLarge(message: string): StreamRejection {
  return { code: "query_too_large", message };
}
