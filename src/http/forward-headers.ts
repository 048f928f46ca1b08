/**
 * Headers of a forwarded write. All of them are passed on, so that a header that a route learns to
 * read later works through a follower too, except those that concern one connection only.
 */

/** RFC 9110, section 7.6.1, and what belongs to the framing of one message. */
const ONE_CONNECTION = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Tells the leader that a node has passed the request on: it is not passed on once more. */
export const FORWARDED_HEADER = "ayder-forwarded";

export function forwardedRequestHeaders(from: Headers): Headers {
  const headers = endToEnd(from);
  // Without it the runtime asks for compression that the client may not understand.
  if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity");
  headers.set(FORWARDED_HEADER, "1");
  return headers;
}

export function forwardedAnswerHeaders(from: Headers): Headers {
  const headers = endToEnd(from);
  // This node's server writes its own.
  headers.delete("date");
  return headers;
}

/** Also without the headers that Connection names. */
function endToEnd(from: Headers): Headers {
  const headers = new Headers(from);
  for (const name of ONE_CONNECTION) headers.delete(name);
  for (const name of (from.get("connection") ?? "").split(",")) {
    const option = name.trim();
    if (TOKEN.test(option)) headers.delete(option);
  }
  return headers;
}

/** A header name by RFC 9110; `Headers` throws for anything else. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
