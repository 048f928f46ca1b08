/** Calls webhooks, but no address that only this machine or its network can reach. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { isPublicAddress } from "./public-address.ts";
import type { SenderAnswer, SenderRequest, WebhookSender } from "./webhook-sender.ts";

/** Addresses of one name that are tried. */
const ADDRESSES_MAX = 8;
/** Time for the body of an answer whose status is what counts. */
const BODY_MS = 1_000;
/** Nothing was sent if the connection fails in this way, so the next address may be tried. */
const NOT_CONNECTED = ["ECONNREFUSED", "ConnectionRefused", "FailedToOpenSocket", "EHOSTUNREACH"];

/** Returns the addresses of a name. */
export type Resolve = (host: string) => Promise<readonly string[]>;

const systemResolve: Resolve = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

export type SenderOptions = {
  /** Default: as the system resolves names. */
  readonly resolve?: Resolve;
  /** Certificates of authorities that are trusted besides the usual ones. */
  readonly ca?: readonly string[];
};

export class BunWebhookSender implements WebhookSender {
  readonly #allowed: ReadonlySet<string>;
  readonly #resolve: Resolve;
  readonly #ca: readonly string[] | undefined;

  /** @param allowed hosts that may be called by plain HTTP, and whatever their addresses are. */
  constructor(allowed: readonly string[], { resolve = systemResolve, ca }: SenderOptions = {}) {
    this.#allowed = new Set(allowed.map((host) => host.toLowerCase()));
    this.#resolve = resolve;
    this.#ca = ca;
  }

  check(text: string): string | null {
    if (!URL.canParse(text)) return `the URL ${JSON.stringify(text)} is malformed`;
    const url = new URL(text);
    if (url.username !== "" || url.password !== "") return "a URL must not have a user or password";
    if (url.protocol !== "http:" && url.protocol !== "https:") {
      return `the URL ${JSON.stringify(text)} must begin with https://`;
    }
    if (this.#isAllowed(url)) return null;
    const remedy = `unless RF_WEBHOOK_ALLOW names ${hostOf(url)}`;
    if (url.protocol !== "https:") return `the URL ${text} must begin with https:// ${remedy}`;
    const host = hostOf(url);
    const isLocal = host === "localhost" || host.endsWith(".localhost");
    if (isLocal || (isIP(host) !== 0 && !isPublicAddress(host))) {
      return `the host ${host} is not public: it must not be called ${remedy}`;
    }
    return null;
  }

  async send(request: SenderRequest): Promise<SenderAnswer> {
    const problem = this.check(request.url);
    if (problem !== null) throw new Error(problem);
    const url = new URL(request.url);
    const { timeoutMs } = request;
    const late = AbortSignal.timeout(timeoutMs);
    const signal = request.signal === undefined ? late : AbortSignal.any([late, request.signal]);
    try {
      const addresses = await until(signal, this.#addressesOf(url));
      return await this.#dialInTurn(url, addresses, request, signal);
    } catch (error) {
      throw late.aborted ? new Error(`no answer within ${timeoutMs} ms`) : error;
    }
  }

  /** @throws Error if one of the addresses must not be called. */
  async #addressesOf(url: URL): Promise<readonly string[]> {
    const host = hostOf(url);
    const addresses = isIP(host) === 0 ? await this.#resolve(host) : [host];
    if (addresses.length === 0) throw new Error(`${host} has no address`);
    const hidden = addresses.find((address) => !isPublicAddress(address));
    if (hidden !== undefined && !this.#isAllowed(url)) {
      throw new Error(`${host} has the address ${hidden}, which is not public`);
    }
    return addresses.slice(0, ADDRESSES_MAX);
  }

  async #dialInTurn(
    url: URL,
    addresses: readonly string[],
    request: SenderRequest,
    signal: AbortSignal,
  ): Promise<SenderAnswer> {
    for (const [at, address] of addresses.entries()) {
      try {
        return await this.#dial(url, address, request, signal);
      } catch (error) {
        const isLast = at === addresses.length - 1;
        if (isLast || !NOT_CONNECTED.includes(codeOf(error))) throw withoutAddress(error, url);
      }
    }
    throw new Error(`${hostOf(url)} has no address`);
  }

  /** Connects to the address that was checked. The name is in the Host header and in TLS. */
  async #dial(
    url: URL,
    address: string,
    request: SenderRequest,
    signal: AbortSignal,
  ): Promise<SenderAnswer> {
    const target = new URL(url);
    target.hostname = isIP(address) === 6 ? `[${address}]` : address;
    const host = hostOf(url);
    const serverName = isIP(host) === 0 ? { serverName: host } : {};
    const ca = this.#ca === undefined ? {} : { ca: [...this.#ca] };
    const options: BunFetchRequestInit & { readonly decompress: boolean } = {
      method: "POST",
      headers: { "accept-encoding": "identity", ...request.headers, host: url.host },
      body: request.body as string,
      // A redirect could lead to an address that must not be called, and so could a proxy.
      redirect: "manual",
      proxy: false as unknown as string,
      // A connection is checked for one name, so it is not used for another one.
      keepalive: false,
      // A small answer could become large.
      decompress: false,
      ...(url.protocol === "https:" ? { tls: { ...serverName, ...ca } } : {}),
      signal,
    };
    const answer = await fetch(target, options);
    const retryAfter = answer.headers.get("retry-after");
    return { status: answer.status, retryAfter, body: await beginningOf(answer, request, signal) };
  }

  #isAllowed(url: URL): boolean {
    return this.#allowed.has(hostOf(url)) || this.#allowed.has(url.host.toLowerCase());
  }
}

/** Without the brackets of an IPv6 address, and without the dot at the end of a name. */
const hostOf = ({ hostname }: URL): string =>
  hostname
    .toLowerCase()
    .replace(/^\[(.*)\]$/, "$1")
    .replace(/\.$/, "");

const codeOf = (error: unknown): string => String((error as { code?: unknown }).code ?? "");

/** The runtime names the address that was dialled; a reader knows the name. */
function withoutAddress(error: unknown, url: URL): Error {
  const code = codeOf(error);
  const reason = code === "" || code === "20" ? String((error as Error).message) : code;
  return new Error(`${hostOf(url)}: ${reason}`);
}

function until<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** Reads at most so many bytes, and closes the connection then. */
async function beginningOf(
  { body }: Response,
  { answerBytesMax, needsBody }: SenderRequest,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (body === null) return new Uint8Array(0);
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  const bound = needsBody ? signal : AbortSignal.any([signal, AbortSignal.timeout(BODY_MS)]);
  try {
    while (length < answerBytesMax) {
      const { done, value } = await until(bound, reader.read());
      if (done) break;
      chunks.push(value);
      length += value.length;
    }
  } catch (error) {
    if (needsBody) throw error;
  } finally {
    reader.cancel().catch(() => undefined);
  }
  return Buffer.concat(chunks).subarray(0, answerBytesMax);
}
