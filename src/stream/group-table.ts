import {
  addToMeasure,
  type Measure,
  type MeasureState,
  measureResult,
  newMeasureState,
} from "./aggregate.ts";
import { type JsonOutput, toJson } from "./json-output.ts";
import { mapSteps, runSteps, type Steps, sortSteps } from "./steps.ts";
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
import { timeOf, windowEnd, windowStart } from "./window.ts";

export type Aggregation = {
  readonly groupBy: readonly Path[];
  readonly measures: readonly Measure[];
  readonly window: { readonly sizeMs: number; readonly timeField: Path | null } | null;
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

/** The groups of a query or a view, by window and values. */
export class GroupTable {
  readonly #aggregation: Aggregation;
  readonly #groups = new Map<string, Group>();
  /** Records without a time in the field that the window asks for: they are in no group. */
  untimed = 0;
  /** About how much memory the groups keep. */
  bytes = 0;

  constructor(aggregation: Aggregation) {
    this.#aggregation = aggregation;
  }

  get size(): number {
    return this.#groups.size;
  }

  groups(): IterableIterator<Group> {
    return this.#groups.values();
  }

  add(record: Value, timestampMs: number): void {
    const { groupBy, measures, window } = this.#aggregation;
    let start: number | null = null;
    if (window !== null) {
      const time = timeOf(record, window.timeField, timestampMs);
      if (time === null) {
        this.untimed++;
        return;
      }
      start = windowStart(time, window.sizeMs);
    }
    const group = this.#groupOf(record, groupBy, start);
    group.count++;
    for (let i = 0; i < measures.length; i++) {
      const measure = measures[i];
      const state = group.measures[i];
      if (measure !== undefined && state !== undefined) addToMeasure(state, measure, record);
    }
  }

  /** For a restored snapshot. */
  put(group: Group): void {
    this.#groups.set(keyOf(group.windowStartMs, group.values), group);
    this.bytes += memoryOfGroup(group);
  }

  /** Ordered by window, then by the values of the group. */
  rows(): AggregateRow[] {
    return runSteps(this.rowSteps());
  }

  /** The same in steps, for tables of many groups. */
  *rowSteps(): Steps<AggregateRow[]> {
    const sorted = yield* sortSteps([...this.#groups.values()], compareGroups);
    return yield* mapSteps(sorted, (group) => this.#rowOf(group));
  }

  #groupOf(record: Value, groupBy: readonly Path[], start: number | null): Group {
    const values: Value[] = [];
    for (const path of groupBy) values.push(valueAt(record, path) ?? null);
    const key = keyOf(start, values);
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const measures = this.#aggregation.measures.map(newMeasureState);
    const group: Group = { windowStartMs: start, values, count: 0, measures };
    this.#groups.set(key, group);
    this.bytes += memoryOfGroup(group);
    return group;
  }

  #rowOf(group: Group): AggregateRow {
    const { groupBy, measures, window } = this.#aggregation;
    const names = groupBy.map((path) => path.join("."));
    const fields = newObject();
    for (const [i, name] of names.entries()) fields[name] = group.values[i] ?? null;
    const row: Record<string, JsonOutput> = {
      key: groupKeyText(names, group.values),
      group: fields,
      count: group.count,
    };
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

/** One field is the common case, and its identity alone is unambiguous beside the window. */
function keyOf(start: number | null, values: readonly Value[]): string {
  const identity = values.length === 1 ? identityOf(values[0]) : identityOfAll(values);
  return start === null ? identity : `${start}@${identity}`;
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

function memoryOfGroup(group: Group): number {
  let sum = GROUP_BYTES + group.measures.length * MEASURE_BYTES;
  // Counted twice: once as values, once in the key of the map.
  for (const value of group.values) sum += memoryOf(value) * 2;
  return sum;
}

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
