import { ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import { runSteps, type Steps } from "../lib/steps.ts";
import { passes } from "./filter.ts";
import { type AggregateRow, type Aggregation, GroupTable } from "./group-table.ts";
import type { AgedOut, Retention } from "./group-windows.ts";
import { tableLimits } from "./query.ts";
import type { QueryRequest } from "./query-request.ts";
import {
  DEFAULT_LIMITS,
  type FeedState,
  feedRecords,
  type RecordSource,
  type StreamLimits,
  type Taken,
} from "./record-feed.ts";
import { withRecordFields } from "./record-fields.ts";
import { mapSteps } from "./steps.ts";
import {
  hasExtras,
  needsVersion2,
  readExtras,
  readGroup,
  VERSION_1,
  VERSION_2,
  type ViewExtras,
  writeExtras,
  writeGroup,
} from "./view-format.ts";

export type ViewResult = {
  readonly aggregates: readonly AggregateRow[];
  readonly partitions: readonly { readonly partition: number; readonly nextOffset: number }[];
  readonly consumed: number;
  readonly undecodable: number;
  readonly untimed: number;
  readonly outOfRange: number;
  readonly agedOut: Readonly<AgedOut>;
};

const GROUPS_A_STEP = 128;
const NO_AGGREGATION: Aggregation = { groupBy: [], measures: [], window: null };
const KEEP_ALL: Retention = { windows: null, groups: null, ageMs: null };

/**
 * The aggregates of a query kept up to date. How far each partition was read is part of the state,
 * so that a snapshot holds both or neither, and a record that is fed twice counts once. It never
 * stops: where there is no room, the oldest windows go, and without windows new groups stay out.
 */
export class ViewState {
  readonly #request: QueryRequest;
  readonly #limits: StreamLimits;
  readonly #aggregation: Aggregation;
  #groups: GroupTable;
  #positions = new Map<number, number>();
  #consumed = 0;
  #undecodable = 0;

  constructor(request: QueryRequest, limits: StreamLimits = DEFAULT_LIMITS) {
    this.#request = request;
    this.#limits = limits;
    this.#aggregation = request.aggregation ?? NO_AGGREGATION;
    this.#groups = this.#newTable();
  }

  /** The next offset to feed of a partition; 0 before its first record. */
  nextOffset(partition: number): number {
    return this.#positions.get(partition) ?? 0;
  }

  /** Whether it has a position of its own in a partition. */
  knows(partition: number): boolean {
    return this.#positions.has(partition);
  }

  /** Used part of the room for groups; 1 is full. */
  get fill(): number {
    return this.#groups.windows.fill;
  }

  /** Counters of evicted windows and of dropped records. */
  get agedOut(): Readonly<AgedOut> {
    return this.#groups.windows.agedOut;
  }

  /** When the page begins later, because records before it are deleted. */
  skipTo(partition: number, offset: number): void {
    this.#positions.set(partition, Math.max(this.nextOffset(partition), offset));
  }

  /** As `QueryRun.feed`; there is no limit, so `full` means the end offset. */
  feed(partition: number, cursor: RecordSource, endOffset: number, budget: number): FeedState {
    const limit = Number.POSITIVE_INFINITY;
    const range = { fromOffset: this.nextOffset(partition), endOffset, limit, budget };
    const { state, taken, nextOffset } = feedRecords(cursor, range, (record) => this.#take(record));
    this.#positions.set(partition, nextOffset);
    this.#consumed += taken;
    return state;
  }

  result(): ViewResult {
    return runSteps(this.resultSteps());
  }

  /** As `result`, in steps. Nothing may be fed until the last one; so with the others. */
  *resultSteps(): Steps<ViewResult> {
    const aggregates = yield* this.#groups.rowSteps();
    return {
      aggregates,
      partitions: [...this.#positions]
        .sort(([a], [b]) => a - b)
        .map(([partition, nextOffset]) => ({ partition, nextOffset })),
      consumed: this.#consumed,
      undecodable: this.#undecodable,
      untimed: this.#groups.untimed,
      outOfRange: this.#groups.outOfRange,
      agedOut: this.agedOut,
    };
  }

  snapshot(): Uint8Array {
    return runSteps(this.snapshotSteps());
  }

  *snapshotSteps(): Steps<Uint8Array> {
    const groups = [...this.#groups.groups()];
    const version = this.#versionFor(groups);
    const out = new ByteWriter(4096);
    out.u8(version);
    out.text(this.#request.aggregateIdentity);
    for (const count of [this.#consumed, this.#undecodable, this.#groups.untimed]) out.u64(count);
    if (version >= VERSION_2) writeExtras(out, this.#extras());
    out.varint(this.#positions.size);
    for (const [partition, offset] of this.#positions) {
      out.u64(partition);
      out.u64(offset);
    }
    out.varint(groups.length);
    yield* mapSteps(groups, (group) => writeGroup(out, group, version));
    return out.take();
  }

  /**
   * Evicts the oldest windows so that the next snapshot has about `part` of the current length.
   *
   * @returns false if nothing can be evicted.
   */
  shrink(part: number): boolean {
    const { windows } = this.#groups;
    const before = windows.size;
    windows.shrinkTo(windows.savedBytes * part);
    return windows.size < before;
  }

  /**
   * @returns false, and nothing has changed, if the bytes are damaged or are the state of another
   * query: the view is then fed again from the start.
   */
  restore(bytes: Uint8Array): boolean {
    return runSteps(this.restoreSteps(bytes));
  }

  *restoreSteps(bytes: Uint8Array): Steps<boolean> {
    try {
      return yield* this.#read(new ByteReader(bytes));
    } catch (error) {
      if (error instanceof DecodeError) return false;
      throw error;
    }
  }

  *#read(from: ByteReader): Steps<boolean> {
    const version = from.u8();
    if (version !== VERSION_1 && version !== VERSION_2) return false;
    if (from.text() !== this.#request.aggregateIdentity) return false;
    const [consumed, undecodable, untimed] = [from.u64(), from.u64(), from.u64()];
    const extras = version >= VERSION_2 ? readExtras(from) : null;
    const positions = new Map<number, number>();
    for (let left = from.varint(); left > 0; left--) positions.set(from.u64(), from.u64());
    const groups = this.#newTable();
    for (let left = from.varint(); left > 0; left--) {
      groups.put(readGroup(from, this.#aggregation.measures, version));
      if (left % GROUPS_A_STEP === 0) yield;
    }
    if (from.remaining > 0) return false;
    groups.untimed = untimed;
    if (extras !== null) {
      groups.outOfRange = extras.outOfRange;
      groups.windows.newestMs = extras.newestMs;
      Object.assign(groups.windows.agedOut, extras.agedOut);
    }
    // A bound may be lower than that under which the state was saved.
    groups.windows.evict();
    this.#groups = groups;
    this.#positions = positions;
    this.#consumed = consumed;
    this.#undecodable = undecodable;
    return true;
  }

  #newTable(): GroupTable {
    const retention = this.#request.retention ?? KEEP_ALL;
    return new GroupTable(this.#aggregation, tableLimits(this.#limits), retention);
  }

  #extras(): ViewExtras {
    const { outOfRange, windows } = this.#groups;
    return { outOfRange, agedOut: windows.agedOut, newestMs: windows.newestMs };
  }

  #versionFor(groups: Parameters<typeof needsVersion2>[0][]): number {
    return hasExtras(this.#extras()) || groups.some(needsVersion2) ? VERSION_2 : VERSION_1;
  }

  #take(record: RecordSource): Taken {
    const { source, filters } = this.#request;
    const value = source.decoder.decode(record.bytes, record.valueStart, record.valueEnd);
    if (value === undefined) {
      this.#undecodable++;
      return "more";
    }
    const fields = this.#request.namesRecord ? withRecordFields(value, record) : value;
    if (passes(fields, filters) && !this.#groups.add(fields, record.timestampMs)) {
      this.#groups.windows.agedOut.overflow++;
    }
    return "more";
  }
}
