/**
 * Sends requests to a server or a cluster: finds the leader, follows redirects, retries.
 *
 * A request is retried if nothing was done (503, 429, no connection). After an unknown outcome only
 * requests that are safe to repeat are retried: reads, and writes with `repeatable`.
 */
import type { Membership } from "../api/cluster.ts";
import { readBounded } from "./answer-body.ts";
import { AyderError, asUnknown, badAnswer, errorOfAnswer, errorOfFetch } from "./errors.ts";
import type { Shape } from "./shape.ts";
import { MEMBERSHIP } from "./shapes.ts";
import { baseOf, isLoopback, leaderAddress } from "./url.ts";
import { decodeText } from "./values.ts";

/** The part of `fetch` that is used. */
export type FetchLike = (
  url: string,
  init: {
    readonly method: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly redirect: "manual";
    readonly signal: AbortSignal;
    readonly body?: Uint8Array | string;
    /** Only Bun uses this. False: no proxy, even if HTTP_PROXY is set. */
    readonly proxy?: string | false;
    /** False for a request that the runtime must not send twice. */
    readonly keepalive?: false;
  },
) => Promise<Response>;

/** A proxy, and the variable that names it, for errors. */
export type ProxyServer = { readonly url: string; readonly source: string };

export type ClientOptions = {
  /** Base address of a server. */
  readonly url?: string;
  /** Addresses of several nodes of a cluster; the client works while one of them can be reached. */
  readonly urls?: readonly string[];
  /**
   * Sent to these addresses and to the leader that one of them names, because that node has the
   * token already. It is never sent without TLS on behalf of an address with TLS.
   */
  readonly token?: string;
  /** Replaces `fetch`, for certificates, proxies and tests. @default globalThis.fetch */
  readonly fetch?: FetchLike;
  /** Total time for the retries of a request. @default 30_000 */
  readonly retryMs?: number;
  /** Time that one attempt waits for its answer. @default 10_000 */
  readonly attemptMs?: number;
  /** A longer answer is an error. @default 134_217_728 */
  readonly answerBytes?: number;
  /**
   * The proxy for an address, in Bun. Loopback addresses never use one.
   * @default the proxy of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY
   */
  readonly proxy?: (url: string) => ProxyServer | null;
  /** Called with each error that is followed by another attempt. */
  readonly onRetry?: (error: AyderError) => void;
};

export type CallOptions = {
  readonly signal?: AbortSignal | undefined;
  /** Overrides the value of the client. */
  readonly retryMs?: number | undefined;
};

export type Query = Readonly<Record<string, string | number | undefined>>;

export type Request = CallOptions & {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Percent-encoded path, from `/`. */
  readonly path: string;
  readonly query?: Query;
  readonly body?: Uint8Array | string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Executing the request twice has the same effect as once. GET is always repeatable. */
  readonly repeatable?: boolean;
  /** Time that the request allows the server to wait, added to `attemptMs`. */
  readonly waitMs?: number | undefined;
  /** The runtime must not send the request a second time after its connection broke. */
  readonly isSentOnce?: boolean;
  /** Codes of answers that the caller handles, so the request is not sent again. */
  readonly final?: readonly string[];
};

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
};

const RETRY_MS = 30_000;
const ATTEMPT_MS = 10_000;
const BACKOFF_MS_MIN = 25;
const BACKOFF_MS_MAX = 1_000;
const ANSWER_BYTES = 128 * 1024 * 1024;
/** Limit of redirects from one leader to another; more of them are a loop. */
const HOPS_MAX = 4;

export class Transport {
  readonly #seeds: readonly string[];
  readonly #token: string | undefined;
  readonly #fetch: FetchLike;
  readonly #options: ClientOptions;
  #seed = 0;
  #leader: string | null = null;

  constructor(options: ClientOptions) {
    const urls = options.urls ?? (options.url === undefined ? [] : [options.url]);
    if (urls.length === 0) throw new TypeError("createClient needs url or urls");
    this.#seeds = urls.map(baseOf);
    this.#token = options.token;
    // Platforms differ in the types of bodies; all of them accept these.
    this.#fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init as RequestInit));
    this.#options = options;
  }

  /** Address of the next request: the leader, once it is known. */
  get url(): string {
    return this.#leader ?? this.#seeds[this.#seed % this.#seeds.length] ?? "";
  }

  /** @throws AyderError, or the reason of the signal. */
  async send(request: Request): Promise<Answer> {
    const { signal, retryMs = this.#options.retryMs ?? RETRY_MS } = request;
    const end = performance.now() + retryMs;
    const reads = request.method === "GET";
    const repeatable = reads || request.repeatable === true;
    let isUnknown = false;
    for (let attempt = 0; ; attempt++) {
      signal?.throwIfAborted();
      const at = this.url;
      const answer = await this.#attempt(request);
      if (!(answer instanceof AyderError)) return answer;
      isUnknown ||= answer.outcome === "unknown" && !reads;
      const error = isUnknown ? asUnknown(answer) : answer;
      const isFinal = !answer.isRetriable || request.final?.includes(answer.code) === true;
      if (isFinal || (isUnknown && !repeatable)) throw error;
      const moved = this.#turnAway(at, answer);
      const delayMs = delayOf(answer, attempt, moved);
      if (performance.now() + delayMs > end) throw error;
      this.#options.onRetry?.(answer);
      await sleep(delayMs, signal);
    }
  }

  /**
   * @param shape is checked before any value of the answer is used.
   * @param read parses the answer; `JSON.parse` rounds integers beyond 2^53, which only users' data has.
   * @throws AyderError `bad_answer` for an answer of another shape.
   */
  async json<T>(
    request: Request,
    shape: Shape<T>,
    read: (text: string) => unknown = JSON.parse,
  ): Promise<T> {
    return this.parse(await this.send(request), request, shape, read);
  }

  /** The value of an answer; see `json`. */
  parse<T>(
    answer: Answer,
    request: Request,
    shape: Shape<T>,
    read: (text: string) => unknown = JSON.parse,
  ): T {
    return parsed(answer, this.url, shape, request.method === "GET", read);
  }

  async #attempt(request: Request): Promise<Answer | AyderError> {
    for (let hop = 0; hop < HOPS_MAX; hop++) {
      const base = this.url;
      const answer = await this.#once(base, request);
      if (answer instanceof AyderError) return answer;
      if (answer.status >= 200 && answer.status < 300) return answer;
      if (answer.status !== 307 && answer.status !== 308 && answer.status !== 0) {
        const server = { base, where: this.#where(base) };
        return errorOfAnswer(answer, decodeText(answer.bytes), server);
      }
      const leader = await this.#leaderBehind(base, request, answer);
      if (leader instanceof AyderError) return leader;
      this.#leader = leader;
    }
    return notLed("The nodes redirect to each other: there is no leader yet");
  }

  async #once(base: string, request: Request): Promise<Answer | AyderError> {
    const { signal, waitMs = 0 } = request;
    const headers: Record<string, string> = { ...request.headers };
    // On one machine compression only costs time. Other runtimes and browsers ask for it by default.
    if (isLoopback(base)) headers["accept-encoding"] = "identity";
    if (this.#token !== undefined) headers["authorization"] = `Bearer ${this.#token}`;
    const deadline = new Deadline((this.#options.attemptMs ?? ATTEMPT_MS) + waitMs, signal);
    const proxy = this.#proxyFor(base);
    try {
      const response = await this.#fetch(base + target(request), {
        method: request.method,
        headers,
        redirect: "manual",
        signal: deadline.signal,
        ...(request.body === undefined ? {} : { body: request.body }),
        ...(proxy === undefined ? {} : { proxy: proxy?.url ?? (false as const) }),
        ...(canBeSentTwice(request) ? { keepalive: false as const } : {}),
      });
      const bytes = await readBounded(response, this.#options.answerBytes ?? ANSWER_BYTES);
      return { status: response.status, headers: response.headers, bytes };
    } catch (error) {
      signal?.throwIfAborted();
      return errorOfFetch(
        deadline.signal.aborted ? deadline.signal.reason : error,
        this.#where(base),
      );
    } finally {
      deadline.clear();
    }
  }

  /** Undefined: the runtime chooses. */
  #proxyFor(base: string): ProxyServer | null | undefined {
    return isLoopback(base) ? null : this.#options.proxy?.(base);
  }

  /** The address for an error message, with the proxy that was used. */
  #where(base: string): string {
    const proxy = this.#proxyFor(base);
    return proxy ? `${base} through the proxy ${shownProxy(proxy)}` : base;
  }

  /** Browsers hide the target of a redirect (status 0), so it is read from the membership. */
  async #leaderBehind(
    base: string,
    request: Request,
    answer: Answer,
  ): Promise<string | AyderError> {
    const location = answer.headers.get("location");
    if (location !== null) return leaderOr(location, base, answer.status);
    const membership = { method: "GET", path: "/ha/membership", signal: request.signal } as const;
    const said = await this.#once(base, membership);
    if (said instanceof AyderError) return said;
    const address = said.status === 200 ? leaderOf(parsed(said, base, MEMBERSHIP, true)) : null;
    if (address === null) return notLed(`${base} knows no leader`);
    const scheme = base.startsWith("https:") ? "https" : "http";
    // With RF_COMPAT=ayder the address is a URL.
    const url = address.includes("://") ? address : `${scheme}://${address}`;
    return leaderOr(url, base, said.status);
  }

  /** Selects another node after an error. @returns whether there is another one. */
  #turnAway(from: string, { status }: AyderError): boolean {
    if (status === 429) return false;
    // Another request may have found a better node in the meantime.
    if (this.#leader === from || this.#leader === null) {
      this.#leader = null;
      this.#seed = (this.#seed + 1) % this.#seeds.length;
    }
    return this.url !== from;
  }
}

/**
 * `AbortSignal.any` and `timeout` in one object that can be cancelled. Otherwise thousands of
 * requests per second would leave timers behind, and listeners on long-lived signals.
 */
class Deadline {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #onAbort = () => this.#controller.abort(this.#outer?.reason);

  constructor(ms: number, outer: AbortSignal | undefined) {
    this.#outer = outer;
    const late = () => this.#controller.abort(new DOMException("no answer", "TimeoutError"));
    this.#timer = setTimeout(late, ms);
    outer?.addEventListener("abort", this.#onAbort, { once: true });
    if (outer?.aborted === true) this.#onAbort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#onAbort);
  }
}

const target = ({ path, query = {} }: Request): string => {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(String(value))}`],
  );
  return pairs.length === 0 ? path : `${path}?${pairs.join("&")}`;
};

/**
 * Bun sends a PUT or DELETE once more if its connection was used before and breaks before the
 * answer. A deletion that was done would then report that there was nothing to delete.
 */
const canBeSentTwice = ({ method, isSentOnce }: Request): boolean =>
  method === "PUT" || method === "DELETE" || isSentOnce === true;

/** Shows the proxy without the password that its address may contain. */
export function shownProxy({ url, source }: ProxyServer): string {
  const shown = url.replace(/^(\w+:\/\/)?[^/@]*@/, "$1");
  return `${shown} (${source})`;
}

function leaderOr(named: string, base: string, status: number): string | AyderError {
  try {
    return leaderAddress(named, base);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `${base} names a leader that is not followed, ${JSON.stringify(named)}: ${why}`;
    return badAnswer(message, status, "refused", cause);
  }
}

const notLed = (message: string): AyderError =>
  new AyderError(message, {
    code: "no_leader",
    status: 0,
    outcome: "refused",
    isRetriable: true,
  });

function parsed<T>(
  { bytes, status }: Answer,
  where: string,
  shape: Shape<T>,
  isRead: boolean,
  read: (text: string) => unknown = JSON.parse,
): T {
  const outcome = isRead ? "refused" : "unknown";
  let value: unknown;
  try {
    value = read(decodeText(bytes));
  } catch (cause) {
    throw badAnswer(
      `${where} answered ${status} with a body that is not JSON`,
      status,
      outcome,
      cause,
    );
  }
  const problem = shape(value, "");
  if (problem === null) return value as T;
  throw badAnswer(
    `${where} answered ${status}, but the answer is not from Ayder: ${problem}`,
    status,
    outcome,
  );
}

function leaderOf({ membership }: Membership): string | null {
  const leader = membership.nodes.find(({ node_id }) => node_id === membership.leader_id);
  // With RF_COMPAT=ayder, addresses are URLs.
  return leader?.http_addr.replace(/^https?:\/\//, "") || null;
}

/** Delay that grows with the attempts, with jitter so that clients do not return all at once. */
function delayOf({ retryAfterMs, status }: AyderError, attempt: number, moved: boolean): number {
  const most = Math.min(BACKOFF_MS_MIN * 2 ** Math.min(attempt, 10), BACKOFF_MS_MAX);
  const backoff = most / 2 + (Math.random() * most) / 2;
  // Another node does not need the time that this one asked for.
  if (retryAfterMs === undefined || (moved && status === 503)) return backoff;
  return Math.max(backoff, retryAfterMs);
}

/** @throws the reason of the signal. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
