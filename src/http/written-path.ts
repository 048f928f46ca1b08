/**
 * Detects requests whose path the runtime has rewritten. `request.url` is a normalized URL: `.` and
 * `..` segments are resolved, also as `%2e`, and `\` becomes `/`, so that one key would become
 * another. The router of `Bun.serve` matches the target as it was sent. Therefore the segments that
 * it reports are compared with those of the URL.
 */
import { decodePercent, pathEndOf, pathStartOf } from "./raw-url.ts";

/** The router supports at most 100 segments. */
export const SEGMENTS_MAX = 97;

export type Segments = Readonly<Record<string, string>>;
type Routed = Request & { readonly params: Segments };
type Handler = (request: Request) => Response | Promise<Response>;

const NAMES: readonly string[] = Array.from({ length: SEGMENTS_MAX }, (_, i) => `s${i}`);

type Routes = Record<
  string,
  | ((request: Routed) => Response | Promise<Response>)
  | Partial<Record<"DELETE" | "PUT", (request: Routed) => Response | Promise<Response>>>
>;

/**
 * Routes for keys and for what is deleted or defined by its name, without empty segments, with and
 * without a slash at the end. Produce and consume are not among them: the names of topics and
 * groups cannot contain what is rewritten, and a routed request costs the runtime about 2
 * microseconds more.
 */
export function writtenPathRoutes(serve: Handler, rewritten: Handler): Routes {
  const routes: Routes = {};
  let path = "";
  for (const [at, name] of NAMES.entries()) {
    const handle = (first: string, ending: string) => (request: Routed) =>
      isAsWritten(request.url, request.params, { first, count: at + 1, ending })
        ? serve(request)
        : rewritten(request);
    path += `/:${name}`;
    for (const ending of ["", "/"]) {
      routes[`/kv${path}${ending}`] = handle("kv", ending);
      const named = handle("broker", ending);
      routes[`/v1/stream${path}${ending}`] = handle("v1/stream", ending);
      routes[`/broker${path}${ending}`] = { DELETE: named, PUT: named };
    }
  }
  return routes;
}

type Written = {
  readonly first: string;
  /** Number of segments after the first. */
  readonly count: number;
  /** The end of the path after the last segment: empty or a slash. */
  readonly ending: string;
};

/**
 * True if the path of `url` consists of the first segment and these ones.
 *
 * @param segments as they were sent, decoded once.
 */
export function isAsWritten(
  url: string,
  segments: Segments,
  { first, count, ending }: Written,
): boolean {
  const start = pathStartOf(url);
  const end = pathEndOf(url, start);
  let at = start + 1 + first.length;
  if (!url.startsWith(first, start + 1) || !isEnd(url, at, end)) return false;
  for (let i = 0; i < count; i++) {
    const written = segments[NAMES[i] as string] as string;
    // Without a Host, the URL is the target as it was sent. Forwarding would rewrite it.
    if (written === "." || written === "..") return false;
    if (url.startsWith(written, at + 1) && isEnd(url, at + 1 + written.length, end)) {
      at += 1 + written.length;
      continue;
    }
    const slash = url.indexOf("/", at + 1);
    const stop = slash < 0 || slash > end ? end : slash;
    if (!isDecoded(url.slice(at + 1, stop), written)) return false;
    at = stop;
  }
  return at + ending.length === end && url.startsWith(ending, at);
}

const SLASH = 47;
const isEnd = (url: string, at: number, end: number): boolean =>
  at === end || (at < end && url.charCodeAt(at) === SLASH);

/** Malformed escapes are left to the route, which rejects them with a message. */
function isDecoded(raw: string, written: string): boolean {
  try {
    return decodePercent(raw, "The path", false) === written;
  } catch {
    return true;
  }
}

/**
 * True for the path of a key or stream. If no route has matched it, it has an empty segment or too many
 * segments.
 */
export function isKeyPath(url: string): boolean {
  const start = pathStartOf(url);
  return url.startsWith("/kv/", start) || url.startsWith("/v1/stream/", start);
}
