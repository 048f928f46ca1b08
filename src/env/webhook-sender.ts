/** Calls webhooks, but no address that only this machine or its network can reach. */
import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";

/** Time for the whole call. */
const CALL_MS = 10_000;
/** The rest of a longer answer is not read. */
const ANSWER_BYTES_MAX = 64 * 1024;

/** Addresses that are not public: loopback, private, link-local, multicast, and other special ones. */
const NOT_PUBLIC = new BlockList();
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const) {
  NOT_PUBLIC.addSubnet(network, prefix, "ipv4");
}
for (const [network, prefix] of [
  ["::", 96],
  ["::ffff:0:0", 96],
  ["64:ff9b::", 96],
  ["100::", 64],
  ["2001:db8::", 32],
  ["fc00::", 7],
  ["fe80::", 10],
  ["ff00::", 8],
] as const) {
  NOT_PUBLIC.addSubnet(network, prefix, "ipv6");
}

export const isPublicAddress = (address: string): boolean =>
  !NOT_PUBLIC.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");

export type SenderAnswer = { readonly status: number; readonly body: string };

export class BunWebhookSender {
  readonly #allowed: ReadonlySet<string>;

  /** @param allowed hosts that may be called by plain HTTP, and whatever their addresses are. */
  constructor(allowed: readonly string[]) {
    this.#allowed = new Set(allowed.map((host) => host.toLowerCase()));
  }

  /** @returns why the URL must not be called; null if it may be. */
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

  /** @throws Error if there is no answer in time, or the host has an address that is not public. */
  async post(
    text: string,
    headers: Readonly<Record<string, string>>,
    body: string,
  ): Promise<SenderAnswer> {
    const problem = this.check(text);
    if (problem !== null) throw new Error(problem);
    const url = new URL(text);
    if (!this.#isAllowed(url)) await refusePrivate(hostOf(url));
    const answer = await fetch(url, {
      method: "POST",
      headers: { ...headers },
      body,
      // A redirect could lead to an address that must not be called.
      redirect: "manual",
      signal: AbortSignal.timeout(CALL_MS),
    });
    return { status: answer.status, body: await beginningOf(answer) };
  }

  #isAllowed(url: URL): boolean {
    return this.#allowed.has(hostOf(url)) || this.#allowed.has(url.host.toLowerCase());
  }
}

const hostOf = ({ hostname }: URL): string => hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1");

async function refusePrivate(host: string): Promise<void> {
  if (isIP(host) !== 0) return;
  for (const { address } of await lookup(host, { all: true })) {
    if (!isPublicAddress(address)) {
      throw new Error(`${host} has the address ${address}, which is not public`);
    }
  }
}

async function beginningOf(answer: Response): Promise<string> {
  if (answer.body === null) return "";
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of answer.body) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) break;
  }
  return Buffer.concat(chunks).toString();
}
