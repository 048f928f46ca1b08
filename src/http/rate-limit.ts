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
  #tokens: number;
  #filledAtMs: number;
  #day: number;
  #dayBeganAtMs: number;
  #today = 0;

  constructor(spec: RateSpec, clock: LimitClock) {
    this.#spec = spec;
    this.#clock = clock;
    this.#tokens = spec.bucket?.burst ?? 0;
    this.#filledAtMs = clock.monotonicMs();
    this.#day = dayOf(clock.wallMs());
    this.#dayBeganAtMs = this.#filledAtMs;
  }

  /** @returns 0 if the request may pass, else the whole seconds after which one may. */
  take(): number {
    const nowMs = this.#clock.monotonicMs();
    const waitSeconds = this.#dailyWait(nowMs);
    if (waitSeconds > 0) return waitSeconds;
    const { bucket } = this.#spec;
    if (bucket !== null) {
      const elapsedMs = Math.max(0, nowMs - this.#filledAtMs);
      this.#filledAtMs = nowMs;
      const filled = this.#tokens + (elapsedMs / 1000) * bucket.perSecond;
      this.#tokens = Math.min(bucket.burst, filled);
      if (this.#tokens < 1) return Math.max(1, Math.ceil((1 - this.#tokens) / bucket.perSecond));
      this.#tokens--;
    }
    this.#today++;
    return 0;
  }

  #dailyWait(nowMs: number): number {
    const { daily } = this.#spec;
    if (daily === null) return 0;
    const wallMs = this.#clock.wallMs();
    const day = dayOf(wallMs);
    const ageMs = nowMs - this.#dayBeganAtMs;
    if (day > this.#day || ageMs >= DAY_MS) {
      this.#day = day;
      this.#dayBeganAtMs = nowMs;
      this.#today = 0;
    }
    if (this.#today < daily) return 0;
    // After the clock was set back, the date of the count lies in the future.
    const untilMidnightMs = (this.#day + 1) * DAY_MS - wallMs;
    const waitMs = Math.min(untilMidnightMs, DAY_MS - (nowMs - this.#dayBeganAtMs));
    return Math.max(1, Math.ceil(waitMs / 1000));
  }
}

const dayOf = (wallMs: number): number => Math.floor(wallMs / DAY_MS);
