import { nextTurn } from "./answer-streams.ts";
import type { BodyBytes } from "./body.ts";
import { isStreamUrl } from "./durable/cross-origin.ts";
import { ApiError, type ErrorCode, shown } from "./errors.ts";
import {
  forwardedAnswerHeaders,
  forwardedRequestHeaders,
  isForwarded,
  type NodeMarks,
  ORIGIN_HEADER,
} from "./forward-headers.ts";
import type { ForwardSlots } from "./forward-slots.ts";
import { pathStartOf } from "./raw-url.ts";

/** Time for both network directions, in addition to the leader's timeout of the write. */
const GRACE_MS = 1000;
/** Maximum wait for a free slot. After it the request is rejected, and nothing was done. */
const SLOT_WAIT_MS = 1000;
const TIMER_MS_MAX = 2 ** 31 - 1;
/** Maximum length of a forwarded response. Responses to writes are much shorter. */
export const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
/** Shorter responses are not counted as memory in use. */
const COUNTED_FROM_BYTES = 64 * 1024;

/**
 * Errors of a connection that was never established: nobody listens, there is no way to the host,
 * the name is unknown, this process has no descriptor left, or the certificate is not accepted.
 */
const UNSENT =
  /^(ECONNREFUSED|E(HOST|NET)(UNREACH|DOWN)|EADDRNOTAVAIL|EAFNOSUPPORT|EINVAL|E[MN]FILE|ENOTFOUND|EAI_AGAIN)$|CERT|ISSUER|LEAF_SIGNATURE/;
/**
 * The other side does not use TLS. A later TLS failure has the same code, so the text is compared.
 */
const NO_TLS = /^EPROTO: The TLS handshake failed/;

/** The part of a route that matters for forwarding. */
export type ForwardedRoute = { readonly method: string; readonly isPoll?: true };

export type Leader = {
  /** `http://host:port` or `https://host:port`. */
  readonly url: string;
  /** The leader's timeout of a write without `timeout_ms`. */
  readonly commitTimeoutMs: number;
  /** This node serves HTTPS, so the leader must as well. */
  readonly tls: boolean;
  readonly slots: ForwardSlots;
  readonly marks: NodeMarks;
};

/**
 * Forwards a write like `forward`. While nobody listens at the address of the leader, it waits for
 * another leader within the time of the write.
 *
 * @param leaderOf the leader as it is known now; null if it is this node, or none is known.
 */
export async function forwardWithin(
  route: ForwardedRoute,
  request: Request,
  leader: Leader,
  leaderOf: () => Leader | null,
  readBody: () => Promise<Uint8Array | null>,
  bodies: BodyBytes,
): Promise<Response> {
  let body: Promise<Uint8Array | null> | null = null;
  const readOnce = () => {
    body ??= readBody();
    return body;
  };
  const untilMs = performance.now() + timeoutOf(request.url, leader.commitTimeoutMs);
  for (let known = leader; ; known = leaderOf() ?? known) {
    try {
      return await forward(route, request, known, readOnce, bodies);
    } catch (error) {
      const mayWait = error instanceof Unreachable && performance.now() + PAUSE_MS < untilMs;
      if (!mayWait || request.signal.aborted) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** Nobody listens at the address of the leader, or there is no way to it. Nothing was sent. */
class Unreachable extends ApiError {}
const UNREACHABLE = /^E(CONNREFUSED|(HOST|NET)(UNREACH|DOWN))$/;
/** Time between two attempts to reach a leader. */
const PAUSE_MS = 50;

/**
 * Forwards a write to the leader and returns its response.
 *
 * @param readBody reads the body to its end before anything is sent, so that a broken upload never
 *   becomes half of a request; null: no body.
 * @throws ApiError `no_leader`, `not_leader` or `overloaded` if nothing was sent; `commit_timeout`
 *   if the request was sent and its answer did not arrive whole and in time: the outcome is
 *   unknown.
 */
export async function forward(
  route: ForwardedRoute,
  request: Request,
  leader: Leader,
  readBody: () => Promise<Uint8Array | null>,
  bodies: BodyBytes,
): Promise<Response> {
  if (await isForwarded(leader.marks, request.headers)) throw inCircle();
  if (route.isPoll === true) await unlessGone(request);
  const target = checkedAddress(leader) + request.url.slice(pathStartOf(request.url));
  const waitMs = waitOf(request.url, leader.commitTimeoutMs);
  const body = await readBody();
  const { slots } = leader;
  const mark = await leader.marks.nodeMark();
  const slot = slots.take(SLOT_WAIT_MS);
  if (slot !== true && !(await slot)) throw full(slots);
  try {
    const answer = await fetch(target, {
      method: route.method,
      headers: withOrigin(forwardedRequestHeaders(request.headers, mark), request, leader),
      redirect: "manual",
      // The leader is a peer: HTTP_PROXY is for requests that leave the cluster.
      proxy: false,
      // The response is returned to the client unchanged.
      decompress: false,
      // If a connection breaks before the answer and was used before, Bun sends any request but a
      // POST once more: a deletion that was done would be answered as one of nothing.
      keepalive: route.method === "POST",
      timeout: false,
      signal: endOf(route, request, waitMs),
      ...(body === null ? {} : { body: body as Uint8Array<ArrayBuffer> }),
    });
    const bytes = await readAnswer(answer, request, bodies);
    const init = { status: answer.status, headers: forwardedAnswerHeaders(answer.headers) };
    return new Response(bytes, init);
  } catch (error) {
    throw failure(error, leader.url, waitMs);
  } finally {
    slots.give();
  }
}

/** Answers that contain the address of the server have that of this node, which the client knows. */
function withOrigin(headers: Headers, { headers: given, url }: Request, { tls }: Leader): Headers {
  const host = given.get("host");
  if (host !== null && isStreamUrl(url)) {
    headers.set(ORIGIN_HEADER, `${tls ? "https" : "http"}://${host}`);
  }
  return headers;
}

/**
 * Reads the answer to its end, up to a bound.
 *
 * @returns null if there is no body, as with 204.
 */
async function readAnswer(
  answer: Response,
  request: Request,
  bodies: BodyBytes,
): Promise<Uint8Array<ArrayBuffer> | null> {
  if (answer.body === null) return null;
  const announced = answer.headers.get("content-length");
  if (announced !== null && Number(announced) <= COUNTED_FROM_BYTES) {
    return new Uint8Array(await answer.arrayBuffer());
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of answer.body) {
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) {
      throw new Error(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`);
    }
    if (length > COUNTED_FROM_BYTES) bodies.hold(request, chunk.length);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

const ADDRESS = /^(https?):\/\/(?:\[[\dA-Fa-f:.]+\]|[\w.-]+):(\d{1,5})$/;

/**
 * @returns the address of the leader.
 * @throws ApiError `no_leader` if it is not one that a request with a token may be sent to.
 */
function checkedAddress({ url, tls }: Leader): string {
  const [, scheme, port] = ADDRESS.exec(url) ?? [];
  // A URL cannot have a port beyond 65535 or an address such as 256.0.0.1.
  if (port === undefined || Number(port) === 0 || !URL.canParse(url)) {
    throw notSent("no_leader", `The address of the leader is ${shown(url)}, not http://host:port`);
  }
  if (tls && scheme !== "https") {
    const why = "this node serves HTTPS and does not pass requests on without it";
    throw notSent("no_leader", `The address of the leader is ${shown(url)}: ${why}`);
  }
  return url;
}

/**
 * Rejects if the client has gone away. A process that stood still finds the end of a connection
 * right behind the request. Without this look, a read that was given up long ago would take records
 * from a member that has joined again meanwhile.
 */
export async function unlessGone({ signal }: Request): Promise<void> {
  for (let i = 0; i < LOOKS && !signal.aborted; i++) await nextTurn();
  if (signal.aborted) throw gone();
}

/** Iterations of the event loop in which a connection is accepted, and its end is read. */
const LOOKS = 3;

const gone = (): ApiError => notSent("no_leader", "The client has closed the connection");

const inCircle = (): ApiError =>
  notSent(
    "not_leader",
    "The request came from another node, which takes this one for the leader, and it is not",
  );

const full = ({ max }: ForwardSlots): ApiError =>
  notSent(
    "overloaded",
    `${max} forwarded requests are under way, which is the limit (BUN_CONFIG_MAX_HTTP_REQUESTS)`,
  );

const notSent = (code: ErrorCode, what: string): ApiError =>
  new ApiError(code, `${what}; nothing was done, try again`);

function failure(error: unknown, url: string, waitMs: number): ApiError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const isLate = error instanceof Error && error.name === "TimeoutError";
  if (!isLate && isUnsent(error, code)) {
    const what = `The leader ${url} cannot be reached (${code})`;
    const unsent = notSent("no_leader", what);
    return UNREACHABLE.test(code) ? new Unreachable(unsent.code, unsent.message) : unsent;
  }
  const what = isLate
    ? `The leader ${url} did not answer in ${waitMs} ms`
    : `The answer of the leader ${url} was lost (${reasonOf(error, code)})`;
  return new ApiError(
    "commit_timeout",
    `${what}; the outcome is unknown; a retry with the same idempotency key or cas is safe`,
  );
}

const isUnsent = (error: unknown, code: string): boolean =>
  UNSENT.test(code) || (error instanceof Error && NO_TLS.test(error.message));

function reasonOf(error: unknown, code: string): string {
  if (error instanceof ApiError) return "there is no memory for it at present, RF_BODY_BYTES";
  if (/^E[A-Z]+$/.test(code)) return code;
  return error instanceof Error ? error.message : String(error);
}

/** A long poll ends with its client, so that nothing is given out to nobody. */
const endOf = ({ isPoll }: ForwardedRoute, request: Request, waitMs: number): AbortSignal =>
  isPoll === true
    ? AbortSignal.any([AbortSignal.timeout(waitMs), request.signal])
    : AbortSignal.timeout(waitMs);

/** The leader says what is wrong with these parameters; here they count only if they are numbers. */
function waitOf(url: string, commitTimeoutMs: number): number {
  const polls = /[?&]wait_ms=(\d+)(?:&|$)/.exec(url)?.[1];
  const givenMs = timeoutOf(url, commitTimeoutMs);
  return Math.min(givenMs + Number(polls ?? 0) + GRACE_MS, TIMER_MS_MAX);
}

function timeoutOf(url: string, commitTimeoutMs: number): number {
  const asked = /[?&]timeout_ms=(\d+)(?:&|$)/.exec(url)?.[1];
  return asked === undefined ? commitTimeoutMs : Number(asked);
}
