/** Decides which answers are compressed, and how. */
import type { Instruments } from "../metrics/instruments.ts";
import { type Coding, codingOf } from "./accept.ts";
import type { AnswerSource } from "./answer-streams.ts";
import {
  COMPRESSOR_BYTES,
  CompressedSource,
  type CompressionCounts,
  compressNow,
} from "./compressor.ts";
import type { MemoryBudget } from "./memory-budget.ts";

/** Shorter answers are sent as they are: they fit into one packet either way. */
export const COMPRESSED_FROM_BYTES = 1024;

const COMPRESSIBLE = /^(?:application\/json|text\/)/;

/** True for texts. Opaque bytes, and what is compressed already, are sent as they are. */
export const isCompressible = (headers: Headers): boolean =>
  COMPRESSIBLE.test(headers.get("content-type") ?? "") && !headers.has("content-encoding");

/** Says that the answer depends on `Accept-Encoding`. */
export function varyByEncoding(headers: Headers): void {
  const vary = headers.get("vary");
  if (vary === null || !/\baccept-encoding\b/i.test(vary)) {
    headers.append("vary", "accept-encoding");
  }
}

/**
 * Marks the headers of a compressed answer. Its bytes are others than those of the plain one, so it
 * must not have the same strong tag.
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

  constructor(isOn: boolean, budget: MemoryBudget, instruments: Instruments) {
    this.#isOn = isOn;
    this.#budget = budget;
    this.#instruments = instruments;
  }

  /** Returns the coding that the client asks for; null: none, or none that this server has. */
  codingFor(request: Request): Coding | null {
    return this.#isOn ? codingOf(request.headers.get("accept-encoding")) : null;
  }

  /** @returns null if nothing is gained by it. */
  now(coding: Coding, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | null {
    const made = compressNow(coding, bytes);
    if (made.length >= bytes.length) return null;
    this.count(bytes.length, made.length);
    return made;
  }

  /**
   * Compresses what a source makes.
   *
   * @param piecesAreCharged the budget is charged with each piece of the source.
   * @returns null if there is no room for a compressor.
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
