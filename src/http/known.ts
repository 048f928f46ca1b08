/**
 * Scopes for queues, views, groups and so on: their topics decide who may use them, and the path names
 * only them. A token that is limited to names must not learn which of them exist.
 */
import type { MaybePromise } from "../lib/maybe-promise.ts";
import { ApiError } from "./errors.ts";
import type { RequestContext } from "./request-context.ts";
import type { Services } from "./services.ts";
import type { Scope } from "./token-spec.ts";
import { whenCurrent } from "./when-current.ts";

export type Known = {
  readonly scope: Scope;
  /** For messages: `queue "work"`. */
  readonly what: string;
  /** Looks for its topics. None or null: there is no such thing. */
  readonly topics: () => MaybePromise<readonly string[] | null>;
};

/**
 * Requires the scope for all topics of something. A token that is limited to names gets the same
 * answer if there is no such thing and if it is of other topics. For a token without that limit, the
 * node says whether it exists.
 *
 * @throws ApiError `forbidden`.
 */
export async function demandKnown(
  services: Services,
  context: RequestContext,
  known: Known,
): Promise<void> {
  const topics = await topicsFor(services, context, known);
  if (topics === "any" || (topics.length > 0 && covers(context, known, topics))) return;
  const { scope, what } = known;
  throw forbidden(`The token's "${scope}" scope does not cover ${what}, or there is no such thing`);
}

/** The same for a request that creates what does not exist. */
export async function demandIfKnown(
  services: Services,
  context: RequestContext,
  known: Known,
): Promise<void> {
  const topics = await topicsFor(services, context, known);
  if (topics === "any" || covers(context, known, topics)) return;
  throw forbidden(`The token's "${known.scope}" scope does not cover ${known.what}`);
}

/** @returns "any" if the token is not limited to names. */
async function topicsFor(
  { node }: Services,
  { principal, route }: RequestContext,
  { scope, topics }: Known,
): Promise<"any" | readonly string[]> {
  if (principal.may(scope, null)) return "any";
  // A follower that sends a command over the link must not permit it by what was before.
  if (route.leaderOnly) await whenCurrent(node);
  const found = (await topics()) ?? [];
  if (found.length > 0) return found;
  // This node may lag, so that it does not know yet what exists; so may a new leader.
  const behind = await node.catchUp();
  if (behind !== null) throw new ApiError(behind.code, behind.message);
  return (await topics()) ?? [];
}

const covers = (
  { principal }: RequestContext,
  { scope }: Known,
  topics: readonly string[],
): boolean => topics.every((topic) => principal.may(scope, topic));

const forbidden = (message: string): ApiError => new ApiError("forbidden", message);
