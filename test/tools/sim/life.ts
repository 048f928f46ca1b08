/** One life of a simulated process: everything that it does runs through here, or not at all. */
import type { Clock } from "../../../src/env/clock.ts";
import type { Micros, Millis } from "../../../src/lib/ids.ts";
import type { SimClock } from "./sim-clock.ts";

/**
 * The process that runs now; promises that continue before the next event belong to the same life.
 */
export const running: { life: Life | null } = { life: null };

/** How much simulated time the work of a process takes. */
export type Load = {
  /** Time that the next event costs. */
  readonly costMs: () => number;
  /** Called when an event has to wait, with the length of the backlog. */
  readonly waits: (length: number) => void;
};

export class Life {
  readonly name: string;
  readonly number: number;
  readonly #queue: SimClock;
  readonly #crashed: (error: unknown) => void;
  #alive = true;
  /** Held back while paused. */
  #held: (() => void)[] | null = null;
  #endings: (() => void)[] = [];
  readonly #load: Load | null;
  /** Events that arrived while another one was worked on. */
  readonly #backlog: (() => void)[] = [];
  #busyUntilMs = 0;

  /**
   * @param crashed is told what an event threw: a real process would have ended.
   * @param load is null if work takes no simulated time.
   */
  constructor(
    name: string,
    number: number,
    queue: SimClock,
    crashed: (error: unknown) => void = () => {},
    load: Load | null = null,
  ) {
    this.#load = load;
    this.name = name;
    this.number = number;
    this.#queue = queue;
    this.#crashed = crashed;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#held !== null;
  }

  /** Runs now, later if paused or busy, never if dead. */
  run(body: () => void): void {
    if (!this.#alive) return;
    if (this.#held !== null) {
      this.#held.push(body);
      return;
    }
    const waitMs = this.#busyUntilMs - this.#queue.elapsedMs;
    if (this.#backlog.length > 0 || waitMs > 0) {
      this.#backlog.push(body);
      this.#load?.waits(this.#backlog.length);
      if (this.#backlog.length === 1) this.#queue.after(waitMs, () => this.#drain());
      return;
    }
    this.#work(body);
  }

  /** Runs the oldest event of the backlog. */
  #drain(): void {
    if (!this.#alive) return;
    if (this.#held !== null) {
      this.#held.unshift(...this.#backlog.splice(0));
      return;
    }
    const [body] = this.#backlog;
    if (body === undefined) return;
    this.#work(body);
    this.#backlog.shift();
    if (this.#backlog.length === 0) return;
    this.#queue.after(this.#busyUntilMs - this.#queue.elapsedMs, () => this.#drain());
  }

  #work(body: () => void): void {
    const costMs = this.#load?.costMs() ?? 0;
    if (costMs > 0) this.#busyUntilMs = this.#queue.elapsedMs + costMs;
    running.life = this;
    try {
      body();
    } catch (error) {
      this.#crashed(error);
    }
  }

  after(delayMs: number, body: () => void): () => void {
    let cancelled = false;
    const cancel = this.#queue.after(delayMs, () =>
      this.run(() => {
        if (!cancelled) body();
      }),
    );
    return () => {
      cancelled = true;
      cancel();
    };
  }

  pause(): void {
    if (this.#alive) this.#held ??= [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const body of held) this.#queue.after(0, () => this.run(body));
  }

  /** Called when the life ends; at once if it has. */
  onEnd(body: () => void): void {
    if (this.#alive) this.#endings.push(body);
    else body();
  }

  end(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#held = null;
    for (const body of this.#endings.splice(0)) body();
  }
}

/** The clocks of a machine: they outlive its processes. Monotonic time may run at its own rate. */
export type ClockFaults = { skewMs: number; rate: number };

export class LifeClock implements Clock {
  readonly #life: Life;
  readonly #queue: SimClock;
  readonly #faults: ClockFaults;

  constructor(life: Life, queue: SimClock, faults: ClockFaults) {
    this.#life = life;
    this.#queue = queue;
    this.#faults = faults;
  }

  now(): Millis {
    return (this.#queue.now() + Math.floor(this.#faults.skewMs)) as Millis;
  }

  monotonic(): Micros {
    return Math.floor(this.#queue.monotonic() * this.#faults.rate) as Micros;
  }

  after(delayMs: number, run: () => void): () => void {
    return this.#life.after(delayMs / this.#faults.rate, run);
  }

  defer(run: () => void): void {
    this.#life.after(0, run);
  }
}
