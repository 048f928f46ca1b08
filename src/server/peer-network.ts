import { readFileSync } from "node:fs";
import { type Config, ConfigError } from "../config/config.ts";
import { isLoopbackHost } from "../config/peer-secret.ts";
import { BunClock } from "../env/bun-clock.ts";
import { BunNetwork, type NetworkTls } from "../env/bun-network.ts";
import { descriptorLimit } from "../env/descriptors.ts";
import { LinkAdmission } from "../env/link-admission.ts";
import type { Network, PeerIdentity, PeerSecret } from "../env/network.ts";
import { openTcpSockets } from "../env/tcp-sockets.ts";
import { TlsIdentity } from "../env/tls-identity.ts";
import type { Logger } from "../metrics/log.ts";
import type { MemberAddress } from "../node/peers/members.ts";
import { handshakeBytesMax, TRANSPORT_LIMITS } from "../transport/limits.ts";
import { CertificateFiles } from "./certificate-files.ts";

/** The settings of the connections between nodes. */
export type PeerSettings = Pick<
  Config,
  "haListen" | "haTls" | "haTlsCa" | "haTlsCert" | "haTlsKey" | "haTlsStrictId"
>;

export type PeerNetwork = {
  readonly network: Network;
  /** Null without TLS, as are the certificates. */
  readonly identity: PeerIdentity | null;
  readonly certificates: CertificateFiles | null;
};

/** Creates the network of the Raft port and, with TLS, the identity of this node. */
export function peerNetworkOf(
  settings: PeerSettings,
  own: Pick<MemberAddress, "id" | "host" | "raftPort">,
  secret: PeerSecret | null,
  log: Logger,
): PeerNetwork {
  const tls = settings.haTls ? readTls(settings) : null;
  const network = new BunNetwork({
    host: settings.haListen === "" ? listenHost(own.host) : settings.haListen,
    hostSetting: settings.haListen === "" ? "RF_HA_NODES" : "RF_HA_LISTEN",
    port: own.raftPort,
    tls,
    frameBytesMax: TRANSPORT_LIMITS.frameBytesMax,
    unverifiedBytesMax: handshakeBytesMax(tls !== null),
    unverifiedMax: TRANSPORT_LIMITS.pendingLinksMax,
    openingMs: TRANSPORT_LIMITS.handshakeTimeoutMs,
    admission: secret === null ? null : new LinkAdmission(secret, own.id),
    sockets: openTcpSockets(descriptorLimit()),
  });
  if (tls === null) return { network, identity: null, certificates: null };
  const strictId = settings.haTlsStrictId;
  const identity = new TlsIdentity({ tls, clock: new BunClock(), strictId });
  const certificates = new CertificateFiles({
    use: "links between nodes",
    paths: [settings.haTlsCa, settings.haTlsCert, settings.haTlsKey],
    renew: () => {
      const fresh = readTls(settings);
      identity.renew(fresh);
      network.renew(fresh);
    },
    log,
  });
  return { network, identity, certificates };
}

/**
 * Returns the listen host. A node with a loopback address listens on that address only. Others
 * listen on all addresses, including IPv6 if the host is an IPv6 address.
 */
function listenHost(host: string): string {
  if (isLoopbackHost(host)) return host;
  return host.includes(":") ? "::" : "0.0.0.0";
}

const readTls = ({ haTlsCa, haTlsCert, haTlsKey }: PeerSettings): NetworkTls => ({
  ca: readPem("RF_HA_TLS_CA", haTlsCa),
  cert: readPem("RF_HA_TLS_CERT", haTlsCert),
  key: readPem("RF_HA_TLS_KEY", haTlsKey),
});

/** @throws ConfigError naming the variable. The content of the file is never shown. */
export function readPem(variable: string, path: string): string {
  if (path === "") throw new ConfigError(`${variable} is missing`);
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new ConfigError(`${variable}: ${path} cannot be read`, { cause });
  }
}
