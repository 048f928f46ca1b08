import { utf8 } from "../lib/bytes.ts";
import { runSteps, type Steps } from "../lib/steps.ts";
import {
  addToMeasure,
  isLarge,
  type Measure,
  type MeasureOp,
  type MeasureState,
  type MeasureTotals,
  measureResult,
  newMeasureState,
} from "./aggregate.ts";
import { GroupWindows, type Retention, type TableLimits } from "./group-windows.ts";
import { type JsonOutput, toJson } from "./json-output.ts";
import { mapSteps, sortSteps } from "./steps.ts";
import {
  compareAny,
  identityOf,
  identityOfAll,
  memoryOf,
  newObject,
  type Path,
  type Value,
  valueAt,
} from "./value.ts";
import { type ReadTime, windowEnd, windowStart } from "./window.ts";

export type Aggregation = {
  readonly groupBy: readonly Path[];
  readonly measures: readonly Measure[];
  readonly window: { readonly sizeMs: number; readonly timeOf: ReadTime } | null;
};

export type Group = {
  /** Null without a window. */
  readonly windowStartMs: number | null;
  /** One for each field of `groupBy`; a missing field is null. */
  readonly values: readonly Value[];
  count: number;
  readonly measures: MeasureState[];
};

/** One row of an answer's `aggregates`. */
export type AggregateRow = { readonly [field: string]: JsonOutput };

const NO_LIMITS: TableLimits = {
  groupsMax: Number.POSITIVE_INFINITY,
  bytesMax: Number.POSITIVE_INFINITY,
  savedBytesMax: Number.POSITIVE_INFINITY,
};

/** The groups of a query or a view, by window and values. */
export class GroupTable {
  readonly #aggregation: Aggregation;
  readonly #windows: GroupWindows;
  readonly #isSaved: boolean;
  readonly #totals: MeasureTotals = { outOfRange: 0, bytes: 0 };
  /** Records without a time in the field of the window; they belong to no group. */
  untimed = 0;

  /** @param retention of a view; null: a query, which ends where there is no room. */
  constructor(
    aggregation: Aggregation,
    limits: TableLimits = NO_LIMITS,
    retention: Retention | null = null,
  ) {
    this.#aggregation = aggregation;
    this.#windows = new GroupWindows(limits, retention, aggregation.window?.sizeMs ?? 1);
    this.#isSaved = retention !== null;
  }

  /** Counters beside the groups: how full the table is, and what was evicted. */
  get windows(): GroupWindows {
    return this.#windows;
  }

  get size(): number {
    return this.#windows.size;
  }

  /** Approximate memory of the groups. */
  get bytes(): number {
    return this.#windows.bytes;
  }

  /** Values beyond the range of doubles, which no measure took. */
  get outOfRange(): number {
    return this.#totals.outOfRange;
  }

  set outOfRange(count: number) {
    this.#totals.outOfRange = count;
  }

  *groups(): Generator<Group> {
    for (const { groups } of this.#windows.windows()) yield* groups.values();
  }

  /** @returns false if there is no room for the record; nothing is changed then. */
  add(record: Value, timestampMs: number): boolean {
    const { window } = this.#aggregation;
    let start: number | null = null;
    if (window !== null) {
      const time = window.timeOf(record, timestampMs);
      if (time === null) {
        this.untimed++;
        return true;
      }
      start = windowStart(time, window.sizeMs);
      if (!this.#windows.admits(start, time, timestampMs)) return true;
    }
    // Large numbers make a group grow after it was let in.
    if (this.#windows.isOver && this.#hasLarge(record)) return false;
    const group = this.#groupOf(record, start);
    if (group === null) return false;
    group.count++;
    this.#measure(group, record);
    return true;
  }

  /** For a restored snapshot. */
  put(group: Group): void {
    const [bytes, savedBytes] = this.#sizesOf(group);
    this.#windows.put(keyOf(group.values), group, bytes, savedBytes);
  }

  /** Ordered by window, then by the values of the group. */
  rows(): AggregateRow[] {
    return runSteps(this.rowSteps());
  }

  /** The same in steps, for tables of many groups. */
  *rowSteps(): Steps<AggregateRow[]> {
    const sorted = yield* sortSteps([...this.groups()], compareGroups);
    return yield* mapSteps(sorted, (group) => this.#rowOf(group));
  }

  #measure(group: Group, record: Value): void {
    const { measures } = this.#aggregation;
    const totals = this.#totals;
    for (let i = 0; i < measures.length; i++) {
      const measure = measures[i];
      const state = group.measures[i];
      if (measure !== undefined && state !== undefined) {
        addToMeasure(state, measure, record, totals);
      }
    }
    if (totals.bytes === 0) return;
    const window = this.#windows.get(group.windowStartMs);
    if (window !== undefined) this.#windows.grow(window, totals.bytes * 2, totals.bytes * 2);
    totals.bytes = 0;
    this.#windows.evict();
  }

  #hasLarge(record: Value): boolean {
    return this.#aggregation.measures.some(
      ({ op, field }) => op !== "count" && field !== null && isLarge(valueAt(record, field)),
    );
  }

  /** @returns null if there is no room for another group. */
  #groupOf(record: Value, start: number | null): Group | null {
    const values: Value[] = [];
    for (const path of this.#aggregation.groupBy) values.push(valueAt(record, path) ?? null);
    const key = keyOf(values);
    const known = this.#windows.get(start)?.groups.get(key);
    if (known !== undefined) return known;
    const measures = this.#aggregation.measures.map(newMeasureState);
    const group: Group = { windowStartMs: start, values, count: 0, measures };
    const [bytes, savedBytes] = this.#sizesOf(group);
    this.#windows.put(key, group, bytes, savedBytes);
    this.#windows.evict();
    if (!this.#windows.isOver) return group;
    this.#windows.remove(key, start, bytes, savedBytes);
    return null;
  }

  /** In memory and in a saved state, about. */
  #sizesOf(group: Group): readonly [number, number] {
    let bytes = GROUP_BYTES + group.measures.length * MEASURE_BYTES;
    // Counted twice: once as values, once in the key of the map.
    for (const value of group.values) bytes += memoryOf(value) * 2;
    let savedBytes = 0;
    if (this.#isSaved) {
      savedBytes = SAVED_GROUP_BYTES + utf8(toJson(group.values)).length;
      for (const { op } of this.#aggregation.measures) savedBytes += SAVED_MEASURE_BYTES[op];
    }
    for (const { largeBytes } of group.measures) {
      bytes += largeBytes * 2;
      savedBytes += largeBytes * 2;
    }
    return [bytes, savedBytes];
  }

  #rowOf(group: Group): AggregateRow {
    const { groupBy, measures, window } = this.#aggregation;
    const names = groupBy.map((path) => path.join("."));
    const fields = newObject();
    for (const [i, name] of names.entries()) fields[name] = group.values[i] ?? null;
    // A measure may have any name, also `__proto__`.
    const row: Record<string, JsonOutput> = Object.create(null);
    row["key"] = groupKeyText(names, group.values);
    row["group"] = fields;
    row["count"] = group.count;
    for (const [i, { as, op }] of measures.entries()) {
      const state = group.measures[i];
      if (state !== undefined) row[as] = measureResult(state, op);
    }
    if (window !== null && group.windowStartMs !== null) {
      row["window_start_ms"] = group.windowStartMs;
      row["window_end_ms"] = windowEnd(group.windowStartMs, window.sizeMs);
    }
    return row;
  }
}

/** One field is the common case, and its identity alone is unambiguous. */
function keyOf(values: readonly Value[]): string {
  return values.length === 1 ? identityOf(values[0]) : identityOfAll(values);
}

function compareGroups(a: Group, b: Group): number {
  const window = (a.windowStartMs ?? 0) - (b.windowStartMs ?? 0);
  if (window !== 0) return window;
  for (let i = 0; i < a.values.length; i++) {
    const order = compareAny(a.values[i] ?? null, b.values[i] ?? null);
    if (order !== 0) return order;
  }
  return 0;
}

const GROUP_BYTES = 200;
const MEASURE_BYTES = 80;

const SAVED_GROUP_BYTES = 24;
/** Numbers are saved as text: about so many digits. */
const SAVED_MEASURE_BYTES: Readonly<Record<MeasureOp, number>> = {
  count: 22,
  sum: 48,
  avg: 48,
  min: 36,
  max: 36,
};

/** `region=us|plan=pro`; empty without fields. `\` escapes `\` and `|`, and `=` in a name. */
function groupKeyText(names: readonly string[], values: readonly Value[]): string {
  return names
    .map((name, i) => `${escapeKey(name).replaceAll("=", "\\=")}=${escapeKey(textOf(values[i]))}`)
    .join("|");
}

/** A value as it is read in a key: text without quotes, all else as JSON. */
export function textOf(value: Value | undefined): string {
  return typeof value === "string" ? value : toJson(value);
}

export function escapeKey(text: string): string {
  return text.replace(/[\\|]/g, "\\$&");
}
