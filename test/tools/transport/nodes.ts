/** Transports over real sockets of this machine, on ports that are free. */
import { BunClock } from "../../../src/env/bun-clock.ts";
import { BunNetwork, type NetworkTls } from "../../../src/env/bun-network.ts";
import type { PeerAddress, PeerIdentity, PeerSecret } from "../../../src/env/network.ts";
import type { NodeId } from "../../../src/lib/ids.ts";
import { SHARD_0 } from "../../../src/lib/ids.ts";
import { type Logger, SILENT } from "../../../src/metrics/log.ts";
import type { LogIndex, Message, Term } from "../../../src/raft/types.ts";
import type { MembershipInfo } from "../../../src/transport/handshake-codec.ts";
import { handshakeBytesMax, type TransportLimits } from "../../../src/transport/limits.ts";
import { Transport, type TransportHandlers } from "../../../src/transport/transport.ts";
import { Random } from "../random.ts";

export const FRAME_BYTES_MAX = 32 * 1024 * 1024;
/** Short waits; nothing is asserted about them. */
export const QUICK: Partial<TransportLimits> = {
  frameBytesMax: FRAME_BYTES_MAX,
  redialMinMs: 5,
  redialMaxMs: 50,
  pingMs: 20,
  pingsUnansweredMax: 100,
};

/** The place of a node on the loopback network. */
export const PLACE = {
  host: "127.0.0.1",
  hostSetting: "",
  port: 0,
  tls: null,
  frameBytesMax: FRAME_BYTES_MAX,
  unverifiedBytesMax: handshakeBytesMax(false),
  unverifiedMax: 64,
  openingMs: 5_000,
  admission: null,
  sockets: null,
};

export type NodeOptions = {
  readonly clusterId?: string | null;
  readonly storageId?: string;
  readonly tls?: NetworkTls | null;
  /** Instead of one by `tls` and `port`. */
  readonly network?: BunNetwork;
  readonly identity?: PeerIdentity | null;
  readonly secret?: PeerSecret | null;
  readonly limits?: Partial<TransportLimits>;
  readonly port?: number;
  readonly handlers?: Partial<TransportHandlers>;
  readonly membershipInfo?: MembershipInfo;
  readonly log?: Logger;
  readonly level?: number;
};

export class TestNode {
  readonly id: NodeId;
  readonly transport: Transport;
  readonly network: BunNetwork;
  readonly received: Message[] = [];
  readonly unreachable: NodeId[] = [];
  readonly learnt: string[] = [];

  constructor(id: string, options: NodeOptions = {}) {
    this.id = id as NodeId;
    const { tls = null, port = 0 } = options;
    this.network =
      options.network ??
      new BunNetwork({ ...PLACE, port, tls, unverifiedBytesMax: handshakeBytesMax(tls !== null) });
    this.transport = new Transport({
      network: this.network,
      identity: options.identity ?? null,
      secret: options.secret ?? null,
      clock: new BunClock(),
      random: new Random(Math.floor(Math.random() * 2 ** 32)),
      log: options.log ?? SILENT,
      local: {
        id: this.id,
        storageId: options.storageId ?? `disk of ${id}`,
        clusterId: options.clusterId === undefined ? "cluster" : options.clusterId,
      },
      shard: SHARD_0,
      level: options.level ?? 0,
      limits: { ...QUICK, ...options.limits },
      membershipInfo: () => options.membershipInfo ?? { membershipVersion: 0, address: null },
    });
    this.transport.start({
      messages: (messages) => this.received.push(...messages),
      unreachable: (peer) => this.unreachable.push(peer),
      clusterLearnt: (clusterId) => this.learnt.push(clusterId),
      met: () => true,
      ...options.handlers,
    });
  }

  get address(): PeerAddress {
    return { id: this.id, host: "127.0.0.1", port: this.network.port };
  }
}

/** Nodes that know each other; closed when `body` ends. */
export async function withNodes(
  nodes: readonly TestNode[],
  body: () => Promise<void>,
): Promise<void> {
  try {
    for (const node of nodes) {
      node.transport.setPeers(nodes.map((other) => other.address));
    }
    await body();
  } finally {
    await Promise.all(nodes.map((node) => node.transport.close()));
  }
}

/** Resolves when it holds. A hang ends by the test's own deadline. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(1);
}

export const allUp = (nodes: readonly TestNode[]): Promise<void> =>
  until(() =>
    nodes.every((node) => nodes.every((other) => other === node || node.transport.isUp(other.id))),
  );

export const heartbeat = (from: TestNode, to: TestNode, round: number): Message => ({
  type: "heartbeat",
  from: from.id,
  to: to.id,
  term: 1 as Term,
  commit: 0 as LogIndex,
  round,
});

export const append = (from: TestNode, to: TestNode, index: number, data: Uint8Array): Message => ({
  type: "append_request",
  from: from.id,
  to: to.id,
  term: 3 as Term,
  prevIndex: (index - 1) as LogIndex,
  prevTerm: 2 as Term,
  commit: 0 as LogIndex,
  entries: [{ index: index as LogIndex, term: 3 as Term, type: "normal", data }],
});
