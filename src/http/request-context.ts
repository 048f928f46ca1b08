/** The context of one request, and the endpoints and routes that requests are dispatched to. */
import type { TObject, TProperties, TSchema } from "@sinclair/typebox";
import { assert } from "../lib/assert.ts";
import { type Instruments, RouteMeter } from "../metrics/instruments.ts";
import { chooseMediaType } from "./accept.ts";
import { demand, type Principal } from "./auth.ts";
import type { BodyBytes } from "./body.ts";
import type { ErrorCode } from "./errors.ts";
import { type PathName, type PathValue, readPathValue } from "./path-parameters.ts";
import { PathPattern } from "./path-pattern.ts";
import {
  decodePercent,
  type PrefixedParameters,
  pathEndOf,
  pathSegment,
  pathStartOf,
  type QueryValues,
  readQuery,
} from "./raw-url.ts";
import { type HeadersKind, kindOfHeaders } from "./record-headers.ts";
import type { Scope } from "./token-spec.ts";

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/**
 * The permission that an endpoint requires:
 *
 * - `public`: no token.
 * - `token`: any token.
 * - `path`: the scope for the name in the first path parameter, checked before the handler.
 * - `body`: the scope for the name in the body, which the handler checks with `context.demand`.
 * - `list`: the scope for any name. The handler leaves out the names that are not permitted.
 * - `node`: the scope for all names.
 * - `metrics`: no token, unless `RF_METRICS_TOKEN` is set. Then that token, or one that may read
 *   all names.
 */
export type Access =
  | { readonly kind: "public" | "token" | "metrics" }
  | { readonly kind: "path" | "list" | "node" | "body"; readonly scope: Scope };

export type Endpoint = {
  readonly method: Method;
  /** In Elysia's syntax: `:name` is one segment, a final `*` is the remainder of the path. */
  readonly path: string;
  readonly access: Access;
  /** Only the leader can do it. Any other node forwards the request or redirects the client. */
  readonly leaderOnly: boolean;
  /**
   * A follower that forwards writes handles the request itself. The node sends the write, a small
   * command, over the link to the leader. The handler must not decide by state that may lag.
   */
  readonly byLink?: true;
  /** A long poll that changes state: a follower forwards it always, for as long as it waits. */
  readonly isPoll?: true;
  /** The route is found without Elysia's dispatch, because its throughput matters. */
  readonly isHot?: true;
  /** Unknown query parameters are ignored, as the protocol of the route demands. */
  readonly ignoresUnknown?: true;
  /** The properties are the known query parameters, in the order of `context.query()`. */
  readonly query: TObject<TProperties>;
  /** Query parameters that are recognized by a prefix of their names, and their description. */
  readonly prefixed?: { readonly prefix: string; readonly means: string };
  readonly docs: EndpointDocs;
  /** Absent: that of JSON bodies, or the limit of requests for `bytes`. */
  readonly bodyLimit?: (context: RequestContext) => BodyLimit;
  readonly handle: (context: RequestContext) => Completion;
};

/** The longest body, and the error for a longer one. */
export type BodyLimit = { readonly bytes: number; readonly code: ErrorCode };

/** The response of a handler. `LATER`: the handler ends the request itself, with `context.end`. */
export type Completion = Response | Promise<Response> | typeof LATER;
export const LATER = null;

/** The description of an endpoint in `/openapi.json`, besides its path and query. */
export type EndpointDocs = {
  readonly summary: string;
  readonly tag: string;
  /** `bytes`: opaque, any content type. */
  readonly body?: TSchema | "bytes";
  /** `bytes`: opaque. */
  readonly answer: TSchema | "text" | "bytes";
  /** In addition to the errors that every endpoint can return. */
  readonly errors: readonly ErrorCode[];
  /** Media types of `text`, and the alternatives to JSON that `Accept` can select. */
  readonly mediaTypes?: readonly string[];
  /** The response has an ETag, and `If-None-Match` is supported (304). */
  readonly conditional?: true;
  /** Request headers that only this endpoint reads, with their descriptions. */
  readonly requestHeaders?: Readonly<Record<string, string>>;
  /** Headers of a 200 response, with their descriptions. */
  readonly answerHeaders?: Readonly<Record<string, string>>;
  /** Responses with another status that are not API errors. */
  readonly others?: Readonly<Record<number, { readonly means: string; readonly answer: TSchema }>>;
  /** A subpath that the endpoint serves too, such as `/meta`. */
  readonly below?: { readonly path: string } & Pick<EndpointDocs, "summary" | "answer">;
};

/** An endpoint with the values that are computed once at start. */
export type Route = Omit<Endpoint, "ignoresUnknown"> & {
  readonly names: readonly string[];
  /** Names of the path parameters, and their positions among the segments. */
  readonly parameterNames: readonly string[];
  readonly parameterAt: readonly number[];
  readonly hasRest: boolean;
  readonly pattern: PathPattern;
  readonly takesBody: boolean;
  /** Unknown query parameters and JSON fields are ignored instead of being an error. */
  readonly ignoresUnknown: boolean;
  readonly meter: RouteMeter;
};

export function toRoute(
  endpoint: Endpoint,
  instruments: Instruments,
  ignoresUnknown: boolean,
): Route {
  const segments = endpoint.path.split("/").slice(1);
  const meter = new RouteMeter(`${endpoint.method} ${endpoint.path}`);
  instruments.routes.push(meter);
  return {
    ...endpoint,
    names: Object.keys(endpoint.query.properties),
    parameterNames: segments.flatMap((segment) =>
      /^[:*]/.test(segment) ? [segment.replace(":", "")] : [],
    ),
    parameterAt: segments.flatMap((segment, at) => (/^[:*]/.test(segment) ? [at] : [])),
    hasRest: segments.at(-1) === "*",
    pattern: new PathPattern(endpoint.path),
    takesBody: endpoint.method === "POST" || endpoint.method === "PUT",
    ignoresUnknown: ignoresUnknown || endpoint.ignoresUnknown === true,
    meter,
  };
}

/** Completes requests: counts a response, and maps a thrown error to one. */
export interface RequestEnd {
  readonly bodies: BodyBytes;
  finish(route: Route, request: Request, startedAt: number, response: Response): Response;
  failed(route: Route, request: Request, error: unknown): Response;
}

export class RequestContext {
  readonly request: Request;
  readonly url: string;
  readonly route: Route;
  /** Null if the route does not require a token. */
  #principal: Principal | null = null;
  /** `performance.now()` when the request headers had been received. */
  readonly startedAt: number;
  readonly #end: RequestEnd;
  readonly #pathStart: number;
  readonly #pathEnd: number;
  #prefixed: PrefixedParameters["found"] | null = null;
  #headersKind: HeadersKind | null = null;
  #response: Response | null = null;
  #resolve: ((response: Response) => void) | null = null;

  constructor(request: Request, url: string, route: Route, startedAt: number, end: RequestEnd) {
    this.request = request;
    this.url = url;
    this.route = route;
    this.startedAt = startedAt;
    this.#end = end;
    this.#pathStart = pathStartOf(url);
    this.#pathEnd = pathEndOf(url, this.#pathStart);
  }

  /** Ends the request as the handler completes. */
  complete(completion: Completion): void {
    if (completion === LATER) return;
    if (!(completion instanceof Promise)) this.end(completion);
    else
      completion.then(
        (response) => this.end(response),
        (error: unknown) => this.fail(error),
      );
  }

  /** Ends the request: counts the response and sends it. Every request ends here, once. */
  end(response: Response): void {
    assert(this.#response === null, "a request ends once");
    this.#response = this.#end.finish(this.route, this.request, this.startedAt, response);
    this.#resolve?.(this.#response);
  }

  /** As `end`. @param make returns the response. An exception becomes an error response. */
  answer(make: () => Response): void {
    let response: Response;
    try {
      response = make();
    } catch (error) {
      response = this.#end.failed(this.route, this.request, error);
    }
    this.end(response);
  }

  /** Ends the request with the response for an error. After its end, the error is only logged. */
  fail(error: unknown): void {
    const response = this.#end.failed(this.route, this.request, error);
    if (this.#response === null) this.end(response);
  }

  /** Null until the request has ended. */
  get response(): Response | null {
    return this.#response;
  }

  /** The response of a request that has not ended: its only promise, unless the handler is async. */
  later(): Promise<Response> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** The budget of the bodies of requests in progress. */
  get bodies(): BodyBytes {
    return this.#end.bodies;
  }

  /** Set when the token has been checked. */
  admit(principal: Principal): void {
    this.#principal = principal;
  }

  get principal(): Principal {
    assert(this.#principal !== null, "a public endpoint asks for a scope");
    return this.#principal;
  }

  /**
   * A path parameter, checked.
   *
   * @param name as in the path of the route; `*` is the remainder of the path.
   * @throws ApiError
   */
  path<Name extends PathName>(name: Name): PathValue<Name> {
    return readPathValue(name, this.pathText(name));
  }

  /** A path parameter as text, decoded once and not checked. */
  pathText(name: string): string {
    const n = this.route.parameterNames.indexOf(name);
    assert(n >= 0, "a handler reads parameters of its own path");
    return this.#parameter(n);
  }

  /** The first path parameter as text: the name that the scope of the route is for. */
  get scopedName(): string {
    return this.#parameter(0);
  }

  #parameter(n: number): string {
    const { parameterAt, hasRest } = this.route;
    const rest = hasRest && n === parameterAt.length - 1;
    const raw = pathSegment(this.url, this.#pathStart, this.#pathEnd, parameterAt[n] ?? 0, rest);
    return decodePercent(raw, "The path", false);
  }

  /** Values of the known query parameters, in the order of the endpoint's schema. */
  query(): QueryValues {
    const { names, ignoresUnknown, prefixed } = this.route;
    let collected: PrefixedParameters | null = null;
    if (prefixed !== undefined && this.#pathEnd < this.url.length) {
      this.#prefixed = [];
      collected = { prefix: prefixed.prefix, found: this.#prefixed };
    }
    return readQuery(this.url, this.#pathEnd + 1, names, !ignoresUnknown, collected);
  }

  /** Parameters whose names have the prefix of the route, in order. Set by `query`. */
  get prefixed(): PrefixedParameters["found"] {
    return this.#prefixed ?? [];
  }

  /** @throws ApiError if the route has no query parameters and the request names one. */
  checkNoQuery(): void {
    if (this.route.names.length === 0 && this.#pathEnd < this.url.length) this.query();
  }

  /** The path as the client sent it. */
  get pathname(): string {
    return this.url.slice(this.#pathStart, this.#pathEnd);
  }

  /** Path and query as the client sent them, for a redirect. */
  get target(): string {
    return this.url.slice(this.#pathStart);
  }

  /** Says which headers the request has. It is found out once, since each look at a header costs. */
  get headersKind(): HeadersKind {
    this.#headersKind ??= kindOfHeaders(this.request.headers);
    return this.#headersKind;
  }

  get isHead(): boolean {
    return this.request.method === "HEAD";
  }

  /** @throws ApiError `forbidden`. */
  demand(scope: Scope, name: string | null): void {
    demand(this.principal, scope, name);
  }

  /** Returns the media type that the Accept header prefers. @param offers the default first. */
  preferred<T extends string>(offers: readonly [T, ...T[]]): T {
    return chooseMediaType(this.request.headers.get("accept"), offers);
  }
}
