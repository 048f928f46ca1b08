/** Middleware of every request: checks token and scope, maps errors, counts metrics. */
import type { Instruments } from "../metrics/instruments.ts";
import type { Logger } from "../metrics/log.ts";
import type { Coding } from "./accept.ts";
import { type AnswerStreams, ONE_WRITE_BYTES_MAX } from "./answer-streams.ts";
import type { Auth } from "./auth.ts";
import { type BodyBytes, readBytes } from "./body.ts";
import { type Compression, isCompressible, markEncoded, varyByEncoding } from "./compression.ts";
import { ApiError, shown } from "./errors.ts";
import { forward, type Leader } from "./forward.ts";
import { isOwnName } from "./own-names.ts";
import { proxyHeaderOf } from "./proxied.ts";
import { RequestContext, type RequestEnd, type Route } from "./request-context.ts";
import { type ErrorMapper, headOfPieces, SizedAnswer } from "./responses.ts";

export type MiddlewareParts = {
  readonly auth: Auth;
  readonly errorMapper: ErrorMapper;
  readonly instruments: Instruments;
  readonly log: Logger;
  /** Where this node passes writes on to; null: it answers them itself, if with a redirect. */
  readonly forwardTo: () => Leader | null;
  readonly streams: AnswerStreams;
  readonly compression: Compression;
  readonly bodies: BodyBytes;
  /** Requests that are not answered to their end and whose connection has not ended. */
  readonly pending: () => number;
  /** An answer may take longer than a socket may be idle. */
  readonly allowLong: (request: Request) => void;
  /** True if that was said of the request. */
  readonly isLong: (request: Request) => boolean;
  /** The answer of a request that was allowed to take long is ready. */
  readonly endLong: (request: Request) => void;
  readonly requestBytesMax: number;
  /** Name or address that the operator gave to listen on; empty: none. */
  readonly listenedOn: string;
  /** Aborted when the server begins to stop. */
  readonly stopping: AbortSignal;
};

export class Middleware implements RequestEnd {
  readonly #parts: MiddlewareParts;
  /** Requests whose answers are not ready yet. */
  readonly inFlight = new Set<Request>();
  /** Most clients say the same again and again. */
  #ownName: string | null = null;

  constructor(parts: MiddlewareParts) {
    this.#parts = parts;
  }

  serve(route: Route, request: Request): Response | Promise<Response> {
    const startedAt = performance.now();
    this.#parts.instruments.requestsInFlight.value++;
    let answer: Response | Promise<Response>;
    try {
      const context = this.#admit(route, request, startedAt);
      checkTarget(context);
      const leader = route.leaderOnly ? this.#leaderFor(request) : null;
      answer = leader === null ? route.handle(context) : this.#forward(route, request, leader);
      if (context.endsItself) {
        this.inFlight.add(request);
        return answer;
      }
    } catch (error) {
      answer = this.failed(route, request, error);
    }
    if (!(answer instanceof Promise)) return this.finish(route, request, startedAt, answer);
    this.inFlight.add(request);
    return this.#settle(route, request, startedAt, answer);
  }

  /** Returns null if this node answers the write itself. */
  #leaderFor(request: Request): Leader | null {
    const leader = this.#parts.forwardTo();
    if (leader === null) return null;
    // A body over every limit is not passed on: its route refuses it here, as it does at the leader.
    const length = Number(request.headers.get("content-length"));
    return length > this.#parts.requestBytesMax ? null : leader;
  }

  #forward(route: Route, request: Request, leader: Leader): Promise<Response> {
    const { requestBytesMax, allowLong } = this.#parts;
    const readBody = async () => {
      const body = route.takesBody
        ? await readBytes(request, this.bodies, requestBytesMax, "request_too_large")
        : null;
      allowLong(request);
      return body;
    };
    return forward(route, request, leader, readBody, this.bodies);
  }

  async #settle(
    route: Route,
    request: Request,
    startedAt: number,
    answer: Promise<Response>,
  ): Promise<Response> {
    try {
      return this.finish(route, request, startedAt, await answer);
    } catch (error) {
      return this.finish(route, request, startedAt, this.failed(route, request, error));
    }
  }

  /** @throws ApiError: the token first, and only then anything else. */
  #admit(route: Route, request: Request, startedAt: number): RequestContext {
    const { url } = request;
    const { kind } = route.access;
    if (kind === "public" || (kind === "metrics" && this.#parts.auth.opensMetrics(request))) {
      checkHost(request);
      return new RequestContext(request, url, route, null, startedAt, this);
    }
    const principal = this.#parts.auth.authenticate(request, url);
    checkHost(request);
    if (principal.loopbackOnly) this.#checkDirect(request);
    if (this.#parts.stopping.aborted) throw shuttingDown();
    if (route.takesBody) checkContentEncoding(request);
    const context = new RequestContext(request, url, route, principal, startedAt, this);
    checkAccess(route, context);
    return context;
  }

  /**
   * The token `dev` is public, so a request that comes with it must come straight from this machine:
   * through no proxy, and by a name that no page of another site can have been served under.
   */
  #checkDirect(request: Request): void {
    const { headers } = request;
    const proxyHeader = proxyHeaderOf(headers);
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
   * A signal for each request would cost 5 % of a produce, so the number of pending requests is
   * compared first. An answer that a slow client has not taken yet can hide a lost request.
   */
  #isLost(request: Request): boolean {
    const { pending, streams, isLong } = this.#parts;
    const someAreLost = pending() < this.inFlight.size + streams.count;
    // A long poll ends by the signal, before Bun has counted its request out.
    const mayBeLost = this.inFlight.delete(request) && (someAreLost || isLong(request));
    return mayBeLost && request.signal.aborted;
  }

  #countLost({ leaderOnly }: Route, status: number): void {
    const { instruments } = this.#parts;
    instruments.unansweredRequests.value++;
    // Any other error says that nothing was done.
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
      // The client went away in the middle of its body; there is nobody to answer.
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

const ERRORS_FROM = 400;
const OUTCOME_UNKNOWN = 504;

/** For messages. */
export const ANSWERS_FULL =
  "Too many bytes of answers are on their way to clients (RF_ANSWER_BYTES); try again";

const shuttingDown = (): ApiError =>
  new ApiError("shutting_down", undefined, null, { connection: "close", "retry-after": "1" });

/**
 * Refuses what would not reach the handler, or a leader that the request is forwarded to, as it was
 * written. A raw # in the target survives in the URL, but clients and proxies cut it off there.
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
      // Most tokens are for all names; then the name need not be decoded here.
      if (!context.principal.may(access.scope, null))
        context.demand(access.scope, context.parameter(0));
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
/** Most clients say the same again and again. */
let lastHost: string | null = null;

/** RFC 9112 wants 400 for a Host that is none; none at all is HTTP/1.0 and fine. */
function checkHost(request: Request): void {
  const host = request.headers.get("host");
  if (host === lastHost || host === null) return;
  if (!HOST.test(host)) throw new ApiError("invalid_host", `The Host is ${shown(host)}`);
  lastHost = host;
}

function checkContentEncoding(request: Request): void {
  const encoding = request.headers.get("content-encoding");
  if (encoding === null || encoding.toLowerCase() === "identity") return;
  throw new ApiError(
    "unsupported_content_encoding",
    `Content-Encoding is ${shown(encoding)}: only identity is taken`,
  );
}
