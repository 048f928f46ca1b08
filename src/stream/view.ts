import { ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import { type Measure, type MeasureState, newMeasureState } from "./aggregate.ts";
import { parseJsonText } from "./codecs/json.ts";
import { passes } from "./filter.ts";
import { type AggregateRow, type Aggregation, type Group, GroupTable } from "./group-table.ts";
import { toJson } from "./json-output.ts";
import { overLimits } from "./query.ts";
import type { QueryRequest } from "./query-request.ts";
import {
  DEFAULT_LIMITS,
  type FeedState,
  feedRecords,
  type RecordSource,
  type StreamLimits,
  type StreamRejection,
} from "./record-feed.ts";
import { mapSteps, runSteps, type Steps } from "./steps.ts";
import type { Value } from "./value.ts";

export type ViewResult = {
  readonly aggregates: readonly AggregateRow[];
  readonly partitions: readonly { readonly partition: number; readonly nextOffset: number }[];
  readonly consumed: number;
  readonly undecodable: number;
  readonly untimed: number;
};

const SNAPSHOT_VERSION = 1;
const GROUPS_A_STEP = 128;
const NO_AGGREGATION: Aggregation = { groupBy: [], measures: [], window: null };

/**
 * The aggregates of a query kept up to date. How far each partition was read is part of the state,
 * so that a snapshot holds both or neither, and a record that is fed twice counts once.
 */
export class ViewState {
  readonly #request: QueryRequest;
  readonly #limits: StreamLimits;
  readonly #aggregation: Aggregation;
  #groups: GroupTable;
  #positions = new Map<number, number>();
  #consumed = 0;
  #undecodable = 0;
  rejection: StreamRejection | null = null;

  constructor(request: QueryRequest, limits: StreamLimits = DEFAULT_LIMITS) {
    this.#request = request;
    this.#limits = limits;
    this.#aggregation = request.aggregation ?? NO_AGGREGATION;
    this.#groups = new GroupTable(this.#aggregation);
  }

  /** The next offset to feed of a partition; 0 before its first record. */
  nextOffset(partition: number): number {
    return this.#positions.get(partition) ?? 0;
  }

  /** Whether it has a position of its own in a partition. */
  knows(partition: number): boolean {
    return this.#positions.has(partition);
  }

  /** When the page begins later, because records before it are deleted. */
  skipTo(partition: number, offset: number): void {
    this.#positions.set(partition, Math.max(this.nextOffset(partition), offset));
  }

  /** As `QueryRun.feed`; there is no limit, so `full` means the end offset. */
  feed(partition: number, cursor: RecordSource, endOffset: number, budget: number): FeedState {
    if (this.rejection !== null) return "rejected";
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
    };
  }

  snapshot(): Uint8Array {
    return runSteps(this.snapshotSteps());
  }

  *snapshotSteps(): Steps<Uint8Array> {
    const out = new ByteWriter(4096);
    out.u8(SNAPSHOT_VERSION);
    out.text(this.#request.aggregateIdentity);
    for (const count of [this.#consumed, this.#undecodable, this.#groups.untimed]) out.u64(count);
    out.varint(this.#positions.size);
    for (const [partition, offset] of this.#positions) {
      out.u64(partition);
      out.u64(offset);
    }
    out.varint(this.#groups.size);
    yield* mapSteps([...this.#groups.groups()], (group) => writeGroup(out, group));
    return out.take();
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
    if (from.u8() !== SNAPSHOT_VERSION) return false;
    if (from.text() !== this.#request.aggregateIdentity) return false;
    const [consumed, undecodable, untimed] = [from.u64(), from.u64(), from.u64()];
    const positions = new Map<number, number>();
    for (let left = from.varint(); left > 0; left--) positions.set(from.u64(), from.u64());
    const groups = new GroupTable(this.#aggregation);
    for (let left = from.varint(); left > 0; left--) {
      groups.put(readGroup(from, this.#aggregation.measures));
      if (left % GROUPS_A_STEP === 0) yield;
    }
    if (from.remaining > 0) return false;
    groups.untimed = untimed;
    this.#groups = groups;
    this.#positions = positions;
    this.#consumed = consumed;
    this.#undecodable = undecodable;
    this.rejection = overLimits(groups, 0, this.#limits);
    return true;
  }

  #take(record: RecordSource): boolean {
    const { source, filters } = this.#request;
    const value = source.decoder.decode(record.bytes, record.valueStart, record.valueEnd);
    if (value === undefined) this.#undecodable++;
    else if (passes(value, filters)) this.#groups.add(value, record.timestampMs);
    this.rejection = overLimits(this.#groups, 0, this.#limits);
    return this.rejection === null;
  }
}

/** Numbers as text keep bigints and doubles exact: a double's shortest text reads back the same. */
function writeNumber(out: ByteWriter, value: number | bigint | null): void {
  out.text(value === null ? "" : typeof value === "bigint" ? `${value}n` : String(value));
}

function readNumber(from: ByteReader): number | bigint | null {
  const text = from.text();
  if (text === "") return null;
  if (/^-?\d{1,1000}n$/.test(text)) return BigInt(text.slice(0, -1));
  const value = Number(text);
  if (Number.isNaN(value) && text !== "NaN") throw new DecodeError("no number");
  return value;
}

function writeGroup(out: ByteWriter, group: Group): void {
  writeNumber(out, group.windowStartMs);
  out.text(toJson(group.values));
  out.u64(group.count);
  for (const state of group.measures) {
    out.u64(state.count);
    out.u64(state.fractions);
    writeNumber(out, state.integerSum);
    writeNumber(out, state.runningSum);
    writeNumber(out, state.extreme);
  }
}

function readGroup(from: ByteReader, measures: readonly Measure[]): Group {
  const windowStartMs = readNumber(from);
  const values = parseJsonText(from.text());
  if (typeof windowStartMs === "bigint" || !Array.isArray(values)) throw new DecodeError("group");
  const count = from.u64();
  return {
    windowStartMs,
    values: values as readonly Value[],
    count,
    measures: measures.map(() => readState(from)),
  };
}

function readState(from: ByteReader): MeasureState {
  const state = newMeasureState();
  state.count = from.u64();
  state.fractions = from.u64();
  state.integerSum = readNumber(from) ?? 0;
  state.runningSum = Number(readNumber(from));
  state.extreme = readNumber(from);
  return state;
}
