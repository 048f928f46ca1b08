/** Selects the proxy of a request: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as in curl. */
import { BlockList, isIP } from "node:net";
import { isLoopback, type ProxyServer } from "../client/index.ts";
import { shownProxy } from "../client/transport.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** @returns null for a direct connection; requests to this machine are always direct. */
export function proxyFor(address: string, environment: Environment): ProxyServer | null {
  const { protocol } = new URL(address);
  const found = firstSet(
    [protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY", "ALL_PROXY"],
    environment,
  );
  if (found === null || isLoopback(address) || isExempt(address, environment)) return null;
  return { url: found.value, source: found.name };
}

/** For errors: ` through the proxy …`, or nothing. */
export function viaProxy(address: string, environment: Environment): string {
  const proxy = proxyFor(address, environment);
  return proxy === null ? "" : ` through the proxy ${shownProxy(proxy)}`;
}

/** Proxy option of Bun's `fetch`. False means no proxy, even if the environment names one. */
export const proxyOption = (address: string, environment: Environment): string | false =>
  proxyFor(address, environment)?.url ?? false;

/** The lower-case name takes precedence, as in curl. */
function firstSet(names: readonly string[], environment: Environment) {
  for (const name of names.flatMap((each) => [each.toLowerCase(), each])) {
    const value = environment[name];
    if (value !== undefined && value !== "") return { name, value };
  }
  return null;
}

function isExempt(address: string, environment: Environment): boolean {
  const { hostname, port, protocol } = new URL(address);
  const target = { host: bare(hostname), port: port || (protocol === "https:" ? "443" : "80") };
  const entries = firstSet(["NO_PROXY"], environment)?.value.split(/[\s,]+/) ?? [];
  return entries.some((entry) => entry !== "" && covers(entry.toLowerCase(), target));
}

/** True if an entry of NO_PROXY matches: `*`, `example.com` and its subdomains, `.example.com`, `host:port`, `10.0.0.0/8`, `[::1]:80`. */
function covers(entry: string, { host, port }: { host: string; port: string }): boolean {
  if (entry === "*") return true;
  if (entry.includes("/")) return inNetwork(entry, host);
  const match = isIP(entry) === 6 ? null : /^(.*):(\d+)$/.exec(entry);
  const [, name = entry, only = port] = match ?? [];
  const wanted = bare(name).replace(/^\*?\./, "");
  return only === port && (host === wanted || (isIP(host) === 0 && host.endsWith(`.${wanted}`)));
}

function inNetwork(entry: string, host: string): boolean {
  const [network = "", bits = ""] = entry.split("/");
  const version = isIP(bare(network));
  const most = version === 4 ? 32 : 128;
  if (version === 0 || isIP(host) !== version || !/^\d{1,3}$/.test(bits) || +bits > most)
    return false;
  const list = new BlockList();
  const family = version === 4 ? "ipv4" : "ipv6";
  list.addSubnet(bare(network), +bits, family);
  return list.check(host, family);
}

const bare = (host: string): string => host.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
