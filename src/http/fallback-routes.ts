/**
 * Routes for requests that no endpoint takes: 404, and 405 with the methods that the path allows.
 */

import { NO_QUERY } from "../api/common.ts";
import type { Instruments } from "../metrics/instruments.ts";
import { isStreamUrl } from "./durable/cross-origin.ts";
import { ApiError, shown } from "./errors.ts";
import { pathEndOf, pathStartOf } from "./raw-url.ts";
import { type Endpoint, type Route, toRoute } from "./request-context.ts";
import { isKeyPath } from "./written-path.ts";

export class FallbackRoutes {
  readonly #routes: readonly Route[];
  readonly #notFound: Route;
  readonly #wrongMethod: Route;
  readonly #wrongMethodOfPublic: Route;

  constructor(routes: readonly Route[], instruments: Instruments) {
    this.#routes = routes;
    this.#notFound = toRoute(fallback("not found", "token", notFound), instruments, true);
    const wrongMethod = fallback("wrong method", "token", (path, method) =>
      this.#allowed(path, method),
    );
    this.#wrongMethod = toRoute(wrongMethod, instruments, true);
    // Both routes share a meter, because the name of a route is the label of a time series.
    this.#wrongMethodOfPublic = { ...this.#wrongMethod, access: { kind: "public" } };
  }

  /** Returns a route that throws an error of Elysia, so that the middleware logs it. */
  broken(error: unknown): Route {
    return {
      ...this.#notFound,
      handle: () => {
        throw error;
      },
    };
  }

  /**
   * Returns a route that rejects a path that the runtime has rewritten. Such a path may name
   * another key, topic or group than the client sent.
   *
   * @returns null if the path does not contain a name.
   */
  rewritten(request: Request): Route | null {
    const path = pathOf(request.url);
    const isKey = isKeyPath(path);
    if (!isKey && !this.#matching(path).some(({ parameterAt }) => parameterAt.length > 0)) {
      return null;
    }
    return {
      ...this.#notFound,
      handle: () => {
        throw isKey ? rewrittenKey() : notFound(path);
      },
    };
  }

  /** Returns the route that answers 404 or 405 to a request that no endpoint matches. */
  find(request: Request): Route {
    const matching = this.#matching(pathOf(request.url));
    if (matching.length === 0) return this.#notFound;
    const isPublic = matching.some(({ access }) => /^(public|metrics)$/.test(access.kind));
    return isPublic ? this.#wrongMethodOfPublic : this.#wrongMethod;
  }

  #matching(path: string): readonly Route[] {
    return this.#routes.filter(({ pattern }) => pattern.matches(path, 0, path.length));
  }

  #allowed(path: string, method: string): ApiError {
    const methods = this.#matching(path).map((route) => route.method as string);
    if (methods.includes("GET")) methods.push("HEAD");
    if (isStreamUrl(path)) methods.push("OPTIONS");
    const allow = [...new Set(methods)].join(", ");
    const message = `Method not allowed: ${method} ${shown(path)}; allowed: ${allow}`;
    return new ApiError("method_not_allowed", message, null, { allow });
  }
}

const notFound = (path: string): ApiError =>
  new ApiError(
    "route_not_found",
    `There is no route ${shown(path)}; /openapi.json lists the routes, /docs is the manual, and /ui is the console`,
  );

const rewrittenKey = (): ApiError =>
  new ApiError(
    "invalid_key",
    'A path must not have segments that are empty, "." or "..", nor a "\\", nor more than 97 segments: write a slash within a key as %2F and a backslash as %5C',
  );

const pathOf = (url: string): string => {
  const start = pathStartOf(url);
  return url.slice(start, pathEndOf(url, start));
};

const fallback = (
  name: string,
  access: "public" | "token",
  error: (path: string, method: string) => ApiError,
): Endpoint => ({
  method: "GET",
  path: `(${name})`,
  access: { kind: access },
  leaderOnly: false,
  query: NO_QUERY,
  docs: { summary: name, tag: "", answer: "text", errors: [] },
  handle: ({ request }) => {
    throw error(pathOf(request.url), request.method);
  },
});
