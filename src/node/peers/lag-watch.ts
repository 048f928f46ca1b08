import type { Core } from "../../raft/core.ts";
import type { Linearizer } from "../reads/linearizer.ts";

/** A single failure may be a change of leaders. */
const FAILURES_MIN = 2;

/**
 * Notices that this follower stays behind: once a second it asks the leader what is committed, and
 * waits until that is applied here, at most as long as a linearizable read may wait.
 */
export class LagWatch {
  readonly #core: Pick<Core, "role" | "leader">;
  readonly #linearizer: Pick<Linearizer, "confirm">;
  #isAsking = false;
  #failures = 0;

  constructor(core: Pick<Core, "role" | "leader">, linearizer: Pick<Linearizer, "confirm">) {
    this.#core = core;
    this.#linearizer = linearizer;
  }

  /** What the leader had committed was not applied here in time, or the leader did not answer. */
  get isLagging(): boolean {
    return this.#core.role !== "leader" && this.#failures >= FAILURES_MIN;
  }

  /** Once a second. */
  maintain(): void {
    const { role, leader } = this.#core;
    if (role === "leader") this.#failures = 0;
    if (role === "leader" || leader === null || this.#isAsking) return;
    this.#isAsking = true;
    void this.#linearizer.confirm().then((outcome) => {
      this.#isAsking = false;
      this.#failures = outcome === "ok" ? 0 : this.#failures + 1;
    });
  }
}
