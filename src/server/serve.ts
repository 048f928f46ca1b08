/**
 * Composition root of `ayder serve`: creates a running server from settings and the real
 * environment.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { type Config, ConfigError } from "../config/config.ts";
import { corsOriginsOf, webhookHostsOf } from "../config/lists.ts";
import { peerSecretOf } from "../config/peer-secret.ts";
import { parseTopology } from "../config/topology.ts";
import { VERSION } from "../config/version.ts";
import { BunClock } from "../env/bun-clock.ts";
import { BunDisk, openBunDisk } from "../env/bun-disk.ts";
import { BunWebhookSender } from "../env/bun-webhook-sender.ts";
import { checkDataDir, watchDataDir } from "../env/data-dir-watch.ts";
import { acquireDataLock, DataDirLocked, type DataLock } from "../env/data-lock.ts";
import { DescriptorReserve } from "../env/descriptor-reserve.ts";
import { type Disk, DiskFull } from "../env/disk.ts";
import { KnownPaths } from "../env/known-paths.ts";
import { NoNetwork } from "../env/no-network.ts";
import { WatchedDisk } from "../env/watched-disk.ts";
import { checkMetricsToken, parseTokenSpecs, type TokenSpec } from "../http/token-spec.ts";
import { tokenWords } from "../http/token-words.ts";
import type { NodeId } from "../lib/ids.ts";
import { createInstruments, type Instruments } from "../metrics/instruments.ts";
import type { Logger } from "../metrics/log.ts";
import { startLoopLagProbe } from "../metrics/loop-lag.ts";
import type { SampleApi } from "../node/api.ts";
import { Node } from "../node/node.ts";
import type { ClusterOptions } from "../node/peers/cluster.ts";
import type { MemberAddress } from "../node/peers/members.ts";
import { patientDisk } from "../node/replica/patient-disk.ts";
import type { WriteConcern } from "../node/writes/write-concern.ts";
import { DataDir, refuseHalfRestored } from "../storage/data-dir.ts";
import { isReliedPath, isReliedWhileOpen } from "../storage/relied-paths.ts";
import type { CertificateFiles } from "./certificate-files.ts";
import { ExportThread } from "./export-thread-handle.ts";
import { startHttpThreads } from "./http-threads.ts";
import { descriptorPlan, type HttpServer, listen, tlsOf } from "./listen.ts";
import { peerNetworkOf } from "./peer-network.ts";
import { processLog } from "./process-log.ts";
import { newSharedReads, type SharedReads } from "./shared-reads.ts";

/** Grace period of requests at a stop. Together with the checkpoint, a stop takes at most 10 s. */
const STOP_GRACE_MS = 5_000;
const HTTP_THREADS_MAX = 64;

export { portOf } from "./listen.ts";
export { isStartError } from "./start-error.ts";

export type Serving = {
  readonly url: string;
  readonly log: Logger;
  /** Reads the files of certificates again. Settings and tokens are read at start only. */
  reload(): void;
  /** Finishes what was accepted, takes a checkpoint, releases the directory. */
  stop(): Promise<void>;
};

/**
 * @param fault is called when the node must not go on; the caller ends the process.
 * @param aboutToListen is called right before clients can connect.
 * @throws ConfigError, or the error that prevents the data from being read.
 */
export async function serve(
  config: Config,
  fault: (error: unknown) => void,
  aboutToListen: () => void = () => undefined,
): Promise<Serving> {
  const instruments = createInstruments();
  const log = processLog(config.logLevel, instruments.logLinesLost);
  for (const { name, nearest } of config.unknownVariables) {
    log.warn("unknown setting ignored, see `ayder settings`", {
      name,
      nearest: nearest ?? undefined,
    });
  }
  // These are used late; a start that they end must not have touched a disk or called a peer.
  const tokens = config.tokens === "" ? [] : parseTokenSpecs(config.tokens);
  if (config.metricsToken !== "") checkMetricsToken(config.metricsToken);
  tlsOf(config);
  corsOriginsOf(config);
  await refuseUnknownHost("--host or RF_HTTP_ADDR", config.host);
  await refuseUnknownHost("RF_HA_LISTEN", config.haListen);
  const cluster = clusterOf(config, log);
  const lock = lockDataDir(config.dataDir);
  const known = new KnownPaths(config.dataDir, isReliedPath);
  const disk = openDisk(config, lock, known);
  const threads = httpThreads(config, log);
  const reads = threads === 0 ? null : newSharedReads();
  const opened = openNode(config, cluster, { disk, reads }, log, instruments, fault);
  const node = await opened.catch((cause) => {
    throw cause instanceof DiskFull ? withoutSpace(config.dataDir, cause) : cause;
  });
  const stopDataDirWatch = watchDataDir(lock, known, fault);
  await node.start();
  // The replayed journal is garbage now. Without this call, its memory would stay in use for long.
  Bun.gc(true);
  aboutToListen();
  const server = await serveHttp(config, node, { threads, reads }, log, instruments, fault);
  const stopWatching = cluster.certificates?.watch();
  const stopProbe = startLoopLagProbe(instruments.loopLagSeconds);
  logAccess(config, tokens, log);
  log.info("listening", { url: server.url, version: VERSION, data_dir: config.dataDir });
  return {
    url: server.url,
    log,
    reload() {
      const hasTls = config.tlsCert !== "" || cluster.certificates !== null;
      log.info(
        hasTls
          ? "reloading certificates; settings and tokens are read at the start only"
          : "nothing to reload: no certificates are configured, settings and tokens are read at the start only",
      );
      server.reload();
      cluster.certificates?.reload();
    },
    async stop() {
      await server.stop(STOP_GRACE_MS);
      await node.stop();
      stopProbe();
      stopWatching?.();
      stopDataDirWatch();
      lock.release();
    },
  };
}

/** Logs the permissions of the tokens, without the tokens. */
function logAccess(config: Config, tokens: readonly TokenSpec[], log: Logger): void {
  if (config.tokens === "") {
    log.warn(
      "no tokens configured, `dev` is accepted from this machine only; see RF_BEARER_TOKENS",
    );
  }
  if (tokens.some(({ token }) => token === "dev")) {
    log.warn("RF_BEARER_TOKENS contains the public token `dev`, use it for tests only");
  }
  for (const [index, token] of tokens.entries()) {
    log.info(`token ${index + 1} of ${tokens.length}: ${tokenWords(token)}`);
  }
  if (config.authSkipPrefixes !== "") {
    log.warn("paths without authentication", { prefixes: config.authSkipPrefixes });
  }
}

/** Systems other than Linux give all connections of a shared port to one thread. */
function httpThreads({ workers, haDedicatedWorker }: Config, log: Logger): number {
  const asked = haDedicatedWorker ? Math.max(1, workers) : workers;
  const max = process.platform === "linux" ? HTTP_THREADS_MAX : 1;
  if (asked > max) log.warn("RF_WORKERS lowered", { asked, max });
  return Math.min(asked, max);
}

/** Serves HTTP on this thread, or on others; this one then runs only the node. */
async function serveHttp(
  config: Config,
  node: Node,
  { threads, reads }: { readonly threads: number; readonly reads: SharedReads | null },
  log: Logger,
  instruments: Instruments,
  fault: (error: unknown) => void,
): Promise<HttpServer> {
  const samples: SampleApi = {
    ha: () => node.ha(),
    partitionSizes: () => node.samples.partitionSizes(),
    groupLags: () => node.samples.groupLags(),
    viewLags: () => node.streams.viewLags(),
    work: async () => ({
      ...(await node.queues.sample()),
      ...node.later.sample(),
      ...(await node.webhooks.sample()),
      exports: await node.exports.sample(),
    }),
    threads: () => [],
  };
  const served = {
    node,
    cluster: node,
    streams: node.streams,
    durable: node.durable,
    queues: node.queuesApi,
    later: node.laterApi,
    webhooks: node.webhooks,
    exports: node.exports,
    samples,
  };
  return reads === null
    ? listen(config, served, log, instruments)
    : await startHttpThreads(threads, config, served, log, instruments, reads, fault);
}

/**
 * Resolves the host name before listening, because Bun reports an unknown name as a bad argument.
 *
 * @throws ConfigError
 */
async function refuseUnknownHost(setting: string, host: string): Promise<void> {
  if (host === "" || host === "localhost" || isIP(host) !== 0) return;
  try {
    await lookup(host);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new ConfigError(`${setting}: there is no host ${JSON.stringify(host)} (${code})`, {
      cause,
    });
  }
}

/** Fails before anything else is started if the directory cannot be written. */
function lockDataDir(path: string): DataLock {
  try {
    openBunDisk(path);
    return acquireDataLock(path);
  } catch (cause) {
    if (cause instanceof DiskFull) throw withoutSpace(path, cause);
    if (cause instanceof DataDirLocked) {
      throw new ConfigError(
        `${cause.message}; stop that process, or choose another directory with --data-dir`,
        { cause },
      );
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(
      `--data-dir or RF_DATA_DIR, ${JSON.stringify(path)}: it must be a directory that this user may write: ${reason}`,
      { cause },
    );
  }
}

/** The error of a start that lacks space. The next start continues with the files that exist. */
const withoutSpace = (dataDir: string, cause: DiskFull): ConfigError =>
  new ConfigError(
    `the disk of the data directory ${JSON.stringify(dataDir)} is full, and this start needs space: ` +
      `free at least 1 MiB and start again; nothing was lost (${cause.message})`,
    { cause },
  );

/** A disk that notices when its directory, or a part of it, is lost. */
function openDisk(config: Config, lock: DataLock, known: KnownPaths): Disk {
  const reserve = new DescriptorReserve(descriptorPlan(config).reserve);
  const disk = BunDisk.withReserve(config.dataDir, reserve, () => checkDataDir(lock));
  return new WatchedDisk({ disk, known, isReliedWhileOpen });
}

async function openNode(
  config: Config,
  cluster: ClusterOptions,
  { disk, reads }: { readonly disk: Disk; readonly reads: SharedReads | null },
  log: Logger,
  instruments: Instruments,
  fault: (error: unknown) => void,
): Promise<Node> {
  const clock = new BunClock();
  const patient = patientDisk({ disk, clock, log, instruments });
  await refuseHalfRestored(patient);
  const dataDir = await DataDir.open(patient, {
    // A single node names its cluster immediately. With several nodes, one does so when all know each
    // other.
    clusterId: config.haEnabled ? null : crypto.randomUUID(),
    storageId: crypto.randomUUID(),
  });
  if (cluster.bootstraps && config.haEnabled && dataDir.identity.clusterId !== null) {
    log.warn("RF_HA_BOOTSTRAP_LEADER ignored, the data directory is not empty");
  }
  return Node.open({
    disk,
    clock,
    random: { u32: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0 },
    log,
    instruments,
    dataDir,
    nodeId: config.haNodeId as NodeId,
    storage: {
      ...config,
      segmentFilesMax: descriptorPlan(config).segmentFiles,
      ...(reads === null ? {} : { blocks: reads.blocks, readThreads: reads.threads }),
    },
    checkpointBytes: config.checkpointBytes,
    journalKeepBytes: config.journalKeepBytes,
    scrubBytesPerSecond: config.scrubBytesPerSecond,
    acceptClock: config.clockAccept,
    autoCreateTopics: config.autoCreateTopics,
    defaultPartitions: config.defaultPartitions,
    commitTimeoutMs: config.commitTimeoutMs,
    forwardWrites: config.haFollowerWrites === "forward",
    cluster,
    writeConcern: writeConcernOf(config),
    queueBytesMax: config.queueBytesMax,
    queueRequestsMax: config.queueRequestsMax,
    limits: {
      dedupeWindowMs: config.dedupeWindowMs,
      dedupeKeysMax: config.dedupeKeysMax,
      partitionsMax: config.partitionsMax,
    },
    dedupeKeysTotal: config.dedupeKeysTotal,
    producersMax: config.producersMax,
    groupsMax: config.groupsMax,
    offsetsMax: config.offsetsMax,
    kvLimits: { bytesMax: config.kvBytesMax, namespacesMax: config.namespacesMax },
    durableLimits: {
      streamsMax: config.streamsMax,
      producersMax: config.streamProducersMax,
      forkDepthMax: config.streamForkDepthMax,
      subscriptionsMax: config.subscriptionsMax,
    },
    webhookLimits: {
      webhooksMax: config.webhooksMax,
      concurrencyMax: config.webhookConcurrency,
    },
    exportWriter: new ExportThread({
      exportDir: config.exportDir,
      stallMs: config.exportTimeoutMs,
      version: VERSION,
    }),
    exportsMax: config.exportsMax,
    exportHoldMs: config.exportHoldMs,
    webhookSender: new BunWebhookSender(webhookHostsOf(config)),
    fault,
  });
}

/** A single node is a cluster of one member, which bootstraps itself. */
function clusterOf(
  config: Config,
  log: Logger,
): ClusterOptions & { readonly certificates: CertificateFiles | null } {
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
    const alone = {
      members: [address],
      bootstraps: true,
      network,
      identity: null,
      certificates: null,
    };
    return { ...alone, ...timing };
  }
  const members = parseTopology(config.haNodes);
  const own = members.find(({ id }) => id === self);
  if (own === undefined) {
    throw new ConfigError(
      `RF_HA_NODES has no entry for this node, RF_HA_NODE_ID="${self}"; an entry is id:host:raft_port:priority[:http_port]`,
    );
  }
  if (config.haElectionTimeoutMs < 2 * config.haHeartbeatMs) {
    throw new ConfigError("RF_HA_ELECTION_TIMEOUT_MS must be at least twice RF_HA_HEARTBEAT_MS");
  }
  const bootstraps = mayBootstrap(config, members);
  const secret = peerSecretOf(config, members, log);
  return { members, bootstraps, secret, ...peerNetworkOf(config, own, secret, log), ...timing };
}

/**
 * Naming the node lets all nodes have the same settings, as the replicas of a StatefulSet do.
 *
 * @throws ConfigError for a value that is neither a switch nor the id of a listed node.
 */
function mayBootstrap(config: Config, members: readonly MemberAddress[]): boolean {
  const { haBootstrapLeader: value, haNodeId } = config;
  if (members.some(({ id }) => id === value)) return value === haNodeId;
  if (value === "1" || value === "true") return true;
  if (value === "0" || value === "false") return false;
  throw new ConfigError(
    `RF_HA_BOOTSTRAP_LEADER: "${value}" is neither 0 nor 1 nor the id of a node of RF_HA_NODES`,
  );
}

function writeConcernOf(config: Config): WriteConcern {
  if (config.haWriteConcern === 1) return { kind: "appended" };
  if (config.haWriteConcern > 1) return { kind: "nodes", count: config.haWriteConcern };
  if (config.haSyncMode === "0") return { kind: "appended" };
  return config.haSyncMode === "2" ? { kind: "all" } : { kind: "majority" };
}
