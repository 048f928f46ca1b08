/**
 * The network between simulated processes. A link gives the other end a prefix of what was sent, in
 * order; between two hosts and for each direction it can be slow, silent or cut, as the seed says.
 */
import type {
  DialHandlers,
  Link,
  LinkHandlers,
  Network,
  PeerAddress,
} from "../../../src/env/network.ts";
import { handshakeBytesMax } from "../../../src/transport/limits.ts";
import type { Random } from "../random.ts";
import type { Life } from "./life.ts";
import type { SimClock } from "./sim-clock.ts";

type Accept = (link: Link) => LinkHandlers;

export type Delays = {
  /** Least time on the way, and the mean of what comes on top. */
  readonly baseMs: number;
  readonly meanMs: number;
  /** One frame in so many takes ten times as long; 0: none. */
  readonly slowOneIn: number;
};

const SYN_RETRY_MS = 1000;
const RECORDED_MAX = 64;
const UNIT = 2 ** 32;

export class SimNetworks {
  readonly queue: SimClock;
  readonly random: Random;
  readonly delays: Delays;
  readonly counts = { frames: 0, held: 0, cut: 0 };
  /** Some frames that were sent between nodes, for those who record them. */
  readonly recorded: Uint8Array[] = [];
  /** Added to every frame of a direction, `from>to`. */
  readonly slowMs = new Map<string, number>();
  readonly #blocked = new Set<string>();
  readonly #listeners = new Map<string, { life: Life; accept: Accept }>();
  readonly #pairs = new Set<Pair>();

  constructor(queue: SimClock, random: Random, delays: Delays) {
    this.queue = queue;
    this.random = random;
    this.delays = delays;
  }

  /** The network as a process of `host` sees it. */
  network(host: string, life: Life): SimNetwork {
    return new SimNetwork(this, host, life);
  }

  /** Nothing gets from one host to the other any more; who sends does not notice. */
  block(from: string, to: string): void {
    this.#blocked.add(`${from}>${to}`);
  }

  isBlocked(from: string, to: string): boolean {
    return this.#blocked.has(`${from}>${to}`);
  }

  /** Held messages arrive now, as TCP sends again, unless their link has died meanwhile. */
  heal(): void {
    this.#blocked.clear();
    this.slowMs.clear();
    for (const pair of [...this.#pairs]) {
      if (this.random.below(3) === 0) this.cutPair(pair, "timed out");
      else pair.release();
    }
  }

  /** Ends links between two hosts; what is on the way is lost. @returns how many. */
  cut(a: string, b: string): number {
    let count = 0;
    for (const pair of [...this.#pairs]) {
      if (!pair.joins(a) || !pair.joins(b)) continue;
      this.cutPair(pair, "cut");
      count++;
    }
    this.counts.cut += count;
    return count;
  }

  /**
   * Ends links from one host to another at their near end only. The far end goes on to get what is
   * on the way, and hears of the end later: after the next handshake, if that is quicker.
   *
   * @returns how many.
   */
  abandon(from: string, to: string, ms: number): number {
    const abandoned = [...this.#pairs].filter(
      ({ near }) => near.host === from && near.remote === to,
    );
    for (const pair of abandoned) {
      pair.near.lose("reset");
      this.queue.after(ms, () => this.cutPair(pair, "reset"));
    }
    return abandoned.length;
  }

  /** A link that no node of the cluster opens. @returns its near end. */
  stranger(name: string, life: Life, to: string, handlers: DialHandlers): Link {
    return new Pair(this, name, life, to, handlers).near;
  }

  /** The process of a host is gone: others are told, unless the host is, too. */
  hostEnded(host: string, told: boolean): void {
    this.#listeners.delete(host);
    for (const pair of [...this.#pairs]) {
      if (!pair.joins(host)) continue;
      if (told) this.cutPair(pair, "reset");
      else this.#pairs.delete(pair);
    }
  }

  cutPair(pair: Pair, reason: string): void {
    this.#pairs.delete(pair);
    for (const end of pair.ends) end?.lose(reason);
  }

  listen(host: string, life: Life, accept: Accept): void {
    this.#listeners.set(host, { life, accept });
  }

  listenerOf(host: string): { life: Life; accept: Accept } | null {
    return this.#listeners.get(host) ?? null;
  }

  add(pair: Pair): void {
    this.#pairs.add(pair);
  }

  has(pair: Pair): boolean {
    return this.#pairs.has(pair);
  }

  delay(from: string, to: string): number {
    const { baseMs, meanMs, slowOneIn } = this.delays;
    const drawn = baseMs - meanMs * Math.log((this.random.u32() + 1) / UNIT);
    const factor = slowOneIn > 0 && this.random.below(slowOneIn) === 0 ? 10 : 1;
    return drawn * factor + (this.slowMs.get(`${from}>${to}`) ?? 0);
  }
}

class SimNetwork implements Network {
  readonly #world: SimNetworks;
  readonly #host: string;
  readonly #life: Life;
  readonly #own = new Set<Pair>();

  constructor(world: SimNetworks, host: string, life: Life) {
    this.#world = world;
    this.#host = host;
    this.#life = life;
  }

  listen(accept: Accept): void {
    this.#world.listen(this.#host, this.#life, accept);
  }

  dial(peer: PeerAddress, handlers: DialHandlers): Link {
    const pair = new Pair(this.#world, this.#host, this.#life, peer.host, handlers);
    this.#own.add(pair);
    return pair.near;
  }

  async close(): Promise<void> {
    this.#world.hostEnded(this.#host, true);
  }
}

/** Both ends of one link. */
class Pair {
  readonly near: End;
  far: End | null = null;
  readonly #world: SimNetworks;
  readonly #handlers: DialHandlers;

  constructor(world: SimNetworks, from: string, life: Life, to: string, handlers: DialHandlers) {
    this.#world = world;
    this.#handlers = handlers;
    this.near = new End(world, this, { host: from, life, remote: to });
    this.near.handlers = handlers;
    world.add(this);
    this.#openLater(world.delay(from, to) + world.delay(to, from));
  }

  get ends(): readonly (End | null)[] {
    return [this.near, this.far];
  }

  joins(host: string): boolean {
    return this.near.host === host || this.near.remote === host;
  }

  release(): void {
    for (const end of this.ends) end?.release();
  }

  #openLater(delayMs: number): void {
    this.#world.queue.after(delayMs, () => this.#open());
  }

  #open(): void {
    const { host, remote } = this.near;
    const world = this.#world;
    if (!this.near.isOpen || !world.has(this)) return;
    if (world.isBlocked(host, remote) || world.isBlocked(remote, host)) {
      this.#openLater(SYN_RETRY_MS);
      return;
    }
    const listener = world.listenerOf(remote);
    if (listener === null) {
      world.cutPair(this, "nobody listens");
      return;
    }
    // A paused process accepts later; its kernel has taken the link already.
    listener.life.run(() => {
      if (!this.near.isOpen || !world.has(this)) return;
      const far = new End(world, this, { host: remote, life: listener.life, remote: host });
      this.far = far;
      far.handlers = listener.accept(far);
    });
    world.queue.after(0, () =>
      this.near.life.run(() => {
        if (this.near.isOpen) this.#handlers.opened();
      }),
    );
  }
}

type Place = { readonly host: string; readonly life: Life; readonly remote: string };

class End implements Link {
  readonly certificate = null;
  readonly host: string;
  readonly remote: string;
  readonly life: Life;
  handlers: LinkHandlers | null = null;
  isOpen = true;
  bufferedBytes = 0;
  readonly #world: SimNetworks;
  readonly #pair: Pair;
  /** As on a real link, a peer that is not verified sends only short frames. */
  #isVerified = false;
  /** When the last frame arrives: later ones do not overtake it. */
  #lastAtMs = 0;
  /** Arrived while the direction was silent; null: the end of the link. */
  #held: (Uint8Array | null)[] = [];

  constructor(world: SimNetworks, pair: Pair, { host, life, remote }: Place) {
    this.#world = world;
    this.#pair = pair;
    this.host = host;
    this.life = life;
    this.remote = remote;
  }

  send(frame: Uint8Array): boolean {
    if (!this.isOpen || !this.life.alive) return false;
    this.bufferedBytes += frame.length;
    this.#carry(frame.slice());
    return true;
  }

  verified(): void {
    this.#isVerified = true;
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#carry(null);
  }

  lose(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#world.queue.after(0, () => this.life.run(() => this.handlers?.closed(reason)));
  }

  /** One event a frame, so that each process runs in events of its own. */
  release(): void {
    if (this.#held.length === 0 || this.#world.isBlocked(this.host, this.remote)) return;
    this.#world.queue.after(0, () => {
      const frame = this.#held.shift();
      if (frame === undefined) return;
      if (this.#world.has(this.#pair)) this.#deliver(frame);
      this.release();
    });
  }

  #carry(frame: Uint8Array | null): void {
    const { queue, counts, recorded } = this.#world;
    counts.frames++;
    // Messages of a few kilobytes at most, hellos among them; the newest replace the oldest.
    if (frame !== null && frame.length < 4096) recorded[counts.frames % RECORDED_MAX] = frame;
    const at = Math.max(
      this.#lastAtMs,
      queue.elapsedMs + this.#world.delay(this.host, this.remote),
    );
    this.#lastAtMs = at;
    queue.after(at - queue.elapsedMs, () => this.#arrive(frame));
  }

  #arrive(frame: Uint8Array | null): void {
    if (!this.#world.has(this.#pair)) return;
    if (this.#held.length > 0 || this.#world.isBlocked(this.host, this.remote)) {
      this.#held.push(frame);
      this.#world.counts.held++;
      return;
    }
    this.#deliver(frame);
  }

  #deliver(frame: Uint8Array | null): void {
    if (frame === null) {
      this.#world.cutPair(this.#pair, "closed by the peer");
      return;
    }
    this.bufferedBytes -= frame.length;
    const other = this.#pair.near === this ? this.#pair.far : this.#pair.near;
    if (other !== null && !other.#isVerified && frame.length > handshakeBytesMax(false)) {
      this.#world.cutPair(this.#pair, "frame_too_long");
      return;
    }
    other?.life.run(() => {
      if (other.isOpen) other.handlers?.frame(frame);
    });
  }
}
