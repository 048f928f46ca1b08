import type { RateSpec } from "./token-spec.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** Token bucket of one bearer token, with an optional number of requests a UTC day. */
export class RateLimit {
  readonly #spec: RateSpec;
  #tokens: number;
  #filledAtMs: number;
  #day = -1;
  #today = 0;

  constructor(spec: RateSpec, nowMs: number) {
    this.#spec = spec;
    this.#tokens = spec.burst;
    this.#filledAtMs = nowMs;
  }

  /** @returns 0 if the request may pass, else the whole seconds after which one may. */
  take(nowMs: number): number {
    const { perSecond, burst, daily } = this.#spec;
    // A clock that was set back must not drain the bucket.
    const elapsedMs = Math.max(0, nowMs - this.#filledAtMs);
    this.#filledAtMs = nowMs;
    this.#tokens = Math.min(burst, this.#tokens + (elapsedMs / 1000) * perSecond);
    if (daily !== null && !this.#withinDay(nowMs, daily)) {
      return Math.ceil((DAY_MS - (nowMs % DAY_MS)) / 1000);
    }
    if (this.#tokens < 1) return Math.max(1, Math.ceil((1 - this.#tokens) / perSecond));
    this.#tokens--;
    this.#today++;
    return 0;
  }

  #withinDay(nowMs: number, daily: number): boolean {
    const day = Math.floor(nowMs / DAY_MS);
    if (day !== this.#day) {
      this.#day = day;
      this.#today = 0;
    }
    return this.#today < daily;
  }
}
