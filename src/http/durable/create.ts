import { DEFAULT_TYPE } from "../../lib/media-type.ts";
import { parseDecimal } from "../../lib/parse.ts";
import type { CreateStreamRequest } from "../../node/api.ts";
import { readBytes } from "../body.ts";
import { ApiError, shown } from "../errors.ts";
import type { RequestContext } from "../request-context.ts";
import { CLOSED, NEXT_OFFSET, originOf, rejection } from "./answers.ts";
import { sourceOf, streamOf } from "./names.ts";
import { recordsOf } from "./records.ts";
import { headerOf, isClosing, typeOfBody } from "./request-headers.ts";
import type { DurableServices } from "./services.ts";

const CONTENT_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+/;
const CONTENT_TYPE_BYTES_MAX = 256;
/** A hundred years. */
const TTL_SECONDS_MAX = 3_155_760_000;
/** RFC 3339. */
const TIME = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/;
const CANONICAL_NUMBER = /^(0|[1-9][0-9]*)$/;

/** `PUT`: creates a stream with its first content. */
export async function create(
  services: DurableServices,
  context: RequestContext,
): Promise<Response> {
  const path = streamOf(context);
  const { headers } = context.request;
  const fork = forkOf(headers);
  if (fork !== null) context.demand("read", fork.path);
  const contentType = contentTypeOf(headers, fork !== null);
  const life = lifeOf(headers);
  const { requestBytesMax } = services.options.limits;
  const body = await readBytes(
    context.request,
    context.bodies,
    requestBytesMax,
    "request_too_large",
  );
  const durable = services.durable;
  const type =
    contentType === "" && fork !== null && body.length > 0
      ? await typeOf(services, fork.path)
      : contentType;
  const made = recordsOf(body, type, services.options.limits);
  const outcome = await durable.createStream({
    path,
    contentType,
    ...life,
    closed: isClosing(headers),
    fork,
    records: made instanceof Promise ? await made : made,
  });
  if (!outcome.ok) {
    const isOfSource = fork !== null && outcome.code.startsWith("fork_");
    return rejection(services, context, outcome, isOfSource ? fork.path : path);
  }
  const answer = new Headers({
    "content-type": outcome.contentType,
    [NEXT_OFFSET]: outcome.nextOffset,
  });
  if (outcome.closed) answer.set(CLOSED, "true");
  if (outcome.created) {
    answer.set("location", (await originOf(services, context)) + context.pathname);
  }
  return new Response(null, { status: outcome.created ? 201 : 200, headers: answer });
}

/** The type of the source decides how a body is read. Without a source, the node says so. */
async function typeOf({ durable }: DurableServices, source: string): Promise<string> {
  const info = await durable.describeStream(source);
  return info.ok ? info.contentType : DEFAULT_TYPE;
}

/** @returns empty if a fork inherits the type of its source. */
function contentTypeOf(headers: Headers, isFork: boolean): string {
  const given = typeOfBody(headers);
  if (!CONTENT_TYPE.test(given)) return isFork ? "" : DEFAULT_TYPE;
  if (given.length <= CONTENT_TYPE_BYTES_MAX) return given;
  const message = `Content-Type has ${given.length} characters; the limit is ${CONTENT_TYPE_BYTES_MAX}`;
  throw new ApiError("invalid_request", message);
}

function lifeOf(headers: Headers): Pick<CreateStreamRequest, "ttlSeconds" | "expiresAt"> {
  const ttl = headerOf(headers, "Stream-TTL");
  const expiresAt = headerOf(headers, "Stream-Expires-At");
  if (ttl !== null && expiresAt !== null) {
    throw new ApiError("invalid_request", "Stream-TTL and Stream-Expires-At were both given");
  }
  return {
    ttlSeconds: ttl === null ? null : canonical("Stream-TTL", ttl, TTL_SECONDS_MAX),
    expiresAt: expiresAt === null ? null : timeOf(expiresAt),
  };
}

function timeOf(text: string): { readonly text: string; readonly ms: number } {
  const ms = TIME.test(text) ? Date.parse(text.toUpperCase().replace(" ", "T")) : Number.NaN;
  if (Number.isSafeInteger(ms) && ms >= 0) return { text, ms };
  const message = `Stream-Expires-At is ${shown(text)}: it must be a time by RFC 3339 from 1970 on, such as 2030-01-31T12:00:00Z`;
  throw new ApiError("invalid_request", message);
}

function forkOf(headers: Headers): CreateStreamRequest["fork"] {
  const from = headerOf(headers, "Stream-Forked-From");
  const sub = headerOf(headers, "Stream-Fork-Sub-Offset");
  const offset = headerOf(headers, "Stream-Fork-Offset");
  if (from === null) {
    const orphan = sub !== null ? "Stream-Fork-Sub-Offset" : "Stream-Fork-Offset";
    if (sub !== null || offset !== null) {
      throw new ApiError("invalid_request", `${orphan} needs Stream-Forked-From`);
    }
    return null;
  }
  return {
    path: sourceOf(from),
    offset: offset === null || offset === "" ? null : offset,
    sub: sub === null ? 0 : canonical("Stream-Fork-Sub-Offset", sub, Number.MAX_SAFE_INTEGER),
  };
}

/** A decimal integer without signs, leading zeros and spaces. */
function canonical(name: string, text: string, max: number): number {
  const value = CANONICAL_NUMBER.test(text) ? parseDecimal(text) : null;
  if (value !== null && value <= max) return value;
  const message = `${name} is ${shown(text)}: it must be an integer from 0 to ${max}, without leading zeros`;
  throw new ApiError("invalid_request", message);
}
