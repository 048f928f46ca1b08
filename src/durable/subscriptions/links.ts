import type { BrokerState } from "../../broker/state.ts";
import {
  NO_RECORDS_YET,
  OFFSET_AT,
  type Position,
  TOKEN_LENGTH,
  ZERO_TOKEN,
} from "../offset-token.ts";
import { tailOf, tailTokenOf } from "../records.ts";
import type { DurableState, StreamState } from "../state.ts";
import type { Link } from "./link-table.ts";
import type { SubscriptionState } from "./state.ts";

/** Returns the subscription for a change. It is copied if a snapshot may refer to it. */
export function writableSubscription(
  state: DurableState,
  subscription: SubscriptionState,
): SubscriptionState {
  if (subscription.epoch === state.epoch) return subscription;
  const copy = subscription.copy(state.epoch);
  state.subscriptions.set(copy.config.id, copy);
  return copy;
}

export type LinkInfo = {
  readonly path: string;
  readonly byName: boolean;
  readonly acked: string;
  readonly tail: string;
  readonly pending: boolean;
};

/** The end of a stream, also of one that does not exist. */
export function endOf(durable: DurableState, broker: BrokerState, path: string): string {
  const stream = durable.byPath.get(path);
  return stream === undefined || stream.deleted ? ZERO_TOKEN : tailTokenOf(broker, stream);
}

export function infoOf(
  durable: DurableState,
  broker: BrokerState,
  path: string,
  { byName, acked }: Link,
): LinkInfo {
  const tail = endOf(durable, broker, path);
  return { path, byName, acked, tail, pending: isBefore(acked, tail) };
}

/** True if there are records between the two. The tail of a stream without records has the offset 0. */
const isBefore = (acked: string, tail: string): boolean =>
  acked < tail && !tail.endsWith(NO_RECORDS_YET);

/** As `infoOf(…).pending`, without making texts. @param at a link, or the position of one. */
export function isPending(
  durable: DurableState,
  broker: BrokerState,
  path: string,
  at: Link | Readonly<Position>,
): boolean {
  const stream = durable.byPath.get(path);
  if (stream === undefined || stream.deleted) return false;
  const tail = tailOf(broker, stream);
  if (tail === 0) return false;
  if (!("acked" in at)) {
    return at.streamId === stream.streamId ? at.offset < tail : at.streamId < stream.streamId;
  }
  const { acked } = at;
  const streamId = Number(acked.slice(0, OFFSET_AT - 1));
  if (acked.length !== TOKEN_LENGTH || streamId !== stream.streamId) {
    return acked < tailTokenOf(broker, stream);
  }
  return Number(acked.slice(OFFSET_AT)) < tail;
}

/** True if the stream is watched and has records that were not processed. */
export function isPendingLink(
  { durable, broker }: LinkScope,
  { links }: SubscriptionState,
  path: string,
): boolean {
  const known = links.get(path);
  return known !== undefined && isPending(durable, broker, path, known);
}

/** Finds out again whether a link has records that were not processed. */
export function noteLink(scope: LinkScope, subscription: SubscriptionState, path: string): void {
  if (isPendingLink(scope, subscription, path)) subscription.pending.add(path);
  else subscription.pending.delete(path);
}

/** Called when a stream is made. A fork has records from the beginning, and its name may be watched. */
export function noteCreated(scope: LinkScope, path: string): void {
  for (const subscription of scope.durable.subscriptions.values()) {
    if (subscription.links.names.has(path)) noteLink(scope, subscription, path);
  }
}

export type LinkScope = { readonly durable: DurableState; readonly broker: BrokerState };

/** Returns the paths of the links with records that were not processed. */
export function pendingOf(scope: LinkScope, subscription: SubscriptionState): ReadonlySet<string> {
  lookOn(scope, subscription, Number.POSITIVE_INFINITY);
  return subscription.pending;
}

/**
 * Looks for links with records that were not processed, after a restore: where the look before stopped,
 * and at the links of so many buckets. Links that change meanwhile are noted as always.
 *
 * @returns whether all links were looked at.
 */
export function lookOn(
  { durable, broker }: LinkScope,
  subscription: SubscriptionState,
  buckets: number,
): boolean {
  const { links, pending } = subscription;
  for (let left = buckets; left > 0 && subscription.lookedAt < links.buckets; left--) {
    links.visit(subscription.lookedAt++, (path, at) => {
      if (isPending(durable, broker, path, at)) pending.add(path);
    });
  }
  if (subscription.lookedAt < links.buckets) return false;
  subscription.lookedAt = Number.POSITIVE_INFINITY;
  return true;
}

/** Watches a stream, or adds a reason to watch it. */
export function link(
  scope: LinkScope,
  subscription: SubscriptionState,
  path: string,
  by: "name" | "pattern",
  acked: string,
): void {
  const before = subscription.links.get(path);
  subscription.links.set(path, {
    byName: by === "name" || (before?.byName ?? false),
    byPattern: by === "pattern" || (before?.byPattern ?? false),
    acked: before?.acked ?? acked,
  });
  noteLink(scope, subscription, path);
}

/** Stops watching a stream by its name. It is still watched if the pattern covers it. */
export function unlinkName(subscription: SubscriptionState, path: string): void {
  const before = subscription.links.get(path);
  if (before === undefined) return;
  if (before.byPattern) subscription.links.set(path, { ...before, byName: false });
  else forget(subscription, path);
}

function forget(subscription: SubscriptionState, path: string): void {
  subscription.links.delete(path);
  subscription.pending.delete(path);
}

/** Called when a stream is deleted. */
export function unlinkEverywhere(state: DurableState, path: string): void {
  for (const subscription of state.subscriptions.values()) {
    if (subscription.links.has(path)) forget(writableSubscription(state, subscription), path);
  }
}

/** Returns the ids of the subscriptions that watch a stream, by its name or by their pattern. */
export function watchersOf(state: DurableState, stream: StreamState): readonly string[] {
  if (stream.watchedAs === state.definitions) return stream.watchers;
  const { path } = stream.config;
  const watchers: string[] = [];
  for (const [id, subscription] of state.subscriptions) {
    const isWatched = subscription.covers(path) || subscription.links.get(path)?.byName === true;
    if (isWatched) watchers.push(id);
  }
  stream.watchers = watchers;
  stream.watchedAs = state.definitions;
  return watchers;
}
