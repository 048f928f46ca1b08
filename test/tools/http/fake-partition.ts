/** One partition of the fake node: stored batches, the low watermark, and who waits for records. */
import { judgeSequence, type LastWrite } from "../../../src/broker/producer-sequence.ts";
import { sameBytes } from "../../../src/lib/bytes.ts";
import { crc32 } from "../../../src/lib/crc32.ts";
import type { ConsumePage, Produced, ProducerNumber, Rejected } from "../../../src/node/api.ts";
import type { EncodedRecords } from "../../../src/record/batch-builder.ts";
import {
  batchBaseOffset,
  batchCount,
  batchLength,
  partitionSeed,
  stampBatch,
} from "../../../src/record/batch-header.ts";
import { RecordCursor } from "../../../src/record/batch-reader.ts";
import type { Offset } from "../../../src/record/offset.ts";

type First = { readonly offset: number; readonly count: number; readonly bytes: Uint8Array };

type Stored = Pick<Produced, "firstOffset" | "count" | "duplicate" | "payloadMatches">;

export class FakePartition {
  readonly committed = new Map<string, number>();
  readonly #lasts = new Map<string, LastWrite>();
  readonly #firsts = new Map<string, First>();
  #batches: Uint8Array[] = [];
  #waiting: (() => void)[] = [];
  readonly topicId: number;
  lowWatermark = 0;
  endOffset = 0;
  bytes = 0;

  readonly #seed: number;

  constructor(topicId: number, partition: number) {
    this.topicId = topicId;
    this.#seed = partitionSeed(topicId, partition);
  }

  append(
    records: EncodedRecords,
    idempotencyKey: string | null,
    payload: Uint8Array,
    nowMs: number,
  ): Stored {
    const first = idempotencyKey === null ? undefined : this.#firsts.get(idempotencyKey);
    if (first !== undefined) {
      const payloadMatches = sameBytes(first.bytes, payload);
      return { firstOffset: first.offset, count: first.count, duplicate: true, payloadMatches };
    }
    const firstOffset = this.endOffset;
    if (idempotencyKey !== null) {
      const { count } = records;
      this.#firsts.set(idempotencyKey, { offset: firstOffset, count, bytes: payload.slice() });
    }
    for (const batch of batchesOf(records.bytes)) {
      stampBatch(batch, 0, this.endOffset, nowMs, this.#seed);
      this.endOffset += batchCount(batch, 0);
      this.#batches.push(batch);
    }
    this.bytes += records.logicalBytes;
    this.wake();
    return { firstOffset, count: records.count, duplicate: false, payloadMatches: true };
  }

  /** The write of an idempotent producer. */
  appendNumbered(
    records: EncodedRecords,
    { id, epoch, seq }: ProducerNumber,
    payload: Uint8Array,
    nowMs: number,
  ): Stored | Rejected<"sequence_gap" | "stale_epoch"> {
    const sequence = { id, epoch, seq, payload: crc32(payload) };
    const verdict = judgeSequence(this.#lasts.get(id) ?? null, sequence);
    switch (verdict.kind) {
      case "sequence_gap":
        return { ok: false, code: verdict.kind, details: { expected_seq: verdict.expectedSeq } };
      case "stale_epoch":
        return { ok: false, code: verdict.kind, details: { current_epoch: verdict.currentEpoch } };
      case "duplicate": {
        const { firstOffset = null, count = 0 } = verdict.first ?? {};
        return { firstOffset, count, duplicate: true, payloadMatches: verdict.payloadMatches };
      }
      case "next": {
        const stored = this.append(records, null, payload, nowMs);
        const firstOffset = stored.firstOffset as Offset;
        this.#lasts.delete(id);
        this.#lasts.set(id, { ...sequence, firstOffset, count: records.count });
        return stored;
      }
    }
  }

  /** The last write of each producer. */
  get producers(): ReadonlyMap<string, LastWrite> {
    return this.#lasts;
  }

  forgetProducer(id: string): boolean {
    return this.#lasts.delete(id);
  }

  page(offset: number | null, group: string): ConsumePage {
    const committedOffset = this.committed.get(group) ?? null;
    const startOffset = Math.max(offset ?? committedOffset ?? this.lowWatermark, this.lowWatermark);
    const { lowWatermark, endOffset } = this;
    const slices = this.#batches.filter(
      (batch) => batchBaseOffset(batch, 0) + batchCount(batch, 0) > startOffset,
    );
    const { topicId } = this;
    return { slices, first: null, topicId, startOffset, committedOffset, lowWatermark, endOffset };
  }

  offsetAt(timeMs: number): { offset: number; timestampMs: number | null } {
    for (const batch of this.#batches) {
      const cursor = new RecordCursor(batch);
      for (let more = cursor.seek(this.lowWatermark); more; more = cursor.next()) {
        if (cursor.timestampMs >= timeMs) {
          return { offset: cursor.offset, timestampMs: cursor.timestampMs };
        }
      }
    }
    return { offset: this.endOffset, timestampMs: null };
  }

  deleteBefore(offset: number): { deletedCount: number; freedBytes: number } {
    const floor = Math.max(offset, this.lowWatermark);
    let deletedCount = 0;
    let freedBytes = 0;
    for (const batch of this.#batches) {
      const cursor = new RecordCursor(batch);
      while (cursor.next()) {
        if (cursor.offset < this.lowWatermark || cursor.offset >= floor) continue;
        deletedCount++;
        freedBytes += cursor.logicalBytes;
      }
    }
    this.lowWatermark = floor;
    this.bytes -= freedBytes;
    return { deletedCount, freedBytes };
  }

  commit(group: string, offset: number): number {
    const committed = Math.max(offset, this.committed.get(group) ?? 0);
    this.committed.set(group, committed);
    return committed;
  }

  wait(offset: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (this.endOffset > offset || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener("abort", done);
      this.#waiting.push(done);
    });
  }

  wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done();
  }
}

function batchesOf(bytes: Uint8Array): Uint8Array[] {
  const batches: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = batchLength(bytes, at);
    batches.push(bytes.slice(at, at + length));
    at += length;
  }
  return batches;
}
