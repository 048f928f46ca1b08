/**
 * Queries, joins and views with the field names of the HTTP API. The names are not converted to
 * camelCase, because the fields of records appear beside them.
 *
 * Integers outside of ±(2^53−1) are `bigint` in results, with all their digits, at every depth: in
 * rows, groups and measures. Requests accept `bigint` as the value of a filter. Sums and counts are
 * `number` unless they are larger.
 */

export type Decode = {
  readonly type: "json" | "avro" | "proto";
  readonly encoding?: "binary" | "json";
  /** Whether values begin with the header of a schema registry. */
  readonly framing?: "registry" | "none";
  readonly schema_text?: string;
  readonly message?: string;
  readonly apply_defaults?: boolean;
  readonly field_aliases?: Readonly<Record<string, readonly string[]>>;
};
export type Source = {
  readonly topic: string;
  readonly partition: number;
  readonly group?: string;
  readonly offset?: number;
  readonly limit?: number;
  readonly decode?: Decode;
};
export type Filter = {
  readonly field: string;
  readonly op: "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "in" | "contains";
  readonly value: unknown;
};
type Aggregation = {
  readonly filter?: readonly Filter[];
  readonly window?: {
    readonly type?: "tumbling";
    readonly size_ms: number;
    readonly time_field?: string;
  };
  readonly aggregate?: {
    readonly group_by?: readonly string[];
    readonly measures?: readonly {
      readonly op: "count" | "sum" | "avg" | "min" | "max";
      readonly field?: string;
      readonly as?: string;
    }[];
  };
};
export type QueryRequest = Aggregation & {
  readonly source: Source;
  readonly transform?: {
    readonly left_fields?: readonly string[];
    readonly emit_rows?: number;
  };
};
export type ViewRequest = Aggregation & {
  /** The windows to retain; default: as many as there is room for. */
  readonly retain?: {
    readonly windows?: number;
    readonly groups?: number;
    readonly age_ms?: number;
  };
  /** Without `partition`: all partitions. */
  readonly source: Omit<Source, "partition" | "group" | "limit"> & { readonly partition?: number };
};
export type JoinRequest = {
  readonly left: Source;
  readonly right: Source;
  readonly on:
    | { readonly left_key: string; readonly right_key: string }
    | { readonly left_keys: readonly string[]; readonly right_keys: readonly string[] };
  readonly window?: {
    readonly size_ms?: number;
    readonly allowed_lateness_ms?: number;
    readonly time_field?: string;
  };
  readonly join?: { readonly type?: "inner" | "left" | "right" | "full" };
  readonly emit?: {
    readonly left_fields?: readonly string[];
    readonly right_fields?: readonly string[];
    readonly max_rows?: number;
    readonly missing_as?: "null" | "empty";
  };
  readonly dedupe_once?: boolean;
};

/** `T` is the type of the rows. */
export type QueryResult<T = unknown> = {
  readonly rows: readonly T[];
  readonly aggregates: readonly Aggregate[];
  readonly source: Counts & {
    readonly topic: string;
    readonly group: string | null;
    readonly partition: number;
    readonly next_offset: number;
    /** Reading stopped before the end of the partition; continue at `next_offset`. */
    readonly truncated: boolean;
    /** Offset of the next rows, if an aggregate read past the last row shown. */
    readonly rows_next_offset: number | null;
  };
  /** Same as `source.truncated`. */
  readonly truncated: boolean;
};
/** Each measure is a field with its name. */
export type Aggregate = {
  readonly key: string;
  readonly group: Readonly<Record<string, unknown>>;
  readonly count: number;
  readonly window_start_ms?: number;
  readonly window_end_ms?: number;
  readonly [measure: string]: unknown;
};
type Counts = {
  readonly consumed: number;
  readonly undecodable: number;
  readonly untimed: number;
  /** Numbers beyond the range of doubles, which the measures ignore. */
  readonly out_of_range: number;
};
export type JoinResult<L = unknown, R = unknown> = {
  readonly rows: readonly {
    readonly key: string | null;
    readonly left_ts_ms: number | null;
    readonly right_ts_ms: number | null;
    readonly left: L;
    readonly right: R;
  }[];
  /** Same as `stats.truncated`. */
  readonly truncated: boolean;
  readonly next_offsets: { readonly left: number; readonly right: number };
  readonly stats: {
    readonly left_scanned: number;
    readonly right_scanned: number;
    readonly rows: number;
    readonly late: number;
    readonly watermark_ms: number | null;
    readonly outer_left: number;
    readonly outer_right: number;
    readonly dedupe_once: boolean;
    readonly undecodable: number;
    readonly untimed: number;
    readonly truncated: boolean;
  };
};
export type ViewResult = {
  readonly view: string;
  readonly aggregates: readonly Aggregate[];
  readonly source: Counts & {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly next_offset: number }[];
    readonly skipped: number;
    /** Groups whose windows were evicted, and the start of the remaining windows. */
    readonly evicted_groups: number;
    readonly retained_from_ms: number | null;
    /** Records dropped because their window was evicted or because their group had no room. */
    readonly late: number;
    readonly overflow: number;
  };
  /** There was no room for groups or windows that the definition retains. */
  readonly truncated: boolean;
  readonly lag: number;
};
export type ViewSummary = {
  readonly view: string;
  readonly topic: string;
  readonly partition: number | null;
  readonly lag: number;
};
