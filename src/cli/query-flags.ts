/** Queries as flags: the same request as the JSON form, so that nobody has to type JSON. */
import type { Client } from "../client/index.ts";
import { type Json, JsonNumber } from "../client/json-text.ts";
import { type Arguments, type Io, integerOf, type Option, UsageError } from "./command.ts";
import { decodeOf } from "./schema-file.ts";
import { durationOf, timeOf } from "./times.ts";
import { type Filter, filtersOf } from "./where.ts";

/** Limit of `limit` and `emit_rows`. */
export const RECORDS_MAX = 10_000;
const ROWS_DEFAULT = 200;
const MEASURES = ["sum", "avg", "min", "max"] as const;
/** Flags that make a query an aggregate. */
const AGGREGATING = ["group-by", "count", "count-of", ...MEASURES, "window"];

type Options = Readonly<Record<string, Option>>;

export const PRINT_JSON: Options = {
  "print-json": { type: "boolean", help: "print the request as JSON instead of sending it" },
};

/** Filters, groups, measures and windows: what queries and views have in common. */
export const AGGREGATE_FLAGS: Options = {
  partition: { type: "string", short: "p", value: "N", help: "partition (default: all)" },
  where: {
    type: "string",
    value: "EXPR",
    multiple: true,
    help: "amount>4, region=eu,us, name~shop, paid!=true; all must hold",
  },
  "group-by": {
    type: "string",
    value: "FIELDS",
    multiple: true,
    help: "one row for each value of these fields",
  },
  count: { type: "boolean", help: "number of records" },
  "count-of": {
    type: "string",
    value: "FIELDS",
    multiple: true,
    help: "number of records with a field",
  },
  sum: { type: "string", value: "FIELDS", multiple: true, help: 'also "amount as total"' },
  avg: { type: "string", value: "FIELDS", multiple: true, help: "average" },
  min: { type: "string", value: "FIELDS", multiple: true, help: "smallest value" },
  max: { type: "string", value: "FIELDS", multiple: true, help: "largest value" },
  window: { type: "string", value: "TIME", help: "one row for each window: 30s, 1m, 1h" },
  by: { type: "string", value: "FIELD", help: "time of the window (default: the record's)" },
  decode: { type: "string", value: "FILE", help: "schema of the values: .avsc or .proto" },
  message: { type: "string", value: "NAME", help: "message type in a .proto file" },
  encoding: { type: "string", value: "KIND", help: "binary (default) or json, by the schema" },
};

export const QUERY_FLAGS: Options = {
  ...AGGREGATE_FLAGS,
  from: { type: "string", value: "OFFSET", help: "first offset (default: the first stored one)" },
  since: { type: "string", value: "TIME", help: "start at an age such as 10m, or a timestamp" },
  group: { type: "string", short: "g", value: "NAME", help: "start where this group committed" },
  limit: {
    type: "string",
    short: "n",
    value: "N",
    help: "read at most this many records of a partition",
  },
  rows: { type: "string", value: "N", help: "print at most this many rows" },
  select: { type: "string", value: "FIELDS", multiple: true, help: "fields of the rows" },
};

/** True if one of these options is given. */
export const hasFlag = (args: Arguments, options: Options): boolean =>
  Object.keys(options).some(
    (name) => args.flag(name) || args.text(name) !== undefined || args.texts(name).length > 0,
  );

/** Leaves out what is undefined, in the order of the request. */
export const objectOf = (fields: Readonly<Record<string, Json | undefined>>): Map<string, Json> =>
  new Map(
    Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );

export const numberOf = (value: number | undefined): JsonNumber | undefined =>
  value === undefined ? undefined : new JsonNumber(String(value));

/** The names between commas. @throws UsageError for an empty one. */
export function namesOf(args: Arguments, option: string): readonly string[] | undefined {
  const texts = args.texts(option);
  if (texts.length === 0) return undefined;
  const names = texts.flatMap((text) => text.split(",").map((name) => name.trim()));
  if (names.includes("")) {
    throw new UsageError(`--${option}: ${JSON.stringify(texts.join(","))} has an empty name`);
  }
  return names;
}

/** A query of options. It is sent to each partition that is read. */
export type FlagQuery = {
  readonly topic: string;
  /** Null: all partitions. */
  readonly partition: number | null;
  readonly isAggregate: boolean;
  readonly filters: readonly Filter[];
  readonly measures: readonly Measure[];
  /** At most this many rows. Undefined: an aggregate without rows. */
  readonly rows: number | undefined;
  /** @param more replaces parts of the query. */
  request(partition: number, offset: number | undefined, more?: Replaced): Json;
};
export type Replaced = {
  readonly filters?: readonly Filter[];
  readonly measures?: readonly Measure[];
  readonly rows?: number | undefined;
};
export type Measure = { readonly op: string; readonly field?: string; readonly as?: string };

/** Checks everything that can be wrong without the server. @throws UsageError */
export async function queryOfFlags(topic: string, args: Arguments, io: Io): Promise<FlagQuery> {
  const isAggregate = hasFlag(args, pick(AGGREGATING));
  const limit = args.integer("limit", 1, RECORDS_MAX) ?? (isAggregate ? undefined : RECORDS_MAX);
  const rows =
    args.integer("rows", 0, RECORDS_MAX) ??
    (isAggregate ? undefined : Math.min(limit ?? RECORDS_MAX, ROWS_DEFAULT));
  const filters = filtersIn(args);
  const measures = measuresOf(args);
  const groupBy = namesOf(args, "group-by");
  const window = windowOf(args);
  const select = namesOf(args, "select");
  const decode = await decodeOf(args, "", io);
  checkStart(args);
  const partition = args.integer("partition") ?? null;
  if (partition === null && args.text("from") !== undefined && args.text("from") !== "earliest") {
    throw new UsageError("--from needs --partition, because each partition has its own offsets");
  }
  const request = (at: number, offset: number | undefined, more: Replaced = {}): Json => {
    const shown = "rows" in more ? more.rows : rows;
    return objectOf({
      source: objectOf({
        topic,
        partition: numberOf(at),
        group: args.text("group"),
        offset: numberOf(offset),
        limit: numberOf(limit),
        decode,
      }),
      filter: listOf(more.filters ?? filters),
      window,
      aggregate: aggregateOf(groupBy, more.measures ?? measures),
      transform:
        shown === undefined && select === undefined
          ? undefined
          : objectOf({ left_fields: select && [...select], emit_rows: numberOf(shown) }),
    });
  };
  return { topic, partition, isAggregate, filters, measures, rows, request };
}

/** Windows that a view retains. */
const RETAIN_FLAGS: Options = {
  "retain-windows": { type: "string", value: "N", help: "newest windows to retain" },
  "retain-groups": { type: "string", value: "N", help: "groups to retain" },
  "retain-age": { type: "string", value: "TIME", help: "age of the windows to retain" },
};

/** The options of a view, which take effect with one action. */
export function viewFlags(action: string): Options {
  const flags = { ...PRINT_JSON, ...AGGREGATE_FLAGS, ...RETAIN_FLAGS };
  return Object.fromEntries(
    Object.entries(flags).map(([name, option]) => [name, { ...option, only: [action] }]),
  );
}

/** True if the query of a view is given as options. */
export const hasViewFlag = (args: Arguments): boolean =>
  hasFlag(args, AGGREGATE_FLAGS) || hasFlag(args, RETAIN_FLAGS);

/** The query of a view: without a partition it covers all of them. @throws UsageError */
export async function viewOfFlags(topic: string, args: Arguments, io: Io): Promise<Json> {
  const age = args.text("retain-age");
  const retain = objectOf({
    windows: numberOf(args.integer("retain-windows", 1)),
    groups: numberOf(args.integer("retain-groups", 1)),
    age_ms: numberOf(age === undefined ? undefined : durationOf("--retain-age", age)),
  });
  const source = objectOf({
    topic,
    partition: numberOf(args.integer("partition")),
    decode: await decodeOf(args, "", io),
  });
  return objectOf({
    source,
    filter: listOf(filtersIn(args)),
    window: windowOf(args),
    aggregate: aggregateOf(namesOf(args, "group-by"), measuresOf(args)),
    retain: retain.size === 0 ? undefined : retain,
  });
}

const filtersIn = (args: Arguments): readonly Filter[] => args.texts("where").flatMap(filtersOf);

const listOf = (filters: readonly Filter[]): Json | undefined =>
  filters.length === 0 ? undefined : filters.map((filter) => new Map(filter));

function windowOf(args: Arguments): Json | undefined {
  const window = args.text("window");
  const by = args.text("by");
  if (window === undefined && by !== undefined) throw new UsageError("--by needs --window");
  if (window === undefined) return undefined;
  const size = numberOf(durationOf("--window", window));
  return objectOf({ type: "tumbling", size_ms: size, time_field: by });
}

const aggregateOf = (
  groupBy: readonly string[] | undefined,
  measures: readonly Measure[],
): Json | undefined =>
  groupBy === undefined && measures.length === 0
    ? undefined
    : objectOf({
        group_by: groupBy && [...groupBy],
        measures: measures.length === 0 ? undefined : measures.map((each) => objectOf(each)),
      });

function measuresOf(args: Arguments): readonly Measure[] {
  const counts: readonly Measure[] = args.flag("count") ? [{ op: "count" }] : [];
  const of = (op: string, option: string) =>
    (namesOf(args, option) ?? []).map((text) => measureOf(op, option, text));
  return [...counts, ...of("count", "count-of"), ...MEASURES.flatMap((op) => of(op, op))];
}

function measureOf(op: string, option: string, text: string): Measure {
  const [, field = "", as] = /^(\S+)(?:\s+as\s+(\S+))?$/i.exec(text) ?? [];
  if (field === "") {
    throw new UsageError(
      `--${option}: ${JSON.stringify(text)} is neither FIELD nor "FIELD as NAME"`,
    );
  }
  return as === undefined ? { op, field } : { op, field, as };
}

const pick = (names: readonly string[]): Options =>
  Object.fromEntries(Object.entries(QUERY_FLAGS).filter(([name]) => names.includes(name)));

function checkStart(args: Arguments): void {
  const given = ["from", "since", "group"].filter((name) => args.text(name) !== undefined);
  if (given.length > 1) {
    throw new UsageError(`${given.map((name) => `--${name}`).join(" and ")} exclude each other`);
  }
}

/**
 * The offset that `--from` or `--since` names. Undefined if neither is given.
 *
 * @param prefix of the options: `left-` in a join.
 */
export async function startOf(
  args: Arguments,
  prefix: string,
  client: Client,
  topic: string,
  partition: number,
): Promise<number | undefined> {
  const from = args.text(`${prefix}from`);
  if (from === "earliest") return 0;
  if (from !== undefined) return integerOf(`--${prefix}from`, from);
  const since = args.text("since");
  if (since === undefined) return undefined;
  const offsets = await client.offsetsAt(topic, timeOf("--since", since, Date.now()));
  return offsets.find((at) => at.partition === partition)?.offset;
}

/** @throws UsageError if the topic has several partitions. */
export async function onlyPartition(
  client: Client,
  topic: string,
  option: string,
): Promise<number> {
  const { partitions } = await client.topics.describe(topic);
  if (partitions.length === 1) return 0;
  throw new UsageError(`${topic} has ${partitions.length} partitions: name one with ${option}`);
}
