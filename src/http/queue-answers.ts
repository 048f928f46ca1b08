/** Scopes and rejections that all routes of queues share. */
import type { QueueApi, Rejected } from "../node/api.ts";
import { JSON_FIELD_ERRORS } from "./body.ts";
import type { ErrorCode } from "./errors.ts";
import type { RequestContext } from "./request-context.ts";
import type { Services } from "./services.ts";
import type { Scope } from "./token-spec.ts";

export const QUEUE_BODY_ERRORS: readonly ErrorCode[] = [...JSON_FIELD_ERRORS, "request_too_large"];
export const QUEUE_ERRORS: readonly ErrorCode[] = [
  "invalid_queue",
  "queue_not_found",
  "commit_timeout",
];

/** Requires the scope for the topic of the queue. If the queue does not exist, the node says so. */
export async function demandQueue(
  queues: QueueApi,
  context: RequestContext,
  name: string,
  scope: Scope,
): Promise<void> {
  const topics = await queues.topicsOfQueue(name);
  if (topics !== null) context.demand(scope, topics.topic);
}

export function queueRejected(
  { errorMapper }: Services,
  context: RequestContext,
  rejection: Rejected,
  name: string,
  topic: string | null = null,
): Response {
  const about = rejection.code === "topic_not_found" ? `topic "${topic}"` : `queue "${name}"`;
  return errorMapper.answer(context, rejection, about);
}
