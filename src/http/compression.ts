/** Decides which responses are compressed, and with which coding. */
import type { Instruments } from "../metrics/instruments.ts";
import { type Coding, codingOf } from "./accept.ts";
import type { AnswerSource } from "./answer-streams.ts";
import {
  COMPRESSOR_BYTES,
  CompressedSource,
  type CompressionCounts,
  compressionsMax,
  compressNow,
} from "./compressor.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import { Slots } from "./slots.ts";

/** Shorter responses are not compressed, because they fit into one packet anyway. */
export const COMPRESSED_FROM_BYTES = 1024;

const COMPRESSIBLE = /^(?:application\/json|text\/|application\/vnd\.ayder\.batches)/;

/** True for text types and records. Opaque bytes and compressed formats are not compressed. */
export const isCompressible = (headers: Headers): boolean =>
  COMPRESSIBLE.test(headers.get("content-type") ?? "") && !headers.has("content-encoding");

/** Adds `Vary: Accept-Encoding`. */
export function varyByEncoding(headers: Headers): void {
  const vary = headers.get("vary");
  if (vary === null || !/\baccept-encoding\b/i.test(vary)) {
    headers.append("vary", "accept-encoding");
  }
}

/**
 * Sets the headers of a compressed response. Its bytes differ from the uncompressed response, so it
 * must not have the same strong ETag.
 */
export function markEncoded(headers: Headers, coding: Coding): void {
  headers.set("content-encoding", coding);
  const tag = headers.get("etag");
  if (tag !== null) headers.set("etag", weakTag(tag));
}

export const weakTag = (tag: string): string => (tag.startsWith("W/") ? tag : `W/${tag}`);

export class Compression implements CompressionCounts {
  readonly #isOn: boolean;
  readonly #budget: MemoryBudget;
  readonly #instruments: Pick<Instruments, "compressedFromBytes" | "compressedToBytes">;

  readonly slots: Slots;

  /** @param threads number of threads that serve HTTP. */
  constructor(isOn: boolean, budget: MemoryBudget, instruments: Instruments, threads = 1) {
    this.slots = new Slots(compressionsMax(threads));
    this.#isOn = isOn;
    this.#budget = budget;
    this.#instruments = instruments;
  }

  /** Returns the coding that the client asks for; null if it asks for none that is supported. */
  codingFor(request: Request): Coding | null {
    return this.#isOn ? codingOf(request.headers.get("accept-encoding")) : null;
  }

  /** @returns null if the compressed bytes are not shorter. */
  now(coding: Coding, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | null {
    const made = compressNow(coding, bytes);
    if (made.length >= bytes.length) return null;
    this.count(bytes.length, made.length);
    return made;
  }

  /**
   * Wraps a source in one that compresses its pieces.
   *
   * @param piecesAreCharged the budget is charged with each piece of the source.
   * @returns null if the memory of a compressor does not fit into the budget.
   */
  source(coding: Coding, source: AnswerSource, piecesAreCharged: boolean): AnswerSource | null {
    const budget = this.#budget;
    if (!budget.hasRoom(COMPRESSOR_BYTES)) return null;
    budget.add(COMPRESSOR_BYTES);
    const charged = piecesAreCharged ? budget : null;
    return new CompressedSource(source, coding, charged, this, () => budget.give(COMPRESSOR_BYTES));
  }

  count(before: number, after: number): void {
    this.#instruments.compressedFromBytes.value += before;
    this.#instruments.compressedToBytes.value += after;
  }
}
