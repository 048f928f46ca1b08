import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import type { Core } from "../../raft/core.ts";
import type { ReadState } from "../../raft/types.ts";
import type { Rejected } from "../api.ts";

/** Why a node cannot be certain that an item does not exist. */
export type CannotCatchUp = Rejected<"no_leader" | "no_quorum">;
type Outcome = "ok" | "no_leader" | "no_quorum";

/** Reads that wait for longer than this behind a question do not wait for its answer. */
const PATIENCE_MS = 50;

/** The reads that share one question to the leader. Reads that arrive after it must not join. */
class ReadBatch {
  readonly #waiting = new Set<(outcome: Outcome) => void>();

  get size(): number {
    return this.#waiting.size;
  }

  add(resolve: (outcome: Outcome) => void): void {
    this.#waiting.add(resolve);
  }

  remove(resolve: (outcome: Outcome) => void): void {
    this.#waiting.delete(resolve);
  }

  settle(outcome: Outcome): void {
    for (const resolve of this.#waiting) resolve(outcome);
    this.#waiting.clear();
  }
}
type Ready = { readonly index: number; readonly batch: ReadBatch };

/**
 * Linearizable reads: the leader confirms its leadership, then this node catches up with it. Reads
 * that arrive while the leader is asked share the next question, so a node has one round trip under
 * way, however many reads wait. It has another one only if an answer is late, as after a lost message.
 */
export class Linearizer {
  readonly #core: Core;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #wake: () => void;
  /** Questions that the leader has not answered yet. */
  readonly #asked = new Set<ReadBatch>();
  /** The reads of the next question. */
  #next = new ReadBatch();
  #cancelPatience: (() => void) | null = null;
  /** Confirmed reads whose index is not applied on this node yet. */
  #waiting: Ready[] = [];

  constructor(core: Core, clock: Clock, timeoutMs: number, wake: () => void) {
    this.#core = core;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#wake = wake;
  }

  /** Resolves to `ok` when a read of this node's state is linearizable, otherwise to the reason. */
  confirm(): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const batch = this.#batch();
    batch.add(resolve);
    if (this.#asked.size > 0) this.#waitPatiently();
    else if (!this.#ask()) return promise;
    // The question or its answer may get lost.
    const cancel = this.#clock.after(this.#timeoutMs, () => {
      batch.remove(resolve);
      if (batch.size === 0) this.#asked.delete(batch);
      resolve("no_quorum");
    });
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
      const batch = context as ReadBatch;
      if (this.#asked.delete(batch)) this.#waiting.push({ index, batch });
    }
    for (const context of dropped) {
      const batch = context as ReadBatch;
      if (this.#asked.delete(batch)) batch.settle("no_quorum");
    }
    if (this.#asked.size === 0 && this.#next.size > 0) this.#ask();
    this.applied();
  }

  /** Called when the applied index has increased. */
  applied(): void {
    if (this.#waiting.length === 0) return;
    const applied = this.#core.appliedIndex;
    const ready = this.#waiting.filter(({ index }) => index <= applied);
    this.#waiting = this.#waiting.filter(({ index }) => index > applied);
    for (const { batch } of ready) batch.settle("ok");
  }

  stop(): void {
    this.#cancelPatience?.();
    for (const batch of this.#asked) batch.settle("no_leader");
    this.#next.settle("no_leader");
    for (const { batch } of this.#waiting) batch.settle("no_leader");
    this.#asked.clear();
    this.#waiting = [];
  }

  #batch(): ReadBatch {
    if (faultPoint("read-joins-a-question-under-way")) return [...this.#asked].at(-1) ?? this.#next;
    return this.#next;
  }

  #waitPatiently(): void {
    this.#cancelPatience ??= this.#clock.after(PATIENCE_MS, () => {
      this.#cancelPatience = null;
      if (this.#next.size > 0) this.#ask();
    });
  }

  /** Asks the leader for all reads that wait. @returns false if there is none: they are settled. */
  #ask(): boolean {
    this.#cancelPatience?.();
    this.#cancelPatience = null;
    const batch = this.#next;
    this.#next = new ReadBatch();
    const asked = this.#core.readIndex(batch);
    if (!asked.ok) {
      batch.settle("no_leader");
      return false;
    }
    this.#asked.add(batch);
    this.#wake();
    return true;
  }
}
