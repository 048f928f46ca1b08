/** Compresses one response: synchronously, or in pieces outside of the event loop. */
import { constants, createGzip, createZstdCompress, type Gzip, type ZstdCompress } from "node:zlib";
import type { Coding } from "./accept.ts";
import type { AnswerSource } from "./answer-streams.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import type { Slots } from "./slots.ts";

/**
 * The fastest level. Higher levels take several times as long and save about a tenth of the bytes.
 */
const LEVEL = 1;
/** Bounds the memory of a zstd stream. Decoders accept windows of at most 8 MiB. */
const ZSTD_WINDOW_LOG = 18;
/** Approximate memory of one stream (measured: 300 KiB for gzip, 490 KiB for zstd). */
export const COMPRESSOR_BYTES = 512 * 1024;

/** Compresses synchronously. For short content, which takes a fraction of a millisecond. */
export const compressNow = (coding: Coding, bytes: Uint8Array<ArrayBuffer>) =>
  coding === "gzip"
    ? Bun.gzipSync(bytes, { level: LEVEL, library: "libdeflate" })
    : new Uint8Array(Bun.zstdCompressSync(bytes, { level: LEVEL }));

const newStream = (coding: Coding): Gzip | ZstdCompress =>
  coding === "gzip"
    ? createGzip({ level: LEVEL })
    : createZstdCompress({
        params: {
          [constants.ZSTD_c_compressionLevel]: LEVEL,
          [constants.ZSTD_c_windowLog]: ZSTD_WINDOW_LOG,
        },
      });

/**
 * Number of compressions that one of `threads` threads that serve HTTP may run on the pool of the
 * process at the same time. The pool has a thread for each processor. Half of them are left to
 * `fdatasync`, which must not wait behind a queue of compressions.
 */
export const compressionsMax = (
  threads: number,
  processors = navigator.hardwareConcurrency,
): number => Math.max(1, Math.floor(processors / 2 / threads));

/** One compressed stream. Calls must not overlap. */
export class Compressor {
  readonly #stream: Gzip | ZstdCompress;
  readonly #slots: Slots;
  #made: Uint8Array[] = [];
  #fail: ((error: Error) => void) | null = null;
  #destroyed = false;

  /** @param slots bound the work on the thread pool. */
  constructor(coding: Coding, slots: Slots) {
    this.#stream = newStream(coding);
    this.#slots = slots;
    this.#stream.on("data", (bytes: Uint8Array) => this.#made.push(bytes));
    this.#stream.on("error", (error) => this.#fail?.(error));
  }

  /** Returns the compressed bytes that are ready, possibly none. */
  write(piece: Uint8Array): Promise<Uint8Array> {
    return this.#slots.run(() => this.#step((done) => this.#stream.write(piece, done)));
  }

  /** Returns the last bytes. */
  finish(): Promise<Uint8Array> {
    return this.#slots.run(() => this.#step((done) => this.#stream.once("end", done).end()));
  }

  /** Frees the memory immediately. A call in progress fails. */
  destroy(): void {
    this.#destroyed = true;
    this.#stream.destroy();
    this.#fail?.(cutOff());
  }

  #step(run: (done: (error?: Error | null) => void) => void): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.#destroyed) return reject(cutOff());
      this.#fail = reject;
      run((error) => {
        this.#fail = null;
        if (error) return reject(error);
        const made = Buffer.concat(this.#made);
        this.#made = [];
        resolve(made);
      });
    });
  }
}

const cutOff = (): Error => new Error("the answer was cut off");

/** Counter of the compressed bytes of responses, and the bound of the work on the thread pool. */
export type CompressionCounts = {
  readonly slots: Slots;
  /** @param before bytes. @param after bytes. */
  count(before: number, after: number): void;
};

/** Compresses the pieces of another source. */
export class CompressedSource implements AnswerSource {
  readonly #source: AnswerSource;
  readonly #compressor: Compressor;
  /**
   * The budget that each piece of the source is charged to; null if the source is charged as a
   * whole.
   */
  readonly #budget: MemoryBudget | null;
  readonly #counts: CompressionCounts;
  readonly #onEnd: () => void;
  readonly until?: AbortSignal;
  #done = false;

  constructor(
    source: AnswerSource,
    coding: Coding,
    budget: MemoryBudget | null,
    counts: CompressionCounts,
    onEnd: () => void,
  ) {
    this.#source = source;
    this.#compressor = new Compressor(coding, counts.slots);
    this.#budget = budget;
    this.#counts = counts;
    this.#onEnd = onEnd;
    if (source.until !== undefined) this.until = source.until;
  }

  async next(): Promise<Uint8Array | null> {
    while (!this.#done) {
      const piece = await this.#source.next();
      const made = await this.#compress(piece);
      this.#counts.count(piece?.length ?? 0, made.length);
      if (made.length === 0) continue;
      this.#budget?.add(made.length);
      return made;
    }
    return null;
  }

  ended(): void {
    this.#done = true;
    this.#compressor.destroy();
    this.#source.ended();
    this.#onEnd();
  }

  async #compress(piece: Uint8Array | null): Promise<Uint8Array> {
    if (piece === null) {
      this.#done = true;
      return await this.#compressor.finish();
    }
    try {
      return await this.#compressor.write(piece);
    } finally {
      this.#budget?.give(piece.length);
    }
  }
}
