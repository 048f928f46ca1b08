/** Host names and addresses in the settings and the topology. */
import { isIPv4, isIPv6 } from "node:net";

const LABEL = /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/;
const NAME_CHARACTERS_MAX = 253;

export const isBareIPv6 = (host: string): boolean => isIPv6(host);

/**
 * @param host a name, an IPv4 address, or an IPv6 address without brackets.
 * @returns the fault of the host for a message; null if it is valid.
 */
export function wrongHost(host: string): string | null {
  if (isIPv4(host) || isIPv6(host)) return null;
  if (host.includes("://")) return "it is a URL, and a host name or an address is needed";
  if (host.includes(":") || /[[\]]/.test(host)) {
    return "it is not an IPv6 address; with a port it is written [::1]:1109";
  }
  const labels = host.replace(/\.$/, "").split(".");
  const isName = host.length <= NAME_CHARACTERS_MAX && labels.every((label) => LABEL.test(label));
  if (!isName) return "it is not a host name or an address";
  // RFC 3696, section 2: no top-level name is all digits, so this was meant as an address.
  if (/^\d+$/.test(labels.at(-1) ?? "")) return "it is not an IPv4 address";
  return null;
}

/** Formats a host for use before a port or in a URL. A zone is escaped there (RFC 6874). */
export const bracketed = (host: string): string =>
  host.includes(":") ? `[${host.replace("%", "%25")}]` : host;
