/**
 * The console. The page itself needs no token, since it holds nothing; what it shows it asks of
 * the API, with the token that its user types.
 */
import type { Asset } from "../../console/assets.ts";
import type { Call, Endpoint } from "../call.ts";
import { ApiError, shown } from "../errors.ts";
import { NO_QUERY } from "../schemas.ts";

const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  vary: "accept-encoding",
};
/** The page is asked for each time; its files change their name with their content. */
const PAGE_CACHE = "no-cache";
const FILE_CACHE = "public, max-age=31536000, immutable";

// Read when somebody opens the console: from source that bundles it, which takes a moment.
const assets = () => import("../../console/assets.ts");

export const uiEndpoints = (): readonly Endpoint[] => [
  endpoint("/ui", "The console, for a browser", async (call) =>
    answer(call, (await assets()).PAGE, PAGE_CACHE),
  ),
  endpoint("/ui/*", "A file of the console", async (call) => {
    const name = call.parameter(0);
    const { PAGE_WITH_SLASH, FILES } = await assets();
    if (name === "") return answer(call, PAGE_WITH_SLASH, PAGE_CACHE);
    const file = FILES.get(name);
    if (file !== undefined) return answer(call, file, FILE_CACHE);
    throw new ApiError("route_not_found", `The console has no file ${shown(name)}`);
  }),
];

const endpoint = (path: string, summary: string, handle: Endpoint["handle"]): Endpoint => ({
  method: "GET",
  path,
  access: { kind: "public" },
  query: NO_QUERY,
  docs: { summary, tag: "console", answer: "text", errors: [] },
  handle,
});

function answer({ request }: Call, asset: Asset, cacheControl: string): Response {
  const { contentType, bytes, gzipped, hash } = asset;
  const headers = { ...HEADERS, "cache-control": cacheControl, etag: `"${hash}"` };
  if (request.headers.get("if-none-match")?.includes(hash)) {
    return new Response(null, { status: 304, headers });
  }
  const takesGzip = /\bgzip\b(?!;q=0)/.test(request.headers.get("accept-encoding") ?? "");
  return new Response(takesGzip ? gzipped : bytes, {
    headers: {
      ...headers,
      "content-type": contentType,
      ...(takesGzip ? { "content-encoding": "gzip" } : {}),
    },
  });
}
