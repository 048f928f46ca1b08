import { readFileSync } from "node:fs";
import { type Config, ConfigError } from "./config.ts";
import { BunClock } from "./env/bun-clock.ts";
import { BunNetwork, type NetworkTls } from "./env/bun-network.ts";
import type { Network, PeerIdentity } from "./env/network.ts";
import { TlsIdentity } from "./env/tls-identity.ts";
import type { MemberAddress } from "./node/members.ts";
import { TRANSPORT_LIMITS } from "./transport/limits.ts";

/** The Raft port of this node and, with TLS, who it can prove to be. */
export function peerNetworkOf(
  config: Config,
  own: MemberAddress,
): { readonly network: Network; readonly identity: PeerIdentity | null } {
  const tls = peerTlsOf(config);
  const network = new BunNetwork({
    host: listenHost(own.host),
    port: own.raftPort,
    tls,
    frameBytesMax: TRANSPORT_LIMITS.frameBytesMax,
  });
  const identity =
    tls === null
      ? null
      : new TlsIdentity({ tls, clock: new BunClock(), strictId: config.haTlsStrictId });
  return { network, identity };
}

/** A node that others find by a loopback address listens there only; else on every address. */
const listenHost = (host: string): string =>
  host === "localhost" || /^127\./.test(host) || host === "::1" ? host : "0.0.0.0";

function peerTlsOf(config: Config): NetworkTls | null {
  if (!config.haTls) return null;
  return {
    ca: readPem("RF_HA_TLS_CA", config.haTlsCa),
    cert: readPem("RF_HA_TLS_CERT", config.haTlsCert),
    key: readPem("RF_HA_TLS_KEY", config.haTlsKey),
  };
}

/** @throws ConfigError naming the variable; what is in the file is not shown. */
export function readPem(variable: string, path: string): string {
  if (path === "") throw new ConfigError(`${variable} is missing`);
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new ConfigError(`${variable}: ${path} cannot be read`, { cause });
  }
}
