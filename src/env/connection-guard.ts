import type { MaybePromise } from "../lib/maybe-promise.ts";
import { openDescriptors } from "./descriptors.ts";
import type { TcpConnection, TcpSockets } from "./tcp-sockets.ts";

const LOOK_EVERY_MS = 250;
/** Interval while there are too many: without descriptors, a process spins in accept. */
const LOOK_AGAIN_MS = 10;
/** Maximum interval between two counts of all connections. */
const COUNT_EVERY_MS = 10_000;
/** Closes this share more than needed, so that a new connection rarely causes another count. */
const SPARE_SHARE = 16;
/** A request may have arrived since then that the server does not know yet. */
const QUIET_MS = 100;

export type ConnectionGuardOptions = {
  readonly sockets: TcpSockets;
  /** Port of the client API. */
  readonly port: number;
  /** Port for peers. Only connections that never sent anything are closed there. 0: none. */
  readonly peerPort: number;
  readonly connectionsMax: number;
  /** Ports of the clients whose requests are in progress. */
  readonly busyPorts: () => MaybePromise<ReadonlySet<number>>;
  readonly counted: (connections: number) => void;
  readonly closed: (count: number, connections: number) => void;
};

/**
 * Returns the connections to close: those without a request in progress, the longest idle first. A
 * connection that has sent a part of a request head is one of them.
 */
export function idlest(
  connections: readonly TcpConnection[],
  count: number,
  { port, busy }: { readonly port: number; readonly busy: ReadonlySet<number> },
): readonly TcpConnection[] {
  const idle = connections.filter((each) =>
    each.localPort === port ? !busy.has(each.peerPort) : each.bytesReceived === 0,
  );
  const isQuiet = (each: TcpConnection): number => (each.sinceReceivedMs >= QUIET_MS ? 0 : 1);
  idle.sort((a, b) => isQuiet(a) - isQuiet(b) || b.sinceSentMs - a.sinceSentMs);
  return idle.slice(0, count);
}

/** Bytes that the clients' kernels have confirmed, by the clients' ports. */
export function acknowledgedOn(sockets: TcpSockets, port: number): ReadonlyMap<number, number> {
  const connections = sockets.connections([port]);
  return new Map(connections.map((each) => [each.peerPort, each.bytesAcknowledged]));
}

/** Bounds the number of connections by closing those that are idle the longest. */
export class ConnectionGuard {
  readonly #options: ConnectionGuardOptions;
  readonly #ports: readonly number[];
  #timer: Timer | null = null;
  /** Descriptors that are not connections, at the last count. */
  #others = 0;
  #countedAt = Number.NEGATIVE_INFINITY;

  constructor(options: ConnectionGuardOptions) {
    this.#options = options;
    this.#ports = options.peerPort === 0 ? [options.port] : [options.port, options.peerPort];
    this.#later(LOOK_EVERY_MS);
  }

  /** Bytes that the clients' kernels have confirmed, by the clients' ports. */
  acknowledged(): ReadonlyMap<number, number> {
    return acknowledgedOn(this.#options.sockets, this.#options.port);
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #later(delayMs: number): void {
    this.#timer = setTimeout(async () => {
      const hadToClose = await this.#look();
      if (this.#timer !== null) this.#later(hadToClose ? LOOK_AGAIN_MS : LOOK_EVERY_MS);
    }, delayMs);
    this.#timer.unref();
  }

  async #look(): Promise<boolean> {
    const { connectionsMax, sockets, port, busyPorts, counted, closed } = this.#options;
    const open = openDescriptors();
    const isDue = performance.now() - this.#countedAt >= COUNT_EVERY_MS;
    const atMost = open === null ? Number.POSITIVE_INFINITY : open - this.#others;
    if (!isDue && atMost <= connectionsMax) {
      counted(Math.max(0, atMost));
      return false;
    }
    const connections = sockets.connections(this.#ports);
    this.#countedAt = performance.now();
    if (open !== null) this.#others = open - connections.length;
    counted(connections.length);
    const tooMany = connections.length - connectionsMax;
    if (tooMany <= 0) return false;
    const count = tooMany + Math.ceil(connectionsMax / SPARE_SHARE);
    const victims = idlest(connections, count, { port, busy: await busyPorts() });
    for (const { descriptor } of victims) sockets.end(descriptor);
    if (victims.length > 0) closed(victims.length, connections.length);
    return victims.length > 0;
  }
}
