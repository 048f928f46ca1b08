import type { Core } from "../../raft/core.ts";
import type { Linearizer } from "../reads/linearizer.ts";

/** Number of failures before a node counts as lagging. A single one may be a change of leader. */
const FAILURES_MIN = 2;

/**
 * Detects that this follower lags behind. Once a second it asks the leader for the commit index and
 * waits until it is applied here, at most for the time that a linearizable read may wait.
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

  /** True if committed entries were not applied here in time, or the leader did not answer. */
  get isLagging(): boolean {
    return this.#core.role !== "leader" && this.#failures >= FAILURES_MIN;
  }

  /** Called once a second. */
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
