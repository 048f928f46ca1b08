import { DURABLE_READ_QUERY } from "../../api/durable.ts";
import type { StreamPage } from "../../node/api.ts";
import { matchesTag } from "../conditional.ts";
import { ApiError } from "../errors.ts";
import { queryReader } from "../query.ts";
import type { RequestContext } from "../request-context.ts";
import { bodyAnswer } from "../responses.ts";
import { CLOSED, CURSOR, EXPIRES_AT, NEXT_OFFSET, rejection, TTL, UP_TO_DATE } from "./answers.ts";
import { nextCursor } from "./cursor.ts";
import { events } from "./events.ts";
import { streamOf } from "./names.ts";
import type { DurableServices } from "./services.ts";
import { touchAtLeader } from "./touch.ts";

const readQuery = queryReader(DURABLE_READ_QUERY);

/** Bytes of the records in one answer. */
const PAGE_BYTES = 1024 * 1024;
const BEGINNING = "-1";
const NOW = "now";
const NO_STORE = "no-store";

/** `GET` and `HEAD`. */
export async function read(services: DurableServices, context: RequestContext): Promise<Response> {
  const path = streamOf(context);
  if (context.isHead) return await head(services, context, path);
  const { offset, live, cursor } = readQuery(context);
  const isLive = live === "long-poll" || live === "sse";
  if (isLive && offset === null) {
    throw new ApiError("invalid_parameter", `live=${live} needs the offset to begin at`);
  }
  const from = offset ?? BEGINNING;
  if (live === "sse") return await events(services, context, { path, offset: from, cursor });
  const request = { path, offset: from, maxBytes: PAGE_BYTES, streamId: null };
  const page = await services.durable.readStream(request);
  if (!page.ok) return rejection(services, context, page, path);
  if (page.touchDue) await touchAtLeader(services, context);
  if (live === "long-poll") return await longPoll(services, context, { path, cursor, first: page });
  return pageAnswer(context, page, from);
}

async function head(
  services: DurableServices,
  context: RequestContext,
  path: string,
): Promise<Response> {
  const info = await services.durable.describeStream(path);
  if (!info.ok) return rejection(services, context, info, path);
  const headers = new Headers({
    "content-type": info.contentType,
    [NEXT_OFFSET]: info.nextOffset,
    "cache-control": NO_STORE,
    etag: `"-1:${info.nextOffset}${info.closed ? ":c" : ""}"`,
  });
  if (info.closed) headers.set(CLOSED, "true");
  if (info.ttlSeconds !== null) headers.set(TTL, String(info.ttlSeconds));
  if (info.expiresAt !== null) headers.set(EXPIRES_AT, info.expiresAt);
  return new Response(null, { headers });
}

function pageAnswer(context: RequestContext, page: StreamPage, from: string): Response {
  const headers = pageHeaders(page);
  if (from === NOW) headers.set("cache-control", NO_STORE);
  else {
    const tag = `${page.startOffset}:${page.nextOffset}${page.closed ? ":c" : ""}`;
    headers.set("etag", `"${tag}"`);
    if (matchesTag(context.request.headers.get("if-none-match"), tag)) {
      return new Response(null, { status: 304, headers: { etag: `"${tag}"` } });
    }
  }
  return bodyAnswer(page.body as Uint8Array<ArrayBuffer>, { headers });
}

function pageHeaders(page: StreamPage): Headers {
  const headers = new Headers({
    "content-type": page.contentType,
    [NEXT_OFFSET]: page.nextOffset,
  });
  if (page.upToDate) headers.set(UP_TO_DATE, "true");
  if (page.closed) headers.set(CLOSED, "true");
  return headers;
}

type Poll = { readonly path: string; readonly cursor: string | null; readonly first: StreamPage };

/** Answers when there is a record, when the stream is closed, or after the time of a long poll. */
async function longPoll(
  services: DurableServices,
  context: RequestContext,
  { path, cursor, first }: Poll,
): Promise<Response> {
  const { longPollMs } = services;
  const signal = AbortSignal.any([context.request.signal, services.stopping]);
  const until = performance.now() + longPollMs;
  const { streamId, startOffset } = first;
  let page = first;
  if (page.count === 0 && !page.closed) services.allowLong(context.request);
  while (page.count === 0 && !page.closed && !signal.aborted) {
    const timeoutMs = Math.ceil(until - performance.now());
    if (timeoutMs <= 0) break;
    await services.durable.waitForStream({ streamId, offset: page.next, timeoutMs, signal });
    const request = { path, offset: startOffset, maxBytes: PAGE_BYTES, streamId };
    const next = await services.durable.readStream(request);
    if (!next.ok) return rejection(services, context, next, path);
    if (next.touchDue) await touchAtLeader(services, context);
    page = next;
  }
  const headers = pageHeaders(page);
  headers.set(CURSOR, nextCursor(cursor, Date.now()));
  if (page.count > 0) {
    const tag = `${page.startOffset}:${page.nextOffset}${page.closed ? ":c" : ""}`;
    headers.set("etag", `"${tag}"`);
    return bodyAnswer(page.body as Uint8Array<ArrayBuffer>, { headers });
  }
  headers.delete("content-type");
  return new Response(null, { status: 204, headers });
}
