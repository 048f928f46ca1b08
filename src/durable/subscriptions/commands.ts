/** Commands of subscriptions, with their rules. */
import { type ByteReader, type ByteWriter, DecodeError } from "../../lib/bytes.ts";
import { knownFlags } from "../../lib/command-kind.ts";
import { durableKind, readOptional, writeOptional } from "../kind.ts";
import { type DurableContext, type DurableRejected, refused } from "../state.ts";
import { LinkTable } from "./link-table.ts";
import { endOf, type LinkInfo, link, noteLink, unlinkName, writableSubscription } from "./links.ts";
import {
  KEY_BYTES,
  type SubscriptionConfig,
  type SubscriptionKeys,
  SubscriptionState,
  sameConfig,
} from "./state.ts";
import {
  endWake,
  extendLease,
  firstPending,
  linkExisting,
  wakeIfPending,
  wakeInfos,
} from "./wakes.ts";

export type PutSubscription = {
  readonly type: "put_subscription";
  readonly config: SubscriptionConfig;
  /** Used if the cluster has no keys yet. */
  readonly keys: SubscriptionKeys;
};
export type PutSubscriptionResult =
  | { readonly ok: true; readonly type: "put_subscription"; readonly created: boolean }
  | DurableRejected<"subscription_exists">;

export function applyPutSubscription(
  context: DurableContext,
  { config, keys }: PutSubscription,
): PutSubscriptionResult {
  const { durable, now } = context;
  const existing = durable.subscriptions.get(config.id);
  if (existing !== undefined) {
    if (!sameConfig(existing.config, config)) return refused("subscription_exists");
    return { ok: true, type: "put_subscription", created: false };
  }
  // The keys are views of the entry.
  durable.keys ??= { signing: keys.signing.slice(), token: keys.token.slice() };
  const links = new LinkTable();
  const serial = durable.nextSerial++;
  const subscription = new SubscriptionState(config, serial, now, durable.epoch, links);
  linkExisting(context, subscription);
  durable.subscriptions.set(config.id, subscription);
  durable.definitions++;
  return { ok: true, type: "put_subscription", created: true };
}

export function writeConfig(body: ByteWriter, config: SubscriptionConfig): void {
  body.u8(config.kind === "webhook" ? 0 : 1);
  body.text(config.id);
  writeOptional(body, config.pattern);
  writePaths(body, config.streams);
  writeOptional(body, config.webhookUrl);
  writeOptional(body, config.wakeStream);
  body.varint(config.leaseMs);
  writeOptional(body, config.description);
  body.text(config.origin);
}

export const readConfig = (body: ByteReader): SubscriptionConfig => ({
  kind: knownFlags(body.u8(), 1) === 0 ? "webhook" : "pull-wake",
  id: body.text(),
  pattern: readOptional(body),
  streams: readPaths(body),
  webhookUrl: readOptional(body),
  wakeStream: readOptional(body),
  leaseMs: body.varint(),
  description: readOptional(body),
  origin: body.text(),
});

function writePaths(body: ByteWriter, paths: readonly string[]): void {
  body.varint(paths.length);
  for (const path of paths) body.text(path);
}

function readPaths(body: ByteReader): string[] {
  const paths: string[] = [];
  for (let left = body.varint(); left > 0; left--) paths.push(body.text());
  return paths;
}

export const putSubscription = durableKind<PutSubscription, PutSubscriptionResult>({
  type: "put_subscription",
  tag: 84,
  encode(body, { config, keys }) {
    writeConfig(body, config);
    body.raw(keys.signing);
    body.raw(keys.token);
  },
  decode: (body) => ({
    type: "put_subscription",
    config: readConfig(body),
    keys: { signing: body.raw(KEY_BYTES), token: body.raw(KEY_BYTES) },
  }),
  applyTo: applyPutSubscription,
  summarize: ({ created }, summary) => summary.flag(created),
});

export type DeleteSubscription = { readonly type: "delete_subscription"; readonly id: string };
export type DeleteSubscriptionResult = {
  readonly ok: true;
  readonly type: "delete_subscription";
  readonly existed: boolean;
};

export function applyDeleteSubscription(
  { durable }: DurableContext,
  { id }: DeleteSubscription,
): DeleteSubscriptionResult {
  const subscription = durable.subscriptions.get(id);
  if (subscription !== undefined) {
    durable.due.remove(subscription.due);
    durable.subscriptions.delete(id);
    durable.definitions++;
  }
  return { ok: true, type: "delete_subscription", existed: subscription !== undefined };
}

export const deleteSubscription = durableKind<DeleteSubscription, DeleteSubscriptionResult>({
  type: "delete_subscription",
  tag: 85,
  encode: (body, { id }) => body.text(id),
  decode: (body) => ({ type: "delete_subscription", id: body.text() }),
  applyTo: applyDeleteSubscription,
  summarize: ({ existed }, summary) => summary.flag(existed),
});

/** Watches streams by their names, or stops it. */
export type LinkStreams = {
  readonly type: "link_streams";
  readonly id: string;
  readonly paths: readonly string[];
  readonly unlink: boolean;
};
export type LinkStreamsResult =
  | { readonly ok: true; readonly type: "link_streams" }
  | DurableRejected<"subscription_not_found">;

export function applyLinkStreams(
  context: DurableContext,
  { id, paths, unlink }: LinkStreams,
): LinkStreamsResult {
  const { durable, broker } = context;
  const existing = durable.subscriptions.get(id);
  if (existing === undefined) return refused("subscription_not_found");
  const subscription = writableSubscription(durable, existing);
  for (const path of paths) {
    if (unlink) unlinkName(subscription, path);
    else link(context, subscription, path, "name", endOf(durable, broker, path));
  }
  durable.definitions++;
  return { ok: true, type: "link_streams" };
}

export const linkStreams = durableKind<LinkStreams, LinkStreamsResult>({
  type: "link_streams",
  tag: 86,
  encode(body, { id, paths, unlink }) {
    body.u8(unlink ? 1 : 0);
    body.text(id);
    writePaths(body, paths);
  },
  decode(body) {
    const unlink = knownFlags(body.u8(), 1) === 1;
    return { type: "link_streams", unlink, id: body.text(), paths: readPaths(body) };
  },
  applyTo: applyLinkStreams,
});

/** A worker takes the work of a subscription of the kind `pull-wake`. */
export type ClaimWake = {
  readonly type: "claim_wake";
  readonly id: string;
  readonly worker: string;
};
export type Claimed = {
  readonly serial: number;
  readonly wakeId: string;
  readonly generation: number;
  readonly leaseMs: number;
  readonly streams: readonly LinkInfo[];
};
export type ClaimWakeResult =
  | ({ readonly ok: true; readonly type: "claim_wake" } & Claimed)
  | DurableRejected<
      "subscription_not_found" | "subscription_not_pull" | "already_claimed" | "no_pending_work"
    >;

export function applyClaimWake(
  context: DurableContext,
  { id, worker }: ClaimWake,
): ClaimWakeResult {
  const { durable } = context;
  const existing = durable.subscriptions.get(id);
  if (existing === undefined) return refused("subscription_not_found");
  if (existing.config.kind !== "pull-wake") return refused("subscription_not_pull");
  if (existing.leaseUntil > 0 && existing.leaseUntil <= context.now) endWake(context, existing);
  const current = durable.subscriptions.get(id) as SubscriptionState;
  if (current.holder !== null) {
    const { holder, generation } = current;
    return refused("already_claimed", { currentHolder: holder, generation });
  }
  if (firstPending(context, current) === null) return refused("no_pending_work");
  wakeIfPending(context, id, null);
  const before = durable.subscriptions.get(id) as SubscriptionState;
  const subscription = writableSubscription(durable, before);
  subscription.holder = worker;
  extendLease(context, subscription);
  const { serial, wakeId, generation, config } = subscription;
  return {
    ok: true,
    type: "claim_wake",
    serial,
    wakeId,
    generation,
    leaseMs: config.leaseMs,
    streams: wakeInfos(context, subscription),
  };
}

export const claimWake = durableKind<ClaimWake, ClaimWakeResult>({
  type: "claim_wake",
  tag: 87,
  encode(body, { id, worker }) {
    body.text(id);
    body.text(worker);
  },
  decode: (body) => ({ type: "claim_wake", id: body.text(), worker: body.text() }),
  applyTo: applyClaimWake,
  summarize: ({ serial, generation }, summary) => summary.numbers(serial, generation),
});

export type Ack = { readonly path: string; readonly offset: string };

/** A webhook or worker acknowledges records that it has processed, or gives the work back. */
export type SettleWake = {
  readonly type: "settle_wake";
  readonly id: string;
  /** The kind of subscription that the request is for. */
  readonly pull: boolean;
  readonly wakeId: string;
  readonly generation: number;
  readonly acks: readonly Ack[];
  /** The work is finished or given back: the next wake may begin. */
  readonly done: boolean;
};
export type SettleWakeResult =
  | { readonly ok: true; readonly type: "settle_wake"; readonly nextWake: boolean }
  | DurableRejected<"subscription_not_found" | "subscription_not_pull" | "fenced" | "invalid_ack">;

export function applySettleWake(context: DurableContext, command: SettleWake): SettleWakeResult {
  const { durable, broker, now } = context;
  const { id, generation, acks, done } = command;
  const existing = durable.subscriptions.get(id);
  if (existing === undefined) return refused("subscription_not_found");
  if (command.pull && existing.config.kind !== "pull-wake") return refused("subscription_not_pull");
  const isOver = existing.leaseUntil > 0 && existing.leaseUntil <= now;
  const isCurrent =
    existing.awake && existing.generation === generation && existing.wakeId === command.wakeId;
  if (!isCurrent || isOver) return refused("fenced", { generation: existing.generation });
  for (const { path, offset } of acks) {
    const known = existing.links.get(path);
    const end = endOf(durable, broker, path);
    if (known === undefined || offset < known.acked || offset > end) {
      return refused("invalid_ack", {
        stream: path,
        offset,
        ackedOffset: known?.acked ?? "",
        tailOffset: end,
      });
    }
  }
  const subscription = writableSubscription(durable, existing);
  for (const ack of acks) advance(context, subscription, ack);
  if (!done) {
    extendLease(context, subscription);
    return { ok: true, type: "settle_wake", nextWake: false };
  }
  endWake(context, subscription);
  return { ok: true, type: "settle_wake", nextWake: wakeIfPending(context, id, null) };
}

/** Moves the position in a stream forward, never back. */
function advance(
  context: DurableContext,
  subscription: SubscriptionState,
  { path, offset }: Ack,
): void {
  const known = subscription.links.get(path);
  if (known === undefined || known.acked >= offset) return;
  subscription.links.set(path, { ...known, acked: offset });
  noteLink(context, subscription, path);
}

const PULL = 1;
const DONE = 2;

export const settleWake = durableKind<SettleWake, SettleWakeResult>({
  type: "settle_wake",
  tag: 88,
  encode(body, { id, pull, wakeId, generation, acks, done }) {
    body.u8((pull ? PULL : 0) | (done ? DONE : 0));
    body.text(id);
    body.text(wakeId);
    body.varint(generation);
    body.varint(acks.length);
    for (const { path, offset } of acks) {
      body.text(path);
      body.text(offset);
    }
  },
  decode(body) {
    const flags = knownFlags(body.u8(), PULL | DONE);
    const id = body.text();
    const wakeId = body.text();
    const generation = body.varint();
    const acks: Ack[] = [];
    for (let left = body.varint(); left > 0; left--) {
      acks.push({ path: body.text(), offset: body.text() });
    }
    const pull = (flags & PULL) !== 0;
    return { type: "settle_wake", id, pull, wakeId, generation, acks, done: (flags & DONE) !== 0 };
  },
  applyTo: applySettleWake,
  summarize: ({ nextWake }, summary) => summary.flag(nextWake),
});

/** The outcome of a call of a webhook. */
export type NoteDelivery = {
  readonly type: "note_delivery";
  readonly id: string;
  readonly serial: number;
  readonly generation: number;
  /** The webhook has taken the wake, has also finished its work, or has failed. */
  readonly outcome: "taken" | "done" | "failed";
  /** Time until the next call after a failure. */
  readonly retryInMs: number;
};
export type NoteDeliveryResult = {
  readonly ok: true;
  readonly type: "note_delivery";
  /** False if another wake is under way now. */
  readonly noted: boolean;
};

export function applyNoteDelivery(
  context: DurableContext,
  { id, serial, generation, outcome, retryInMs }: NoteDelivery,
): NoteDeliveryResult {
  const { durable, now } = context;
  const existing = durable.subscriptions.get(id);
  const isCurrent =
    existing !== undefined &&
    existing.serial === serial &&
    existing.generation === generation &&
    existing.awake;
  if (!isCurrent) return { ok: true, type: "note_delivery", noted: false };
  const subscription = writableSubscription(durable, existing);
  durable.deliveries++;
  if (outcome === "failed") {
    subscription.failures++;
    subscription.deliverAt = now + retryInMs;
  } else {
    subscription.failures = 0;
    subscription.deliverAt = 0;
  }
  if (outcome === "taken") extendLease(context, subscription);
  if (outcome === "done") {
    for (const [path, offset] of subscription.snapshot)
      advance(context, subscription, { path, offset });
    endWake(context, subscription);
    wakeIfPending(context, id, null);
  }
  return { ok: true, type: "note_delivery", noted: true };
}

const OUTCOMES = ["taken", "done", "failed"] as const;

export const noteDelivery = durableKind<NoteDelivery, NoteDeliveryResult>({
  type: "note_delivery",
  tag: 89,
  encode(body, { id, serial, generation, outcome, retryInMs }) {
    body.u8(OUTCOMES.indexOf(outcome));
    body.text(id);
    body.varint(serial);
    body.varint(generation);
    body.varint(retryInMs);
  },
  decode(body) {
    const outcome = OUTCOMES[body.u8()];
    if (outcome === undefined) throw new DecodeError("unknown outcome of a webhook");
    const id = body.text();
    const serial = body.varint();
    const generation = body.varint();
    return { type: "note_delivery", id, serial, generation, outcome, retryInMs: body.varint() };
  },
  applyTo: applyNoteDelivery,
  summarize: ({ noted }, summary) => summary.flag(noted),
});
