/** The routes of streams. */
import { DURABLE_READ_QUERY } from "../../api/durable.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { rejection } from "./answers.ts";
import { append } from "./append.ts";
import { create } from "./create.ts";
import { made } from "./made.ts";
import { isControl, streamOf } from "./names.ts";
import { read } from "./read.ts";
import type { DurableServices } from "./services.ts";
import { unknownRoute } from "./subscriptions.ts";

const path = "/v1/stream/*";
const NEXT_OFFSET = { "Stream-Next-Offset": "The offset to go on from" };

export const streamEndpoints = (services: DurableServices): readonly Endpoint[] => [
  readEndpoint(services),
  createEndpoint(services),
  appendEndpoint(services),
  deleteEndpoint(services),
];

type Handle = (context: RequestContext) => Promise<Response>;

/** A control path that no route has taken is not a stream. */
const ofStream =
  (handle: Handle): Handle =>
  (context) =>
    isControl(context.pathText("*")) ? Promise.resolve(unknownRoute()) : handle(context);

const readEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "GET",
    path,
    access: { kind: "path", scope: "read" },
    leaderOnly: false,
    query: DURABLE_READ_QUERY,
    docs: {
      summary: "Read a stream from an offset, once or live; HEAD tells its end",
      answer: "bytes",
      conditional: true,
      answerHeaders: {
        ...NEXT_OFFSET,
        "Stream-Up-To-Date": "true: the answer reaches the end",
        "Stream-Closed": "true: the stream is closed, and the answer reaches its end",
        "Stream-Cursor": "Sent back by live reads",
      },
      errors: [
        "invalid_stream",
        "invalid_offset",
        "stream_not_found",
        "stream_gone",
        "offset_gone",
        "data_damaged",
      ],
    },
    handle: ofStream((context) => read(services, context)),
  });

const createEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "PUT",
    path,
    access: { kind: "path", scope: "write" },
    leaderOnly: true,
    byLink: true,
    docs: {
      summary: "Create a stream with its first content, or fork one",
      body: "bytes",
      answer: "bytes",
      requestHeaders: {
        "Stream-TTL": "Seconds without use after which the stream expires",
        "Stream-Expires-At": "Time by RFC 3339 at which the stream expires",
        "Stream-Closed": "true: the stream takes no more than this content",
        "Stream-Forked-From": "Path of the stream to fork, /v1/stream/…",
        "Stream-Fork-Offset": "Where the fork begins; absent: at the end",
        "Stream-Fork-Sub-Offset": "Records, or bytes of a record, behind that offset",
      },
      answerHeaders: NEXT_OFFSET,
      errors: [
        "invalid_stream",
        "invalid_json",
        "invalid_offset",
        "stream_exists",
        "stream_has_forks",
        "content_type_mismatch",
        "fork_source_not_found",
        "fork_source_gone",
        "fork_source_changed",
        "fork_offset_beyond_end",
        "fork_sub_offset_beyond_end",
        "fork_too_deep",
        "too_many_streams",
        "message_too_large",
        "request_too_large",
        "too_many_lines",
        "cluster_not_upgraded",
        "commit_timeout",
      ],
    },
    handle: ofStream((context) => create(services, context)),
  });

const appendEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "POST",
    path,
    access: { kind: "path", scope: "write" },
    leaderOnly: true,
    byLink: true,
    docs: {
      summary: "Append to a stream, close it, or both at once",
      body: "bytes",
      answer: "bytes",
      requestHeaders: {
        "Stream-Seq": "Must be higher than every one before, compared by bytes",
        "Stream-Closed": "true: closes the stream",
        "Producer-Id": "Makes retries safe, with Producer-Epoch and Producer-Seq",
        "Producer-Epoch": "A higher epoch fences writers with a lower one",
        "Producer-Seq": "Counts the writes of an epoch from 0",
      },
      answerHeaders: NEXT_OFFSET,
      errors: [
        "invalid_stream",
        "invalid_json",
        "invalid_producer",
        "empty_append",
        "epoch_not_at_zero",
        "stale_epoch",
        "stream_not_found",
        "stream_gone",
        "stream_closed",
        "content_type_mismatch",
        "seq_conflict",
        "sequence_gap",
        "too_many_producers",
        "message_too_large",
        "request_too_large",
        "too_many_lines",
        "commit_timeout",
      ],
    },
    handle: ofStream((context) => append(services, context)),
  });

const deleteEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "DELETE",
    path,
    access: { kind: "path", scope: "admin" },
    leaderOnly: true,
    byLink: true,
    docs: {
      summary: "Delete a stream; its forks keep the records that they share with it",
      answer: "bytes",
      errors: ["invalid_stream", "stream_not_found", "stream_gone", "commit_timeout"],
    },
    handle: ofStream(async (context) => {
      const stream = streamOf(context);
      const outcome = await services.durable.deleteStream(stream);
      if (outcome.ok) return new Response(null, { status: 204 });
      return rejection(services, context, outcome, stream);
    }),
  });
