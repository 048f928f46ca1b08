/** The HTTP server of `ayder serve`, on the main thread or on a separate one. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { type Config, ConfigError } from "../config/config.ts";
import { corsOriginsOf } from "../config/lists.ts";
import { parseTopology } from "../config/topology.ts";
import { COMMIT, VERSION } from "../config/version.ts";
import { listenOn } from "../env/cannot-listen.ts";
import { acknowledgedOn, ConnectionGuard } from "../env/connection-guard.ts";
import {
  type DescriptorPlan,
  descriptorLimit,
  openDescriptors,
  planDescriptors,
} from "../env/descriptors.ts";
import { memoryLimit, memoryShare } from "../env/memory.ts";
import { openTcpSockets } from "../env/tcp-sockets.ts";
import { createApp } from "../http/app.ts";
import type { HttpMemory, HttpOptions, SharedHttp } from "../http/options.ts";
import {
  IDLE_TIMEOUT_SECONDS_DEFAULT,
  listenAlone,
  type RunningServer,
  type ServerTls,
  type StartGuard,
  startServer,
} from "../http/server.ts";
import type { Instruments } from "../metrics/instruments.ts";
import type { Logger } from "../metrics/log.ts";
import type { Served } from "../node/port/calls.ts";
import { CertificateFiles } from "./certificate-files.ts";
import { readPem } from "./peer-network.ts";

export type HttpServer = Pick<RunningServer, "url" | "stop"> & {
  /** Reads the files of its certificate again, if it has one. */
  reload(): void;
};

/** The HTTP server of this thread. */
export type OwnHttpServer = HttpServer & Pick<RunningServer, "busyPorts">;

/** Place of a thread that serves HTTP beside the main thread, and perhaps beside others. */
export type ListenPlace = { readonly port: number; readonly shared: SharedHttp };

/**
 * @param instruments of the thread that calls.
 * @param place absent on the main thread. Elsewhere, the main thread bounds the connections.
 * @throws ConfigError, TokenSpecError, and what keeps the address from being listened on.
 */
export function listen(
  config: Config,
  served: Served,
  log: Logger,
  instruments: Instruments,
  place: ListenPlace | null = null,
): OwnHttpServer {
  const plan = descriptorPlan(config);
  const options = httpOptions(config, served, { log, instruments, place, plan });
  const app = createApp(served.node, options);
  instruments.httpThreads.value = 1;
  const wanted = wantedOf(config);
  const server = startServer(app, {
    listen: (bind) => listenOn(wanted, bind),
    host: wanted.host,
    port: place?.port ?? wanted.port,
    sharesPort: (place?.shared.threads ?? 1) > 1,
    tls: tlsOf(config),
    idleTimeoutSeconds: IDLE_TIMEOUT_SECONDS_DEFAULT,
    guard: place === null ? guardOf(config, log, instruments) : readsAcknowledged(plan),
    log,
  });
  return withCertificates(server, config, log);
}

type OptionParts = {
  readonly log: Logger;
  readonly instruments: Instruments;
  readonly place: ListenPlace | null;
  readonly plan: ReturnType<typeof descriptorPlan>;
};

/** The settings of the HTTP API, and what it serves. */
function httpOptions(
  config: Config,
  { cluster, streams, durable, queues, later, webhooks, exports, samples }: Served,
  { log, instruments, place, plan }: OptionParts,
): HttpOptions {
  return {
    auth: {
      tokens: config.tokens,
      metricsToken: config.metricsToken,
      skipPrefixes: config.authSkipPrefixes.split(",").filter((prefix) => prefix !== ""),
    },
    listenedOn: config.host,
    compat: config.compat === "ayder" ? "ayder" : "",
    limits: config,
    memory: memoryOf(config),
    compression: config.compression,
    defaultPartitions: config.defaultPartitions,
    rocket: config.rocket,
    redirectStatus: config.haRedirectStatus === "308" ? 308 : 307,
    retryAfterSeconds: config.haRetryAfter,
    tls: { http: config.tlsCert !== "", peers: config.haTls },
    ...(config.haFollowerWrites === "forward" ? { forwardWrites: config } : {}),
    ...(place === null ? {} : { shared: place.shared }),
    forwardPolls: { commitTimeoutMs: config.commitTimeoutMs },
    cluster,
    streams,
    queues,
    later,
    webhooks,
    exports,
    durable: {
      api: durable,
      longPollMs: config.streamLongPollMs,
      corsOrigins: corsOriginsOf(config),
    },
    version: VERSION,
    instruments,
    log,
    sources: {
      ha: () => samples.ha(),
      partitions: () => samples.partitionSizes(),
      groups: () => samples.groupLags(),
      views: () => samples.viewLags(),
      work: () => samples.work(),
      threads: () => samples.threads(),
      build: () => ({ version: VERSION, commit: COMMIT }),
      openFiles: () => {
        const open = openDescriptors();
        return open === null ? null : { open, max: plan.limit };
      },
    },
  };
}

/** Loads new certificates into the server when their files change. */
function withCertificates(server: RunningServer, config: Config, log: Logger): OwnHttpServer {
  if (config.tlsCert === "") return { ...server, reload: () => undefined };
  const files = new CertificateFiles({
    use: "HTTPS",
    paths: [config.tlsCert, config.tlsKey],
    renew: () => {
      const fresh = tlsOf(config);
      if (fresh !== null) server.renew(fresh);
    },
    log,
  });
  const endWatch = files.watch();
  return {
    url: server.url,
    busyPorts: () => server.busyPorts(),
    reload: () => files.reload(),
    stop: async (graceMs) => {
      endWatch();
      await server.stop(graceMs);
    },
  };
}

/** The address to listen on, and the settings that configure it. */
function wantedOf(config: Config) {
  const open = config.tokens === "" ? "127.0.0.1" : "0.0.0.0";
  const host = config.host === "" ? open : config.host;
  const port = portOf(config);
  const portSetting = "--port (0: any free one)";
  return { host, port, portSetting, hostSetting: "--host, RF_HTTP_ADDR" };
}

/**
 * Listens on the port without sharing it, which fails if another process listens there, and ends that
 * at once.
 *
 * @returns the port, also if any free one was asked for.
 * @throws ConfigError
 */
export async function reservePort(config: Config): Promise<number> {
  const wanted = wantedOf(config);
  const server = listenOn(wanted, () => listenAlone(wanted.host, wanted.port));
  const { port = wanted.port } = server;
  await server.stop(true);
  return port;
}

/** Shares of the file descriptors. A forwarded write needs a second connection. */
export function descriptorPlan(config: Config): DescriptorPlan {
  const plan = planDescriptors(descriptorLimit(), config.haFollowerWrites === "forward" ? 2 : 1);
  const asked = config.connectionsMax === 0 ? plan.connections : config.connectionsMax;
  return { ...plan, connections: Math.min(asked, plan.connections) };
}

function memoryOf({ answerBytesMax, bodyBytesMax, stalledAnswerMs }: Config): HttpMemory {
  const share = memoryShare(memoryLimit());
  return {
    answerBytesMax: answerBytesMax === 0 ? share : answerBytesMax,
    bodyBytesMax: bodyBytesMax === 0 ? share : bodyBytesMax,
    stalledAnswerMs,
  };
}

const CLOSED_LOG_EVERY_MS = 10_000;

/** Reads what the kernels of the clients have confirmed, and closes nothing. */
function readsAcknowledged(plan: DescriptorPlan): StartGuard {
  return (port) => {
    const sockets = openTcpSockets(plan.limit);
    return sockets && { stop: () => undefined, acknowledged: () => acknowledgedOn(sockets, port) };
  };
}

/** The bound on client connections of the public port. */
export function guardOf(config: Config, log: Logger, instruments: Instruments): StartGuard {
  const plan = descriptorPlan(config);
  return (port, busyPorts) => {
    const sockets = openTcpSockets(plan.limit);
    const fields = { open_files_limit: plan.limit, connections_limit: plan.connections };
    if (sockets === null) {
      log.info("connections are not limited, not supported on this system", fields);
      return null;
    }
    if (config.connectionsMax > plan.connections) {
      const asked = { asked: config.connectionsMax, ...fields };
      log.warn("RF_MAX_CONNECTIONS lowered to fit the limit on open files", asked);
    } else log.info("limits", fields);
    instruments.connectionsMax.value = plan.connections;
    let loggedAt = Number.NEGATIVE_INFINITY;
    return new ConnectionGuard({
      sockets,
      port,
      peerPort: raftPortOf(config),
      connectionsMax: plan.connections,
      busyPorts,
      counted: (connections) => {
        instruments.connections.value = connections;
      },
      closed: (closed, connections) => {
        instruments.connectionsClosed.value += closed;
        if (performance.now() - loggedAt < CLOSED_LOG_EVERY_MS) return;
        loggedAt = performance.now();
        log.warn("too many connections, closed idle ones", { closed, connections, ...fields });
      },
    });
  };
}

/** 0 for a single node. */
function raftPortOf(config: Config): number {
  if (!config.haEnabled) return 0;
  return parseTopology(config.haNodes).find(({ id }) => id === config.haNodeId)?.raftPort ?? 0;
}

/** In a cluster, the topology contains the address of this node, unless the port is configured. */
export function portOf(config: Config): number {
  if (!config.haEnabled || config.portGiven) return config.port;
  const own = parseTopology(config.haNodes).find(({ id }) => id === config.haNodeId);
  return own?.httpPort ?? config.port;
}

/** @throws ConfigError. */
export function tlsOf({ tlsCert, tlsKey }: Config): ServerTls | null {
  if (tlsCert === "" && tlsKey === "") return null;
  if (tlsCert === "" || tlsKey === "") {
    throw new ConfigError("RF_TLS_CERT and RF_TLS_KEY belong together: one of them is missing");
  }
  const tls = { cert: readPem("RF_TLS_CERT", tlsCert), key: readPem("RF_TLS_KEY", tlsKey) };
  checkPair(tls);
  return tls;
}

/** @throws ConfigError. The message does not contain any part of the key. */
function checkPair({ cert, key }: ServerTls): void {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    throw new ConfigError("RF_TLS_CERT has no certificate in PEM form");
  }
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(key);
  } catch {
    throw new ConfigError("RF_TLS_KEY is not a private key in PEM form, or has a passphrase");
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new ConfigError("RF_TLS_KEY is not the key of the certificate in RF_TLS_CERT");
  }
}
