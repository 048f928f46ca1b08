import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { JoinStats } from "../stream/join.ts";
import type { JoinRules } from "../stream/join-rules.ts";
import type { Result, WriteReject } from "./api.ts";

/** Queries, joins and views. Bodies are JSON text, and the router has checked that each is an object. */
export interface StreamApi {
  query(request: StreamRequest): Promise<Result<QueryAnswer, QueryReject>>;
  join(request: JoinApiRequest): Promise<Result<JoinAnswer, QueryReject>>;

  putView(name: string, body: string): Promise<Result<{ created: boolean }, PutViewReject>>;
  deleteView(name: string): Promise<Result<object, WriteReject | "view_not_found">>;
  /** Waits a short time for the view to catch up with the current records. */
  getView(name: string, signal: AbortSignal): Promise<Result<ViewAnswer, GetViewReject>>;
  /** Views of this node. Their lag is the lag of this node. */
  listViews(): MaybePromise<readonly ViewSummary[]>;
  /** The topic that a view reads. Null if the view does not exist. */
  topicOfView(name: string): MaybePromise<string | null>;
}

export type StreamRequest = {
  readonly body: string;
  /** Aborted when the client has disconnected or the server stops. */
  readonly signal: AbortSignal;
};

export type JoinApiRequest = StreamRequest & { readonly rules: JoinRules };

/**
 * The list of rows of an answer as JSON text. The node writes it in slices, because it may be long,
 * and it crosses a worker port as text.
 */
export type RowsText = string;

export type ReadCounts = {
  /** Records read, and how many of these did not decode or had no time for the window. */
  readonly consumed: number;
  readonly undecodable: number;
  readonly untimed: number;
  /** Numbers beyond the range of doubles, which the measures ignore. */
  readonly outOfRange: number;
};
export type QueryAnswer = ReadCounts & {
  readonly topic: string;
  readonly group: string | null;
  readonly partition: number;
  readonly rows: RowsText;
  readonly aggregates: RowsText;
  readonly nextOffset: number;
  readonly rowsNextOffset: number | null;
  /** The query stopped before the end of the partition. */
  readonly truncated: boolean;
};
export type JoinAnswer = {
  readonly rows: RowsText;
  readonly nextOffsets: { readonly left: number; readonly right: number };
  readonly stats: JoinStats;
};
export type ViewAnswer = ReadCounts & {
  readonly view: string;
  readonly topic: string;
  readonly aggregates: RowsText;
  readonly partitions: readonly { readonly partition: number; readonly nextOffset: number }[];
  /** Number of records that were deleted before the view read them. */
  readonly skipped: number;
  /** Groups of evicted windows, and the start of the oldest window that remains. */
  readonly evictedGroups: number;
  readonly retainedFromMs: number | null;
  readonly late: number;
  readonly overflow: number;
  readonly truncated: boolean;
  readonly lag: number;
};

export type ViewSummary = {
  readonly view: string;
  readonly topic: string;
  /** Null: all partitions. */
  readonly partition: number | null;
  /** Retained records that are not in the view yet. */
  readonly lag: number;
};

/** `details.field` is the path of the wrong field, such as `filter[0].op`. */
type BodyReject = "invalid_json" | "invalid_field" | "missing_field";
type SourceReject = "topic_not_found" | "partition_not_found";
export type QueryReject =
  | BodyReject
  | SourceReject
  | "offset_out_of_range"
  | "data_damaged"
  | "no_leader"
  | "no_quorum"
  | "query_too_large"
  | "overloaded"
  | "shutting_down";
export type PutViewReject = WriteReject | BodyReject | SourceReject | "too_many_views";
export type GetViewReject = "view_not_found" | "overloaded" | "shutting_down";
export type StreamRejectCode = QueryReject | PutViewReject | GetViewReject | "view_state_too_large";
