/** A backup of made-up bytes that counts what is asked of it. */
import type { Backup } from "../../../src/node/api.ts";

export class FakeBackup implements Backup {
  index = 7;
  readonly term = 2;
  readonly bytes: number;
  pieces = 0;
  released = 0;
  readonly #pieceBytes: number;
  readonly #failAfter: number;

  /** @param failAfter so many pieces, `next` rejects. */
  constructor(pieces: number, pieceBytes: number, failAfter = Number.POSITIVE_INFINITY) {
    this.bytes = pieces * pieceBytes;
    this.#pieceBytes = pieceBytes;
    this.#failAfter = failAfter;
  }

  async next() {
    if (this.pieces >= this.#failAfter) throw new Error("the disk has something else");
    if (this.pieces * this.#pieceBytes >= this.bytes) return null;
    this.pieces++;
    return new Uint8Array(this.#pieceBytes).fill(this.pieces);
  }

  async release() {
    this.released++;
  }
}
