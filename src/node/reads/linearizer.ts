import type { Clock } from "../../env/clock.ts";
import type { Core } from "../../raft/core.ts";
import type { ReadState } from "../../raft/types.ts";
import type { Rejected } from "../api.ts";

/** Why a node cannot be certain that an item does not exist. */
export type CannotCatchUp = Rejected<"no_leader" | "no_quorum">;
type Outcome = "ok" | "no_leader" | "no_quorum";
type Pending = { readonly resolve: (outcome: Outcome) => void };
type Ready = { readonly index: number; readonly pending: Pending };

/** Linearizable reads: the leader confirms its leadership, then this node catches up with it. */
export class Linearizer {
  readonly #core: Core;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #wake: () => void;
  /** Reads that the leader has not confirmed yet. */
  readonly #asked = new Set<Pending>();
  /** Confirmed reads whose index is not applied on this node yet. */
  #waiting: Ready[] = [];

  constructor(core: Core, clock: Clock, timeoutMs: number, wake: () => void) {
    this.#core = core;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#wake = wake;
  }

  /** Resolves to null when a read of this node's state is linearizable, otherwise to the reason. */
  confirm(): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const pending: Pending = { resolve };
    const asked = this.#core.readIndex(pending);
    if (!asked.ok) return Promise.resolve("no_leader");
    this.#asked.add(pending);
    // The request or its response may get lost.
    const cancel = this.#clock.after(this.#timeoutMs, () => {
      this.#asked.delete(pending);
      this.#waiting = this.#waiting.filter((ready) => ready.pending !== pending);
      resolve("no_quorum");
    });
    this.#wake();
    return promise.finally(cancel);
  }

  /**
   * Called before this node reports that a topic does not exist, because the node may lag behind.
   *
   * @returns null once this node has applied everything that was committed at the call. The caller
   *   must then look again.
   */
  async catchUp(): Promise<CannotCatchUp | null> {
    const code = await this.confirm();
    if (code === "ok") return null;
    const message =
      "Not known here, and whether it exists could not be learnt from the leader in time: try again, or ask another node";
    return { ok: false, code, message };
  }

  readStates(states: readonly ReadState[], dropped: readonly unknown[]): void {
    for (const { context, index } of states) {
      const pending = context as Pending;
      if (this.#asked.delete(pending)) this.#waiting.push({ index, pending });
    }
    for (const context of dropped) {
      const pending = context as Pending;
      if (this.#asked.delete(pending)) pending.resolve("no_quorum");
    }
    this.applied();
  }

  /** Called when the applied index has increased. */
  applied(): void {
    if (this.#waiting.length === 0) return;
    const applied = this.#core.appliedIndex;
    const ready = this.#waiting.filter(({ index }) => index <= applied);
    this.#waiting = this.#waiting.filter(({ index }) => index > applied);
    for (const { pending } of ready) pending.resolve("ok");
  }

  stop(): void {
    for (const pending of this.#asked) pending.resolve("no_leader");
    for (const { pending } of this.#waiting) pending.resolve("no_leader");
    this.#asked.clear();
    this.#waiting = [];
  }
}
