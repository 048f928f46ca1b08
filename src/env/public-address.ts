/** Tells addresses of the public internet from those that only a machine or its network can reach. */
import { BlockList, isIP } from "node:net";

/** Special IPv4 addresses of the IANA registry, and the platform address of a large cloud. */
const SPECIAL_4 = new BlockList();
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["168.63.129.16", 32],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const) {
  SPECIAL_4.addSubnet(network, prefix, "ipv4");
}

/** IPv6 addresses outside of this block are not routed on the internet, */
const GLOBAL_6 = new BlockList();
GLOBAL_6.addSubnet("2000::", 3, "ipv6");
/** and these inside of it are special: protocols, tunnels with another address inside, examples. */
const SPECIAL_6 = new BlockList();
for (const [network, prefix] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const) {
  SPECIAL_6.addSubnet(network, prefix, "ipv6");
}

/** A NAT64 gateway translates these to the IPv4 address in their last 32 bits (RFC 6052). */
const NAT64 = /^64:ff9b::(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})$/;

/** @param address IPv4 in dotted decimals, or IPv6. Anything else is not public. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !SPECIAL_4.check(address, "ipv4");
  // A zone belongs to addresses of a link.
  if (family !== 6 || address.includes("%")) return false;
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const translated = NAT64.exec(canonical);
  if (translated !== null) return isPublicAddress(dotted(translated[1], translated[2]));
  return GLOBAL_6.check(canonical, "ipv6") && !SPECIAL_6.check(canonical, "ipv6");
}

const dotted = (high = "0", low = "0"): string =>
  [high, low].flatMap((half) => bytesOf(Number.parseInt(half, 16))).join(".");

const bytesOf = (half: number): number[] => [half >>> 8, half & 255];
