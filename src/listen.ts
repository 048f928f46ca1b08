/** The HTTP side of `ayder serve`: the same on the node's own thread and on another one. */
import { type Config, ConfigError } from "./config.ts";
import { createApp } from "./http/app.ts";
import type { HttpOptions } from "./http/options.ts";
import { IDLE_TIMEOUT_SECONDS_DEFAULT, type RunningServer, startServer } from "./http/server.ts";
import type { Instruments } from "./metrics/instruments.ts";
import type { Logger } from "./metrics/log.ts";
import type { Served } from "./node/port-calls.ts";
import { readPem } from "./peer-network.ts";
import { parseTopology } from "./topology.ts";
import { COMMIT, VERSION } from "./version.ts";

export type HttpServer = Pick<RunningServer, "url" | "stop">;

/**
 * @param instruments of the thread that calls.
 * @throws ConfigError, TokenSpecError, and what keeps the address from being listened on.
 */
export function listen(
  config: Config,
  { node, cluster, streams, samples }: Served,
  log: Logger,
  instruments: Instruments,
): HttpServer {
  const options: HttpOptions = {
    auth: {
      tokens: config.tokens,
      skipPrefixes: config.authSkipPrefixes.split(",").filter((prefix) => prefix !== ""),
    },
    listenedOn: config.host,
    compat: config.compat === "ayder" ? "ayder" : "",
    limits: config,
    defaultPartitions: config.defaultPartitions,
    rocket: config.rocket,
    redirectStatus: config.haRedirectStatus === "308" ? 308 : 307,
    retryAfterSeconds: config.haRetryAfter,
    ...(config.haFollowerWrites === "forward" ? { forwardWrites: config } : {}),
    cluster,
    streams,
    version: VERSION,
    instruments,
    log,
    sources: {
      ha: () => samples.ha(),
      groups: () => samples.groupLags(),
      views: () => samples.viewLags(),
      threads: () => samples.threads(),
      build: () => ({ version: VERSION, commit: COMMIT }),
    },
  };
  const app = createApp(node, options);
  const open = config.tokens === "" ? "127.0.0.1" : "0.0.0.0";
  return startServer(app, {
    host: config.host === "" ? open : config.host,
    port: portOf(config),
    tls: tlsOf(config),
    idleTimeoutSeconds: IDLE_TIMEOUT_SECONDS_DEFAULT,
    log,
  });
}

/** In a cluster the topology says where this node is found, unless the port is given. */
export function portOf(config: Config): number {
  if (!config.haEnabled || config.portGiven) return config.port;
  const own = parseTopology(config.haNodes).find(({ id }) => id === config.haNodeId);
  return own?.httpPort ?? config.port;
}

/** @throws ConfigError. */
export function tlsOf({ tlsCert, tlsKey }: Config): { cert: string; key: string } | null {
  if (tlsCert === "" && tlsKey === "") return null;
  if (tlsCert === "" || tlsKey === "") {
    throw new ConfigError("RF_TLS_CERT and RF_TLS_KEY belong together: one of them is missing");
  }
  return { cert: readPem("RF_TLS_CERT", tlsCert), key: readPem("RF_TLS_KEY", tlsKey) };
}
