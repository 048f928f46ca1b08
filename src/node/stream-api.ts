import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { JoinRules } from "../stream/join-rules.ts";
import type { Result, WriteReject } from "./api.ts";

/** Queries, joins and views. Bodies are JSON text, and the router has checked that each is an object. */
export interface StreamApi {
  query(request: StreamRequest): Promise<Result<JsonAnswer, QueryReject>>;
  join(request: JoinApiRequest): Promise<Result<JsonAnswer, QueryReject>>;

  putView(name: string, body: string): Promise<Result<{ created: boolean }, PutViewReject>>;
  deleteView(name: string): Promise<Result<object, WriteReject | "view_not_found">>;
  /** Waits a short time for the view to catch up with the current records. */
  getView(name: string, signal: AbortSignal): Promise<Result<JsonAnswer, GetViewReject>>;
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

/** The whole body of a response. */
export type JsonAnswer = { readonly json: string };

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
