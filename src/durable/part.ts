/**
 * Streams and subscriptions in a snapshot. A section is a run of items, each `u8` kind and its fields:
 * the secrets with the next serial, streams in the order of their ids, and subscriptions, each
 * followed by what it watches and by its snapshot. Offsets of streams are those of their partitions.
 */
import { feature as faultPoint } from "bun:bundle";
import { type ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import { knownFlags } from "../lib/command-kind.ts";
import {
  check,
  type PartRestorer,
  SECTION_BYTES_TARGET,
  type Section,
  type StatePart,
} from "../lib/state-part.ts";
import { readOptional, readOptionalNumber, writeOptional, writeOptionalNumber } from "./kind.ts";
import { schedule } from "./lifecycle.ts";
import { DurableState, type ProducerState, type StreamConfig, StreamState } from "./state.ts";
import { readConfig, writeConfig } from "./subscriptions/commands.ts";
import { type Link, LinkTable } from "./subscriptions/link-table.ts";
import { KEY_BYTES, type SubscriptionKeys, SubscriptionState } from "./subscriptions/state.ts";

/** Fields of the header of a snapshot that the streams need. */
export type StreamsHeader = { readonly nextTopicId: number };

const TAG = 24;

const ITEM_SECRETS = 1;
const ITEM_STREAM = 2;
const ITEM_SUBSCRIPTION = 3;
/** Watched by the subscription before. */
const ITEM_LINK = 4;
/** The end of a stream at the wake of the subscription before. */
const ITEM_SEEN = 5;

const CLOSED = 1;
const DELETED = 2;
const AWAKE = 1;
const BY_NAME = 1;
const BY_PATTERN = 2;

export const durablePart: StatePart<DurableState, StreamsHeader> = {
  tags: [TAG],
  empty: () => new DurableState(),
  capture,
  restorer: ({ nextTopicId }) => new Restorer(nextTopicId),
  digest(state, sink) {
    const { keys, nextSerial } = state;
    const items = itemsOf(keys, nextSerial, streamsOf(state), subscriptionsOf(state), sorted);
    for (const write of items) {
      write(sink.writer);
      sink.flush();
    }
  },
  counts: (state) => [
    state.byId.size + state.subscriptions.size,
    state.isEmpty ? 0 : state.nextSerial,
  ],
};

/** Takes references. Later changes copy the stream or subscription first, because the epoch is another one. */
function capture(state: DurableState): Iterator<Section> {
  state.epoch++;
  if (state.isEmpty) return [][Symbol.iterator]();
  const { keys, nextSerial } = state;
  // Very many links are not sorted at once, and a restore takes them in any order.
  const inAnyOrder: LinkOrder = (links) => links;
  return sections(itemsOf(keys, nextSerial, streamsOf(state), subscriptionsOf(state), inAnyOrder));
}

const streamsOf = (state: DurableState): readonly StreamState[] => [...state.byId.values()];

const subscriptionsOf = (state: DurableState): readonly SubscriptionState[] =>
  [...state.subscriptions.values()].sort((a, b) => a.serial - b.serial);

function* sections(items: Iterable<(writer: ByteWriter) => void>): Generator<Section, void> {
  const writer = new ByteWriter(2 * SECTION_BYTES_TARGET);
  for (const write of items) {
    write(writer);
    if (writer.length < SECTION_BYTES_TARGET) continue;
    yield { tag: TAG, body: writer.take() };
    writer.clear();
  }
  if (writer.length > 0) yield { tag: TAG, body: writer.take() };
}

function* itemsOf(
  keys: SubscriptionKeys | null,
  nextSerial: number,
  streams: readonly StreamState[],
  subscriptions: readonly SubscriptionState[],
  ordered: LinkOrder,
): Generator<(writer: ByteWriter) => void> {
  yield (writer) => {
    writer.u8(ITEM_SECRETS);
    writer.varint(nextSerial);
    writer.u8(keys === null ? 0 : 1);
    if (keys === null) return;
    writer.raw(keys.signing);
    writer.raw(keys.token);
  };
  for (const stream of streams) yield (writer) => writeStream(writer, stream);
  for (const subscription of subscriptions) {
    yield (writer) => writeSubscription(writer, subscription);
    for (const [path, link] of ordered(subscription.links)) {
      yield (writer) => writeLink(writer, path, link);
    }
    for (const [path, end] of sorted(subscription.snapshot)) {
      yield (writer) => {
        writer.u8(ITEM_SEEN);
        writer.text(path);
        writer.text(end);
      };
    }
  }
}

type LinkOrder = (links: Iterable<[string, Link]>) => Iterable<[string, Link]>;

const sorted = <T>(map: Iterable<[string, T]>): [string, T][] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : 1));

const NO_PRODUCERS: StreamState["producers"] = new Map();

function writeStream(writer: ByteWriter, stream: StreamState): void {
  const { streamId, config, closed, closedBy, touchedAt, lastSeq, producers, deleted } = stream;
  writer.u8(ITEM_STREAM);
  writer.varint(streamId);
  writer.u8((closed ? CLOSED : 0) | (deleted ? DELETED : 0));
  writeStreamConfig(writer, config);
  writer.varint(touchedAt);
  writeOptional(writer, lastSeq);
  writeOptional(writer, closedBy?.producerId ?? null);
  if (closedBy !== null) {
    writer.varint(closedBy.epoch);
    writer.varint(closedBy.seq);
  }
  const told = faultPoint("stream-producers-missing-in-snapshots") ? NO_PRODUCERS : producers;
  writer.varint(told.size);
  if (told.size === 0) return;
  for (const [id, { epoch, seq, at }] of sorted(told)) {
    writer.text(id);
    writer.varint(epoch);
    writer.varint(seq);
    writer.varint(at);
  }
}

function writeStreamConfig(writer: ByteWriter, config: StreamConfig): void {
  const { path, contentType, ttlSeconds, expiresAt, fork, base, depth } = config;
  writer.text(path);
  writer.text(contentType);
  writeOptionalNumber(writer, ttlSeconds);
  writeOptional(writer, expiresAt?.text ?? null);
  if (expiresAt !== null) writer.varint(expiresAt.ms);
  writeOptional(writer, fork?.path ?? null);
  if (fork !== null) {
    writer.varint(fork.streamId);
    writer.varint(fork.offset);
    writer.varint(fork.sub);
  }
  writer.varint(base);
  writer.varint(depth);
}

function readStreamConfig(reader: ByteReader, state: DurableState): StreamConfig {
  const path = reader.text();
  const contentType = state.sharedType(reader.text());
  const ttlSeconds = readOptionalNumber(reader);
  const text = readOptional(reader);
  const expiresAt = text === null ? null : { text, ms: reader.varint() };
  const from = readOptional(reader);
  const fork =
    from === null
      ? null
      : {
          path: from,
          streamId: reader.varint(),
          offset: reader.varint(),
          sub: reader.varint(),
        };
  const base = reader.varint();
  return { path, contentType, ttlSeconds, expiresAt, fork, base, depth: reader.varint() };
}

function writeSubscription(writer: ByteWriter, subscription: SubscriptionState): void {
  writer.u8(ITEM_SUBSCRIPTION);
  writer.varint(subscription.serial);
  writeConfig(writer, subscription.config);
  writer.varint(subscription.createdAt);
  writer.varint(subscription.generation);
  writer.u8(subscription.awake ? AWAKE : 0);
  writeOptional(writer, subscription.holder);
  writer.varint(subscription.leaseUntil);
  writer.varint(subscription.deliverAt);
  writer.varint(subscription.failures);
}

function writeLink(writer: ByteWriter, path: string, link: Link): void {
  writer.u8(ITEM_LINK);
  writer.u8((link.byName ? BY_NAME : 0) | (link.byPattern ? BY_PATTERN : 0));
  writer.text(path);
  writer.text(link.acked);
}

class Restorer implements PartRestorer<DurableState> {
  readonly #state = new DurableState();
  #begun = false;
  #lastId = 0;
  #subscription: SubscriptionState | null = null;
  readonly #nextTopicId: number;

  constructor(nextTopicId: number) {
    this.#nextTopicId = nextTopicId;
  }

  section(_tag: number, body: ByteReader): void {
    while (body.remaining > 0) this.#item(body.u8(), body);
  }

  finish(): DurableState {
    const state = this.#state;
    for (const stream of state.byId.values()) {
      check(!stream.deleted || stream.forks > 0, "a deleted stream is retained for nothing");
      schedule(state, stream);
    }
    for (const subscription of state.subscriptions.values()) {
      const { due, leaseUntil } = subscription;
      if (leaseUntil > 0) state.due.set(due, leaseUntil);
    }
    return state;
  }

  #item(kind: number, reader: ByteReader): void {
    if (kind === ITEM_SECRETS) this.#secrets(reader);
    else if (!this.#begun) throw new DecodeError("streams come before their secrets");
    else if (kind === ITEM_STREAM) this.#stream(reader);
    else if (kind === ITEM_SUBSCRIPTION) this.#subscribe(reader);
    else if (kind === ITEM_LINK) this.#link(reader);
    else if (kind === ITEM_SEEN) this.#seen(reader);
    else throw new DecodeError(`unknown item ${kind} of the streams`);
  }

  #secrets(reader: ByteReader): void {
    check(!this.#begun, "the secrets of streams are told twice");
    this.#begun = true;
    this.#state.nextSerial = reader.varint();
    check(this.#state.nextSerial > 0, "serials begin with 1");
    if (knownFlags(reader.u8(), 1) === 0) return;
    const signing = reader.raw(KEY_BYTES).slice();
    this.#state.keys = { signing, token: reader.raw(KEY_BYTES).slice() };
  }

  #stream(reader: ByteReader): void {
    const state = this.#state;
    const streamId = reader.varint();
    const flags = knownFlags(reader.u8(), CLOSED | DELETED);
    const config = readStreamConfig(reader, state);
    check(streamId > this.#lastId, "streams are not in order");
    check(streamId < this.#nextTopicId, "a stream is newer than the newest");
    check(!state.byPath.has(config.path), "two streams have one path");
    check(this.#subscription === null, "a stream comes after a subscription");
    this.#lastId = streamId;
    const stream = new StreamState(streamId, config, state.epoch, reader.varint());
    stream.closed = (flags & CLOSED) !== 0;
    stream.deleted = (flags & DELETED) !== 0;
    stream.lastSeq = readOptional(reader);
    const producerId = readOptional(reader);
    if (producerId !== null) {
      stream.closedBy = { producerId, epoch: reader.varint(), seq: reader.varint() };
    }
    stream.producers = readProducers(reader);
    state.byPath.set(config.path, stream);
    state.byId.set(streamId, stream);
    this.#countFork(config);
  }

  #countFork({ fork, base, depth }: StreamConfig): void {
    if (fork === null) {
      check(base === 0 && depth === 0, "a stream without a parent shares records");
      return;
    }
    const parent = this.#state.byId.get(fork.streamId);
    if (parent === undefined) throw new DecodeError("a fork has no parent");
    check(parent.config.depth + 1 === depth, "a fork has another depth than it says");
    check(parent.config.path === fork.path, "the parent of a fork has another path");
    parent.forks++;
  }

  #subscribe(reader: ByteReader): void {
    const state = this.#state;
    const serial = reader.varint();
    const config = readConfig(reader);
    check(serial > (this.#subscription?.serial ?? 0), "subscriptions are not in order");
    check(serial < state.nextSerial, "a subscription is newer than the newest");
    check(!state.subscriptions.has(config.id), "two subscriptions have one id");
    check(state.keys !== null, "subscriptions have no secrets");
    const createdAt = reader.varint();
    const links = new LinkTable();
    const subscription = new SubscriptionState(config, serial, createdAt, state.epoch, links);
    subscription.lookedAt = 0;
    subscription.generation = reader.varint();
    subscription.awake = knownFlags(reader.u8(), AWAKE) !== 0;
    subscription.holder = readOptional(reader);
    subscription.leaseUntil = reader.varint();
    subscription.deliverAt = reader.varint();
    subscription.failures = reader.varint();
    state.subscriptions.set(config.id, subscription);
    this.#subscription = subscription;
  }

  #link(reader: ByteReader): void {
    const links = this.#open().links;
    const flags = knownFlags(reader.u8(), BY_NAME | BY_PATTERN);
    const text = reader.text();
    // One text for the stream and all who watch it.
    const path = this.#state.byPath.get(text)?.config.path ?? text;
    check(!links.has(path), "a subscription watches a stream twice");
    const byName = (flags & BY_NAME) !== 0;
    links.set(path, { byName, byPattern: (flags & BY_PATTERN) !== 0, acked: reader.text() });
  }

  #seen(reader: ByteReader): void {
    const subscription = this.#open();
    const path = reader.text();
    (subscription.snapshot as Map<string, string>).set(path, reader.text());
  }

  #open(): SubscriptionState {
    if (this.#subscription === null) throw new DecodeError("a link has no subscription");
    return this.#subscription;
  }
}

function readProducers(reader: ByteReader): StreamState["producers"] {
  let left = reader.varint();
  // Most streams have none.
  if (left === 0) return NO_PRODUCERS;
  const producers = new Map<string, ProducerState>();
  for (; left > 0; left--) {
    const id = reader.text();
    producers.set(id, { epoch: reader.varint(), seq: reader.varint(), at: reader.varint() });
  }
  return producers;
}
