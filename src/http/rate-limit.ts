import { BucketState } from "./bucket-state.ts";
import type { RateSpec } from "./token-spec.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

export type LimitClock = {
  /** Wall clock, milliseconds since 1970. It may be set, also backwards. */
  readonly wallMs: () => number;
  /** Milliseconds since some start. It never goes back. */
  readonly monotonicMs: () => number;
};

/**
 * Token bucket of one bearer token, with an optional number of requests a UTC day.
 *
 * The bucket runs with the monotonic clock. The day is that of the wall clock, but a clock that is
 * set back does not begin another day, so that a clock that swings around midnight does not give
 * the day's requests again and again. After 24 hours a new count begins whatever the date is, so
 * that a clock that was far ahead does not hold the count for ever.
 */
export class RateLimit {
  readonly #spec: RateSpec;
  readonly #clock: LimitClock;
  readonly #state: BucketState;

  /** @param memory of all threads that have this limit. Null: only this thread has it. */
  constructor(spec: RateSpec, clock: LimitClock, memory: SharedArrayBuffer | null = null) {
    this.#spec = spec;
    this.#clock = clock;
    const state = new BucketState(memory);
    this.#state = state;
    state.exclusively(() => {
      // The first thread begins the count.
      if (state.hasBegun) return;
      state.begin(spec.bucket?.burst ?? 0, dayOf(clock.wallMs()), clock.monotonicMs());
    });
  }

  /** @returns 0 if the request may pass, else the whole seconds after which one may. */
  take(): number {
    return this.#state.exclusively(() => this.#take());
  }

  #take(): number {
    const state = this.#state;
    const nowMs = this.#clock.monotonicMs();
    const waitSeconds = this.#dailyWait(nowMs);
    if (waitSeconds > 0) return waitSeconds;
    const { bucket } = this.#spec;
    if (bucket !== null) {
      const elapsedMs = Math.max(0, nowMs - state.filledAtMs);
      state.filledAtMs = nowMs;
      const filled = state.tokens + (elapsedMs / 1000) * bucket.perSecond;
      state.tokens = Math.min(bucket.burst, filled);
      if (state.tokens < 1) return Math.max(1, Math.ceil((1 - state.tokens) / bucket.perSecond));
      state.tokens -= 1;
    }
    state.today += 1;
    return 0;
  }

  #dailyWait(nowMs: number): number {
    const state = this.#state;
    const { daily } = this.#spec;
    if (daily === null) return 0;
    const wallMs = this.#clock.wallMs();
    const day = dayOf(wallMs);
    const ageMs = nowMs - state.dayBeganAtMs;
    if (day > state.day || ageMs >= DAY_MS) {
      state.beginDay(day, nowMs);
    }
    if (state.today < daily) return 0;
    // After the clock was set back, the date of the count lies in the future.
    const untilMidnightMs = (state.day + 1) * DAY_MS - wallMs;
    const waitMs = Math.min(untilMidnightMs, DAY_MS - (nowMs - state.dayBeganAtMs));
    return Math.max(1, Math.ceil(waitMs / 1000));
  }
}

const dayOf = (wallMs: number): number => Math.floor(wallMs / DAY_MS);
