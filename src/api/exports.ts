/** Exports: topics that are written to Parquet files as they grow. */
import { Type as t } from "@sinclair/typebox";
import {
  EVERY_MS_MAX,
  EVERY_MS_MIN,
  FILE_BYTES_MAX,
  FILE_BYTES_MIN,
  URL_CHARACTERS_MAX,
} from "../export/definition.ts";
import { NAME_PATTERN, natural, ok, partition, topic, type Wire } from "./common.ts";

const STRICT = { additionalProperties: false };
const name = t.String({ pattern: NAME_PATTERN, description: "Export" });
const compression = t.Union([t.Literal("zstd"), t.Literal("snappy"), t.Literal("none")]);
const from = t.Union([t.Literal("earliest"), t.Literal("latest")], {
  description: "Where the export begins when it is created",
});
const columns = t.Unknown({
  description:
    'More columns: [{"name","field","type"}]; types are string, int64, double, boolean, timestamp and json',
});
const decode = t.Unknown({ description: "How values are decoded, as in queries" });
const filter = t.Unknown({ description: "Only records that match, as in queries" });

export const EXPORT_BODY = t.Object(
  {
    topic,
    url: t.String({
      maxLength: URL_CHARACTERS_MAX,
      description: "s3://bucket/prefix, or file:///directory below RF_EXPORT_DIR",
    }),
    columns: t.Optional(columns),
    decode: t.Optional(decode),
    filter: t.Optional(filter),
    every_ms: t.Optional(
      natural("A file ends at most this long after its first record; default 600000", {
        minimum: EVERY_MS_MIN,
        maximum: EVERY_MS_MAX,
      }),
    ),
    max_bytes: t.Optional(
      natural("Bytes of records after which a file ends; default 134217728", {
        minimum: FILE_BYTES_MIN,
        maximum: FILE_BYTES_MAX,
      }),
    ),
    compression: t.Optional(compression),
    from: t.Optional(from),
    hold: t.Optional(
      t.Boolean({ description: "Retention waits for the export, at most RF_EXPORT_HOLD_MS" }),
    ),
  },
  STRICT,
);
export type ExportBody = Wire<typeof EXPORT_BODY>;
export const EXPORT_PUT = t.Object({
  ok,
  export: name,
  created: t.Boolean({ description: "False: it existed, with this definition or another one" }),
});
export type ExportPut = Wire<typeof EXPORT_PUT>;
export const EXPORT_DELETED = t.Object({ ok, export: name, deleted: ok });
export type ExportDeleted = Wire<typeof EXPORT_DELETED>;
export const EXPORT_PAUSED = t.Object({ ok, export: name, paused: t.Boolean() });
export type ExportPaused = Wire<typeof EXPORT_PAUSED>;
export const EXPORT_FLUSHED = t.Object({
  ok,
  export: name,
  records: natural("Records that are not exported yet"),
});
export type ExportFlushed = Wire<typeof EXPORT_FLUSHED>;

const counts = {
  files: natural("Files that are committed"),
  rows: natural("Rows in them"),
  bytes: natural("Bytes of them"),
  lost: natural("Records that were deleted before they were exported"),
  lag_records: natural("Records that are not exported"),
  lag_seconds: t.Number({
    minimum: 0,
    description: "Age of the oldest record that is not exported",
  }),
};
const described = {
  export: name,
  topic,
  url: t.String(),
  columns: t.Optional(columns),
  decode: t.Optional(decode),
  filter: t.Optional(filter),
  every_ms: natural("A file ends at most this long after its first record"),
  max_bytes: natural("Bytes of records after which a file ends"),
  compression,
  from,
  hold: t.Boolean(),
  state: t.Union([t.Literal("running"), t.Literal("retrying"), t.Literal("paused")]),
  ...counts,
  manifest: natural("The last manifest in the place; 0: none"),
  failures: natural("Attempts in a row that failed"),
  last_error: t.Union([t.String(), t.Null()], { description: "Under this leader" }),
  last_error_at_ms: t.Union([natural("Milliseconds since 1970"), t.Null()]),
};
export const EXPORT_LIST = t.Object({ ok, exports: t.Array(t.Object(described)) });
export type ExportList = Wire<typeof EXPORT_LIST>;
export const EXPORT_DESCRIBED = t.Object({
  ok,
  ...described,
  partitions: t.Array(
    t.Object({
      partition,
      next_offset: natural("First record that is in no committed file"),
      end_offset: natural("Offset that the next record gets"),
      writing: t.Union([t.String(), t.Null()], { description: "The file that is under way" }),
      ...counts,
    }),
  ),
});
export type ExportDescribed = Wire<typeof EXPORT_DESCRIBED>;
