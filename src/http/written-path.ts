/**
 * Finds requests whose path the runtime has rewritten. `request.url` is a normalised URL: `.` and
 * `..` segments are resolved, also as `%2e`, and `\` becomes `/`, so that one key would become
 * another. The router of `Bun.serve` matches the target as it was sent, so the segments that it
 * reports are compared with those of the URL.
 */
import { decodePercent, pathEndOf, pathStartOf } from "./raw-url.ts";

/** The router knows at most 100 segments. */
export const SEGMENTS_MAX = 97;

export type Segments = Readonly<Record<string, string>>;
type Routed = Request & { readonly params: Segments };
type Handler = (request: Request) => Response | Promise<Response>;

const NAMES: readonly string[] = Array.from({ length: SEGMENTS_MAX }, (_, i) => `s${i}`);

/** Routes for all paths without empty segments, with and without a slash at the end. */
export function writtenPathRoutes(
  serve: Handler,
  rewritten: Handler,
): Record<string, (request: Routed) => Response | Promise<Response>> {
  const routes: Record<string, (request: Routed) => Response | Promise<Response>> = {};
  let path = "";
  for (const [at, name] of NAMES.entries()) {
    path += `/:${name}`;
    const handle = (slash: string) => (request: Routed) =>
      isAsWritten(request.url, request.params, at + 1, slash) ? serve(request) : rewritten(request);
    routes[path] = handle("");
    routes[`${path}/`] = handle("/");
  }
  return routes;
}

/**
 * True if the path of `url` consists of these segments.
 *
 * @param segments as they were sent, decoded once.
 * @param ending what follows the last segment: nothing or a slash.
 */
export function isAsWritten(
  url: string,
  segments: Segments,
  count: number,
  ending: string,
): boolean {
  const start = pathStartOf(url);
  const end = pathEndOf(url, start);
  let at = start;
  for (let i = 0; i < count; i++) {
    const written = segments[NAMES[i] as string] as string;
    // Without a Host the URL is the target as it was sent, and a forwarded one would be rewritten.
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

/** Malformed escapes are left to the route, which refuses them by name. */
function isDecoded(raw: string, written: string): boolean {
  try {
    return decodePercent(raw, "The path", false) === written;
  } catch {
    return true;
  }
}

/** The root is the only path without segments that a route may take. */
export const isRoot = (url: string): boolean => {
  const start = pathStartOf(url);
  return pathEndOf(url, start) - start === 1;
};
