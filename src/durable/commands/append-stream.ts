import { feature as faultPoint } from "bun:bundle";
import { type Records, recordsLength, writeRecords } from "../../broker/records.ts";
import { DecodeError, varintLength } from "../../lib/bytes.ts";
import { knownFlags, textLength } from "../../lib/command-kind.ts";
import { sameType } from "../../lib/media-type.ts";
import { compareUtf8 } from "../compare.ts";
import { durableKind, readStreamRecords } from "../kind.ts";
import { findLive, touch } from "../lifecycle.ts";
import { tokenOf } from "../offset-token.ts";
import { judge, type ProducerWrite, rememberWrite } from "../producers.ts";
import { appendToStream, partitionOf, tailOf } from "../records.ts";
import {
  type DurableContext,
  type DurableRejected,
  refused,
  type StreamState,
  writable,
} from "../state.ts";
import { notifyAppend } from "../subscriptions/wakes.ts";

export type AppendStream = {
  readonly type: "append_stream";
  readonly path: string;
  /** Empty if there are no records. */
  readonly contentType: string;
  /** Must be higher than every one before, compared by bytes. */
  readonly seq: string | null;
  readonly producer: ProducerWrite | null;
  readonly close: boolean;
  /** No records: the stream is only closed. */
  readonly records: Records;
};

export type AppendStreamResult =
  | {
      readonly ok: true;
      readonly type: "append_stream";
      readonly streamId: number;
      readonly tail: number;
      readonly closed: boolean;
      /** Nothing was changed: the write of this producer was accepted before. */
      readonly duplicate: boolean;
      /** Highest accepted sequence number of the producer; 0 without a producer. */
      readonly producerSeq: number;
    }
  | DurableRejected<
      | "stream_not_found"
      | "stream_gone"
      | "stream_closed"
      | "content_type_mismatch"
      | "seq_conflict"
      | "stale_epoch"
      | "epoch_not_at_zero"
      | "sequence_gap"
    >;

/** Appends records, closes the stream, or both at once. A write that is refused changes nothing. */
export function applyAppendStream(
  context: DurableContext,
  command: AppendStream,
): AppendStreamResult {
  const stream = findLive(context, command.path);
  if (stream === undefined) return refused("stream_not_found");
  if (stream.deleted) return refused("stream_gone");
  if (stream.closed && !faultPoint("closed-streams-take-appends")) {
    return onClosed(context, stream, command);
  }
  const { contentType, producer, records } = command;
  const seq = seqOf(command);
  if (records.count > 0 && !sameType(contentType, stream.config.contentType)) {
    return refused("content_type_mismatch", { contentType: stream.config.contentType });
  }
  if (producer !== null) {
    const verdict = judge(stream, producer, context.now);
    if (verdict.kind === "refused") return verdict.rejection;
    if (verdict.kind === "duplicate") {
      touch(context, stream);
      return done(context, stream, true, verdict.lastSeq);
    }
  }
  // Checked after the producer, so that a retry is a duplicate and not a conflict.
  if (seq !== null && stream.lastSeq !== null && compareUtf8(seq, stream.lastSeq) <= 0) {
    return refused("seq_conflict", { lastSeq: stream.lastSeq });
  }
  return accept(context, stream, command);
}

/** Only records have an order: a close without records has none. */
const seqOf = ({ seq, records }: AppendStream): string | null => (records.count > 0 ? seq : null);

function accept(
  context: DurableContext,
  before: StreamState,
  command: AppendStream,
): AppendStreamResult {
  const { broker, durable, now, effects } = context;
  const { producer, close, records } = command;
  const seq = seqOf(command);
  touch(context, before);
  const current = durable.byId.get(before.streamId) as StreamState;
  const changes = seq !== null || producer !== null || close;
  const stream = changes ? writable(durable, current) : current;
  if (seq !== null) stream.lastSeq = seq;
  if (producer !== null) rememberWrite(stream, producer, now);
  if (close) {
    stream.closed = true;
    stream.closedBy =
      producer === null
        ? null
        : { producerId: producer.id, epoch: producer.epoch, seq: producer.seq };
  }
  const partition = partitionOf(broker, stream);
  appendToStream(broker, partition, records, now, effects);
  if (close) effects.streamChanged(partition);
  if (records.count > 0) notifyAppend(context, stream);
  return done(context, stream, false, producer?.seq ?? 0);
}

/** Closing again is a success, and so is the retry of the write that closed the stream. */
function onClosed(
  context: DurableContext,
  stream: StreamState,
  { producer, close, records }: AppendStream,
): AppendStreamResult {
  const { closedBy } = stream;
  const isRetry =
    producer !== null &&
    closedBy !== null &&
    closedBy.producerId === producer.id &&
    closedBy.epoch === producer.epoch &&
    closedBy.seq === producer.seq;
  const closesAgain = producer === null && close && records.count === 0;
  if (isRetry || closesAgain) {
    touch(context, stream);
    return done(context, stream, isRetry, producer?.seq ?? 0);
  }
  const tail = tokenOf(stream.streamId, tailOf(context.broker, stream));
  return refused("stream_closed", { nextOffset: tail });
}

function done(
  { broker }: DurableContext,
  stream: StreamState,
  duplicate: boolean,
  producerSeq: number,
): AppendStreamResult {
  const { streamId, closed } = stream;
  const tail = tailOf(broker, stream);
  return { ok: true, type: "append_stream", streamId, tail, closed, duplicate, producerSeq };
}

const CLOSES = 1;
const HAS_SEQ = 2;
const HAS_PRODUCER = 4;
const KNOWN_FLAGS = CLOSES | HAS_SEQ | HAS_PRODUCER;

export const appendStream = durableKind<AppendStream, AppendStreamResult>({
  type: "append_stream",
  tag: 81,
  length: ({ path, contentType, seq, producer, records }) =>
    1 +
    textLength(path) +
    textLength(contentType) +
    (seq === null ? 0 : textLength(seq)) +
    (producer === null
      ? 0
      : textLength(producer.id) + varintLength(producer.epoch) + varintLength(producer.seq)) +
    recordsLength(records),
  encode(body, { path, contentType, seq, producer, close, records }) {
    body.u8(
      (close ? CLOSES : 0) | (seq === null ? 0 : HAS_SEQ) | (producer === null ? 0 : HAS_PRODUCER),
    );
    body.text(path);
    body.text(contentType);
    if (seq !== null) body.text(seq);
    if (producer !== null) {
      body.text(producer.id);
      body.varint(producer.epoch);
      body.varint(producer.seq);
    }
    writeRecords(body, records);
  },
  decode(body, end) {
    const flags = knownFlags(body.u8(), KNOWN_FLAGS);
    const path = body.text();
    const contentType = body.text();
    const seq = (flags & HAS_SEQ) === 0 ? null : body.text();
    const producer =
      (flags & HAS_PRODUCER) === 0
        ? null
        : { id: body.text(), epoch: body.varint(), seq: body.varint() };
    const close = (flags & CLOSES) !== 0;
    const records = readStreamRecords(body, end);
    if (records.count === 0 && !close) throw new DecodeError("an append does nothing");
    return { type: "append_stream", path, contentType, seq, producer, close, records };
  },
  applyTo: applyAppendStream,
  summarize({ duplicate, streamId, tail }, summary) {
    summary.flag(duplicate);
    summary.numbers(streamId, tail);
  },
});
