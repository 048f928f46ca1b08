/**
 * Requests to a server or to a cluster: finds the leader, follows it, tries again.
 *
 * Tried again is what nothing was done of (503, 429, no connection); after an unknown outcome only
 * what does no harm twice: reads, and writes that say so by `repeatable`.
 */
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
    /** For Bun, others ignore it. False: none, whatever HTTP_PROXY says. */
    readonly proxy?: string | false;
  },
) => Promise<Response>;

/** A proxy, and where it comes from, for errors. */
export type ProxyServer = { readonly url: string; readonly source: string };

export type ClientOptions = {
  /** Base address of a server. */
  readonly url?: string;
  /** Of several nodes of a cluster; the client goes on while one of them can be reached. */
  readonly urls?: readonly string[];
  /**
   * Sent to these addresses, and to the leader that one of them names: whoever names it has the
   * token already. It is never sent without TLS on behalf of an address with TLS.
   */
  readonly token?: string;
  /** For certificates, proxies, tests. @default globalThis.fetch */
  readonly fetch?: FetchLike;
  /** A request is tried again for this long in all. @default 30_000 */
  readonly retryMs?: number;
  /** One attempt waits this long for its answer. @default 10_000 */
  readonly attemptMs?: number;
  /** A longer answer is an error. @default 134_217_728 */
  readonly answerBytes?: number;
  /**
   * The proxy for an address, in Bun. Addresses of this machine never have one.
   * @default what HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say
   */
  readonly proxy?: (url: string) => ProxyServer | null;
  /** Told of each error that is followed by another attempt. */
  readonly onRetry?: (error: AyderError) => void;
};

export type CallOptions = {
  readonly signal?: AbortSignal | undefined;
  /** Instead of that of the client. */
  readonly retryMs?: number | undefined;
};

export type Query = Readonly<Record<string, string | number | undefined>>;

export type Request = CallOptions & {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** With escapes, from `/`. */
  readonly path: string;
  readonly query?: Query;
  readonly body?: Uint8Array | string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Carried out twice it has the effect of once. GET always is. */
  readonly repeatable?: boolean;
  /** The server may take this long by request, on top of `attemptMs`. */
  readonly waitMs?: number | undefined;
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
/** A leader that sends us on names another one; more hops than this are a circle. */
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
    // Platforms differ in the types of bodies, and all take these.
    this.#fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init as RequestInit));
    this.#options = options;
  }

  /** Where the next request goes: the leader once it is known. */
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
      if (!answer.isRetriable || (isUnknown && !repeatable)) throw error;
      const moved = this.#turnAway(at, answer);
      const delayMs = delayOf(answer, attempt, moved);
      if (performance.now() + delayMs > end) throw error;
      this.#options.onRetry?.(answer);
      await sleep(delayMs, signal);
    }
  }

  /**
   * @param shape what is checked before anybody uses a value of it.
   * @param read the parser; `JSON.parse` rounds integers beyond 2^53, which only users' data has.
   * @throws AyderError `bad_answer` for an answer of another shape.
   */
  async json(
    request: Request,
    shape: Shape,
    read: (text: string) => unknown = JSON.parse,
  ): Promise<unknown> {
    const answer = await this.send(request);
    return parsed(answer, this.url, shape, request.method === "GET", read);
  }

  async #attempt(request: Request): Promise<Answer | AyderError> {
    for (let hop = 0; hop < HOPS_MAX; hop++) {
      const base = this.url;
      const answer = await this.#once(base, request);
      if (answer instanceof AyderError) return answer;
      if (answer.status >= 200 && answer.status < 300) return answer;
      if (answer.status !== 307 && answer.status !== 308 && answer.status !== 0) {
        const retryAfter = answer.headers.get("retry-after");
        return errorOfAnswer(
          answer.status,
          decodeText(answer.bytes),
          retryAfter,
          this.#where(base),
        );
      }
      const leader = await this.#leaderBehind(base, request, answer);
      if (leader instanceof AyderError) return leader;
      this.#leader = leader;
    }
    return notLed("The nodes send each other's clients around: there is no leader yet");
  }

  async #once(base: string, request: Request): Promise<Answer | AyderError> {
    const { signal, waitMs = 0 } = request;
    const headers: Record<string, string> = { ...request.headers };
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

  /** Undefined: what the runtime chooses. */
  #proxyFor(base: string): ProxyServer | null | undefined {
    return isLoopback(base) ? null : this.#options.proxy?.(base);
  }

  /** The address for an error, with the proxy that was used. */
  #where(base: string): string {
    const proxy = this.#proxyFor(base);
    return proxy ? `${base} through the proxy ${shownProxy(proxy)}` : base;
  }

  /** Browsers hide where a redirect goes (status 0); the membership says it too. */
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
    // With RF_COMPAT=ayder it is a URL.
    const url = address.includes("://") ? address : `${scheme}://${address}`;
    return leaderOr(url, base, said.status);
  }

  /** Leaves a node that failed. @returns whether there is another one to ask. */
  #turnAway(from: string, { status }: AyderError): boolean {
    if (status === 429) return false;
    // Unless another request has found a better one meanwhile.
    if (this.#leader === from || this.#leader === null) {
      this.#leader = null;
      this.#seed = (this.#seed + 1) % this.#seeds.length;
    }
    return this.url !== from;
  }
}

/**
 * `AbortSignal.any` and `timeout` in one that can be taken back: thousands of requests a second
 * would leave as many timers behind, and listeners on a signal that lives for long.
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

/** Names the proxy without the password that may be in its address. */
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

function parsed(
  { bytes, status }: Answer,
  where: string,
  shape: Shape,
  isRead: boolean,
  read: (text: string) => unknown = JSON.parse,
): unknown {
  const outcome = isRead ? "refused" : "unknown";
  let value: unknown;
  try {
    value = read(decodeText(bytes));
  } catch (cause) {
    throw badAnswer(`${where} answered ${status} with what is no JSON`, status, outcome, cause);
  }
  const problem = shape(value, "");
  if (problem === null) return value;
  throw badAnswer(
    `${where} answered ${status}, but not as Ayder does: ${problem}`,
    status,
    outcome,
  );
}

type WireMembership = {
  readonly membership?: {
    readonly leader_id: string | null;
    readonly nodes: readonly { readonly node_id: string; readonly http_addr: string }[];
  };
};
function leaderOf(answer: unknown): string | null {
  const { membership } = answer as WireMembership;
  const leader = membership?.nodes.find(({ node_id }) => node_id === membership.leader_id);
  // With RF_COMPAT=ayder, addresses are URLs.
  return leader?.http_addr.replace(/^https?:\/\//, "") || null;
}

/** Grows with the attempts, with chance in it, so that many clients do not come back at once. */
function delayOf({ retryAfterMs, status }: AyderError, attempt: number, moved: boolean): number {
  const most = Math.min(BACKOFF_MS_MIN * 2 ** Math.min(attempt, 10), BACKOFF_MS_MAX);
  const backoff = most / 2 + (Math.random() * most) / 2;
  // Another node need not wait for what this one waits for.
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
