/**
 * The answers of a query and a join, computed from the contract alone, without regard to speed:
 * loops over loops, values compared by their own small functions. It shares nothing with
 * `src/stream`.
 */
import type { TestRecord } from "./records.ts";

type Json = unknown;
type Body = {
  filter?: { field: string; op: string; value: Json }[];
  window?: { type: string; size_ms: number; time_field?: string };
  aggregate?: { group_by?: string[]; measures?: { op: string; field?: string; as?: string }[] };
  transform?: { left_fields?: string[]; emit_rows?: number };
  source: { topic: string; limit?: number };
};

export const UNDECODABLE = new Uint8Array([0x7b, 0x22]);

function get(value: Json, field: string): Json {
  let at: Json = value;
  for (const part of field.split(".")) {
    if (typeof at !== "object" || at === null || Array.isArray(at)) return undefined;
    if (!Object.keys(at).includes(part)) return undefined;
    at = (at as Record<string, Json>)[part];
  }
  return at;
}

const isNumber = (value: Json): value is number | bigint =>
  typeof value === "number" || typeof value === "bigint";

export function same(a: Json, b: Json): boolean {
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint and a double are equal by value.
  if (isNumber(a) && isNumber(b)) return a == b;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, i) => same(item, b[i]));
  }
  if (typeof a === "object" && typeof b === "object" && a !== null && b !== null) {
    if (Array.isArray(a) || Array.isArray(b)) return false;
    const keys = Object.keys(a);
    if (keys.length !== Object.keys(b).length) return false;
    return keys.every((key) => Object.keys(b).includes(key) && same(get(a, key), get(b, key)));
  }
  return a === b;
}

function holds(actual: Json, op: string, wanted: Json): boolean {
  if (actual === undefined) return false;
  const comparable =
    (isNumber(actual) && isNumber(wanted)) ||
    (typeof actual === "string" && typeof wanted === "string");
  const left = actual as number;
  const right = wanted as number;
  switch (op) {
    case "eq":
      return same(actual, wanted);
    case "ne":
      return !same(actual, wanted);
    case "lt":
      return comparable && left < right;
    case "le":
      return comparable && left <= right;
    case "gt":
      return comparable && left > right;
    case "ge":
      return comparable && left >= right;
    case "in":
      return (wanted as Json[]).some((item) => same(item, actual));
    default:
      if (typeof actual === "string") return typeof wanted === "string" && actual.includes(wanted);
      return Array.isArray(actual) && actual.some((item) => same(item, wanted));
  }
}

function pick(value: Json, fields: readonly string[]): Json {
  const out: Record<string, Json> = {};
  for (const field of fields) {
    const found = get(value, field);
    if (found === undefined) continue;
    const parts = field.split(".");
    let at = out;
    for (const part of parts.slice(0, -1)) {
      at[part] = { ...((at[part] as object | undefined) ?? {}) };
      at = at[part] as Record<string, Json>;
    }
    at[parts.at(-1) as string] = found;
  }
  return out;
}

/** Exact, by adding bigints; doubles only if there is a fraction. */
function sumOf(values: readonly (number | bigint)[]): number | bigint {
  if (values.some((value) => typeof value === "number" && !Number.isSafeInteger(value))) {
    return values.reduce<number>((sum, value) => sum + Number(value), 0);
  }
  const sum = values.reduce<bigint>((total, value) => total + BigInt(value), 0n);
  const asNumber = Number(sum);
  return Number.isSafeInteger(asNumber) ? asNumber : sum;
}

function measure(op: string, values: readonly Json[]): Json {
  if (op === "count") return values.filter((value) => value !== undefined && value !== null).length;
  const numbers = values.filter(isNumber);
  if (op === "sum") return sumOf(numbers);
  if (numbers.length === 0) return null;
  // Math.min and Math.max take no bigints.
  const less = (a: number | bigint, b: number | bigint) => a < b;
  if (op === "min") return numbers.reduce((a, b) => (less(b, a) ? b : a));
  if (op === "max") return numbers.reduce((a, b) => (less(a, b) ? b : a));
  const sum = sumOf(numbers);
  if (typeof sum === "number") return sum / numbers.length;
  const count = BigInt(numbers.length);
  if (sum % count === 0n) {
    const whole = sum / count;
    return Number.isSafeInteger(Number(whole)) ? Number(whole) : whole;
  }
  // Long division, rounded once by reading the text.
  let rest = (sum < 0n ? -sum : sum) % count;
  let text = `${sum < 0n ? "-" : ""}${(sum < 0n ? -sum : sum) / count}.`;
  for (let i = 0; i < 40; i++) {
    rest *= 10n;
    text += String(rest / count);
    rest %= count;
  }
  return Number(text);
}

function rank(value: Json): number {
  if (value === null) return 0;
  return { boolean: 1, number: 2, bigint: 2, string: 3 }[typeof value as "string"] ?? 4;
}

/** Null, false, true, numbers, strings. The generator groups by nothing else. */
function order(a: Json, b: Json): number {
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  const [left, right] = [a as number, b as number];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** floor(t / size) · size in bigints. */
function windowOf(time: number, size: number): bigint {
  const [t, s] = [BigInt(time), BigInt(size)];
  const floor = t / s - (t % s < 0n ? 1n : 0n);
  return floor * s;
}

export function referenceQuery(records: readonly TestRecord[], body: Body) {
  const isAggregated = body.aggregate !== undefined || body.window !== undefined;
  const emitRows = body.transform?.emit_rows ?? 0;
  const passesAll = ({ value }: TestRecord) =>
    value !== UNDECODABLE &&
    (body.filter ?? []).every(({ field, op, value: wanted }) =>
      holds(get(value, field), op, wanted),
    );
  // Rows alone end with the last one that is shown.
  const lastRow = records.filter(passesAll)[emitRows - 1];
  const until =
    isAggregated || lastRow === undefined ? records.length : records.indexOf(lastRow) + 1;
  const limit = body.source.limit ?? (isAggregated ? 10_000_000 : 200);
  const read = records.slice(0, Math.min(limit, until));
  const decoded = read.filter((record) => record.value !== UNDECODABLE);
  const passing = decoded.filter(passesAll);
  const fields = body.transform?.left_fields;
  const rows = passing
    .slice(0, emitRows)
    .map(({ value }) => (fields === undefined ? value : pick(value, fields)));
  const last = read.at(-1);
  return {
    rows,
    aggregates: isAggregated ? aggregates(passing, body) : [],
    rowsNextOffset: (emitRows > 0 ? passing[emitRows]?.offset : undefined) ?? null,
    consumed: read.length,
    undecodable: read.length - decoded.length,
    nextOffset: last === undefined ? 0 : last.offset + 1,
  };
}

type Group = { start: bigint | null; values: Json[]; members: Json[] };

function aggregates(passing: readonly TestRecord[], body: Body): Json[] {
  const groups: Group[] = [];
  const names = body.aggregate?.group_by ?? [];
  for (const { value, ts } of passing) {
    let start: bigint | null = null;
    if (body.window !== undefined) {
      const field = body.window.time_field;
      const time = field === undefined ? ts : get(value, field);
      if (typeof time !== "number") continue;
      start = windowOf(Math.floor(time), body.window.size_ms);
    }
    const values = names.map((name) => get(value, name) ?? null);
    const known = groups.find((group) => group.start === start && same(group.values, values));
    if (known === undefined) groups.push({ start, values, members: [value] });
    else known.members.push(value);
  }
  groups.sort((a, b) => {
    if (a.start !== null && b.start !== null && a.start !== b.start)
      return a.start < b.start ? -1 : 1;
    for (const [i, value] of a.values.entries()) {
      const sign = order(value, b.values[i]);
      if (sign !== 0) return sign;
    }
    return 0;
  });
  return groups.map((group) => aggregateRow(group, names, body));
}

function aggregateRow({ start, values, members }: Group, names: string[], body: Body): Json {
  const row: Record<string, Json> = {
    key: names.map((name, i) => `${name}=${String(values[i])}`).join("|"),
    group: Object.fromEntries(names.map((name, i) => [name, values[i]])),
    count: members.length,
  };
  for (const { op, field, as } of body.aggregate?.measures ?? []) {
    const name = as ?? (field === undefined ? op : `${op}_${field}`);
    row[name] =
      field === undefined
        ? members.length
        : measure(
            op,
            members.map((value) => get(value, field)),
          );
  }
  if (start !== null) {
    row["window_start_ms"] = Number(start);
    row["window_end_ms"] = Number(start + BigInt(body.window?.size_ms ?? 0));
  }
  return row;
}

type JoinBody = {
  left: { limit?: number };
  right: { limit?: number };
  on: { left_keys: string[]; right_keys: string[] };
  window: { size_ms: number; allowed_lateness_ms: number; time_field?: string };
  join: { type: string };
  emit: { left_fields?: string[]; right_fields?: string[]; max_rows: number; missing_as?: string };
  dedupe_once?: boolean;
};

type Side = { offset: number; time: number | null; key: Json[]; value: Json; late: boolean };
export type ReferencePair = { left: Side | null; right: Side | null };

function sideOf(
  records: readonly TestRecord[],
  keys: readonly string[],
  timeField?: string,
): Side[] {
  return records
    .filter(({ value }) => value !== UNDECODABLE)
    .map(({ offset, ts, value }) => {
      const time = timeField === undefined ? ts : get(value, timeField);
      const key = keys.map((field) => get(value, field) ?? null);
      return { offset, time: typeof time === "number" ? time : null, key, value, late: false };
    });
}

type Matched = { left: Side; right: Side; distance: number };

function allPairs(left: Side[], right: Side[], size: number, compat: boolean): Matched[] {
  const keysMatch = (a: Json[], b: Json[]) =>
    a.every((part, i) => {
      if (part === null || b[i] === null) return false;
      return compat ? String(part) === String(b[i]) : same(part, b[i]);
    });
  return left.flatMap((l) =>
    right.flatMap((r) => {
      if (l.late || r.late || l.time === null || r.time === null) return [];
      const distance = Math.abs(l.time - r.time);
      return distance <= size && keysMatch(l.key, r.key) ? [{ left: l, right: r, distance }] : [];
    }),
  );
}

function once(pairs: readonly Matched[], compat: boolean): Matched[] {
  const used = new Set<Side>();
  const byDistance = pairs.toSorted(
    (a, b) =>
      a.distance - b.distance || a.left.offset - b.left.offset || a.right.offset - b.right.offset,
  );
  const kept = byDistance.filter((pair) => {
    if (used.has(pair.left) || used.has(pair.right)) return false;
    if (compat && pair.left.offset > pair.right.offset) return false;
    used.add(pair.left).add(pair.right);
    return true;
  });
  return kept.sort((a, b) => a.left.offset - b.left.offset || a.right.offset - b.right.offset);
}

/**
 * Records in event order, each judged by the newest times that came before it. The event order is
 * that of the newest time that its side has reached with it; of equal ones, those first that made
 * their side newer, then the left ones, then by offset.
 *
 * @returns the watermark; null while a side has no time.
 */
function markLate(left: Side[], right: Side[], size: number, lateness: number): number | null {
  const events = [left, right].flatMap((side, number) =>
    side.flatMap((record, i) => {
      if (record.time === null) return [];
      const before = side.slice(0, i).flatMap(({ time }) => (time === null ? [] : [time]));
      const isNewer = before.every((time) => time < (record.time as number));
      return [{ record, number, reached: Math.max(record.time, ...before), isNewer }];
    }),
  );
  events.sort(
    (a, b) =>
      a.reached - b.reached ||
      Number(b.isNewer) - Number(a.isNewer) ||
      a.number - b.number ||
      a.record.offset - b.record.offset,
  );
  const newest: (number | null)[] = [null, null];
  for (const { record, number } of events) {
    const time = record.time as number;
    const [l, r] = newest;
    record.late = l != null && r != null && time < Math.min(l, r) - lateness - size;
    newest[number] = Math.max(newest[number] ?? time, time);
  }
  const [l, r] = newest;
  return l == null || r == null ? null : Math.min(l, r) - lateness;
}

function withOuter(left: Side[], right: Side[], pairs: Matched[], type: string): ReferencePair[] {
  const lefts = left.flatMap((l): ReferencePair[] => {
    const own = pairs.filter((pair) => pair.left === l);
    const isAlone = own.length === 0 && (type === "left" || type === "full") && !l.late;
    return isAlone ? [{ left: l, right: null }] : own;
  });
  if (type !== "right" && type !== "full") return lefts;
  const alone = right.filter((r) => !r.late && !pairs.some((pair) => pair.right === r));
  return [...lefts, ...alone.map((r) => ({ left: null, right: r }))];
}

/** All rows, without the cap of `max_rows`; `compat` has the two rules of the C implementation. */
export function referenceJoin(
  leftRecords: readonly TestRecord[],
  rightRecords: readonly TestRecord[],
  body: JoinBody,
  compat = false,
) {
  const size = body.window.size_ms;
  const left = sideOf(
    leftRecords.slice(0, body.left.limit ?? 500),
    body.on.left_keys,
    body.window.time_field,
  );
  const right = sideOf(
    rightRecords.slice(0, body.right.limit ?? 500),
    body.on.right_keys,
    body.window.time_field,
  );
  const watermark = markLate(left, right, size, body.window.allowed_lateness_ms);
  let pairs = allPairs(left, right, size, compat);
  if (body.dedupe_once === true) pairs = once(pairs, compat);
  const rows = withOuter(left, right, pairs, body.join.type);
  return {
    rows: rows.map((row) => joinRow(row, body)),
    late: [...left, ...right].filter((record) => record.late).length,
    watermark,
  };
}

function joinRow({ left, right }: ReferencePair, { emit }: JoinBody): Json {
  const missing = emit.missing_as === "empty" ? {} : null;
  const shown = (side: Side | null, fields?: string[]) => {
    if (side === null) return missing;
    return fields === undefined ? side.value : pick(side.value, fields);
  };
  const key = (left ?? right)?.key ?? [];
  return {
    key: key.includes(null) ? null : key.map(String).join("|"),
    leftTsMs: left?.time ?? null,
    rightTsMs: right?.time ?? null,
    left: shown(left, emit.left_fields),
    right: shown(right, emit.right_fields),
  };
}
