/** Some nodes on this machine, and the network between them. */
import { networkInterfaces } from "node:os";
import { freePorts } from "../process/ports.ts";
import type { Random } from "../random.ts";
import { Clocks } from "./clocks.ts";
import { type Address, Connection } from "./http-connection.ts";
import { Links, type Network } from "./links.ts";
import { Namespaces, nodeId } from "./namespaces.ts";
import { NodeProcess } from "./node-process.ts";
import { bodyOf } from "./outcome.ts";
import { SmallDisks } from "./small-disks.ts";

export const TOKEN = "dev";

/** How nodes reach each other: only what is between them can be disturbed. */
export type NetworkKind = "direct" | "proxies" | "namespaces";

export type ClusterOptions = {
  /** How many nodes there are at most; `grow-shrink` does not start all at once. */
  readonly size: number;
  /** How many found the cluster. */
  readonly initialMembers?: number;
  readonly directory: string;
  readonly network: NetworkKind;
  readonly environment?: Readonly<Record<string, string>>;
  /** Wall clocks that can be set, each node its own. */
  readonly clocks?: boolean;
  /** Small disks, each node its own. */
  readonly smallDisks?: boolean;
};

/** The cluster as one node sees it. */
export type Status = {
  readonly node: NodeProcess;
  readonly leaderId: string | null;
  readonly term: number;
  readonly members: readonly Member[];
};

export type Member = {
  readonly id: string;
  readonly isVoter: boolean;
  readonly isLearner: boolean;
  /** Last entry that is known to be on its disk; null: nobody knows. */
  readonly matchIndex: number | null;
};

/** Short, but long enough for a machine that is busy with other things. */
export const ELECTION_TIMEOUT_MS = 600;
const HEARTBEAT_MS = 60;
const ASK_TIMEOUT_MS = 1_000;

/**
 * The nodes listen on 127.0.0.1 and know each other by ::1, where a proxy has the same port. So every
 * node knows one address for a peer, also after the addresses have gone into the replicated
 * directory, and it is that of the proxy.
 */
const PROXIED_HOST = "[::1]";

/** Tiny files, so that rolls, checkpoints and snapshots happen all the time. */
const STORAGE = {
  RF_JOURNAL_SEGMENT_BYTES: String(256 * 1024),
  RF_SEGMENT_BYTES: String(64 * 1024),
  RF_CHECKPOINT_BYTES: String(512 * 1024),
  RF_COMMIT_TIMEOUT_MS: "2000",
  RF_BEARER_TOKENS: TOKEN,
  RF_HA_SECRET: "shared by the nodes of the test cluster",
};

export class Cluster {
  readonly nodes: readonly NodeProcess[];
  readonly links: Network | null;
  readonly clocks: Clocks | null;
  readonly disks: SmallDisks | null;
  readonly #options: ClusterOptions;
  readonly #raftPorts: readonly number[];
  readonly #namespaces: Namespaces | null;

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { size, directory, network } = options;
    const ports = freePorts(2 * size);
    this.#raftPorts = ports.slice(size);
    this.#namespaces = network === "namespaces" ? new Namespaces(size) : null;
    this.nodes = ports.slice(0, size).map((port, i) => {
      const http = { host: this.#bindHost(i), port };
      const prefix = this.#namespaces?.prefix(i) ?? [];
      return new NodeProcess({ id: nodeId(i), directory, http, prefix });
    });
    this.clocks = options.clocks === true ? new Clocks(directory) : null;
    this.disks = options.smallDisks === true ? new SmallDisks() : null;
    for (const { dataDir } of this.nodes) this.disks?.mount(dataDir);
    this.links =
      network === "proxies"
        ? new Links(this.nodes.map((node, i) => this.#proxied(node, i)))
        : this.#namespaces;
  }

  /** Null: it can be had here; else why not. */
  static whyNot(network: NetworkKind): string | null {
    if (network === "namespaces") return Namespaces.whyNot();
    const loopback = Object.values(networkInterfaces()).flat();
    const hasIpv6 = loopback.some((one) => one?.address === "::1");
    return network === "direct" || hasIpv6 ? null : "the proxies need ::1 beside 127.0.0.1";
  }

  /** True for one node, which runs without the settings of a cluster. */
  get isAlone(): boolean {
    return this.#options.size === 1;
  }

  node(id: string): NodeProcess {
    const node = this.nodes.find((one) => one.id === id);
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  get running(): NodeProcess[] {
    return this.nodes.filter(({ state }) => state === "running");
  }

  /** @param forgetful keeps the bootstrap flag although its disk was replaced. */
  start(node: NodeProcess, forgetful = false): void {
    const environment = this.#environment(node);
    const bootstraps = node === this.nodes[0] && (forgetful || node.wipes === 0);
    node.start(bootstraps ? { ...environment, RF_HA_BOOTSTRAP_LEADER: "1" } : environment);
  }

  startInitialMembers(): void {
    const { size, initialMembers = size } = this.#options;
    for (const node of this.nodes.slice(0, initialMembers)) this.start(node);
  }

  /** Host and port of the Raft address as the other nodes know it. */
  raftAddress(node: NodeProcess): string {
    return `${this.#hostOf(node)}:${this.#raftPort(node)}`;
  }

  httpAddress(node: NodeProcess): string {
    return `${this.#hostOf(node)}:${node.http.port}`;
  }

  byAddress({ port }: Address): NodeProcess | null {
    return this.nodes.find((node) => node.http.port === port) ?? null;
  }

  /** Null: it does not answer, or not sensibly. */
  async status(node: NodeProcess): Promise<Status | null> {
    if (node.state !== "running") return null;
    if (this.isAlone) return { node, leaderId: node.id, term: node.lives, members: [] };
    const body = await this.ask(node, "/ha/membership");
    const membership = body?.["membership"] as Record<string, unknown> | undefined;
    if (membership === undefined) return null;
    const nodes = membership["nodes"] as readonly Record<string, unknown>[];
    return {
      node,
      leaderId: (membership["leader_id"] as string | null) || null,
      term: membership["term"] as number,
      members: nodes.map((one) => ({
        id: one["node_id"] as string,
        isVoter: one["is_voter"] === true,
        isLearner: one["is_learner"] === true,
        matchIndex: one["match_index"] as number | null,
      })),
    };
  }

  /** The node that says so of itself in the highest term. */
  async leader(): Promise<Status | null> {
    const all = await Promise.all(this.running.map((node) => this.status(node)));
    let best: Status | null = null;
    for (const one of all) {
      if (one === null || one.leaderId !== one.node.id) continue;
      if (best === null || one.term > best.term) best = one;
    }
    return best;
  }

  /** A GET outside of any history; null without a proper answer. */
  async ask(node: NodeProcess, target: string): Promise<Record<string, unknown> | null> {
    try {
      const connection = await Connection.open(node.http, ASK_TIMEOUT_MS);
      try {
        const request = { method: "GET", target, token: TOKEN };
        const reply = await connection.request(request, ASK_TIMEOUT_MS);
        return reply.status === 200 ? bodyOf(reply) : null;
      } finally {
        connection.close();
      }
    } catch {
      return null;
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    this.links?.close();
    this.disks?.close();
  }

  /** As the topology names it. */
  #hostOf(node: NodeProcess): string {
    return this.#options.network === "proxies" ? PROXIED_HOST : node.http.host;
  }

  #bindHost(index: number): string {
    if (this.#namespaces !== null) return this.#namespaces.host(index);
    return this.#options.network === "proxies" ? "::1" : "127.0.0.1";
  }

  #raftPort(node: NodeProcess): number {
    return this.#raftPorts[this.nodes.indexOf(node)] as number;
  }

  #environment(node: NodeProcess): Record<string, string> {
    const { initialMembers = this.#options.size, environment } = this.#options;
    const clock = this.clocks?.environment(node.id) ?? {};
    const common = { ...STORAGE, RF_LOG_LEVEL: "info", ...clock, ...environment };
    if (this.isAlone) return common;
    const isFirst = this.nodes.indexOf(node) < initialMembers && node.wipes === 0;
    const known = isFirst ? this.nodes.slice(0, initialMembers) : this.nodes;
    return {
      ...common,
      RF_HA_ENABLED: "1",
      RF_HA_NODE_ID: node.id,
      ...(this.#options.network === "proxies" ? { RF_HA_LISTEN: "127.0.0.1" } : {}),
      RF_HA_NODES: known.map((one) => this.#entry(one)).join(),
      RF_HA_HEARTBEAT_MS: String(HEARTBEAT_MS),
      RF_HA_ELECTION_TIMEOUT_MS: String(ELECTION_TIMEOUT_MS),
    };
  }

  #entry(node: NodeProcess): string {
    return `${node.id}:${this.raftAddress(node)}:100:${node.http.port}`;
  }

  #proxied(node: NodeProcess, i: number) {
    const port = this.#raftPorts[i] as number;
    return {
      id: node.id,
      proxy: { host: "::1", port },
      target: { host: "127.0.0.1", port },
      pid: () => node.pid,
    };
  }
}

/** Some of the nodes, in random order. */
export function someOf<T>(random: Random, items: readonly T[], count: number): T[] {
  const rest = [...items];
  const chosen: T[] = [];
  while (chosen.length < count && rest.length > 0) {
    chosen.push(...rest.splice(random.below(rest.length), 1));
  }
  return chosen;
}
