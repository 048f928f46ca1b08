import type { Clock } from "../../env/clock.ts";
import type { MaybePromise } from "../../lib/maybe-promise.ts";

type Wait = { readonly isThere: () => boolean; readonly end: (isThere: boolean) => void };

/** Waits until this node has applied what the leader has named. */
export class AppliedWaits {
  readonly #clock: Pick<Clock, "after">;
  readonly #waits = new Set<Wait>();

  constructor(clock: Pick<Clock, "after">) {
    this.#clock = clock;
  }

  /** @returns false if it is not there in time. Most often it is there at once. */
  until(isThere: () => boolean, timeoutMs: number): MaybePromise<boolean> {
    if (isThere()) return true;
    return new Promise((resolve) => {
      const end = (isHere: boolean): void => {
        cancel();
        this.#waits.delete(wait);
        resolve(isHere);
      };
      const wait: Wait = { isThere, end };
      const cancel = this.#clock.after(timeoutMs, () => end(false));
      this.#waits.add(wait);
    });
  }

  /** Called at most once per event-loop iteration, after the machine has applied entries. */
  applied(): void {
    if (this.#waits.size === 0) return;
    for (const { isThere, end } of this.#waits) if (isThere()) end(true);
  }

  stop(): void {
    for (const { end } of this.#waits) end(false);
  }
}
