import { utf8 } from "../../lib/bytes.ts";
import { BatchBuilder } from "../../record/batch-builder.ts";
import { BEFORE_FIRST } from "../offset-token.ts";
import { appendToStream, partitionOf } from "../records.ts";
import { type DurableContext, isExpired, type StreamState } from "../state.ts";
import { matchesGlob } from "./glob.ts";
import {
  endOf,
  infoOf,
  isPending,
  type LinkInfo,
  link,
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
    if (!subscription.links.has(path)) {
      link(writableSubscription(durable, subscription), path, "pattern", BEFORE_FIRST);
    }
    wakeIfPending(context, id, path);
  }
}

/** Returns what a subscription watches, with the position and the end of each stream. */
export function linkInfos(
  { durable, broker }: Pick<DurableContext, "durable" | "broker">,
  { links }: SubscriptionState,
): LinkInfo[] {
  return [...links].map(([path, each]) => infoOf(durable, broker, path, each));
}

/** @returns the path of a stream with records that were not processed; null if there is none. */
export function firstPending(
  { durable, broker }: DurableContext,
  { links }: SubscriptionState,
): string | null {
  for (const [path, each] of links) {
    if (isPending(durable, broker, path, each)) return path;
  }
  return null;
}

/** Begins the next wake if there is work and no wake is under way. @returns true if it began. */
export function wakeIfPending(context: DurableContext, id: string, hint: string | null): boolean {
  const subscription = context.durable.subscriptions.get(id);
  if (subscription === undefined || subscription.awake) return false;
  const { durable, broker } = context;
  const hinted = hint === null ? undefined : subscription.links.get(hint);
  const isHinted =
    hint !== null && hinted !== undefined && isPending(durable, broker, hint, hinted);
  const path = isHinted ? hint : firstPending(context, subscription);
  if (path === null) return false;
  beginWake(context, subscription, path);
  return true;
}

function beginWake(context: DurableContext, before: SubscriptionState, path: string): void {
  const { durable, broker, now } = context;
  const subscription = writableSubscription(durable, before);
  const { config, links } = subscription;
  subscription.generation++;
  subscription.awake = true;
  subscription.snapshot = new Map(
    [...links.keys()].map((each) => [each, endOf(durable, broker, each)]),
  );
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
  { durable, broker, now, effects }: DurableContext,
  { config, generation }: SubscriptionState,
  wakeStream: string,
  path: string,
): void {
  const stream = durable.byPath.get(wakeStream);
  if (stream === undefined || stream.deleted || stream.closed || isExpired(stream, now)) return;
  const event = { type: "wake", subscription_id: config.id, stream: path, generation, ts: now };
  const builder = new BatchBuilder();
  builder.add(null, utf8(JSON.stringify(event)));
  const { bytes, count, logicalBytes } = builder.finish();
  const records = { batches: bytes, count, logicalBytes };
  appendToStream(broker, partitionOf(broker, stream), records, now, effects);
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
  for (const path of streams) link(subscription, path, "name", endOf(durable, broker, path));
  if (pattern === null) return;
  for (const [path, { deleted }] of durable.byPath) {
    if (!deleted && matchesGlob(pattern, path)) {
      link(subscription, path, "pattern", endOf(durable, broker, path));
    }
  }
}
