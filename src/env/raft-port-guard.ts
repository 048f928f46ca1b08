import { firstOfLargestGroup } from "../lib/busiest.ts";
import { openDescriptors } from "./descriptors.ts";
import type { LinkRefusal } from "./network.ts";
import type { TcpConnection, TcpSockets } from "./tcp-sockets.ts";

const LOOK_EVERY_MS = 1_000;
/** Interval while an unverified peer may send. Bun buffers the bytes that it sends in between. */
const WATCH_EVERY_MS = 10;
/** Maximum share of the time that the checks take. */
const REST_FACTOR = 10;

export type RaftPortGuardOptions = {
  readonly sockets: TcpSockets;
  readonly port: number;
  /** Peer ports of verified and of unverified links. */
  readonly links: () => {
    readonly verified: ReadonlySet<number>;
    readonly unverified: ReadonlySet<number>;
  };
  /** Bytes that a connection may receive before its peer is verified. */
  readonly unverifiedBytesMax: number;
  /** Time from a connection to a link. */
  readonly openingMs: number;
  /** Maximum number of connections without a link. */
  readonly connectionsMax: number;
  readonly refused: (reason: LinkRefusal, connection: TcpConnection) => void;
};

/**
 * Bounds the connections to the Raft port that Bun's server does not report: connections without a
 * request, and links with an incomplete WebSocket frame.
 */
export class RaftPortGuard {
  readonly #options: RaftPortGuardOptions;
  /** When each connection without a link was first seen, by the port of its peer. */
  readonly #since = new Map<number, number>();
  #descriptors: number | null = null;
  #timer: Timer;

  constructor(options: RaftPortGuardOptions) {
    this.#options = options;
    this.#timer = this.#later(LOOK_EVERY_MS);
  }

  /** Called when a link to an unverified peer was opened. */
  opened(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#later(WATCH_EVERY_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #later(delayMs: number): Timer {
    return setTimeout(() => this.#look(), delayMs).unref();
  }

  #look(): void {
    const { links } = this.#options;
    const begin = performance.now();
    const hasUnverified = links().unverified.size > 0;
    // Each new connection has a new descriptor.
    const descriptors = openDescriptors();
    const isNews = descriptors === null || descriptors !== this.#descriptors;
    this.#descriptors = descriptors;
    if (hasUnverified || isNews || this.#since.size > 0) this.#check();
    const restMs = REST_FACTOR * (performance.now() - begin);
    const every = hasUnverified ? WATCH_EVERY_MS : LOOK_EVERY_MS;
    this.#timer = this.#later(Math.max(every, restMs));
  }

  #check(): void {
    const { sockets, port, links, unverifiedBytesMax } = this.#options;
    const { verified, unverified } = links();
    const connections = sockets.connections([port]);
    for (const connection of connections) {
      const isTooMuch = connection.bytesReceived > unverifiedBytesMax;
      if (isTooMuch && unverified.has(connection.peerPort)) this.#end("too_long", connection);
    }
    this.#checkOpenings(
      connections.filter(({ peerPort }) => !verified.has(peerPort) && !unverified.has(peerPort)),
    );
  }

  #checkOpenings(connections: readonly TcpConnection[]): void {
    const { openingMs, connectionsMax } = this.#options;
    const now = performance.now();
    const ports = new Set(connections.map(({ peerPort }) => peerPort));
    for (const port of this.#since.keys()) if (!ports.has(port)) this.#since.delete(port);
    for (const port of ports) if (!this.#since.has(port)) this.#since.set(port, now);
    const sinceOf = ({ peerPort }: TcpConnection) => this.#since.get(peerPort) ?? now;
    const open = new Set(connections.toSorted((a, b) => sinceOf(a) - sinceOf(b)));
    for (const connection of open) {
      if (now - sinceOf(connection) < openingMs) continue;
      this.#end("timeout", connection);
      open.delete(connection);
    }
    while (open.size > connectionsMax) {
      const victim = firstOfLargestGroup(open, ({ remote }) => remote);
      if (victim === undefined) return;
      this.#end("too_many", victim);
      open.delete(victim);
    }
  }

  #end(reason: LinkRefusal, connection: TcpConnection): void {
    this.#options.sockets.end(connection.descriptor);
    this.#since.delete(connection.peerPort);
    this.#options.refused(reason, connection);
  }
}
