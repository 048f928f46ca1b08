/** A network in memory, in simulated time: links that can be slow, silent, cut, or spoil bytes. */
import type {
  DialHandlers,
  Link,
  LinkHandlers,
  Network,
  PeerAddress,
} from "../../../src/env/network.ts";
import type { Random } from "../random.ts";
import type { SimClock } from "../sim/sim-clock.ts";

type Accept = (link: Link) => LinkHandlers;

/** All nodes of a world; addresses are `host:port`. */
export class MemoryWorld {
  readonly clock: SimClock;
  readonly random: Random;
  /** One way, drawn for each frame from 1 to this. */
  delayMsMax = 5;
  /** Called with each frame before it is queued: what it returns is carried; null: the link is cut. */
  tamper: (from: string, to: string, frame: Uint8Array) => Uint8Array | null = (_, __, f) => f;
  readonly listeners = new Map<string, Accept>();
  readonly #silent = new Set<string>();
  readonly #pairs = new Set<Pair>();

  constructor(clock: SimClock, random: Random) {
    this.clock = clock;
    this.random = random;
  }

  network(host: string, port = 7000): MemoryNetwork {
    return new MemoryNetwork(this, host, port);
  }

  /** Frames between these two hosts are lost from now on, and nobody is told. */
  silence(a: string, b: string): void {
    this.#silent.add(`${a} ${b}`).add(`${b} ${a}`);
  }

  heal(): void {
    this.#silent.clear();
  }

  /** Ends all links between two hosts. Messages on their way are lost. */
  cut(a: string, b: string): void {
    for (const pair of [...this.#pairs]) if (pair.joins(a, b)) pair.cut("cut");
  }

  /** Ends all links of a host, which is not told itself. */
  leave(host: string): void {
    for (const pair of [...this.#pairs]) if (pair.joins(host, "*")) pair.leave(host);
  }

  isSilent(from: string, to: string): boolean {
    return this.#silent.has(`${from} ${to}`);
  }

  add(pair: Pair): void {
    this.#pairs.add(pair);
  }

  forget(pair: Pair): void {
    this.#pairs.delete(pair);
  }
}

export class MemoryNetwork implements Network {
  readonly #world: MemoryWorld;
  readonly host: string;
  readonly port: number;
  #accept: Accept | null = null;

  constructor(world: MemoryWorld, host: string, port: number) {
    this.#world = world;
    this.host = host;
    this.port = port;
  }

  listen(accept: Accept): void {
    const own: Accept = (link) => accept(link);
    this.#accept = own;
    this.#world.listeners.set(`${this.host}:${this.port}`, own);
  }

  dial(peer: PeerAddress, handlers: DialHandlers): Link {
    return new Pair(this.#world, this.host, peer, handlers).near;
  }

  async close(): Promise<void> {
    const key = `${this.host}:${this.port}`;
    if (this.#world.listeners.get(key) === this.#accept) this.#world.listeners.delete(key);
    this.#world.leave(this.host);
  }
}

/** Both ends of one link. */
class Pair {
  readonly near: End;
  far: End | null = null;
  readonly #world: MemoryWorld;
  readonly #from: string;
  readonly #to: string;

  constructor(world: MemoryWorld, from: string, peer: PeerAddress, handlers: DialHandlers) {
    this.#world = world;
    this.#from = from;
    this.#to = peer.host;
    this.near = new End(world, this, from, peer.host, handlers);
    world.add(this);
    world.clock.after(1 + world.random.below(world.delayMsMax), () => this.#open(peer, handlers));
  }

  joins(a: string, b: string): boolean {
    const ends = [this.#from, this.#to];
    return b === "*" ? ends.includes(a) : ends.includes(a) && ends.includes(b);
  }

  cut(reason: string): void {
    this.#world.forget(this);
    this.near.lose(reason);
    this.far?.lose(reason);
  }

  leave(host: string): void {
    if (this.#from === host) this.near.isOpen = false;
    if (this.#to === host && this.far !== null) this.far.isOpen = false;
    this.cut("the other end is gone");
  }

  #open(peer: PeerAddress, handlers: DialHandlers): void {
    if (!this.near.isOpen || this.#world.isSilent(this.#from, this.#to)) return;
    const accept = this.#world.listeners.get(`${peer.host}:${peer.port}`);
    if (accept === undefined) {
      this.cut("nobody listens");
      return;
    }
    this.far = new End(this.#world, this, this.#to, this.#from, null);
    this.far.handlers = accept(this.far);
    if (this.near.isOpen) handlers.opened();
  }
}

class End implements Link {
  readonly certificate = null;
  readonly remote: string;
  handlers: LinkHandlers | null;
  isOpen = true;
  bufferedBytes = 0;
  readonly #world: MemoryWorld;
  readonly #pair: Pair;
  readonly #host: string;
  /** When the last frame arrives: later ones do not overtake it. */
  #lastAtMs = 0;

  constructor(
    world: MemoryWorld,
    pair: Pair,
    host: string,
    remote: string,
    handlers: LinkHandlers | null,
  ) {
    this.#world = world;
    this.#pair = pair;
    this.#host = host;
    this.remote = remote;
    this.handlers = handlers;
  }

  send(frame: Uint8Array): boolean {
    if (!this.isOpen || this.#pair.far === null) return false;
    const carried = this.#world.tamper(this.#host, this.remote, frame.slice());
    const { clock, random, delayMsMax } = this.#world;
    const at = Math.max(this.#lastAtMs, clock.elapsedMs + 1 + random.below(delayMsMax));
    this.#lastAtMs = at;
    this.bufferedBytes += frame.length;
    clock.after(at - clock.elapsedMs, () => {
      this.bufferedBytes -= frame.length;
      if (carried === null) this.#pair.cut("spoilt");
      else if (!this.#world.isSilent(this.#host, this.remote)) this.#other()?.deliver(carried);
    });
    return true;
  }

  verified(): void {}

  deliver(frame: Uint8Array): void {
    if (this.isOpen) this.handlers?.frame(frame);
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    const { clock, delayMsMax } = this.#world;
    clock.after(delayMsMax, () => {
      if (!this.#world.isSilent(this.#host, this.remote)) this.#pair.cut("closed by the peer");
    });
  }

  lose(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.handlers?.closed(reason);
  }

  #other(): End | null {
    return this.#pair.near === this ? this.#pair.far : this.#pair.near;
  }
}
