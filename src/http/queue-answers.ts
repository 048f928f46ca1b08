/** Scopes and rejections that all routes of queues share. */
import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { QueueApi, Rejected } from "../node/api.ts";
import { JSON_FIELD_ERRORS } from "./body.ts";
import type { ErrorCode } from "./errors.ts";
import { demandKnown, type Known } from "./known.ts";
import type { RequestContext } from "./request-context.ts";
import { aboutReader } from "./responses.ts";
import type { Services } from "./services.ts";
import type { Scope } from "./token-spec.ts";
import { leadsNow } from "./when-current.ts";

export const QUEUE_BODY_ERRORS: readonly ErrorCode[] = [...JSON_FIELD_ERRORS, "request_too_large"];
export const QUEUE_ERRORS: readonly ErrorCode[] = [
  "invalid_queue",
  "queue_not_found",
  "commit_timeout",
];

/** A queue as `demandKnown` takes it. */
export const knownQueue = (queues: QueueApi, name: string, scope: Scope): Known => ({
  scope,
  what: `queue "${name}"`,
  topics: async () => {
    const topics = await queues.topicsOfQueue(name);
    return topics === null ? null : [topics.topic];
  },
});

/**
 * Requires the scope for the topic of the queue.
 *
 * @returns a promise only if the token is limited to names, and not known at once to cover this one.
 */
export function demandQueue(
  services: Services,
  queues: QueueApi,
  context: RequestContext,
  name: string,
  scope: Scope,
): MaybePromise<void> {
  if (context.principal.may(scope, null)) return;
  // Most requests are at the leader and for a queue that the token covers.
  const topics = leadsNow(services.node) ? queues.topicsOfQueue(name) : null;
  const isAtOnce = topics !== null && !(topics instanceof Promise);
  if (isAtOnce && context.principal.may(scope, topics.topic)) return;
  return demandKnown(services, context, knownQueue(queues, name, scope));
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
