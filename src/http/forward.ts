import type { Route } from "./call.ts";
import { ApiError } from "./errors.ts";
import { pathStartOf } from "./raw-url.ts";

/** What of a request and of its answer is passed on; the rest belongs to one connection. */
const REQUEST_HEADERS = ["authorization", "content-type", "accept", "idempotency-key"];
const ANSWER_HEADERS = ["content-type", "retry-after", "etag", "www-authenticate", "allow"];

/**
 * Passes a write on to the leader and the answer back. The body is read whole first, so that a
 * broken upload is never half of a request.
 *
 * @throws ApiError `no_leader` if the leader cannot be reached: then nothing was done, or, if the
 *   way back broke, the outcome is unknown and the answer is `commit_timeout`.
 */
export async function forward(
  route: Route,
  request: Request,
  leaderUrl: string,
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
    answer = await fetch(leaderUrl + url.slice(pathStartOf(url)), {
      method: route.method,
      headers,
      redirect: "manual",
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
    const refused = error instanceof Error && "code" in error && error.code === "ConnectionRefused";
    throw new ApiError(refused ? "no_leader" : "commit_timeout");
  }
}
