/** Answers with a file that the binary contains: conditional, compressed, with strict headers. */

import { NO_QUERY } from "../api/common.ts";
import type { Asset } from "../web/asset.ts";
import { chooseEncoding } from "./accept.ts";
import { weakTag } from "./compression.ts";
import { matchesTag } from "./conditional.ts";
import type { Endpoint, RequestContext } from "./request-context.ts";
import { bodyAnswer } from "./responses.ts";

const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  vary: "accept-encoding",
};

/** For pages, whose address stays while the content changes with the version. */
export const REVALIDATE = "no-cache";
/** For files whose name contains the hash of the content. */
export const IMMUTABLE = "public, max-age=31536000, immutable";

export function staticFile(
  { request }: RequestContext,
  asset: Asset,
  cacheControl: string,
): Response {
  const { contentType, bytes, gzipped, hash } = asset;
  const takesGzip = chooseEncoding(request.headers.get("accept-encoding"), ["gzip"]) !== null;
  const tag = `"${hash}"`;
  const etag = takesGzip ? weakTag(tag) : tag;
  const headers = { ...HEADERS, "cache-control": cacheControl, etag };
  if (matchesTag(request.headers.get("if-none-match"), hash)) {
    return new Response(null, { status: 304, headers });
  }
  return bodyAnswer(takesGzip ? gzipped : bytes, {
    headers: {
      ...headers,
      "content-type": contentType,
      ...(takesGzip ? { "content-encoding": "gzip" } : {}),
    },
  });
}

/** A public route for a browser: a page of the console or of the manual, or a file that it loads. */
export const staticEndpoint = (
  path: string,
  summary: string,
  handle: Endpoint["handle"],
): Endpoint => ({
  method: "GET",
  path,
  access: { kind: "public" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary,
    tag: "console",
    answer: "text",
    mediaTypes: ["text/html"],
    conditional: true,
    errors: ["route_not_found"],
  },
  handle,
});
