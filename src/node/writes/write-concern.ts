import type { Core } from "../../raft/core.ts";
import type { WriteReject } from "../api.ts";
import type { Waiter } from "./waiters.ts";

/**
 * When a write is answered. It does not change when a write is committed. `appended`: the leader's
 * disk has the entry. `nodes`: the disks of this many voters have it, at least a majority.
 */
export type WriteConcern =
  | { readonly kind: "appended" }
  | { readonly kind: "majority" }
  | { readonly kind: "nodes"; readonly count: number }
  | { readonly kind: "all" };

type Held = {
  readonly index: number;
  readonly waiter: Waiter;
  readonly release: (ackedBy: number) => void;
};

/** Counts the disks that have an entry, and delays answers until the write concern is met. */
export class Acknowledgements {
  readonly #core: Core;
  readonly #concern: WriteConcern;
  /** Applied entries that wait for more disks, sorted by index. */
  #held: Held[] = [];
  #askedIndex = 0;
  #askedCount = 0;

  constructor(core: Core, concern: WriteConcern) {
    this.#core = core;
    this.#concern = concern;
  }

  get concern(): WriteConcern {
    return this.#concern;
  }

  /** Number of voters whose disk is known to have the entry. */
  count(index: number): number {
    const { configuration, durableIndex, commitIndex } = this.#core;
    const { voters } = configuration;
    if (voters.length === 1) return durableIndex >= index ? 1 : 0;
    let count = 0;
    for (const id of voters) if ((this.#core.matchIndex(id) ?? 0) >= index) count++;
    // A former leader does not know the disks, but a committed entry is on a majority of them.
    return commitIndex >= index ? Math.max(count, Math.floor(voters.length / 2) + 1) : count;
  }

  /** Number of disks that have a committed entry, or -1 if the write concern requires more. */
  enough(index: number): number {
    // Called for all requests of an entry in sequence, so the last result is cached.
    if (index !== this.#askedIndex) {
      this.#askedIndex = index;
      const count = this.count(index);
      this.#askedCount = count >= this.#needed() ? count : -1;
    }
    return this.#askedCount;
  }

  /** Calls `release` when the entry is on enough disks, unless the waiter was answered before. */
  hold(index: number, waiter: Waiter, release: (ackedBy: number) => void): void {
    if (!waiter.settled) this.#held.push({ index, waiter, release });
  }

  /** Called if a disk has more entries than before. */
  advance(): void {
    this.#askedIndex = 0;
    const needed = this.#needed();
    while (this.#held.length > 0) {
      const first = this.#held[0] as Held;
      const count = this.count(first.index);
      if (count < needed) return;
      this.#held.shift();
      first.release(count);
    }
  }

  /** Ends the waits that began before `beforeUs`, and removes those that were answered. */
  expire(beforeUs: number): void {
    if (this.#held.length === 0) return;
    for (const { waiter } of this.#held) if (waiter.submittedUs <= beforeUs) waiter.expired();
    this.#held = this.#held.filter(({ waiter }) => !waiter.settled);
  }

  reject(code: WriteReject): void {
    for (const { waiter } of this.#held.splice(0)) waiter.rejected(code);
  }

  /** Number of disks beyond the majority that commits. 0: the majority is sufficient. */
  #needed(): number {
    const { kind } = this.#concern;
    const voters = this.#core.configuration.voters.length;
    if (kind === "all") return voters;
    return this.#concern.kind === "nodes" ? Math.min(this.#concern.count, voters) : 0;
  }
}
