/** Composition root of `ayder serve`: settings and the real world in, a running server out. */
import { mkdirSync } from "node:fs";
import { type Config, ConfigError } from "./config.ts";
import { BunClock } from "./env/bun-clock.ts";
import { BunDisk } from "./env/bun-disk.ts";
import { acquireDataLock, DataDirLocked, type DataLock } from "./env/data-lock.ts";
import { NoNetwork } from "./env/no-network.ts";
import { TlsUnusable } from "./env/tls-identity.ts";
import { createApp } from "./http/app.ts";
import type { HttpOptions } from "./http/options.ts";
import {
  CannotListen,
  IDLE_TIMEOUT_SECONDS_DEFAULT,
  type RunningServer,
  startServer,
} from "./http/server.ts";
import { parseTokenSpecs, TokenSpecError } from "./http/token-spec.ts";
import type { NodeId } from "./lib/ids.ts";
import { createInstruments, type Instruments } from "./metrics/instruments.ts";
import { createLogger, type Logger, type LogLevel } from "./metrics/log.ts";
import { startLoopLagProbe } from "./metrics/loop-lag.ts";
import type { ClusterOptions } from "./node/cluster.ts";
import { Node } from "./node/node.ts";
import type { WriteConcern } from "./node/write-concern.ts";
import { type PeerPapers, peerNetworkOf, readPem } from "./peer-network.ts";
import { DataDir, refuseHalfRestored } from "./storage/data-dir.ts";
import { parseTopology } from "./topology.ts";
import { COMMIT, VERSION } from "./version.ts";

/** Requests under way get this long at a stop; with the checkpoint it stays within 10 s. */
const STOP_GRACE_MS = 5_000;

export type Serving = {
  readonly url: string;
  readonly log: Logger;
  /** Finishes what was accepted, takes a checkpoint, lets go of the directory. */
  stop(): Promise<void>;
};

/**
 * @param fault is called when the node must not go on; the caller ends the process.
 * @throws ConfigError, and whatever keeps the data from being read: the start stops.
 */
export async function serve(config: Config, fault: (error: unknown) => void): Promise<Serving> {
  const log = createLogger({
    level: config.logLevel as LogLevel,
    write: (line) => process.stderr.write(line),
    now: Date.now,
  });
  for (const { name, nearest } of config.unknownVariables) {
    log.warn("this variable is no setting and is ignored, see `ayder settings`", {
      name,
      nearest: nearest ?? undefined,
    });
  }
  // These are used late; a start that they end must not have touched a disk or called a peer.
  if (config.tokens !== "") parseTokenSpecs(config.tokens);
  tlsOf(config);
  const lock = lockDataDir(config.dataDir);
  const instruments = createInstruments();
  const cluster = clusterOf(config, log);
  const node = await openNode(config, cluster, log, instruments, fault);
  await node.start();
  // The replayed journal is garbage now; without this it would be so for a long time.
  Bun.gc(true);
  const server = listen(config, node, log, instruments);
  const stopWatching = cluster.papers?.watch();
  const stopProbe = startLoopLagProbe(instruments.loopLagSeconds);
  if (config.tokens === "") {
    log.warn("no tokens are set: `dev` works, from this machine only; see RF_BEARER_TOKENS");
  } else if (parseTokenSpecs(config.tokens).some(({ token }) => token === "dev")) {
    log.warn("RF_BEARER_TOKENS has `dev`, which everybody knows: for trying only");
  }
  if (config.workers > 1) {
    log.info("one thread serves requests; the setting is accepted for compatibility", {
      workers: config.workers,
    });
  }
  log.info("listening", { url: server.url, version: VERSION, data_dir: config.dataDir });
  return {
    url: server.url,
    log,
    async stop() {
      await server.stop(STOP_GRACE_MS);
      await node.stop();
      stopProbe();
      stopWatching?.();
      lock.release();
    },
  };
}

/** Errors of the start that are the operator's to mend: shown without a stack. */
export const isStartError = (error: unknown): error is Error =>
  error instanceof ConfigError ||
  error instanceof TokenSpecError ||
  error instanceof CannotListen ||
  error instanceof TlsUnusable ||
  (error instanceof Error && /Damaged$|Unsupported$|^Disk/.test(error.name)) ||
  (error instanceof Error && "code" in error && typeof error.code === "string");

/** Whoever cannot write there finds it out before anything else is done. */
function lockDataDir(path: string): DataLock {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return acquireDataLock(path);
  } catch (cause) {
    if (cause instanceof DataDirLocked) {
      throw new ConfigError(`${cause.message}; another one is named by --data-dir`, { cause });
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(
      `--data-dir or RF_DATA_DIR, ${JSON.stringify(path)}: it must be a directory that this user may write: ${reason}`,
      { cause },
    );
  }
}

async function openNode(
  config: Config,
  cluster: ClusterOptions,
  log: Logger,
  instruments: Instruments,
  fault: (error: unknown) => void,
): Promise<Node> {
  const disk = new BunDisk(config.dataDir);
  await refuseHalfRestored(disk);
  const dataDir = await DataDir.open(disk, {
    // A node alone names its cluster at once; of several, one does when all know each other.
    clusterId: config.haEnabled ? null : crypto.randomUUID(),
    incarnation: crypto.randomUUID(),
  });
  if (config.haBootstrapLeader && dataDir.identity.clusterId !== null) {
    log.warn("RF_HA_BOOTSTRAP_LEADER is ignored: the disk is not empty");
  }
  return Node.open({
    disk,
    clock: new BunClock(),
    random: { u32: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0 },
    log,
    instruments,
    dataDir,
    nodeId: config.haNodeId as NodeId,
    storage: config,
    checkpointBytes: config.checkpointBytes,
    journalKeepBytes: config.journalKeepBytes,
    scrubBytesPerSecond: config.scrubBytesPerSecond,
    autoCreateTopics: config.autoCreateTopics,
    defaultPartitions: config.defaultPartitions,
    commitTimeoutMs: config.commitTimeoutMs,
    cluster,
    writeConcern: writeConcernOf(config),
    queueBytesMax: config.queueBytesMax,
    queueRequestsMax: config.queueRequestsMax,
    limits: {
      dedupeWindowMs: config.dedupeWindowMs,
      dedupeKeysMax: config.dedupeKeysMax,
      partitionsMax: config.partitionsMax,
    },
    fault,
  });
}

/** A node alone is a cluster of one, that founds itself. */
function clusterOf(
  config: Config,
  log: Logger,
): ClusterOptions & { readonly papers: PeerPapers | null } {
  const self = config.haNodeId as NodeId;
  const timing = {
    newClusterId: () => crypto.randomUUID(),
    httpScheme: config.tlsCert === "" ? "http" : "https",
    heartbeatMs: config.haHeartbeatMs,
    electionTimeoutMs: config.haElectionTimeoutMs,
  } as const;
  if (!config.haEnabled) {
    const address = {
      id: self,
      host: "127.0.0.1",
      raftPort: 0,
      httpPort: config.port,
      priority: 0,
    };
    const network = new NoNetwork();
    const alone = { members: [address], founder: true, network, identity: null, papers: null };
    return { ...alone, ...timing };
  }
  const members = parseTopology(config.haNodes);
  const own = members.find(({ id }) => id === self);
  if (own === undefined) {
    throw new ConfigError(`RF_HA_NODES does not name this node, RF_HA_NODE_ID="${self}"`);
  }
  if (config.haElectionTimeoutMs < 2 * config.haHeartbeatMs) {
    throw new ConfigError("RF_HA_ELECTION_TIMEOUT_MS must be at least twice RF_HA_HEARTBEAT_MS");
  }
  const founder = config.haBootstrapLeader;
  return { members, founder, ...peerNetworkOf(config, own, log), ...timing };
}

function writeConcernOf(config: Config): WriteConcern {
  if (config.haWriteConcern === 1) return { kind: "appended" };
  if (config.haWriteConcern > 1) return { kind: "nodes", count: config.haWriteConcern };
  if (config.haSyncMode === "0") return { kind: "appended" };
  return config.haSyncMode === "2" ? { kind: "all" } : { kind: "majority" };
}

function listen(config: Config, node: Node, log: Logger, instruments: Instruments): RunningServer {
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
    cluster: node,
    streams: node.streams,
    version: VERSION,
    instruments,
    log,
    sources: {
      ha: () => node.ha(),
      groups: () => node.groupLags(),
      views: () => node.streams.viewLags(),
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

function tlsOf({ tlsCert, tlsKey }: Config): { cert: string; key: string } | null {
  if (tlsCert === "" && tlsKey === "") return null;
  if (tlsCert === "" || tlsKey === "") {
    throw new ConfigError("RF_TLS_CERT and RF_TLS_KEY belong together: one of them is missing");
  }
  return { cert: readPem("RF_TLS_CERT", tlsCert), key: readPem("RF_TLS_KEY", tlsKey) };
}
