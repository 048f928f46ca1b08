import { createHiddenTopic, deleteHiddenTopic } from "../broker/hidden-topics.ts";
import { partitionOf } from "./records.ts";
import {
  type DurableContext,
  type DurableState,
  expiryOf,
  isExpired,
  type StreamConfig,
  StreamState,
  writable,
} from "./state.ts";
import { unlinkEverywhere } from "./subscriptions/links.ts";

/**
 * Returns the stream with the path. One that has expired is deleted first.
 *
 * @returns undefined if there is none. A stream that is only retained for its forks is `deleted`.
 */
export function findLive(context: DurableContext, path: string): StreamState | undefined {
  const stream = context.durable.byPath.get(path);
  if (stream === undefined || stream.deleted || !isExpired(stream, context.now)) return stream;
  deleteStream(context, stream);
  return context.durable.byPath.get(path);
}

/** Adds an empty stream. */
export function addStream(context: DurableContext, config: StreamConfig): StreamState {
  const { durable, broker, now, effects } = context;
  const { topicId } = createHiddenTopic(broker, effects);
  const stream = new StreamState(topicId, config, durable.epoch, now);
  durable.byPath.set(config.path, stream);
  durable.byId.set(topicId, stream);
  countFork(durable, stream, 1);
  schedule(durable, stream);
  return stream;
}

/** Deletes a stream. While other streams are forked from it, it is only marked as deleted. */
export function deleteStream(context: DurableContext, stream: StreamState): void {
  const { durable, broker, effects } = context;
  unlinkEverywhere(durable, stream.config.path);
  if (stream.due !== null) durable.due.remove(stream.due);
  if (stream.forks === 0) {
    remove(context, stream);
    return;
  }
  const gone = writable(durable, stream);
  gone.deleted = true;
  gone.producers = new Map();
  effects.streamChanged(partitionOf(broker, gone));
}

/** Records a use of the stream, from which its time to live counts. */
export function touch(context: DurableContext, stream: StreamState): void {
  if (stream.config.ttlSeconds === null || context.now <= stream.touchedAt) return;
  const touched = writable(context.durable, stream);
  touched.touchedAt = context.now;
  schedule(context.durable, touched);
}

/** Puts the stream into the index of things that fall due, or moves it there. */
export function schedule(durable: DurableState, stream: StreamState): void {
  if (stream.due !== null && !stream.deleted) durable.due.set(stream.due, expiryOf(stream));
}

/** Removes a stream without forks, and the deleted ones above it that were retained for it alone. */
function remove(context: DurableContext, stream: StreamState): void {
  const { durable, broker, effects } = context;
  for (let at: StreamState | null = stream; at !== null; ) {
    durable.byPath.delete(at.config.path);
    durable.byId.delete(at.streamId);
    deleteHiddenTopic(broker, at.streamId, effects);
    const parent: StreamState | null = countFork(durable, at, -1);
    at = parent?.deleted === true && parent.forks === 0 ? parent : null;
  }
}

/** @returns the stream that this one was forked from, or null. */
function countFork(durable: DurableState, { config }: StreamState, by: 1 | -1): StreamState | null {
  if (config.fork === null) return null;
  const parent = durable.byId.get(config.fork.streamId);
  if (parent === undefined) return null;
  const counted = writable(durable, parent);
  counted.forks += by;
  return counted;
}
