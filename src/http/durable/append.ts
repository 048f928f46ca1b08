import { isJsonType, sameType } from "../../lib/media-type.ts";
import type { AppendStreamRequest, RequestRecords, StreamAppended } from "../../node/api.ts";
import { readBytes } from "../body.ts";
import { ApiError, shown } from "../errors.ts";
import type { RequestContext } from "../request-context.ts";
import { CLOSED, NEXT_OFFSET, PRODUCER_EPOCH, PRODUCER_SEQ, rejection } from "./answers.ts";
import { streamOf } from "./names.ts";
import { recordsOf } from "./records.ts";
import { headerOf, isClosing, typeOfBody } from "./request-headers.ts";
import type { DurableServices } from "./services.ts";

const PRODUCER_ID_BYTES_MAX = 256;
const SEQ_BYTES_MAX = 1024;
const DIGITS = /^[0-9]+$/;
const PRODUCER = ["Producer-Id", "Producer-Epoch", "Producer-Seq"] as const;

/** `POST`: appends, closes, or both at once. */
export async function append(
  services: DurableServices,
  context: RequestContext,
): Promise<Response> {
  const path = streamOf(context);
  const { headers } = context.request;
  const producer = producerOf(headers);
  const seq = seqOf(headers);
  const close = isClosing(headers);
  const { requestBytesMax } = services.options.limits;
  const body = await readBytes(
    context.request,
    context.bodies,
    requestBytesMax,
    "request_too_large",
  );
  if (body.length === 0 && !close) throw new ApiError("empty_append");
  const given = typeOfBody(headers);
  // Closing alone does not need a type, and one that is given does not have to match.
  const contentType = body.length === 0 ? "" : given;
  if (body.length > 0 && contentType === "") {
    throw new ApiError("invalid_request", "Content-Type is required: that of the stream");
  }
  let records: RequestRecords | null;
  try {
    const made = recordsOf(body, contentType, services.options.limits);
    records = made instanceof Promise ? await made : made;
    if (records === null && body.length > 0) {
      throw new ApiError("empty_append", "The body is an empty array: it holds no record");
    }
  } catch (error) {
    return await malformed(services, context, path, contentType, error);
  }
  const request = { path, contentType, seq, producer, close, records };
  const outcome = await services.durable.appendStream(request);
  if (!outcome.ok) return rejection(services, context, outcome, path);
  return answerOf(request, outcome);
}

function answerOf({ producer, records }: AppendStreamRequest, outcome: StreamAppended): Response {
  const headers = new Headers({ [NEXT_OFFSET]: outcome.nextOffset });
  if (outcome.closed) headers.set(CLOSED, "true");
  if (producer !== null) {
    headers.set(PRODUCER_EPOCH, String(producer.epoch));
    headers.set(PRODUCER_SEQ, String(outcome.producerSeq));
  }
  const isNew = producer !== null && records !== null && !outcome.duplicate;
  return new Response(null, { status: isNew ? 200 : 204, headers });
}

/** A stream that does not take the request at all is reported before what is wrong with the body. */
async function malformed(
  services: DurableServices,
  context: RequestContext,
  path: string,
  contentType: string,
  error: unknown,
): Promise<Response> {
  if (!isJsonType(contentType)) throw error;
  const info = await services.durable.describeStream(path);
  if (!info.ok) return rejection(services, context, info, path);
  const { nextOffset } = info;
  if (info.closed) {
    return rejection(
      services,
      context,
      { ok: false, code: "stream_closed", details: { nextOffset } },
      path,
    );
  }
  if (sameType(contentType, info.contentType)) throw error;
  return rejection(services, context, { ok: false, code: "content_type_mismatch" }, path);
}

function seqOf(headers: Headers): string | null {
  const seq = headerOf(headers, "Stream-Seq");
  if (seq === null || Buffer.byteLength(seq) <= SEQ_BYTES_MAX) return seq;
  const message = `Stream-Seq has ${Buffer.byteLength(seq)} bytes; the limit is ${SEQ_BYTES_MAX}`;
  throw new ApiError("invalid_request", message);
}

/** The three headers of a producer come together or not at all. */
function producerOf(headers: Headers): AppendStreamRequest["producer"] {
  const [id, epoch, seq] = PRODUCER.map((name) => headerOf(headers, name, "invalid_producer"));
  if (id === null && epoch === null && seq === null) return null;
  if (id == null || epoch == null || seq == null) {
    const message = "Producer-Id, Producer-Epoch and Producer-Seq must be given together";
    throw new ApiError("invalid_producer", message);
  }
  const bytes = Buffer.byteLength(id);
  if (bytes < 1 || bytes > PRODUCER_ID_BYTES_MAX) {
    const message = `Producer-Id has ${bytes} bytes; it must have 1 to ${PRODUCER_ID_BYTES_MAX}`;
    throw new ApiError("invalid_producer", message);
  }
  return { id, epoch: numberOf("Producer-Epoch", epoch), seq: numberOf("Producer-Seq", seq) };
}

function numberOf(name: string, text: string): number {
  const value = DIGITS.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  const message = `${name} is ${shown(text)}: it must be an integer from 0 to ${Number.MAX_SAFE_INTEGER}`;
  throw new ApiError("invalid_producer", message);
}
