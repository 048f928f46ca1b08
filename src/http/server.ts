/** The only `Bun.serve` of the public API. */

import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { Logger } from "../metrics/log.ts";
import type { App } from "./app.ts";
import { ApiError, errorResponse } from "./errors.ts";
import { isKeyPath, writtenPathRoutes } from "./written-path.ts";

/** PEM texts. */
export type ServerTls = { readonly cert: string; readonly key: string };

export type ServerOptions = {
  /** Address to listen on. */
  readonly host: string;
  /** 0 selects any free port. */
  readonly port: number;
  /** Other threads of this process listen on the port too. Default: false. */
  readonly sharesPort?: boolean;
  /** Null for plain HTTP. */
  readonly tls: ServerTls | null;
  /** Seconds after which an idle connection is closed; at most 255. */
  readonly idleTimeoutSeconds: number;
  /** Bounds the connections of the port while the server runs. If absent, they are not bounded. */
  readonly guard?: StartGuard;
  readonly log: Logger;
  /** Calls it, and says in words what keeps the address from being listened on. */
  readonly listen?: <Server>(bind: () => Server) => Server;
};

/** @param busyPorts ports of the clients whose requests are being answered. */
export type StartGuard = (
  port: number,
  busyPorts: () => MaybePromise<ReadonlySet<number>>,
) => Guard | null;

export type Guard = {
  stop(): void;
  /** Bytes that the clients' kernels have confirmed, by the clients' ports. */
  acknowledged(): ReadonlyMap<number, number>;
};

export type RunningServer = {
  readonly host: string;
  readonly port: number;
  /** `http://host:port` or `https://…`, without a slash at the end. */
  readonly url: string;
  /** Ports of the clients whose requests are in progress. */
  busyPorts(): ReadonlySet<number>;
  /**
   * Uses another certificate for new connections. Requests under way finish; Bun closes connections
   * that are idle, and clients open new ones.
   *
   * @throws Error if it does not fit its key; then the old one is still in force.
   */
  renew(tls: ServerTls): void;
  /**
   * Stops accepting, ends waits and streams, lets requests finish.
   *
   * @param graceMs connections that are still open after this time are closed.
   */
  stop(graceMs: number): Promise<void>;
};

export const IDLE_TIMEOUT_SECONDS_DEFAULT = 30;
/** The minimum that Bun supports. */
const CUT_SECONDS = 1;
/** Handlers check sizes themselves, because only they can name the limit in the body of a 413. */
const BODY_BYTES_MAX = Number.MAX_SAFE_INTEGER;

/** @throws what `listen` throws; Error if the certificate does not fit its key. */
export function startServer(app: App, options: ServerOptions): RunningServer {
  const { host, port, tls, idleTimeoutSeconds } = options;
  const { listen = (run) => run() } = options;
  let server = listen(() => bind(app, options, port, tls));
  const retired = new Set<Bun.Server<undefined>>();
  const localOnly = isLoopbackAddress(host) || host === "localhost";
  const scheme = tls === null ? "http" : "https";
  const shownHost = host.includes(":") ? `[${host.replace("%", "%25")}]` : host;
  const boundPort = server.port ?? port;
  const busyPorts = (): ReadonlySet<number> => {
    const ports = new Set<number>();
    for (const request of app.busy()) {
      const client = server.requestIP(request);
      if (client !== null) ports.add(client.port);
    }
    return ports;
  };
  const guard = options.guard?.(boundPort, busyPorts);
  app.attach({
    isLoopback: (request) =>
      localOnly || isLoopbackAddress(server.requestIP(request)?.address ?? ""),
    pending: () => {
      let pending = server.pendingRequests;
      for (const { pendingRequests } of retired) pending += pendingRequests;
      return pending;
    },
    allowLong: (request) => server.timeout(request, 0),
    endLong: (request) => server.timeout(request, idleTimeoutSeconds),
    cut: (request) => server.timeout(request, CUT_SECONDS),
    acknowledged: () => {
      const byPort = guard?.acknowledged() ?? new Map<number, number>();
      return (request) => byPort.get(server.requestIP(request)?.port ?? 0) ?? null;
    },
  });
  return {
    host,
    port: boundPort,
    url: `${scheme}://${shownHost}:${boundPort}`,
    busyPorts,
    renew: (fresh) => {
      // Bun refuses a chain or key that it cannot use. Another port shows it without a gap.
      void bind(app, options, 0, fresh).stop(true);
      const before = server;
      retired.add(before);
      // Frees the port at once, and requests under way go on. `reload` would keep the certificate.
      void before.stop(false).then(() => retired.delete(before));
      server = bind(app, options, boundPort, fresh);
    },
    stop: async (graceMs) => {
      guard?.stop();
      await stop(app, [...retired, server], graceMs);
    },
  };
}

/** Listens without sharing the port, and answers nothing. */
export const listenAlone = (hostname: string, port: number): Bun.Server<undefined> =>
  Bun.serve({ hostname, port, reusePort: false, fetch: () => new Response(null, { status: 503 }) });

function bind(app: App, options: ServerOptions, port: number, tls: ServerTls | null) {
  const { host, idleTimeoutSeconds, log } = options;
  return Bun.serve({
    hostname: host,
    port,
    ...(tls === null ? {} : { tls: { cert: tls.cert, key: tls.key } }),
    development: false,
    // With `development: false` Bun shares the port by default: a second server on it would start
    // and take half of the requests.
    reusePort: options.sharesPort ?? false,
    idleTimeout: idleTimeoutSeconds,
    maxRequestBodySize: BODY_BYTES_MAX,
    routes: writtenPathRoutes(app.fetch, app.fetchRewritten),
    fetch: (request) => (isKeyPath(request.url) ? app.fetchRewritten(request) : app.fetch(request)),
    error: (error) => {
      log.error("request failed outside of the handlers", { error: error.stack ?? error.message });
      const { code, message } = new ApiError("internal_error");
      return errorResponse(code, message, null, null);
    },
  });
}

async function stop(
  app: App,
  servers: readonly Bun.Server<undefined>[],
  graceMs: number,
): Promise<void> {
  app.beginStop();
  let timer: Timer | undefined;
  const tooLate = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, graceMs);
  });
  await Promise.race([Promise.all(servers.map((server) => server.stop(false))), tooLate]);
  clearTimeout(timer);
  await Promise.all(servers.map((server) => server.stop(true)));
}

/** 127.0.0.0/8 and ::1, also as IPv6 writes IPv4. */
export const isLoopbackAddress = (address: string): boolean =>
  address === "::1" || /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(address);
