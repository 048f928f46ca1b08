import type { Route } from "./call.ts";
import { ApiError } from "./errors.ts";
import { pathStartOf } from "./raw-url.ts";

/** What of a request and of its answer is passed on; the rest belongs to one connection. */
const REQUEST_HEADERS = ["authorization", "content-type", "accept", "idempotency-key"];
const ANSWER_HEADERS = [
  "content-type",
  "retry-after",
  "etag",
  "www-authenticate",
  "allow",
  // Of a leader that is none any more, and does not pass writes on itself.
  "location",
];

/** For the way there and back, beyond the time that the leader gives the write. */
const GRACE_MS = 1000;
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Reasons to hang up that come before anything is sent: nobody listens, or it is not the leader. */
const UNSENT = /^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND)$|CERT|ISSUER|LEAF_SIGNATURE/;

export type Leader = {
  readonly url: string;
  /** What a write without a time of its own gets there. */
  readonly commitTimeoutMs: number;
};

/**
 * Passes a write on to the leader and the answer back. The body is read whole first, so that a
 * broken upload is never half of a request.
 *
 * @throws ApiError `no_leader` if the leader cannot be reached: then nothing was done; or, if the
 *   way back broke or it is silent, the outcome is unknown and the answer is `commit_timeout`.
 */
export async function forward(
  route: Route,
  request: Request,
  leader: Leader,
  body: Uint8Array | null,
): Promise<Response> {
  const { url } = request;
  const headers = new Headers();
  for (const name of REQUEST_HEADERS) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  let answer: Response;
  try {
    answer = await fetch(leader.url + url.slice(pathStartOf(url)), {
      method: route.method,
      headers,
      redirect: "manual",
      // The leader is a peer: HTTP_PROXY is for requests that leave the cluster.
      proxy: false,
      signal: AbortSignal.timeout(waitMs(url, leader.commitTimeoutMs)),
      ...(body === null ? {} : { body: body.slice() }),
    });
    const bytes = await answer.arrayBuffer();
    const kept = new Headers();
    for (const name of ANSWER_HEADERS) {
      const value = answer.headers.get(name);
      if (value !== null) kept.set(name, value);
    }
    return new Response(bytes, { status: answer.status, headers: kept });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new ApiError(UNSENT.test(code) ? "no_leader" : "commit_timeout");
  }
}

/** The leader says what is wrong with a `timeout_ms`; here it counts only if it is a number. */
function waitMs(url: string, commitTimeoutMs: number): number {
  const asked = /[?&]timeout_ms=(\d+)/.exec(url)?.[1];
  const givenMs = asked === undefined ? commitTimeoutMs : Math.max(Number(asked), commitTimeoutMs);
  return Math.min(givenMs + GRACE_MS, TIMER_MS_MAX);
}
