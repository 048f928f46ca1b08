import { type Records, writeRecords } from "../../broker/records.ts";
import { knownFlags } from "../../lib/command-kind.ts";
import { DEFAULT_TYPE, isJsonType, sameType } from "../../lib/media-type.ts";
import {
  durableKind,
  readOptionalNumber,
  readStreamRecords,
  writeOptionalNumber,
} from "../kind.ts";
import { addStream, findLive } from "../lifecycle.ts";
import { appendToStream, partitionOf, tailOf } from "../records.ts";
import {
  type DurableContext,
  type DurableRejected,
  type ExpiresAt,
  refused,
  type StreamConfig,
  type StreamState,
} from "../state.ts";
import { noteCreated } from "../subscriptions/links.ts";
import { notifyAppend } from "../subscriptions/wakes.ts";

/** The stream to fork from, as the leader found it. */
export type ForkRequest = {
  readonly path: string;
  /** 0 if the leader did not find it. */
  readonly streamId: number;
  /** Null: at its end. */
  readonly offset: number | null;
  readonly sub: number;
  /** The first record is the beginning of the source's record at `offset`, `sub` bytes long. */
  readonly hasPrefix: boolean;
};

export type CreateStream = {
  readonly type: "create_stream";
  readonly path: string;
  /** Empty: the default, or the type of the source of a fork. */
  readonly contentType: string;
  readonly ttlSeconds: number | null;
  readonly expiresAt: ExpiresAt | null;
  readonly closed: boolean;
  readonly fork: ForkRequest | null;
  readonly records: Records;
};

export type CreateStreamResult =
  | {
      readonly ok: true;
      readonly type: "create_stream";
      readonly streamId: number;
      readonly tail: number;
      readonly contentType: string;
      readonly closed: boolean;
      /** False if an equal stream existed already. */
      readonly created: boolean;
    }
  | DurableRejected<
      | "stream_exists"
      | "stream_has_forks"
      | "content_type_mismatch"
      | "fork_source_not_found"
      | "fork_source_gone"
      | "fork_source_changed"
      | "fork_offset_beyond_end"
    >;

/** Creates a stream with its first records. The same request again changes nothing. */
export function applyCreateStream(
  context: DurableContext,
  command: CreateStream,
): CreateStreamResult {
  const existing = findLive(context, command.path);
  if (existing !== undefined) {
    if (existing.deleted) return refused("stream_has_forks");
    return isSame(existing, command) ? created(context, existing, false) : refused("stream_exists");
  }
  const config = configOf(context, command);
  if ("ok" in config) return config;
  const stream = addStream(context, config);
  stream.closed = command.closed;
  const { broker, now, effects } = context;
  appendToStream(broker, partitionOf(broker, stream), command.records, now, effects);
  noteCreated(context, command.path);
  if (command.records.count > 0) notifyAppend(context, stream);
  return created(context, stream, true);
}

const created = (
  { broker }: DurableContext,
  stream: StreamState,
  isNew: boolean,
): CreateStreamResult => ({
  ok: true,
  type: "create_stream",
  streamId: stream.streamId,
  tail: tailOf(broker, stream),
  contentType: stream.config.contentType,
  closed: stream.closed,
  created: isNew,
});

/** True if the request describes the stream as it is. A fork may leave out what it inherits. */
function isSame({ config, closed }: StreamState, command: CreateStream): boolean {
  const { contentType, ttlSeconds, expiresAt, fork } = command;
  const inherits = fork !== null && config.fork !== null;
  const sameLife =
    (inherits && ttlSeconds === null && expiresAt === null) ||
    (ttlSeconds === config.ttlSeconds && expiresAt?.ms === config.expiresAt?.ms);
  return (
    sameLife &&
    closed === command.closed &&
    ((inherits && contentType === "") ||
      sameType(contentType === "" ? DEFAULT_TYPE : contentType, config.contentType)) &&
    fork?.path === config.fork?.path &&
    (fork === null ||
      ((fork.offset === null || fork.offset === config.fork?.offset) &&
        fork.sub === config.fork?.sub))
  );
}

function configOf(
  context: DurableContext,
  command: CreateStream,
): StreamConfig | Extract<CreateStreamResult, { ok: false }> {
  const { path, contentType, ttlSeconds, expiresAt, fork } = command;
  if (fork !== null) return forkOf(context, command, fork);
  const type = contentType === "" ? DEFAULT_TYPE : context.durable.sharedType(contentType);
  return { path, contentType: type, ttlSeconds, expiresAt, fork: null, base: 0, depth: 0 };
}

/** A fork inherits the life of its source unless the request has its own. */
function forkOf(
  context: DurableContext,
  command: CreateStream,
  fork: ForkRequest,
): StreamConfig | Extract<CreateStreamResult, { ok: false }> {
  const source = findLive(context, fork.path);
  if (source === undefined) return refused("fork_source_not_found");
  if (source.deleted) return refused("fork_source_gone");
  const { contentType, ttlSeconds, expiresAt, depth } = source.config;
  if (command.contentType !== "" && !sameType(command.contentType, contentType)) {
    return refused("content_type_mismatch");
  }
  if (source.streamId !== fork.streamId) return refused("fork_source_changed");
  const tail = tailOf(context.broker, source);
  const offset = fork.offset ?? tail;
  const isJson = isJsonType(contentType);
  const base = isJson ? offset + fork.sub : offset;
  if (base > tail) return refused("fork_offset_beyond_end");
  if (!isJson && fork.sub > 0 && !fork.hasPrefix) return refused("fork_source_changed");
  const ownLife = command.ttlSeconds !== null || command.expiresAt !== null;
  return {
    path: command.path,
    contentType:
      command.contentType === "" ? contentType : context.durable.sharedType(command.contentType),
    ttlSeconds: ownLife ? command.ttlSeconds : ttlSeconds,
    expiresAt: ownLife ? command.expiresAt : expiresAt,
    fork: { path: fork.path, streamId: source.streamId, offset, sub: fork.sub },
    base,
    depth: depth + 1,
  };
}

const HAS_FORK = 1;
const CLOSED = 2;
const HAS_EXPIRY = 4;
const HAS_PREFIX = 8;
const KNOWN_FLAGS = HAS_FORK | CLOSED | HAS_EXPIRY | HAS_PREFIX;

export const createStream = durableKind<CreateStream, CreateStreamResult>({
  type: "create_stream",
  tag: 80,
  encode(body, { path, contentType, ttlSeconds, expiresAt, closed, fork, records }) {
    body.u8(
      (fork === null ? 0 : HAS_FORK) |
        (closed ? CLOSED : 0) |
        (expiresAt === null ? 0 : HAS_EXPIRY) |
        (fork?.hasPrefix === true ? HAS_PREFIX : 0),
    );
    body.text(path);
    body.text(contentType);
    writeOptionalNumber(body, ttlSeconds);
    if (expiresAt !== null) {
      body.text(expiresAt.text);
      body.varint(expiresAt.ms);
    }
    if (fork !== null) {
      body.text(fork.path);
      body.varint(fork.streamId);
      writeOptionalNumber(body, fork.offset);
      body.varint(fork.sub);
    }
    writeRecords(body, records);
  },
  decode(body, end) {
    const flags = knownFlags(body.u8(), KNOWN_FLAGS);
    const path = body.text();
    const contentType = body.text();
    const ttlSeconds = readOptionalNumber(body);
    const expiresAt = (flags & HAS_EXPIRY) === 0 ? null : { text: body.text(), ms: body.varint() };
    const fork =
      (flags & HAS_FORK) === 0
        ? null
        : {
            path: body.text(),
            streamId: body.varint(),
            offset: readOptionalNumber(body),
            sub: body.varint(),
            hasPrefix: (flags & HAS_PREFIX) !== 0,
          };
    const closed = (flags & CLOSED) !== 0;
    const records = readStreamRecords(body, end);
    return {
      type: "create_stream",
      path,
      contentType,
      ttlSeconds,
      expiresAt,
      closed,
      fork,
      records,
    };
  },
  applyTo: applyCreateStream,
  summarize({ created, streamId, tail }, summary) {
    summary.flag(created);
    summary.numbers(streamId, tail);
  },
});
