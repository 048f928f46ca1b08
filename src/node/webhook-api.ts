import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { WebhookDefinition } from "../webhook/definition.ts";
import type { Result, WriteReject } from "./api.ts";
import type { QueueCounts, QueuePartitionSummary, Redriven } from "./queue-api.ts";

export type { WebhookDefinition } from "../webhook/definition.ts";

/** Webhooks: the leader delivers the records of a topic to a URL. */
export interface WebhookApi {
  /** Creates a webhook or changes its definition. */
  define(
    name: string,
    definition: WebhookDefinition,
  ): Promise<Result<WebhookDefined, DefineWebhookReject>>;
  deleteWebhook(name: string): Promise<Result<object, WebhookReject>>;
  pause(name: string): Promise<Result<PauseChanged, WebhookReject>>;
  resume(name: string): Promise<Result<PauseChanged, WebhookReject>>;
  /** Makes a new secret. The former one signs too for a day. */
  rotate(name: string): Promise<Result<Rotated, WebhookReject>>;
  /** Sends a test message, also while the webhook is paused. Only the leader can. */
  test(name: string): Promise<Result<{ readonly attempt: WebhookAttempt }, WebhookReject>>;
  /** Moves dead letters back into the topic. */
  redrive(
    name: string,
    limits: { readonly max: number | null; readonly perSecond: number | null },
  ): Promise<Result<Redriven, WebhookReject | "data_damaged">>;
  /** Finishes all present records, also those that are being delivered. */
  purge(name: string): Promise<Result<{ readonly purged: number }, WebhookReject>>;
  /** The last attempts that this leader made, the newest first. */
  deliveries(
    name: string,
  ): Promise<Result<{ readonly attempts: readonly WebhookAttempt[] }, WebhookReject>>;
  listWebhooks(): MaybePromise<readonly WebhookSummary[]>;
  describeWebhook(name: string): MaybePromise<Result<WebhookDescription, "webhook_not_found">>;
  /** The topics of a webhook. Null if the webhook does not exist. */
  topicsOfWebhook(
    name: string,
  ): MaybePromise<{ readonly topic: string; readonly deadLetter: string | null } | null>;
}

export type WebhookReject = WriteReject | "webhook_not_found" | "cluster_not_upgraded";
export type DefineWebhookReject =
  | WriteReject
  | "cluster_not_upgraded"
  | "webhook_exists"
  | "too_many_webhooks"
  | "topic_not_found"
  | "too_many_partitions"
  | "invalid_json"
  | "invalid_field"
  | "missing_field";
export type WebhookRejectCode = WebhookReject | DefineWebhookReject;

export type WebhookDefined = {
  readonly created: boolean;
  /** The secret of a new webhook: the only time that it is told. Null: it existed. */
  readonly secret: string | null;
};
export type PauseChanged = { readonly changed: boolean };
export type Rotated = { readonly secret: string; readonly previousUntilMs: number };

/** One request to a receiver and its outcome. */
export type WebhookAttempt = {
  /** Value of the header `webhook-id`. */
  readonly id: string;
  /** Null: a test. */
  readonly record: {
    readonly partition: number;
    readonly offset: number;
    readonly attempt: number;
  } | null;
  readonly atMs: number;
  readonly durationMs: number;
  /** Null: there was no answer. */
  readonly status: number | null;
  /** The beginning of the answer's body. */
  readonly answer: string;
  /** Why there was no answer. */
  readonly error: string | null;
  /** retry: it is delivered again. dead: it was put aside. paused: the receiver wants no more. */
  readonly outcome: "delivered" | "retry" | "dead" | "paused";
};

export type WebhookSummary = QueueCounts & {
  readonly name: string;
  readonly definition: WebhookDefinition;
  readonly createdAtMs: number;
  /** When the secrets were made, and until when the former one signs; null: there is none. */
  readonly secretCreatedAtMs: number;
  readonly previousSecretUntilMs: number | null;
  readonly paused: { readonly atMs: number; readonly reason: "requested" | "gone" } | null;
  readonly filtered: number;
};
export type WebhookDescription = WebhookSummary & {
  readonly partitions: readonly QueuePartitionSummary[];
};
