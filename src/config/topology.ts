import type { NodeId } from "../lib/ids.ts";
import { parseDecimal } from "../lib/parse.ts";
import type { MemberAddress } from "../node/peers/members.ts";
import { isBareIPv6, wrongHost } from "./address.ts";
import { ConfigError } from "./config.ts";

/** A node id has 1 to 64 of these characters. */
export const NODE_ID = /^[A-Za-z0-9._-]{1,64}$/;
const PORT_MAX = 65_535;
const PRIORITY_MAX = 1_000_000;

/**
 * Parses `RF_HA_NODES`: `id:host:raft_port:priority[:http_port],…`. A host may be a name, an IPv4
 * address or an IPv6 address in brackets.
 *
 * @throws ConfigError naming the entry that is invalid.
 */
export function parseTopology(text: string): MemberAddress[] {
  const members = text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "")
    .map(parseMember);
  const seen = new Set<string>();
  for (const { id } of members) {
    if (seen.has(id)) throw new ConfigError(`RF_HA_NODES: "${id}" is named twice`);
    seen.add(id);
  }
  return members;
}

function parseMember(entry: string): MemberAddress {
  const wrong = (what: string) =>
    new ConfigError(
      `RF_HA_NODES: "${entry}": ${what}; an entry is id:host:raft_port:priority[:http_port]`,
    );
  const match = /^([^:]*):(\[[^\]]*\]|[^:]*):([^:]*):([^:]*)(?::([^:]*))?$/.exec(entry);
  if (match === null) throw wrong("it does not have four or five parts");
  const [, id = "", host = "", raftText = "", priorityText = "", httpText] = match;
  if (!NODE_ID.test(id)) throw wrong("the id is not 1 to 64 of A-Z a-z 0-9 . _ -");
  if (host === "") throw wrong("the host is missing");
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  const isBracketed = bare !== host;
  const problem = wrongHost(bare);
  if (problem !== null) throw wrong(`"${host}": ${problem}`);
  if (isBracketed && !isBareIPv6(bare)) throw wrong(`"${host}" is not an IPv6 address`);
  const port = (digits: string) => {
    const value = parseDecimal(digits);
    if (value === null || value < 1 || value > PORT_MAX) throw wrong(`"${digits}" is not a port`);
    return value;
  };
  const raftPort = port(raftText);
  const priority = parseDecimal(priorityText);
  if (priority === null || priority > PRIORITY_MAX) throw wrong("the priority is not a number");
  const httpPort = httpText === undefined ? raftPort + 1 : port(httpText);
  return { id: id as NodeId, host: bare, raftPort, priority, httpPort };
}
