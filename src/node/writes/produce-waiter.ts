import type { LastWrite, ProducerSequence } from "../../broker/producer-sequence.ts";
import type { PartitionState } from "../../broker/state.ts";
import { assert } from "../../lib/assert.ts";
import type { CommandResult } from "../../machine/commands.ts";
import type { Offset } from "../../record/offset.ts";
import type { ProduceOutcome, ProduceReject, WriteAck, WriteReject } from "../api.ts";
import { handleOf, type PartitionHandle } from "../partition-handle.ts";
import { Waiter } from "./waiters.ts";

/** An earlier write that this one repeats. */
export type First = {
  /** Null: its place is not known any more. */
  readonly firstOffset: number | null;
  readonly count: number;
  readonly payloadMatches: boolean;
  /** False: the write is in flight and may never be stored. */
  readonly committed: boolean;
};

/** The expected end of a write, unless leadership changes. */
export type Expected =
  | { readonly kind: "stored"; readonly identity: Identity | null }
  | { readonly kind: "duplicate"; readonly first: First }
  | { readonly kind: "refused" };

/** The identity by which a later write in flight is recognized as a duplicate. */
export type Identity =
  | { readonly key: string; readonly payloadDigest: Uint8Array }
  | { readonly sequence: ProducerSequence };

export type Done = (outcome: ProduceOutcome) => void;

/** Waits for a produce and updates the predicted end of the partition. */
export class ProduceWaiter extends Waiter {
  readonly #done: Done;
  readonly #partition: PartitionState;
  readonly #handle: PartitionHandle;
  readonly #count: number;
  readonly #expected: Expected;
  readonly #first: First | null;
  #firstOffset = 0;
  /** This write as the last one of its producer. */
  #last: LastWrite | null = null;

  constructor(
    submittedUs: number,
    partition: PartitionState,
    count: number,
    expected: Expected,
    done: Done,
  ) {
    super(submittedUs);
    this.#partition = partition;
    this.#handle = handleOf(partition);
    this.#count = count;
    this.#expected = expected;
    this.#first = expected.kind === "duplicate" ? expected.first : null;
    this.#done = done;
  }

  /** The offset that the record gets unless leadership changes. Called once, before the write is queued. */
  predict(): void {
    if (this.#expected.kind !== "stored") return;
    const { identity } = this.#expected;
    const handle = this.#handle;
    const count = this.#count;
    const firstOffset = this.#partition.endOffset + handle.pendingRecords;
    this.#firstOffset = firstOffset;
    handle.pendingRecords += count;
    if (identity === null) return;
    if ("key" in identity) {
      const { payloadDigest } = identity;
      handle.pendingKeys.set(identity.key, { firstOffset, count, payloadDigest });
      return;
    }
    const { id, epoch, seq, payload } = identity.sequence;
    this.#last = { epoch, seq, payload, firstOffset: firstOffset as Offset, count };
    handle.pendingProducers.set(id, this.#last);
  }

  /** Rocket mode: answers with the prediction before the record is written. */
  answerNow(): void {
    if (this.mayPredict && this.settle()) this.#done(this.#predicted(0, null));
  }

  /** Answers after `timeout_ms` has passed. The write continues. */
  answerUnsynced(batchId: number, ackedBy: number): void {
    if (this.settle()) this.#done(this.#predicted(batchId, false, ackedBy));
  }

  /** False: only the applied command can say why the write is refused. */
  get mayPredict(): boolean {
    return this.#expected.kind !== "refused";
  }

  protected override onApplied(
    result: CommandResult,
    ack: WriteAck,
    closedUs: number,
    nowUs: number,
  ): void {
    if (!result.ok) {
      this.#done({ ok: false, code: result.code as ProduceReject, details: result.details });
      return;
    }
    assert(isStored(result), "the command at the position of a produce is one");
    this.#done({
      ok: true,
      partition: this.#partition.partition,
      firstOffset: result.firstOffset,
      count: result.count,
      duplicate: result.duplicate,
      payloadMatches: result.payloadMatches,
      committed: true,
      batchId: ack.batchId,
      synced: ack.synced,
      ackedBy: ack.ackedBy,
      queueUs: closedUs - this.submittedUs,
      syncWaitUs: nowUs - closedUs,
    });
  }

  protected override onAppended(batchId: number): boolean {
    // The first write of a duplicate may not be committed yet. The duplicate waits for its result.
    if (this.#expected.kind !== "stored") return false;
    this.#done(this.#predicted(batchId, true, 1));
    return true;
  }

  protected override onTimeout(): void {
    this.#done({ ok: false, code: "commit_timeout" });
  }

  protected override onReject(code: WriteReject): void {
    this.#done({ ok: false, code });
  }

  override leftQueue(): void {
    if (this.#expected.kind !== "stored") return;
    const { identity } = this.#expected;
    const handle = this.#handle;
    handle.pendingRecords -= this.#count;
    if (identity === null) return;
    if ("key" in identity) handle.pendingKeys.delete(identity.key);
    // A later write of the producer may be in flight.
    else if (handle.pendingProducers.get(identity.sequence.id) === this.#last) {
      handle.pendingProducers.delete(identity.sequence.id);
    }
  }

  #predicted(batchId: number, synced: boolean | null, ackedBy = 0): ProduceOutcome {
    const first = this.#first;
    return {
      ok: true,
      partition: this.#partition.partition,
      firstOffset: first === null ? this.#firstOffset : first.firstOffset,
      count: first?.count ?? this.#count,
      duplicate: first !== null,
      payloadMatches: first?.payloadMatches ?? true,
      committed: first?.committed ?? false,
      batchId,
      synced,
      ackedBy,
      queueUs: 0,
      syncWaitUs: 0,
    };
  }
}

type Success = Extract<CommandResult, { readonly ok: true }>;
const isStored = (
  result: Success,
): result is Extract<Success, { readonly type: "produce" | "produce_sequenced" }> =>
  result.type === "produce" || result.type === "produce_sequenced";
