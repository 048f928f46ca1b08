/**
 * Headers of a forwarded write. All of them are passed on, so that a header that a route learns to
 * read later works through a follower too, except those that concern one connection only.
 */
import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { NodeApi } from "../node/api.ts";

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

/**
 * Tells the leader that a node has passed the request on: it is not passed on once more. The value
 * is the mark of that node, so a client cannot set it. See `NodeMarks`.
 */
export const FORWARDED_HEADER = "ayder-forwarded";
/**
 * The origin that the client knows the forwarding node by. It counts only beside a valid
 * `FORWARDED_HEADER`.
 */
export const ORIGIN_HEADER = "ayder-origin";

/** How nodes recognize requests of each other on the public port. */
export type NodeMarks = Pick<NodeApi, "nodeMark" | "isNodeMark">;

/** True if a node of the cluster has forwarded the request. */
export function isForwarded(marks: NodeMarks, headers: Headers): MaybePromise<boolean> {
  const mark = headers.get(FORWARDED_HEADER);
  return mark !== null && marks.isNodeMark(mark);
}

/** @param mark of this node. Headers between nodes that the client has sent are left out. */
export function forwardedRequestHeaders(from: Headers, mark: string): Headers {
  const headers = endToEnd(from);
  headers.delete(ORIGIN_HEADER);
  // Without it the runtime asks for compression that the client may not understand.
  if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity");
  headers.set(FORWARDED_HEADER, mark);
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
