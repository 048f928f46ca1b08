/** Headers for browsers on every answer below `/v1/stream`, and the answers to their preflights. */
import { pathStartOf } from "../raw-url.ts";

export const STREAM_ROOT = "/v1/stream";

/** True if the rules of durable streams hold for the path of the URL. */
export function isStreamUrl(url: string): boolean {
  const start = pathStartOf(url);
  if (!url.startsWith(STREAM_ROOT, start)) return false;
  const next = url.charCodeAt(start + STREAM_ROOT.length);
  // The end, a slash or a question mark.
  return Number.isNaN(next) || next === 47 || next === 63;
}

const METHODS = "GET, POST, PUT, DELETE, HEAD, OPTIONS";
const REQUEST_HEADERS =
  "content-type, authorization, if-none-match, stream-seq, stream-ttl, stream-expires-at, stream-closed, stream-forked-from, stream-fork-offset, stream-fork-sub-offset, producer-id, producer-epoch, producer-seq";
const ANSWER_HEADERS =
  "stream-next-offset, stream-cursor, stream-up-to-date, stream-closed, stream-ttl, stream-expires-at, stream-sse-data-encoding, producer-epoch, producer-seq, producer-expected-seq, producer-received-seq, etag, location, retry-after, content-type, content-encoding, vary";
const CONTENT_SECURITY_POLICY = "default-src 'none'; sandbox";
/** Seconds for which a browser may reuse the answer to a preflight. */
const PREFLIGHT_SECONDS = "600";

type Serve = (request: Request) => Response | Promise<Response>;

/** Returns a function that adds the headers to what another one answers. */
export function crossOrigin(
  options: { readonly corsOrigins: readonly string[] } | undefined,
): (serve: Serve) => Serve {
  if (options === undefined) return (serve) => serve;
  const origins = new CrossOrigin(options.corsOrigins);
  return (serve) => (request) =>
    isStreamUrl(request.url) ? origins.serve(request, serve) : serve(request);
}

class CrossOrigin {
  readonly #any: boolean;
  readonly #origins: ReadonlySet<string>;

  /** @param origins such as `https://app.example.com`; `*` for all. */
  constructor(origins: readonly string[]) {
    this.#any = origins.includes("*");
    this.#origins = new Set(origins);
  }

  serve(request: Request, serve: Serve): Response | Promise<Response> {
    if (request.method === "OPTIONS") return this.#mark(request, preflight());
    const answer = serve(request);
    return answer instanceof Promise
      ? answer.then((response) => this.#mark(request, response))
      : this.#mark(request, answer);
  }

  #mark(request: Request, response: Response): Response {
    const { headers } = response;
    headers.set("x-content-type-options", "nosniff");
    // A stream of HTML that a browser opens must not run scripts in the origin of the console.
    headers.set("content-security-policy", CONTENT_SECURITY_POLICY);
    const opens = this.#any || this.#origins.size > 0;
    headers.set("cross-origin-resource-policy", opens ? "cross-origin" : "same-origin");
    if (!opens) return response;
    if (!this.#any) headers.append("vary", "origin");
    const origin = request.headers.get("origin");
    if (origin === null || !(this.#any || this.#origins.has(origin))) return response;
    headers.set("access-control-allow-origin", this.#any ? "*" : origin);
    headers.set("access-control-expose-headers", ANSWER_HEADERS);
    return response;
  }
}

/** Without `Access-Control-Allow-Origin`, a browser does not send the request. */
const preflight = (): Response =>
  new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": METHODS,
      "access-control-allow-headers": REQUEST_HEADERS,
      "access-control-max-age": PREFLIGHT_SECONDS,
      allow: METHODS,
    },
  });
