import { readFileSync, statSync } from "node:fs";
import { type Config, ConfigError } from "./config.ts";
import { BunClock } from "./env/bun-clock.ts";
import { BunNetwork, type NetworkTls } from "./env/bun-network.ts";
import type { Network, PeerIdentity } from "./env/network.ts";
import { TlsIdentity } from "./env/tls-identity.ts";
import type { Logger } from "./metrics/log.ts";
import type { MemberAddress } from "./node/members.ts";
import { TRANSPORT_LIMITS } from "./transport/limits.ts";

const CHECK_EVERY_MS = 10_000;

/** What of the settings says how nodes talk to each other. */
export type PeerSettings = Pick<
  Config,
  "haTls" | "haTlsCa" | "haTlsCert" | "haTlsKey" | "haTlsStrictId"
>;

export type PeerNetwork = {
  readonly network: Network;
  /** Null, as the papers: without TLS. */
  readonly identity: PeerIdentity | null;
  readonly papers: PeerPapers | null;
};

/** The Raft port of this node and, with TLS, who it can prove to be. */
export function peerNetworkOf(
  settings: PeerSettings,
  own: Pick<MemberAddress, "host" | "raftPort">,
  log: Logger,
): PeerNetwork {
  const tls = settings.haTls ? readTls(settings) : null;
  const network = new BunNetwork({
    host: listenHost(own.host),
    port: own.raftPort,
    tls,
    frameBytesMax: TRANSPORT_LIMITS.frameBytesMax,
  });
  if (tls === null) return { network, identity: null, papers: null };
  const strictId = settings.haTlsStrictId;
  const identity = new TlsIdentity({ tls, clock: new BunClock(), strictId });
  const renew = (fresh: NetworkTls) => {
    identity.renew(fresh);
    network.renew(fresh);
  };
  return { network, identity, papers: new PeerPapers(settings, renew, log) };
}

/**
 * The files of this node's certificate. New ones are taken for the links that are made from then on,
 * without a restart: within some seconds of their change, or at once on SIGHUP. What cannot serve
 * is logged, and the old ones stay.
 */
export class PeerPapers {
  readonly #settings: PeerSettings;
  readonly #renew: (tls: NetworkTls) => void;
  readonly #log: Logger;
  #seen: string;

  /** @param renew throws if they cannot serve, with the old ones in force. */
  constructor(settings: PeerSettings, renew: (tls: NetworkTls) => void, log: Logger) {
    this.#settings = settings;
    this.#renew = renew;
    this.#log = log;
    this.#seen = this.#stamp();
  }

  /** @returns the function that ends it. */
  watch(): () => void {
    const timer = setInterval(() => this.check(), CHECK_EVERY_MS);
    timer.unref();
    const reload = () => this.reload();
    process.on("SIGHUP", reload);
    return () => {
      clearInterval(timer);
      process.off("SIGHUP", reload);
    };
  }

  /** Reads the files if they have changed since they were last read. */
  check(): void {
    if (this.#stamp() !== this.#seen) this.reload();
  }

  reload(): void {
    // Before they are read: what changes meanwhile is seen the next time.
    this.#seen = this.#stamp();
    try {
      this.#renew(readTls(this.#settings));
      this.#log.info("new certificates are in use for new links between nodes");
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#log.error("the new certificates are not used, the old ones stay", { reason });
    }
  }

  #stamp(): string {
    const { haTlsCa, haTlsCert, haTlsKey } = this.#settings;
    return [haTlsCa, haTlsCert, haTlsKey].map(stampOf).join(" ");
  }
}

function stampOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? "absent" : `${found.mtimeMs}/${found.size}/${found.ino}`;
}

/**
 * A node that others find by a loopback address listens there only; else on every address, with
 * those of IPv6 if it is one of them.
 */
function listenHost(host: string): string {
  if (host === "localhost" || /^127\./.test(host) || host === "::1") return host;
  return host.includes(":") ? "::" : "0.0.0.0";
}

const readTls = ({ haTlsCa, haTlsCert, haTlsKey }: PeerSettings): NetworkTls => ({
  ca: readPem("RF_HA_TLS_CA", haTlsCa),
  cert: readPem("RF_HA_TLS_CERT", haTlsCert),
  key: readPem("RF_HA_TLS_KEY", haTlsKey),
});

/** @throws ConfigError naming the variable; what is in the file is not shown. */
export function readPem(variable: string, path: string): string {
  if (path === "") throw new ConfigError(`${variable} is missing`);
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new ConfigError(`${variable}: ${path} cannot be read`, { cause });
  }
}
