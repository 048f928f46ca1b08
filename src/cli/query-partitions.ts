/** The answers of a query over several partitions, as one. */
import { type Json, JsonNumber, shortText } from "../client/json-text.ts";
import type { FlagQuery, Measure } from "./query-flags.ts";
import type { Filter } from "./where.ts";

type Fields = ReadonlyMap<string, Json>;
export type Answered = { readonly text: string; readonly answer: Fields };
type Send = (request: Json) => Promise<Answered>;

export type Merged = {
  readonly answer: Fields;
  /** Options that continue each partition that was not read to its end. */
  readonly incomplete: readonly string[];
};

/** Counters of a source that add up. */
const COUNTERS = ["consumed", "undecodable", "untimed", "out_of_range"];
/** The range of numbers that measures take part in; averages need the count of these. */
const LARGEST = String(Number.MAX_VALUE);

/** @param starts the offset of each partition; undefined: where the server begins. */
export async function mergedAnswer(
  asked: FlagQuery,
  starts: ReadonlyMap<number, number | undefined>,
  send: Send,
): Promise<Merged> {
  const merging = new Merging(asked, send);
  for (const [partition, offset] of starts) await merging.read(partition, offset);
  return { answer: merging.answer(starts.size), incomplete: merging.incomplete };
}

class Merging {
  readonly incomplete: string[] = [];
  readonly #asked: FlagQuery;
  readonly #send: Send;
  readonly #groups: Groups;
  readonly #rows: Json[] = [];
  readonly #counters = new Map(COUNTERS.map((name) => [name, 0n]));
  /** An average does not add up. Its sum does, and so does the count of the numbers in it. */
  readonly #measures: readonly Measure[];
  readonly #averaged: ReadonlySet<string>;

  constructor(asked: FlagQuery, send: Send) {
    const { measures } = asked;
    this.#asked = asked;
    this.#send = send;
    this.#groups = new Groups(measures);
    this.#measures = measures.map((each) =>
      each.op === "avg" ? { ...each, op: "sum", as: nameOf(each) } : each,
    );
    this.#averaged = new Set(
      measures.flatMap(({ op, field = "" }) => (op === "avg" ? [field] : [])),
    );
  }

  async read(partition: number, offset: number | undefined): Promise<void> {
    const { isAggregate, rows, request } = this.#asked;
    const left = rows === undefined ? undefined : rows - this.#rows.length;
    if (!isAggregate && left === 0) {
      this.#continues(partition, offset === undefined ? null : String(offset));
      return;
    }
    const { answer } = await this.#send(
      request(partition, offset, { measures: this.#measures, rows: left }),
    );
    const source = mapIn(answer, "source");
    this.#rows.push(...listIn(answer, "rows"));
    this.#groups.add(listIn(answer, "aggregates"));
    for (const [name, sum] of this.#counters) {
      this.#counters.set(name, sum + countOf(source.get(name)));
    }
    const next = continuationOf(answer, source);
    if (next !== null) this.#continues(partition, next);
    await this.#countNumbers(partition, offset, source.get("next_offset"));
  }

  #continues(partition: number, offset: string | null): void {
    const from = offset === null ? "" : ` --from ${offset}`;
    this.incomplete.push(`--partition ${partition}${from}`);
  }

  async #countNumbers(
    partition: number,
    offset: number | undefined,
    nextOffset: Json | undefined,
  ): Promise<void> {
    const { filters, request } = this.#asked;
    for (const field of this.#averaged) {
      const counted = [...filters, ...numbersBefore(field, nextOffset)];
      const more = { filters: counted, measures: [{ op: "count" }], rows: undefined };
      const { answer } = await this.#send(request(partition, offset, more));
      this.#groups.addCounts(field, listIn(answer, "aggregates"));
    }
  }

  answer(partitions: number): Fields {
    const numbers: [string, bigint][] = [["partitions", BigInt(partitions)], ...this.#counters];
    const facts = new Map<string, Json>([["topic", this.#asked.topic]]);
    for (const [name, value] of numbers) facts.set(name, new JsonNumber(String(value)));
    return new Map<string, Json>([
      ["rows", this.#rows],
      ["aggregates", this.#groups.result()],
      ["source", facts],
    ]);
  }
}

const EMPTY: Fields = new Map();
const mapIn = (fields: Fields, name: string): Fields => {
  const value = fields.get(name);
  return value instanceof Map ? value : EMPTY;
};
const listIn = (fields: Fields, name: string): Json[] => {
  const value = fields.get(name);
  return Array.isArray(value) ? value : [];
};

/** The offset at which the partition continues. Null if it was read to its end. */
function continuationOf(answer: Fields, source: Fields): string | null {
  if (answer.get("truncated") === true) return shortText(source.get("next_offset") ?? null);
  const rows = source.get("rows_next_offset") ?? null;
  return rows === null ? null : shortText(rows);
}

/** The name that the server gives to a measure. */
const nameOf = ({ op, field, as }: Measure): string =>
  as ?? (field === undefined ? op : `${op}_${field}`);

/** Records that the average was made of: later ones may have arrived since. */
const numbersBefore = (field: string, nextOffset: Json | undefined): readonly Filter[] => [
  filter(field, "ge", new JsonNumber(`-${LARGEST}`)),
  filter(field, "le", new JsonNumber(LARGEST)),
  filter("$offset", "lt", nextOffset ?? null),
];

const filter = (field: string, op: string, value: Json): Filter =>
  new Map<string, Json>([
    ["field", field],
    ["op", op],
    ["value", value],
  ]);

const countOf = (value: Json | undefined): bigint =>
  value instanceof JsonNumber ? (integerOf(value) ?? 0n) : 0n;

type Group = { readonly fields: Map<string, Json>; readonly numbers: Map<string, bigint> };

/** Groups of several answers, by their values and window. */
class Groups {
  readonly #measures: readonly Measure[];
  readonly #groups = new Map<string, Group>();

  constructor(measures: readonly Measure[]) {
    this.#measures = measures;
  }

  add(aggregates: readonly Json[]): void {
    for (const aggregate of aggregates) {
      if (!(aggregate instanceof Map)) continue;
      const group = this.#groups.get(keyOf(aggregate));
      if (group === undefined) {
        this.#groups.set(keyOf(aggregate), { fields: new Map(aggregate), numbers: new Map() });
        continue;
      }
      const { fields } = group;
      const merge = (name: string, op: string) =>
        fields.set(name, mergedNumber(op, fields.get(name) ?? null, aggregate.get(name) ?? null));
      merge("count", "count");
      for (const measure of this.#measures) {
        const name = nameOf(measure);
        if (name !== "count") merge(name, measure.op);
      }
    }
  }

  /** Adds the count of numbers in a field, which averages divide by. */
  addCounts(field: string, aggregates: readonly Json[]): void {
    for (const aggregate of aggregates) {
      if (!(aggregate instanceof Map)) continue;
      const numbers = this.#groups.get(keyOf(aggregate))?.numbers;
      const count = countOf(aggregate.get("count"));
      numbers?.set(field, (numbers.get(field) ?? 0n) + count);
    }
  }

  result(): Json[] {
    const groups = [...this.#groups.values()].sort((a, b) => compareGroups(a.fields, b.fields));
    for (const { fields, numbers } of groups) {
      for (const measure of this.#measures) {
        if (measure.op !== "avg" || measure.field === undefined) continue;
        const name = nameOf(measure);
        fields.set(name, average(fields.get(name) ?? null, numbers.get(measure.field) ?? 0n));
      }
    }
    return groups.map(({ fields }) => fields);
  }
}

const keyOf = (aggregate: Fields): string =>
  `${shortText(aggregate.get("window_start_ms") ?? null)} ${shortText(aggregate.get("group") ?? null)}`;

/** Integers are added and compared with every digit. */
function mergedNumber(op: string, a: Json, b: Json): Json {
  if (!(a instanceof JsonNumber)) return b;
  if (!(b instanceof JsonNumber)) return a;
  if (op === "min") return compareNumbers(a, b) <= 0 ? a : b;
  if (op === "max") return compareNumbers(a, b) >= 0 ? a : b;
  const [left, right] = [integerOf(a), integerOf(b)];
  if (left !== null && right !== null) return new JsonNumber(String(left + right));
  return numberOf(Number(a.text) + Number(b.text));
}

function average(sum: Json, count: bigint): Json {
  if (!(sum instanceof JsonNumber) || count === 0n) return null;
  const integer = integerOf(sum);
  if (integer !== null && integer % count === 0n) return new JsonNumber(String(integer / count));
  return numberOf(Number(sum.text) / Number(count));
}

const numberOf = (value: number): Json =>
  Number.isFinite(value) ? new JsonNumber(String(value)) : null;

const integerOf = ({ text }: JsonNumber): bigint | null =>
  /^-?\d+$/.test(text) ? BigInt(text) : null;

function compareNumbers(a: JsonNumber, b: JsonNumber): number {
  const [left, right] = [integerOf(a), integerOf(b)];
  const x = left !== null && right !== null ? left : Number(a.text);
  const y = left !== null && right !== null ? right : Number(b.text);
  return x < y ? -1 : x > y ? 1 : 0;
}

/** By window, then by the values of the group, as the server orders them. */
function compareGroups(a: Fields, b: Fields): number {
  const window = compareValues(a.get("window_start_ms") ?? null, b.get("window_start_ms") ?? null);
  if (window !== 0) return window;
  const right = [...mapIn(b, "group").values()];
  for (const [i, value] of [...mapIn(a, "group").values()].entries()) {
    const order = compareValues(value, right[i] ?? null);
    if (order !== 0) return order;
  }
  return 0;
}

function compareValues(a: Json, b: Json): number {
  const rank = rankOf(a) - rankOf(b);
  if (rank !== 0) return rank;
  if (a instanceof JsonNumber && b instanceof JsonNumber) return compareNumbers(a, b);
  const [left, right] = [shortText(a), shortText(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function rankOf(value: Json): number {
  if (value === null) return 0;
  if (typeof value === "boolean") return 1;
  if (value instanceof JsonNumber) return 2;
  return typeof value === "string" ? 3 : 4;
}
