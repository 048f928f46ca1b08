/**
 * The network between the nodes: one proxy before each Raft port, and rules for each direction of
 * each pair. A proxy finds out who dialled from the kernel, so all nodes may know one address.
 */
import type { Socket, TCPSocketListener } from "bun";
import type { Address } from "./http-connection.ts";
import { Relay, type Weather } from "./relay.ts";
import { ownerOf } from "./socket-owner.ts";

export type ProxiedNode = {
  readonly id: string;
  /** The address that the other nodes dial. */
  readonly proxy: Address;
  /** Where the node listens. */
  readonly target: Address;
  readonly pid: () => number | null;
};

/** Faults of the links between nodes. */
export type Network = {
  /** From `from` to `to`; the other way is another rule. */
  set(from: string, to: string, weather: Partial<Weather>): void;
  /**
   * All rules end.
   *
   * @param cut connections that were disturbed break; else what was kept arrives late.
   */
  heal(cut: boolean): void;
  cutMidFrame(from: string, to: string): void;
  halfOpen(from: string, to: string): void;
  close(): void;
  /** Connections that could be disturbed; zero at the end means that nothing was tested. */
  readonly relayed: number;
};

/** Both ways, between every node of one side and every node of the other. */
export function separate(
  network: Network,
  side: readonly string[],
  other: readonly string[],
): void {
  for (const a of side) {
    for (const b of other) {
      network.set(a, b, { blocked: true });
      network.set(b, a, { blocked: true });
    }
  }
}

const CLEAR: Weather = { blocked: false, delayMs: 0 };

export class Links implements Network {
  readonly #nodes: readonly ProxiedNode[];
  readonly #rules = new Map<string, Weather>();
  readonly #relays = new Set<Relay>();
  readonly #listeners: TCPSocketListener<Accepted>[] = [];
  relayed = 0;

  /** @throws if a proxy cannot listen. */
  constructor(nodes: readonly ProxiedNode[]) {
    this.#nodes = nodes;
    for (const node of nodes) this.#listeners.push(this.#listen(node));
  }

  set(from: string, to: string, weather: Partial<Weather>): void {
    this.#rules.set(`${from}>${to}`, { ...CLEAR, ...weather });
    this.#pump();
  }

  heal(cut: boolean): void {
    const disturbed = new Set(this.#rules.keys());
    this.#rules.clear();
    for (const relay of [...this.#relays]) {
      const { from, to } = relay;
      const wasDisturbed = disturbed.has(`${from}>${to}`) || disturbed.has(`${to}>${from}`);
      if ((cut && wasDisturbed) || relay.isHalfOpen) relay.end();
    }
    this.#pump();
  }

  cutMidFrame(from: string, to: string): void {
    for (const relay of this.#between(from, to)) relay.forward.cutNext();
  }

  halfOpen(from: string, to: string): void {
    for (const relay of this.#between(from, to)) relay.halfOpen();
  }

  close(): void {
    for (const listener of this.#listeners) listener.stop(true);
    for (const relay of [...this.#relays]) relay.end();
  }

  #between(from: string, to: string): Relay[] {
    return [...this.#relays].filter((relay) => relay.from === from && relay.to === to);
  }

  #pump(): void {
    for (const relay of this.#relays) relay.pump();
  }

  #weather = (from: string, to: string): Weather => this.#rules.get(`${from}>${to}`) ?? CLEAR;

  #listen(node: ProxiedNode): TCPSocketListener<Accepted> {
    return Bun.listen<Accepted>({
      hostname: node.proxy.host,
      port: node.proxy.port,
      socket: {
        open: (socket) => this.#accept(node, socket),
        data: (socket, chunk) => socket.data.relay?.forward.push(chunk),
        drain: (socket) => socket.data.relay?.backward.pump(),
        close: (socket) => socket.data.relay?.sourceEnded(),
        error: (socket) => socket.data.relay?.sourceEnded(),
      },
    });
  }

  #accept(node: ProxiedNode, accepted: Socket<Accepted>): void {
    accepted.data = { relay: null };
    const from = this.#sourceOf(node, accepted.remotePort);
    if (from === null) {
      accepted.terminate();
      return;
    }
    const relay = new Relay({
      from,
      to: node.id,
      accepted: accepted as unknown as Socket,
      weather: this.#weather,
      onEnd: () => this.#relays.delete(relay),
    });
    accepted.data.relay = relay;
    this.#relays.add(relay);
    this.relayed++;
    const { host, port } = node.target;
    Bun.connect({
      hostname: host,
      port,
      socket: {
        open: (socket) => relay.connected(socket),
        data: (_, chunk) => relay.backward.push(chunk),
        drain: () => relay.forward.pump(),
        close: () => relay.end(),
        error: () => relay.end(),
        connectError: () => relay.end(),
      },
    }).catch(() => relay.end());
  }

  #sourceOf(target: ProxiedNode, port: number): string | null {
    const pids = new Map<number, string>();
    for (const { id, pid } of this.#nodes) {
      const number = pid();
      if (number !== null) pids.set(number, id);
    }
    const owner = ownerOf(port, target.proxy.port, pids.keys());
    return owner === null ? null : (pids.get(owner) ?? null);
  }
}

type Accepted = { relay: Relay | null };
