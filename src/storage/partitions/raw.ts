import type { PartitionLog } from "./log.ts";
import type { PartitionWindow } from "./window.ts";

/** Whole batches from the one that contains `offset` on, in the form that is sent to a peer. */
export type RawBatches = {
  readonly baseOffset: number;
  /** Exclusive. */
  readonly endOffset: number;
  readonly bytes: Uint8Array;
};

/**
 * Returns verified batches up to `toOffset`: at least one, otherwise at most `maxBytes`.
 *
 * @returns null if the offset is not retained here.
 * @throws PartitionDamaged
 */
export async function rawRange(
  log: PartitionLog,
  fromOffset: number,
  toOffset: number,
  maxBytes: number,
): Promise<RawBatches | null> {
  const raw = new RawCollector(fromOffset, Math.min(toOffset, log.endOffset), maxBytes);
  while (!raw.isFull) {
    const window = log.memoryWindow(raw.next) ?? (await log.fileWindow(raw.next, ALL, raw.left));
    if (window === null) return null;
    raw.take(window);
  }
  return raw.finish();
}

const ALL = Number.MAX_SAFE_INTEGER;

class RawCollector {
  readonly #parts: Uint8Array[] = [];
  readonly #end: number;
  readonly #maxBytes: number;
  #base = -1;
  #bytes = 0;
  next: number;
  isFull: boolean;

  constructor(from: number, end: number, maxBytes: number) {
    this.next = from;
    this.#end = end;
    this.#maxBytes = maxBytes;
    this.isFull = from >= end;
  }

  take(window: PartitionWindow): void {
    while (!this.isFull && window.step()) {
      const endOffset = window.offset + window.count;
      if (endOffset <= this.next) continue;
      if (this.#base >= 0 && this.#bytes + window.length > this.#maxBytes) {
        this.isFull = true;
        return;
      }
      window.checkPayload();
      if (this.#base < 0) this.#base = window.offset;
      this.#parts.push(window.bytes.subarray(window.at, window.at + window.length));
      this.#bytes += window.length;
      this.next = endOffset;
      this.isFull = endOffset >= this.#end;
    }
  }

  get left(): number {
    return this.#maxBytes - this.#bytes;
  }

  finish(): RawBatches | null {
    if (this.#base < 0) return null;
    const bytes = new Uint8Array(this.#bytes);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return { baseOffset: this.#base, endOffset: this.next, bytes };
  }
}
