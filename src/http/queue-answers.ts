/** Scopes and rejections that all routes of queues share. */
import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { QueueApi, QueueTopics, Rejected } from "../node/api.ts";
import { JSON_FIELD_ERRORS } from "./body.ts";
import type { ErrorCode } from "./errors.ts";
import type { RequestContext } from "./request-context.ts";
import { aboutReader } from "./responses.ts";
import type { Services } from "./services.ts";
import type { Scope } from "./token-spec.ts";
import { whenCurrent } from "./when-current.ts";

export const QUEUE_BODY_ERRORS: readonly ErrorCode[] = [...JSON_FIELD_ERRORS, "request_too_large"];
export const QUEUE_ERRORS: readonly ErrorCode[] = [
  "invalid_queue",
  "queue_not_found",
  "commit_timeout",
];

/**
 * Requires the scope for the topic of the queue. If the queue does not exist, the node says so.
 *
 * @returns a promise only if the token is not valid for all names, and another node or thread has to
 *   be asked.
 */
export function demandQueue(
  { node }: Services,
  queues: QueueApi,
  context: RequestContext,
  name: string,
  scope: Scope,
): MaybePromise<void> {
  if (context.principal.may(scope, null)) return;
  const demand = (topics: QueueTopics | null): void => {
    if (topics !== null) context.demand(scope, topics.topic);
  };
  const look = (): MaybePromise<void> => {
    const topics = queues.topicsOfQueue(name);
    return topics instanceof Promise ? topics.then(demand) : demand(topics);
  };
  const current = whenCurrent(node);
  return current instanceof Promise ? current.then(look) : look();
}

export function queueRejected(
  { errorMapper }: Services,
  context: RequestContext,
  rejection: Rejected,
  name: string,
  topic: string | null = null,
): Response {
  return errorMapper.answer(context, rejection, aboutReader(rejection, topic, `queue "${name}"`));
}
