import type { Clock } from "../../env/clock.ts";
import type { Core } from "../../raft/core.ts";
import type { ReadState } from "../../raft/types.ts";
import type { Rejected } from "../api.ts";

/** Why a node cannot say for certain that something does not exist. */
export type Doubt = Rejected<"no_leader" | "no_quorum">;
type Outcome = "ok" | "no_leader" | "no_quorum";
type Pending = { readonly resolve: (outcome: Outcome) => void };
type Ready = { readonly index: number; readonly pending: Pending };

/** Linearizable reads: the leader confirms that it still leads, then this node catches up to it. */
export class Linearizer {
  readonly #core: Core;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #wake: () => void;
  /** Asked and not confirmed. */
  readonly #asked = new Set<Pending>();
  /** Confirmed at an index that is not applied here yet. */
  #waiting: Ready[] = [];

  constructor(core: Core, clock: Clock, timeoutMs: number, wake: () => void) {
    this.#core = core;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#wake = wake;
  }

  /** Resolves when a read of this node's state is linearizable, or with why it cannot be. */
  confirm(): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const pending: Pending = { resolve };
    const asked = this.#core.readIndex(pending);
    if (!asked.ok) return Promise.resolve("no_leader");
    this.#asked.add(pending);
    // A question or its answer may get lost on the way.
    const cancel = this.#clock.after(this.#timeoutMs, () => {
      this.#asked.delete(pending);
      this.#waiting = this.#waiting.filter((ready) => ready.pending !== pending);
      resolve("no_quorum");
    });
    this.#wake();
    return promise.finally(cancel);
  }

  /**
   * To be asked before this node says that there is no such topic: it may be about to get a snapshot.
   *
   * @returns null once it knows all that was committed when it was asked: then it is to look again.
   */
  async doubt(): Promise<Doubt | null> {
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

  /** The applied index has moved. */
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
