/** Queries, joins and views. The node validates the requests. */
import { Type as t } from "@sinclair/typebox";
import { GROUP_PATTERN, NAME_PATTERN, natural, ok, type Wire } from "./common.ts";

const limited = (description: string, maximum = 10_000) =>
  t.Integer({ minimum: 1, maximum, description });
const field = t.String({ description: "Field of a record, such as a or a.b" });
const fields = t.Array(field);
const value = t.Unknown({ description: "Any JSON value; integers are exact at any size" });
const word = <T extends string>(...words: readonly T[]) =>
  t.Union(words.map((each) => t.Literal(each)));

const decode = t.Object(
  {
    type: word("json", "avro", "proto"),
    encoding: t.Optional(word("binary", "json")),
    framing: t.Optional(
      t.Union([t.Literal("registry"), t.Literal("none")], {
        description:
          "Whether values have the header of a schema registry; absent: as they decode, if only one way",
      }),
    ),
    schema_text: t.Optional(t.String({ description: "Avro schema or .proto text" })),
    message: t.Optional(
      t.String({ description: "Message type in the .proto text, if it declares several" }),
    ),
    apply_defaults: t.Optional(t.Boolean()),
    field_aliases: t.Optional(t.Record(t.String(), t.Array(t.String()))),
  },
  { description: "How values are decoded; absent: JSON" },
);
const sourceWith = (limit: string) => ({
  topic: t.String({ pattern: NAME_PATTERN }),
  partition: natural("Partition, counted from 0"),
  group: t.Optional(t.String({ pattern: GROUP_PATTERN })),
  offset: t.Optional(natural("Absent: the group's committed one, else the first kept one")),
  limit: t.Optional(limited(limit)),
  decode: t.Optional(decode),
});
export const FILTER = t.Array(
  t.Object({ field, op: word("eq", "ne", "lt", "le", "gt", "ge", "in", "contains"), value }),
  { description: "All must hold" },
);
const window = t.Object({
  type: t.Optional(t.Literal("tumbling")),
  size_ms: natural("Length of a window", { minimum: 1 }),
  time_field: t.Optional(field),
});
const aggregate = t.Object({
  group_by: t.Optional(fields),
  measures: t.Optional(
    t.Array(
      t.Object({
        op: word("count", "sum", "avg", "min", "max"),
        field: t.Optional(field),
        as: t.Optional(t.String()),
      }),
    ),
  ),
});

export const QUERY_BODY = t.Object({
  source: t.Object(
    sourceWith("Records to read; default 200, with aggregate or window all, at most 10,000,000"),
  ),
  filter: t.Optional(FILTER),
  window: t.Optional(window),
  aggregate: t.Optional(aggregate),
  transform: t.Optional(
    t.Object({ left_fields: t.Optional(fields), emit_rows: t.Optional(natural("Default 0")) }),
  ),
});
export type QueryBody = Wire<typeof QUERY_BODY>;

const { limit: _limit, group: _group, partition: _partition, ...viewSource } = sourceWith("");
const RETAIN = {
  retain: t.Optional(
    t.Object(
      {
        windows: t.Optional(limited("Most windows", 100_000)),
        groups: t.Optional(limited("Most groups in all windows together", 100_000)),
        age_ms: t.Optional(natural("How long after its end a window is kept", { minimum: 1 })),
      },
      { description: "Which windows are kept; without it, all that there is room for" },
    ),
  ),
};
/** Like a query, but without the limits of what one query reads or returns. */
export const VIEW_BODY = t.Object({
  source: t.Object({
    ...viewSource,
    partition: t.Optional(natural("Absent: all partitions")),
  }),
  filter: t.Optional(FILTER),
  window: t.Optional(window),
  aggregate: t.Optional(aggregate),
  ...RETAIN,
});
export type ViewBody = Wire<typeof VIEW_BODY>;
/**
 * Fields that a view accepts. A query may be stored unchanged, so its limits are accepted and
 * ignored.
 */
export const VIEW_FIELDS = t.Object({ ...QUERY_BODY.properties, ...RETAIN });

const side = t.Object(sourceWith("Records to read; default 500"));
export const JOIN_BODY = t.Object({
  left: side,
  right: side,
  on: t.Union([
    t.Object({ left_key: field, right_key: field }),
    t.Object({ left_keys: fields, right_keys: fields }),
  ]),
  window: t.Optional(
    t.Object({
      size_ms: t.Optional(natural("Default 60000")),
      allowed_lateness_ms: t.Optional(natural("Default 0")),
      time_field: t.Optional(field),
    }),
  ),
  join: t.Optional(t.Object({ type: t.Optional(word("inner", "left", "right", "full")) })),
  emit: t.Optional(
    t.Object({
      left_fields: t.Optional(fields),
      right_fields: t.Optional(fields),
      max_rows: t.Optional(limited("Default 200")),
      missing_as: t.Optional(word("null", "empty")),
    }),
  ),
  dedupe_once: t.Optional(t.Boolean({ description: "A record is in at most one pair" })),
  dedupe: t.Optional(t.Object({ mode: t.Optional(word("once", "none")) })),
});
export type JoinBody = Wire<typeof JOIN_BODY>;

const counts = {
  consumed: natural("Records read"),
  undecodable: natural("Records read that did not decode"),
  untimed: natural("Records read that had no time for the window"),
  out_of_range: natural("Numbers beyond the range of doubles, which no measure took"),
};
const aggregates = t.Array(
  t.Object(
    {
      key: t.String({ description: "The group as text, for people" }),
      group: t.Record(t.String(), value),
      count: natural("Records of the group"),
      window_start_ms: t.Optional(t.Integer()),
      window_end_ms: t.Optional(t.Integer()),
    },
    { additionalProperties: value, description: "And each measure under its name" },
  ),
);
const truncated = t.Boolean({
  description: "Reading stopped before the end: go on at next_offset",
});
export const QUERIED = t.Object({
  ok,
  rows: t.Array(value),
  aggregates,
  source: t.Object({
    topic: t.String(),
    group: t.Union([t.String(), t.Null()]),
    partition: natural("Partition"),
    next_offset: natural("Where the next query goes on"),
    truncated,
    rows_next_offset: t.Union([natural("Offset"), t.Null()], {
      description: "Where rows go on, if an aggregate read past the last one that is shown",
    }),
    ...counts,
  }),
  truncated,
});
export type Queried = Wire<typeof QUERIED>;
const time = t.Union([t.Integer(), t.Null()]);
export const JOINED = t.Object({
  ok,
  rows: t.Array(
    t.Object({
      key: t.Union([t.String(), t.Null()]),
      left_ts_ms: time,
      right_ts_ms: time,
      left: value,
      right: value,
    }),
  ),
  truncated: t.Boolean({ description: "As stats.truncated" }),
  next_offsets: t.Object({ left: natural("Offset"), right: natural("Offset") }),
  stats: t.Object({
    left_scanned: natural("Records read"),
    right_scanned: natural("Records read"),
    rows: natural("Rows of this page"),
    late: natural("Records older than the watermark allows: dropped"),
    watermark_ms: time,
    outer_left: natural("Left records without a match"),
    outer_right: natural("Right records without a match"),
    dedupe_once: t.Boolean(),
    undecodable: counts.undecodable,
    untimed: natural("Records without a time: they match nothing"),
    truncated: t.Boolean({
      description: "max_rows, or the limit of a side, ended the page before the records did",
    }),
  }),
});
export type Joined = Wire<typeof JOINED>;

const lag = natural("Records that are kept and not in the view of this node yet");
export const VIEW_PUT = t.Object({
  ok,
  view: t.String(),
  created: t.Boolean({ description: "False: the view had this query already, and goes on" }),
});
export type ViewPut = Wire<typeof VIEW_PUT>;
export const VIEW = t.Object({
  ok,
  view: t.String(),
  aggregates,
  source: t.Object({
    topic: t.String(),
    partitions: t.Array(
      t.Object({ partition: natural("Partition"), next_offset: natural("Not read yet") }),
    ),
    ...counts,
    skipped: natural("Records that were deleted before the view had read them"),
    evicted_groups: natural("Groups of windows that aged out"),
    retained_from_ms: t.Union([t.Integer(), t.Null()], {
      description: "Windows that start before it are gone",
    }),
    late: natural("Records that came for a window that was gone"),
    overflow: natural("Records of groups for which there was no room"),
  }),
  truncated: t.Boolean({
    description: "There was no room for something that the definition would keep",
  }),
  lag,
});
export type View = Wire<typeof VIEW>;
export const VIEW_LIST = t.Object({
  ok,
  views: t.Array(
    t.Object({
      view: t.String(),
      topic: t.String(),
      partition: t.Union([natural("Partition"), t.Null()]),
      lag,
    }),
  ),
});
export type ViewList = Wire<typeof VIEW_LIST>;
export const VIEW_DELETED = t.Object({ ok, view: t.String(), deleted: ok });
export type ViewDeleted = Wire<typeof VIEW_DELETED>;
