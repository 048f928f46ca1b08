/** Middleware of every request: checks token and scope, maps errors, counts metrics. */
import type { Instruments } from "../metrics/instruments.ts";
import type { Logger } from "../metrics/log.ts";
import type { Coding } from "./accept.ts";
import { type AnswerStreams, ONE_WRITE_BYTES_MAX } from "./answer-streams.ts";
import type { Auth } from "./auth.ts";
import { type BodyBytes, JSON_BODY_BYTES_MAX, readBytes, tooLarge } from "./body.ts";
import { type Compression, isCompressible, markEncoded, varyByEncoding } from "./compression.ts";
import { ApiError, shown } from "./errors.ts";
import { forwardWithin, type Leader, unlessGone } from "./forward.ts";
import { FORWARDED_HEADER } from "./forward-headers.ts";
import { isOwnName } from "./own-names.ts";
import { proxyHeaderOf } from "./proxied.ts";
import { type BodyLimit, RequestContext, type RequestEnd, type Route } from "./request-context.ts";
import { type ErrorMapper, headOfPieces, SizedAnswer } from "./responses.ts";

export type MiddlewareParts = {
  readonly auth: Auth;
  readonly errorMapper: ErrorMapper;
  readonly instruments: Instruments;
  readonly log: Logger;
  /** The leader to forward writes to; null if this node handles them itself or redirects. */
  readonly forwardTo: () => Leader | null;
  /** The same for long polls that change state. They have slots of their own. */
  readonly forwardPollTo: () => Leader | null;
  /** True if the node sends small writes to the leader over the link between the nodes. */
  readonly forwardsByLink: () => boolean;
  readonly streams: AnswerStreams;
  readonly compression: Compression;
  readonly bodies: BodyBytes;
  /** Number of requests whose response is incomplete and whose connection is still open. */
  readonly pending: () => number;
  /** Lifts the idle timeout from a request whose response may take long. */
  readonly allowLong: (request: Request) => void;
  /** True if `allowLong` was called for the request. */
  readonly isLong: (request: Request) => boolean;
  /** Called when the response is ready: restores the idle timeout if it was lifted. */
  readonly endLong: (request: Request) => void;
  readonly requestBytesMax: number;
  /** Name or address that the operator configured to listen on; empty if none. */
  readonly listenedOn: string;
  /** Aborted when the server begins to stop. */
  readonly stopping: AbortSignal;
};

export class Middleware implements RequestEnd {
  readonly #parts: MiddlewareParts;
  /** Requests whose responses are not ready yet. */
  readonly inFlight = new Set<Request>();
  /** The last accepted Host; most clients send the same value in each request. */
  #ownName: string | null = null;

  constructor(parts: MiddlewareParts) {
    this.#parts = parts;
  }

  serve(route: Route, request: Request): Response | Promise<Response> {
    const startedAt = performance.now();
    this.#parts.instruments.requestsInFlight.value++;
    const context = new RequestContext(request, request.url, route, startedAt, this);
    try {
      this.#admit(context);
      checkTarget(context);
      const leader = route.leaderOnly ? this.#leaderFor(route, request) : null;
      if (leader === null) this.#handle(context);
      else context.complete(this.#forward(context, leader));
    } catch (error) {
      context.fail(error);
    }
    if (context.response !== null) return context.response;
    this.inFlight.add(request);
    return context.later();
  }

  /** A poll that goes over the link may have been given up before it was read here. */
  #handle(context: RequestContext): void {
    const { route, request } = context;
    if (route.isPoll !== true || !this.#parts.forwardsByLink()) {
      context.complete(route.handle(context));
      return;
    }
    unlessGone(request)
      .then(() => context.complete(route.handle(context)))
      .catch((error: unknown) => context.fail(error));
  }

  /** Returns null if this node handles the write itself. */
  #leaderFor({ isPoll, byLink, takesBody }: Route, request: Request): Leader | null {
    const leader = isPoll === true ? this.#parts.forwardPollTo() : this.#parts.forwardTo();
    if (leader === null) return null;
    const length = lengthOf(request, takesBody);
    const isSmall = byLink === true && length <= LINK_BODY_BYTES_MAX;
    // A request that another node has forwarded is not forwarded once more: `forward` knows its mark.
    const isFirst = !request.headers.has(FORWARDED_HEADER);
    if (isSmall && isFirst && this.#parts.forwardsByLink()) return null;
    // A body over every limit is not forwarded: the route rejects it here as it would on the
    // leader.
    return Number.isFinite(length) && length > this.#parts.requestBytesMax ? null : leader;
  }

  #forward(context: RequestContext, leader: Leader): Promise<Response> {
    const { route, request } = context;
    const readBody = async () => {
      const body = route.takesBody ? await this.#readForwarded(context) : null;
      this.#parts.allowLong(request);
      return body;
    };
    const leaderOf = route.isPoll === true ? this.#parts.forwardPollTo : this.#parts.forwardTo;
    return forwardWithin(route, request, leader, leaderOf, readBody, this.bodies);
  }

  /**
   * Reads a body that the leader judges. A chunked body over every limit is refused with the error
   * that the route has for it, as on the leader.
   */
  async #readForwarded(context: RequestContext): Promise<Uint8Array> {
    const { requestBytesMax } = this.#parts;
    const { request, route } = context;
    try {
      return await readBytes(request, this.bodies, requestBytesMax, "request_too_large");
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "request_too_large") throw error;
      const { bytes, code } = route.bodyLimit?.(context) ?? this.#usualLimit(route);
      throw tooLarge(code, "The body", `more than ${bytes} bytes`, bytes);
    }
  }

  #usualLimit({ docs: { body } }: Route): BodyLimit {
    const isJson = body !== undefined && body !== "bytes";
    const bytes = isJson ? JSON_BODY_BYTES_MAX : this.#parts.requestBytesMax;
    return { bytes, code: "request_too_large" };
  }

  /** @throws ApiError. The token is checked before anything else. */
  #admit(context: RequestContext): void {
    const { request, url, route } = context;
    const { kind } = route.access;
    if (kind === "public" || (kind === "metrics" && this.#parts.auth.opensMetrics(request))) {
      checkHost(request);
      return;
    }
    const principal = this.#parts.auth.authenticate(request, url);
    checkHost(request);
    if (principal.loopbackOnly) this.#checkDirect(context);
    if (this.#parts.stopping.aborted) throw shuttingDown();
    if (route.takesBody) checkContentEncoding(context);
    context.admit(principal);
    checkAccess(route, context);
  }

  /**
   * The token `dev` is public, so a request with it must come directly from this machine. It must
   * not come through a proxy, and its Host must be a name that a page of another site cannot have.
   */
  #checkDirect(context: RequestContext): void {
    const { headers } = context.request;
    const proxyHeader = context.headersKind === "more" ? proxyHeaderOf(headers) : null;
    if (proxyHeader !== null) {
      throw new ApiError(
        "forbidden",
        `The header ${shown(proxyHeader)} is that of a proxy: dev works without a proxy only; set RF_BEARER_TOKENS`,
      );
    }
    const host = headers.get("host");
    if (host === this.#ownName) return;
    if (isOwnName(host, this.#parts.listenedOn)) {
      this.#ownName = host;
      return;
    }
    throw new ApiError(
      "forbidden",
      `The Host is ${shown(host ?? "")}: dev works by an address or a local name only, such as localhost; set RF_BEARER_TOKENS to use other names`,
    );
  }

  get bodies(): BodyBytes {
    return this.#parts.bodies;
  }

  finish(route: Route, request: Request, startedAt: number, ready: Response): Response {
    const { instruments, bodies, endLong } = this.#parts;
    instruments.requestsInFlight.value--;
    const isLost = this.inFlight.size > 0 && this.#isLost(request);
    bodies.release(request);
    endLong(request);
    const response = ready instanceof SizedAnswer ? this.#sized(route, request, ready) : ready;
    route.meter.observe(response.status, (performance.now() - startedAt) / 1000);
    if (isLost) this.#countLost(route, response.status);
    return response;
  }

  /**
   * Removes a request from those in flight. Returns true if its connection has ended.
   *
   * Reading the signal of each request would cost 5 % of a produce, so the number of pending
   * requests is compared first. A response that a slow client has not read yet can hide a lost
   * request.
   */
  #isLost(request: Request): boolean {
    const { pending, streams, isLong } = this.#parts;
    const someAreLost = pending() < this.inFlight.size + streams.count;
    // The signal ends a long poll before Bun decrements its number of pending requests.
    const mayBeLost = this.inFlight.delete(request) && (someAreLost || isLong(request));
    return mayBeLost && request.signal.aborted;
  }

  #countLost({ leaderOnly }: Route, status: number): void {
    const { instruments } = this.#parts;
    instruments.unansweredRequests.value++;
    // With any other error, the write was not done.
    const mayBeStored = status < ERRORS_FROM || status === OUTCOME_UNKNOWN;
    if (leaderOnly && mayBeStored) instruments.unansweredWrites.value++;
  }

  /** Compresses if the client asks for it, and sends a large body in pieces. */
  #sized(route: Route, request: Request, { content, headers, status }: SizedAnswer): Response {
    const { compression } = this.#parts;
    const compressible = isCompressible(headers);
    if (compressible) varyByEncoding(headers);
    const coding = compressible ? compression.codingFor(request) : null;
    if (content.length > ONE_WRITE_BYTES_MAX) {
      return this.#large(route, request, content, { headers, status }, coding);
    }
    const compressed = coding === null ? null : compression.now(coding, content);
    if (coding !== null && compressed !== null) markEncoded(headers, coding);
    return new Response(compressed ?? content, { headers, status });
  }

  #large(
    route: Route,
    request: Request,
    content: Uint8Array<ArrayBuffer>,
    init: { readonly headers: Headers; readonly status: number },
    coding: Coding | null,
  ): Response {
    const { streams, errorMapper, compression } = this.#parts;
    if (request.method === "HEAD") {
      if (coding === null) return new Response(content, init);
      markEncoded(init.headers, coding);
      return headOfPieces(init.headers);
    }
    const isPublic = route.access.kind === "public";
    const answer = streams.whole(request, content, init, isPublic, (source) => {
      const compressed = coding === null ? null : compression.source(coding, source, false);
      if (coding === null || compressed === null) return source;
      markEncoded(init.headers, coding);
      return compressed;
    });
    return answer ?? errorMapper.overloaded(ANSWERS_FULL);
  }

  failed(route: Route, request: Request, error: unknown): Response {
    const { instruments, log, errorMapper } = this.#parts;
    if (!(error instanceof ApiError)) {
      // The client disconnected while it sent the body, so nobody receives this response.
      if (request.signal.aborted) return errorMapper.error(new ApiError("incomplete_body"));
      log.error("request failed", {
        route: route.meter.route,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
      return errorMapper.error(new ApiError("internal_error"));
    }
    if (error.code === "overloaded") instruments.overloadRejects.value++;
    if (error.code === "forbidden") instruments.scopeRefusals.value++;
    return errorMapper.error(error);
  }
}

/**
 * Longer bodies are forwarded over HTTP, with a connection of their own, so that they do not delay
 * consensus on the link between the nodes.
 */
const LINK_BODY_BYTES_MAX = 128 * 1024;

/** Infinite if the request does not tell the length of its body. */
function lengthOf({ headers }: Request, takesBody: boolean): number {
  const length = headers.get("content-length");
  const isChunked = length === null && takesBody && headers.has("transfer-encoding");
  return isChunked ? Number.POSITIVE_INFINITY : Number(length);
}

const ERRORS_FROM = 400;
const OUTCOME_UNKNOWN = 504;

/** Message of `overloaded` if the response budget is used up. */
export const ANSWERS_FULL =
  "Too many bytes of answers are on their way to clients (RF_ANSWER_BYTES); try again";

const shuttingDown = (): ApiError =>
  new ApiError("shutting_down", undefined, null, { connection: "close", "retry-after": "1" });

/**
 * Rejects a target that would reach the handler, or the leader after forwarding, in a changed form.
 * A raw # in the target stays in the URL here, but clients and proxies cut the target off there.
 */
function checkTarget(context: RequestContext): void {
  if (context.url.includes("#")) {
    throw new ApiError("invalid_request", 'The request target holds a raw "#": write it as %23');
  }
  context.checkNoQuery();
}

function checkAccess({ access }: Route, context: RequestContext): void {
  switch (access.kind) {
    case "path":
      // Most tokens are valid for all names. For these the name is not decoded here.
      if (!context.principal.may(access.scope, null))
        context.demand(access.scope, context.scopedName);
      return;
    case "list":
      if (!context.principal.mayAny(access.scope)) context.demand(access.scope, null);
      return;
    case "node":
      context.demand(access.scope, null);
      return;
    case "metrics":
      context.demand("read", null);
      return;
    case "body":
    case "public":
    case "token":
      return;
  }
}

/** A name or address, with an optional port. Two Host headers arrive joined by a comma. */
const HOST = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+;=-]*)(:[0-9]*)?$/;
/** The last valid Host; most clients send the same value in each request. */
let lastHost: string | null = null;

/** RFC 9112, section 3.2, requires 400 for an invalid Host. HTTP/1.0 requests may lack a Host. */
function checkHost(request: Request): void {
  const host = request.headers.get("host");
  if (host === lastHost || host === null) return;
  if (!HOST.test(host)) throw new ApiError("invalid_host", `The Host is ${shown(host)}`);
  lastHost = host;
}

function checkContentEncoding({ request, headersKind }: RequestContext): void {
  const encoding = headersKind === "more" ? request.headers.get("content-encoding") : null;
  if (encoding === null || encoding.toLowerCase() === "identity") return;
  throw new ApiError(
    "unsupported_content_encoding",
    `Content-Encoding is ${shown(encoding)}: only identity is taken`,
  );
}
