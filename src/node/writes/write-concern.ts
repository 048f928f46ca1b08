import type { Core } from "../../raft/core.ts";
import type { WriteReject } from "../api.ts";
import type { Waiter } from "./waiters.ts";

/**
 * When a write is answered; never what is committed. `appended`: the leader's disk has it.
 * `nodes`: so many voters' disks have it, at least a majority.
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

/** Knows on how many disks an entry is, and holds answers until that is enough. */
export class Acknowledgements {
  readonly #core: Core;
  readonly #concern: WriteConcern;
  /** Applied, and waiting for more disks; in order of their index. */
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

  /** Voters whose disk is known to have the entry. */
  count(index: number): number {
    const { configuration, durableIndex, commitIndex } = this.#core;
    const { voters } = configuration;
    if (voters.length === 1) return durableIndex >= index ? 1 : 0;
    let count = 0;
    for (const id of voters) if ((this.#core.matchIndex(id) ?? 0) >= index) count++;
    // Who led no longer knows whose disks they are, but what is committed is on a majority of them.
    return commitIndex >= index ? Math.max(count, Math.floor(voters.length / 2) + 1) : count;
  }

  /** On how many disks a committed entry is, or -1 if the write concern wants more. */
  enough(index: number): number {
    // Asked for every request of an entry in a row.
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

  /** Somebody's disk has more than before. */
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

  /** Ends the waits of before `beforeUs`, and forgets whoever was answered meanwhile. */
  expire(beforeUs: number): void {
    if (this.#held.length === 0) return;
    for (const { waiter } of this.#held) if (waiter.submittedUs <= beforeUs) waiter.expired();
    this.#held = this.#held.filter(({ waiter }) => !waiter.settled);
  }

  reject(code: WriteReject): void {
    for (const { waiter } of this.#held.splice(0)) waiter.rejected(code);
  }

  /** Beyond the majority that commits; 0: that is enough. */
  #needed(): number {
    const { kind } = this.#concern;
    const voters = this.#core.configuration.voters.length;
    if (kind === "all") return voters;
    return this.#concern.kind === "nodes" ? Math.min(this.#concern.count, voters) : 0;
  }
}
