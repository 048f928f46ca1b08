import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { JoinRules } from "../stream/join-rules.ts";
import type { Result, WriteReject } from "./api.ts";

/** Queries, joins and views. Bodies are JSON text that the edge has found to be an object. */
export interface StreamApi {
  query(request: StreamRequest): Promise<Result<JsonAnswer, QueryReject>>;
  join(request: JoinApiRequest): Promise<Result<JsonAnswer, QueryReject>>;

  putView(name: string, body: string): Promise<Result<{ created: boolean }, PutViewReject>>;
  deleteView(name: string): Promise<Result<object, WriteReject | "view_not_found">>;
  /** Gives the view a moment to catch up with the records that are there now. */
  getView(name: string, signal: AbortSignal): Promise<Result<JsonAnswer, GetViewReject>>;
  /** Of this node; what the lag says is how far this node is. */
  listViews(): MaybePromise<readonly ViewSummary[]>;
  /** The topic that a view reads; null if there is no such view. */
  topicOfView(name: string): MaybePromise<string | null>;
}

export type StreamRequest = {
  readonly body: string;
  /** Aborted when nobody waits for the answer any longer, or the server stops. */
  readonly signal: AbortSignal;
};

export type JoinApiRequest = StreamRequest & { readonly rules: JoinRules };

/** The whole body of an answer. */
export type JsonAnswer = { readonly json: string };

export type ViewSummary = {
  readonly view: string;
  readonly topic: string;
  /** Null: all partitions. */
  readonly partition: number | null;
  /** Records that are kept and not in the view yet. */
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
