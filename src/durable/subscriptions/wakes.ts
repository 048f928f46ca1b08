import { utf8 } from "../../lib/bytes.ts";
import { smallest } from "../../lib/smallest.ts";
import { BatchBuilder } from "../../record/batch-builder.ts";
import { BEFORE_FIRST } from "../offset-token.ts";
import { appendToStream, partitionOf, tailOf } from "../records.ts";
import { type DurableContext, type DurableState, isExpired, type StreamState } from "../state.ts";
import {
  endOf,
  infoOf,
  isPendingLink,
  type LinkInfo,
  link,
  noteLink,
  pendingOf,
  watchersOf,
  writableSubscription,
} from "./links.ts";
import type { SubscriptionState } from "./state.ts";

/** Called when a stream has got records. Wakes the subscriptions that watch it. */
export function notifyAppend(context: DurableContext, stream: StreamState): void {
  const { durable } = context;
  if (durable.subscriptions.size === 0) return;
  const { path } = stream.config;
  for (const id of watchersOf(durable, stream)) {
    const subscription = durable.subscriptions.get(id);
    if (subscription === undefined) continue;
    if (subscription.links.has(path)) noteLink(context, subscription, path);
    else link(context, writableSubscription(durable, subscription), path, "pattern", BEFORE_FIRST);
    wakeIfPending(context, id, path);
  }
}

/** Streams of a wake. The others with records that were not processed follow in the next wakes. */
export const WAKE_STREAMS_MAX = 1_000;

/**
 * Returns what a subscription watches, with the position and the end of each stream. If that is very
 * much, only streams with records that were not processed are told.
 */
export function linkInfos(
  scope: Pick<DurableContext, "durable" | "broker">,
  subscription: SubscriptionState,
): LinkInfo[] {
  const { links } = subscription;
  if (links.size <= WAKE_STREAMS_MAX) {
    return [...links].map(([path, each]) => infoOf(scope.durable, scope.broker, path, each));
  }
  const pending = pendingOf(scope, subscription);
  return infosOf(scope, subscription, smallest(pending, WAKE_STREAMS_MAX));
}

/** The same of the streams that a wake is about. */
export function wakeInfos(
  scope: Pick<DurableContext, "durable" | "broker">,
  subscription: SubscriptionState,
): LinkInfo[] {
  if (subscription.links.size <= WAKE_STREAMS_MAX) return linkInfos(scope, subscription);
  return infosOf(scope, subscription, subscription.snapshot.keys());
}

function infosOf(
  { durable, broker }: Pick<DurableContext, "durable" | "broker">,
  { links }: SubscriptionState,
  paths: Iterable<string>,
): LinkInfo[] {
  const infos: LinkInfo[] = [];
  for (const path of paths) {
    const each = links.get(path);
    if (each !== undefined) infos.push(infoOf(durable, broker, path, each));
  }
  return infos;
}

/**
 * Returns the first path of a stream with records that were not processed; null if there is none. It does
 * not depend on the history of a node: the path is written into the wake stream.
 */
export function firstPending(
  context: DurableContext,
  subscription: SubscriptionState,
): string | null {
  return smallest(pendingOf(context, subscription), 1)[0] ?? null;
}

/** Begins the next wake if there is work and no wake is under way. @returns true if it began. */
export function wakeIfPending(context: DurableContext, id: string, hint: string | null): boolean {
  const subscription = context.durable.subscriptions.get(id);
  if (subscription === undefined || subscription.awake) return false;
  const isHinted = hint !== null && isPendingLink(context, subscription, hint);
  const path = isHinted ? hint : firstPending(context, subscription);
  if (path === null) return false;
  beginWake(context, subscription, path);
  return true;
}

function beginWake(context: DurableContext, before: SubscriptionState, path: string): void {
  const { durable, broker, now } = context;
  const subscription = writableSubscription(durable, before);
  const { config } = subscription;
  subscription.generation++;
  subscription.awake = true;
  const paths = smallest(pendingOf(context, subscription), WAKE_STREAMS_MAX);
  subscription.snapshot = new Map(paths.map((each) => [each, endOf(durable, broker, each)]));
  if (config.kind === "webhook") {
    subscription.deliverAt = now;
    subscription.failures = 0;
    // The lease begins when the webhook has taken the wake, so that retries can back off.
    durable.deliveries++;
  } else if (config.wakeStream !== null) {
    writeWakeEvent(context, subscription, config.wakeStream, path);
  }
}

/** Tells the workers that poll the wake stream. Without an open wake stream nothing is told. */
function writeWakeEvent(
  context: DurableContext,
  { config, generation }: SubscriptionState,
  wakeStream: string,
  path: string,
): void {
  const { durable, broker, now, effects } = context;
  const stream = durable.byPath.get(wakeStream);
  if (stream === undefined || stream.deleted || stream.closed || isExpired(stream, now)) return;
  const event = { type: "wake", subscription_id: config.id, stream: path, generation, ts: now };
  const builder = new BatchBuilder();
  builder.add(null, utf8(JSON.stringify(event)));
  const { bytes, count, logicalBytes } = builder.finish();
  const records = { batches: bytes, count, logicalBytes };
  appendToStream(broker, partitionOf(broker, stream), records, now, effects);
  // Another subscription may watch the wake stream. It is not woken by it, but has more to process then.
  for (const id of watchersOf(durable, stream)) {
    const watcher = durable.subscriptions.get(id);
    if (watcher?.links.has(wakeStream) === true) noteLink(context, watcher, wakeStream);
  }
}

/** @param subscription of the present epoch. */
export function extendLease(
  { durable, now }: DurableContext,
  subscription: SubscriptionState,
): void {
  subscription.leaseUntil = now + subscription.config.leaseMs;
  durable.due.set(subscription.due, subscription.leaseUntil);
}

/** Ends the wake that is under way. The next one may begin. */
export function endWake({ durable }: DurableContext, before: SubscriptionState): void {
  const subscription = writableSubscription(durable, before);
  durable.due.remove(subscription.due);
  subscription.awake = false;
  subscription.holder = null;
  subscription.leaseUntil = 0;
  subscription.deliverAt = 0;
  subscription.snapshot = new Map();
}

/** Called when the lease of a subscription is over: what was not processed is given out again. */
export function endLease(context: DurableContext, serial: number): void {
  for (const [id, subscription] of context.durable.subscriptions) {
    if (subscription.serial !== serial) continue;
    endWake(context, subscription);
    wakeIfPending(context, id, null);
    return;
  }
}

/** Links a new subscription with the streams that exist. It is told of later records only. */
export function linkExisting(context: DurableContext, subscription: SubscriptionState): void {
  const { durable, broker } = context;
  const { streams, pattern } = subscription.config;
  const matching = pattern === null ? [] : matchingStreams(durable, subscription);
  subscription.links.reserve(streams.length + matching.length);
  for (const path of streams) {
    link(context, subscription, path, "name", endOf(durable, broker, path));
  }
  const { links } = subscription;
  for (const stream of matching) {
    const { path } = stream.config;
    const byName = links.names.has(path);
    const position = { streamId: stream.streamId, offset: tailOf(broker, stream) };
    links.setAt(path, { byName, byPattern: true }, position);
  }
}

function matchingStreams(durable: DurableState, subscription: SubscriptionState): StreamState[] {
  const matching: StreamState[] = [];
  for (const stream of durable.byPath.values()) {
    if (!stream.deleted && subscription.covers(stream.config.path)) matching.push(stream);
  }
  return matching;
}
