import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import type { Micros, Millis, NodeId } from "../../lib/ids.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Logger } from "../../metrics/log.ts";

/** Rate at which a difference is corrected, as a fraction of the elapsed time. */
const SLEW = 0.1;
/** Clocks that differ by at most this are considered equal. */
const SAME_MS = 500;
/** A larger difference is not drift: a clock was set. */
const NEAR_MS = 10_000;
/** Longer than NTP needs to detect that it set a clock wrongly: it polls every 1,024 s. */
const PATIENCE_MS = 30 * 60_000;
/**
 * A sole voter accepts its clock at the start if it is at most this far ahead of the last entry. A
 * machine may have been off for a week. A clock that is further ahead may be set wrongly.
 */
const LEAP_ALONE_MS_MAX = 7 * 86_400_000;
/** A clock that is further ahead is accepted after this time, unless it was set meanwhile. */
const HOLD_MS = 10 * 60_000;
/** The last entry of a journal is known only after this time. Nothing is logged before. */
const HOLD_SILENT_MS = 2_000;
/** A leader that has just started waits this long for the clocks of peers before it stamps. */
const SETTLE_MS = 1_000;
/** Peers are asked once a second. Older readings are ignored. */
const READING_AGE_MS_MAX = 10_000;
const RECKON_EVERY_MS = 1_000;
/** The largest time that a `Date` can hold. */
const DATE_MS_MAX = 8.64e15;

/** A peer's wall clock minus this node's monotonic clock, with its maximum error and its time. */
type Reading = { readonly offsetMs: number; readonly errorMs: number; readonly atMs: number };
/** The offset on which a majority of clocks agrees, and its maximum error. */
type Agreed = { readonly offsetMs: number; readonly errorMs: number };

export type ClusterTimeOptions = {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly log: Logger;
  /** Highest time of all applied entries. The cluster time never goes back behind it. */
  readonly floor: () => Millis;
  /** True if the log has no entry that could have been stamped. */
  readonly isNew: () => boolean;
  readonly voters: () => readonly NodeId[];
  /** The operator has declared the clock of this machine correct, however far it is ahead. */
  readonly acceptClock: boolean;
};

/** A leap at the start that is not accepted yet. */
type HeldLeap = { readonly sinceMs: number; readonly offsetMs: number; isLogged: boolean };

/**
 * The cluster time. Entries are stamped with it, and it decides when data expires. It starts at the
 * time of the last entry and advances with the monotonic clock. Wall clocks correct it gradually:
 *
 * - The reference is this node's own wall clock while it agrees with a majority of the voters'
 *   clocks, otherwise the time of that majority. A sole voter uses its own clock. If no majority
 *   agrees, nothing is corrected.
 * - The time leaps at most once, forwards, before this process has stamped an entry: the nodes were
 *   off, and data that expired in that time must be deleted. A later leap would expire data that was
 *   just written. A sole voter cannot compare its clock, so a leap of more than a week is delayed by
 *   ten minutes. Otherwise a clock that is a year ahead would delete everything with a time to live.
 * - Afterwards a difference is corrected by running a tenth faster or slower. A difference of more
 *   than seconds comes from a clock that was set, rightly or not, and is corrected only after half an
 *   hour, because early expiry loses data and late expiry does not.
 */
export class ClusterTime implements Clock {
  readonly #options: ClusterTimeOptions;
  readonly #readings = new Map<NodeId, Reading>();
  #timeMs = 0;
  #readAtMs: number;
  /** True once the time was found correct since the start of this process. */
  #settled = false;
  /** Start of a leader's wait for the clocks of peers. */
  #waitingSinceMs: number | null = null;
  /** A large difference: when it began, and to which wall clock. */
  #suspected: { readonly sinceMs: number; readonly offsetMs: number } | null = null;
  #held: HeldLeap | null = null;
  #agreed: Agreed | null = null;
  #reckonedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: ClusterTimeOptions) {
    this.#options = options;
    this.#readAtMs = this.#monotonicMs();
  }

  /** Records that a peer's wall clock is ahead of the monotonic clock by `offsetMs` ± `errorMs`. */
  observe(peer: NodeId, offsetMs: number, errorMs: number): void {
    this.#readings.set(peer, { offsetMs, errorMs, atMs: this.#monotonicMs() });
    this.#reckonedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** True if a leader may stamp entries. False: it still waits for the clocks of peers. */
  mayStamp(): boolean {
    if (this.#settled || this.#options.isNew()) return true;
    this.now();
    if (this.#settled) return true;
    this.#waitingSinceMs ??= this.#readAtMs;
    if (this.#readAtMs - this.#waitingSinceMs < SETTLE_MS) return false;
    this.#options.log.warn("no majority of clocks agrees, continuing from the last entry");
    this.#settled = true;
    return true;
  }

  now(): Millis {
    const nowMs = this.#monotonicMs();
    const elapsedMs = nowMs - this.#readAtMs;
    this.#readAtMs = nowMs;
    const floorMs = this.#options.floor();
    const wallMs = this.#wallMs(nowMs);
    if (this.#timeMs === 0 && floorMs === 0 && (wallMs === null || this.#options.isNew())) {
      // Nothing was stamped yet, so nothing can expire, or the last stamp is not known yet.
      return Math.floor(wallMs ?? this.#options.clock.now()) as Millis;
    }
    const runMs = Math.max(this.#timeMs + elapsedMs, floorMs);
    const nextMs = wallMs === null ? runMs : this.#corrected(runMs, wallMs, elapsedMs, nowMs);
    this.#timeMs = Math.max(this.#timeMs, floorMs, nextMs);
    return Math.floor(this.#timeMs) as Millis;
  }

  monotonic(): Micros {
    return this.#options.clock.monotonic();
  }

  after(delayMs: number, run: () => void): () => void {
    return this.#options.clock.after(delayMs, run);
  }

  defer(run: () => void): void {
    this.#options.clock.defer(run);
  }

  /** Returns how far this node's wall clock is ahead of the majority and of the cluster time. */
  measure(into: Pick<Instruments, "clockSkewSeconds" | "clockClampSeconds">): void {
    const timeMs = this.now();
    const ownMs = this.#options.clock.now();
    const wallMs = this.#agreed === null ? timeMs : this.#agreed.offsetMs + this.#readAtMs;
    into.clockSkewSeconds.value = (ownMs - wallMs) / 1000;
    into.clockClampSeconds.value = (ownMs - timeMs) / 1000;
  }

  #corrected(runMs: number, wallMs: number, elapsedMs: number, nowMs: number): number {
    const gapMs = wallMs - runMs;
    if (!this.#settled || faultPoint("any-clock-believed-at-once")) {
      this.#settled = true;
      if (!this.#mustHold(gapMs)) return Math.max(runMs, wallMs);
      this.#held = { sinceMs: nowMs, offsetMs: wallMs - nowMs, isLogged: false };
    }
    if (this.#held !== null) return this.#whileHeld(this.#held, runMs, wallMs, nowMs);
    if (!this.#isBelieved(gapMs, wallMs - nowMs, nowMs)) return runMs;
    const stepMs = elapsedMs * SLEW;
    return Math.abs(gapMs) <= stepMs ? wallMs : runMs + Math.sign(gapMs) * stepMs;
  }

  #mustHold(gapMs: number): boolean {
    const { acceptClock, self, voters, floor } = this.#options;
    const ids = voters();
    const isAlone = ids.length === 1 && ids[0] === self;
    return isAlone && !acceptClock && floor() > 0 && gapMs > LEAP_ALONE_MS_MAX;
  }

  /** Continues from the time of the last entry until the clock is accepted or set. */
  #whileHeld(held: HeldLeap, runMs: number, wallMs: number, nowMs: number): number {
    const { log } = this.#options;
    const times = () => ({ last_entry: isoOf(runMs), clock: isoOf(wallMs) });
    if (wallMs - runMs <= LEAP_ALONE_MS_MAX) {
      this.#held = null;
      if (held.isLogged) log.info("the clock is plausible again", times());
      return Math.max(runMs, wallMs);
    }
    const offsetMs = wallMs - nowMs;
    if (Math.abs(held.offsetMs - offsetMs) > NEAR_MS) {
      this.#held = { sinceMs: nowMs, offsetMs, isLogged: held.isLogged };
      return runMs;
    }
    if (nowMs - held.sinceMs >= HOLD_MS) {
      this.#held = null;
      log.warn("clock accepted, it was not set for ten minutes", times());
      return wallMs;
    }
    if (!held.isLogged && nowMs - held.sinceMs >= HOLD_SILENT_MS) {
      held.isLogged = true;
      log.warn(
        "the clock is more than a week ahead of the last entry, expiry is held back for ten minutes; RF_CLOCK_ACCEPT=1 accepts it at once",
        times(),
      );
    }
    return runMs;
  }

  #isBelieved(gapMs: number, offsetMs: number, nowMs: number): boolean {
    if (Math.abs(gapMs) <= NEAR_MS) {
      this.#suspected = null;
      return true;
    }
    // The half hour starts again if the clock is set again.
    if (this.#suspected === null || Math.abs(this.#suspected.offsetMs - offsetMs) > NEAR_MS) {
      this.#suspected = { sinceMs: nowMs, offsetMs };
      this.#options.log.warn(
        gapMs < 0
          ? "the clock is behind the time of the cluster, which slows down after half an hour"
          : "the clock was set forward while running, it is followed after half an hour",
        { ahead_ms: Math.round(gapMs) },
      );
    }
    return nowMs - this.#suspected.sinceMs >= PATIENCE_MS;
  }

  /** The reference wall clock. Null if no majority agrees on one. */
  #wallMs(nowMs: number): number | null {
    if (nowMs - this.#reckonedAtMs >= RECKON_EVERY_MS) {
      this.#agreed = this.#reckon(nowMs);
      this.#reckonedAtMs = nowMs;
    }
    const { self, clock, voters } = this.#options;
    const ownMs = clock.now();
    const ids = voters();
    if (faultPoint("own-clock-is-cluster-clock")) return ownMs;
    if (ids.length === 1 && ids[0] === self) return ownMs;
    if (this.#agreed === null) return null;
    const { offsetMs, errorMs } = this.#agreed;
    const agreedMs = offsetMs + nowMs;
    return Math.abs(ownMs - agreedMs) <= SAME_MS + errorMs ? ownMs : agreedMs;
  }

  /** The middle of the smallest interval that contains the clocks of a majority. */
  #reckon(nowMs: number): Agreed | null {
    const { self, clock, voters } = this.#options;
    const ids = voters();
    const shown: Agreed[] = [];
    for (const id of ids) {
      const reading = this.#readings.get(id);
      if (id === self) shown.push({ offsetMs: clock.now() - nowMs, errorMs: 0 });
      else if (reading !== undefined && nowMs - reading.atMs <= READING_AGE_MS_MAX) {
        shown.push(reading);
      }
    }
    shown.sort((a, b) => a.offsetMs - b.offsetMs);
    const needed = (ids.length >> 1) + 1;
    let best: readonly Agreed[] = [];
    let bestSpreadMs = NEAR_MS;
    for (let first = 0; first + needed <= shown.length; first++) {
      const some = shown.slice(first, first + needed);
      const spreadMs = (some.at(-1)?.offsetMs ?? 0) - (some[0]?.offsetMs ?? 0);
      if (spreadMs > bestSpreadMs) continue;
      best = some;
      bestSpreadMs = spreadMs;
    }
    const middle = best[best.length >> 1];
    if (middle === undefined) return null;
    const errorMs = Math.max(...best.map((one) => one.errorMs));
    return { offsetMs: middle.offsetMs, errorMs };
  }

  #monotonicMs(): number {
    return this.#options.clock.monotonic() / 1000;
  }
}

const isoOf = (ms: number): string =>
  Math.abs(ms) <= DATE_MS_MAX ? new Date(ms).toISOString() : `${Math.round(ms)} ms`;
