import type { Clock } from "../../../src/env/clock.ts";
import type { Micros, Millis } from "../../../src/lib/ids.ts";

type Event = { readonly at: number; readonly sequence: number; run: (() => void) | null };

/** Simulated time: stands still until the next event is run. Events run by (time, sequence). */
export class SimClock implements Clock {
  /** Added to the wall clock only; may jump. */
  skewMs = 0;
  #now = 0;
  #sequence = 0;
  readonly #startMs: number;
  readonly #heap: Event[] = [];

  /** @param startMs what the wall clock shows at the start. */
  constructor(startMs = 1_700_000_000_000) {
    this.#startMs = startMs;
  }

  now(): Millis {
    return (this.#startMs + Math.floor(this.#now) + this.skewMs) as Millis;
  }

  monotonic(): Micros {
    return Math.floor(this.#now * 1000) as Micros;
  }

  /** Milliseconds since the start. */
  get elapsedMs(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): () => void {
    const event: Event = { at: this.#now + Math.max(0, delayMs), sequence: this.#sequence++, run };
    this.#push(event);
    return () => {
      event.run = null;
    };
  }

  defer(run: () => void): void {
    this.after(0, run);
  }

  /** Runs the next event. @returns false if there is none. */
  step(): boolean {
    if (this.nextMs === null) return false;
    const event = this.#pop();
    if (event === undefined) return false;
    this.#now = event.at;
    event.run?.();
    return true;
  }

  /** Time of the next event, or null. */
  get nextMs(): number | null {
    while (this.#heap[0]?.run === null) this.#pop();
    return this.#heap[0]?.at ?? null;
  }

  /** Runs all events of the next `ms`, and lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.nextMs; next !== null && next <= end; next = this.nextMs) {
      this.step();
      await settle();
    }
    this.#now = end;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const other = heap[parent];
      if (other === undefined || !before(event, other)) break;
      heap[at] = other;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const moved = heap.pop();
    if (top === undefined || moved === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      const left = heap[child];
      const right = heap[child + 1];
      if (left === undefined) break;
      let least = left;
      if (right !== undefined && before(right, left)) {
        least = right;
        child++;
      }
      if (!before(least, moved)) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = moved;
    return top;
  }
}

/** Until all promises that can settle without another event have done so. */
export const settle = (): Promise<void> => new Promise((resolve) => immediately(resolve));

const immediately = setImmediate;

const before = (a: Event, b: Event): boolean =>
  a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
