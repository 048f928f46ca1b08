import { timingSafeEqual } from "node:crypto";
import { sha256 } from "../lib/digest.ts";
import type { Instruments } from "../metrics/instruments.ts";
import { ApiError, shown } from "./errors.ts";
import { type LimitClock, RateLimit } from "./rate-limit.ts";
import { pathStartOf } from "./raw-url.ts";
import {
  ALL_GRANTS,
  checkMetricsToken,
  type Grant,
  parseTokenSpecs,
  type Scope,
  type TokenSpec,
} from "./token-spec.ts";

export type AuthOptions = {
  /** The value of `RF_BEARER_TOKENS`. If empty, the only token is "dev", from loopback only. */
  readonly tokens: string;
  /** `RF_METRICS_TOKEN`; empty or absent: metrics need no token. */
  readonly metricsToken?: string;
  /** Paths that begin with one of these need no token. */
  readonly skipPrefixes: readonly string[];
};

/** The token that a request was authenticated with, and its permissions. */
export class Principal {
  readonly digest: Uint8Array | null;
  readonly loopbackOnly: boolean;
  readonly #grants: readonly Grant[];
  readonly #limit: RateLimit | null;

  constructor(
    digest: Uint8Array | null,
    grants: readonly Grant[],
    limit: RateLimit | null,
    loopbackOnly: boolean,
  ) {
    this.digest = digest;
    this.loopbackOnly = loopbackOnly;
    this.#grants = grants;
    this.#limit = limit;
  }

  /** @param name a topic or KV namespace; null for all of them. */
  may(scope: Scope, name: string | null): boolean {
    for (const grant of this.#grants) {
      if (grant.scope !== scope) continue;
      if (grant.pattern === null || (name !== null && grant.pattern.test(name))) return true;
    }
    return false;
  }

  /** True if the token has the scope for any name. Lists then show only the permitted names. */
  mayAny(scope: Scope): boolean {
    return this.#grants.some((grant) => grant.scope === scope);
  }

  /** @throws ApiError `rate_limited`. */
  spend(): void {
    const waitSeconds = this.#limit === null ? 0 : this.#limit.take();
    if (waitSeconds === 0) return;
    throw new ApiError(
      "rate_limited",
      `The token's rate limit is used up; try again in ${waitSeconds} s`,
      null,
      { "retry-after": String(waitSeconds) },
    );
  }
}

/** Limit of the cache of accepted headers. Spellings differ: "Bearer x", "bearer x" and so on. */
const KNOWN_HEADERS_MAX = 1024;
const ANYONE = new Principal(null, ALL_GRANTS, null, false);
/** RFC 9110: the scheme is case-insensitive and followed by at least one space. */
const BEARER = /^bearer[ \t]+/i;

export type AuthContext = {
  readonly instruments: Instruments;
  readonly clock: LimitClock;
  /** True if the request came over loopback. */
  readonly isLoopback: (request: Request) => boolean;
  /** Memory of the rate limits, in the order of the tokens, if other threads have the same limits. */
  readonly buckets?: readonly SharedArrayBuffer[];
};

export class Auth {
  readonly #principals: readonly Principal[];
  /** Null if metrics do not need a token. */
  readonly #metricsDigest: Uint8Array | null;
  readonly #skipPrefixes: readonly string[];
  readonly #context: AuthContext;
  /**
   * Complete headers that were accepted before, so that a request costs a hash look-up instead of a
   * digest. The look-up of an unknown header compares its hash only, so its duration does not
   * reveal anything about a token.
   */
  readonly #known = new Map<string, Principal>();

  /** @throws TokenSpecError for tokens that cannot be used. */
  constructor(options: AuthOptions, context: AuthContext) {
    const fallback = options.tokens === "";
    const specs: readonly TokenSpec[] = fallback
      ? [{ token: "dev", grants: ALL_GRANTS, rate: null }]
      : parseTokenSpecs(options.tokens);
    this.#principals = specs.map(({ token, grants, rate }, at) => {
      const bucket = context.buckets?.[at] ?? null;
      const limit = rate === null ? null : new RateLimit(rate, context.clock, bucket);
      return new Principal(sha256(token), grants, limit, fallback);
    });
    const { metricsToken = "" } = options;
    this.#metricsDigest = metricsToken === "" ? null : sha256(checkMetricsToken(metricsToken));
    this.#skipPrefixes = options.skipPrefixes;
    this.#context = context;
  }

  /**
   * True if metrics do not need a token, or if the request has the metrics token. Any other request
   * needs a token that may read all names, because metrics contain names of topics and groups.
   */
  opensMetrics(request: Request): boolean {
    return this.#metricsDigest === null || this.#showsMetricsToken(request);
  }

  #showsMetricsToken({ headers }: Request): boolean {
    const header = headers.get("authorization");
    const token = header === null ? null : tokenIn(header);
    if (this.#metricsDigest === null || token === null) return false;
    return timingSafeEqual(this.#metricsDigest, sha256(token));
  }

  /** @throws ApiError `unauthorized`, `forbidden` or `rate_limited`. */
  authenticate(request: Request, url: string): Principal {
    for (const prefix of this.#skipPrefixes) {
      if (url.startsWith(prefix, pathStartOf(url))) return ANYONE;
    }
    const header = request.headers.get("authorization");
    const principal = header === null ? null : (this.#known.get(header) ?? this.#find(header));
    if (principal === null && this.#showsMetricsToken(request)) {
      throw new ApiError("forbidden", "The token of RF_METRICS_TOKEN is for metrics only");
    }
    if (principal === null || !this.#reaches(principal, request)) {
      this.#context.instruments.authFailures.value++;
      const message = this.#why(header, principal);
      throw new ApiError("unauthorized", message, null, { "www-authenticate": "Bearer" });
    }
    try {
      principal.spend();
    } catch (error) {
      this.#context.instruments.rateLimited.value++;
      throw error;
    }
    return principal;
  }

  /**
   * Compares digests of equal length with every token in constant time. Two Authorization headers
   * arrive joined by a comma. A token cannot contain a comma, so they do not match any token.
   */
  #find(header: string): Principal | null {
    const token = tokenIn(header);
    if (token === null) return null;
    const digest = sha256(token);
    let found: Principal | null = null;
    for (const principal of this.#principals) {
      if (principal.digest !== null && timingSafeEqual(principal.digest, digest)) found = principal;
    }
    if (found !== null && this.#known.size < KNOWN_HEADERS_MAX) this.#known.set(header, found);
    return found;
  }

  /**
   * Returns a message that helps new users. It may name `dev`, which is public, but no other token.
   */
  #why(header: string | null, principal: Principal | null): string {
    if (principal !== null) return "dev works on the node's own machine only; set RF_BEARER_TOKENS";
    const wanted = this.#principals.some(({ loopbackOnly }) => loopbackOnly) ? "dev" : "TOKEN";
    return header === null
      ? `The token is missing: send the header "Authorization: Bearer ${wanted}"`
      : `The token in the Authorization header is unknown: send "Authorization: Bearer ${wanted}"`;
  }

  #reaches(principal: Principal, request: Request): boolean {
    return !principal.loopbackOnly || this.#context.isLoopback(request);
  }
}

/** Returns null if the scheme is not Bearer. */
const tokenIn = (header: string): string | null => {
  const start = BEARER.exec(header)?.[0].length ?? null;
  return start === null ? null : header.slice(start);
};

/** @throws ApiError `forbidden`. */
export function demand(principal: Principal, scope: Scope, name: string | null): void {
  if (principal.may(scope, name)) return;
  const what = name === null ? "all names" : shown(name);
  throw new ApiError("forbidden", `The token has no "${scope}" scope for ${what}`);
}
