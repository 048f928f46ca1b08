import type { Random } from "../random.ts";

/** The effect of a crash on one unsynced operation. Names are never torn: `torn` keeps them. */
export type Fate = "lost" | "kept" | "torn" | "zeros";

export type FileOperation =
  | { readonly kind: "write"; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly size: number };

const SECTOR_BYTES = 512;

/** The bytes of a file; what lies between the end and a later write is zeros. */
export class Content {
  bytes: Uint8Array;

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.bytes = bytes;
  }

  copy(): Content {
    return new Content(this.bytes.slice());
  }

  flip(bit: number): void {
    this.bytes[bit >>> 3] = (this.bytes[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
  }

  apply(operation: FileOperation): void {
    if (operation.kind === "truncate") {
      this.#resize(operation.size);
      return;
    }
    const end = operation.position + operation.bytes.length;
    if (end > this.bytes.length) this.#resize(end);
    this.bytes.set(operation.bytes, operation.position);
  }

  applyTorn(operation: FileOperation, fate: Fate, random: Random): void {
    if (fate === "lost") return;
    if (fate === "kept" || operation.kind === "truncate") this.apply(operation);
    else if (fate === "zeros") {
      this.apply({ ...operation, bytes: new Uint8Array(operation.bytes.length) });
    } else if (random.below(2) === 0) {
      const kept = random.below(operation.bytes.length + 1);
      this.apply({ ...operation, bytes: operation.bytes.subarray(0, kept) });
    } else this.#applySectors(operation.position, operation.bytes, random);
  }

  /** Sectors arrive or not, each for itself; the file has its new length. */
  #applySectors(position: number, bytes: Uint8Array, random: Random): void {
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES));
      const part = bytes.subarray(at, end);
      if (random.below(2) === 0)
        this.apply({ kind: "write", position: position + at, bytes: part });
      at = end;
    }
    if (this.bytes.length < position + bytes.length) this.#resize(position + bytes.length);
  }

  #resize(size: number): void {
    const resized = new Uint8Array(size);
    resized.set(this.bytes.subarray(0, Math.min(size, this.bytes.length)));
    this.bytes = resized;
  }
}
