/** Reads a stream of bytes at positions that only move forward. */
export class StreamSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #passing: (chunk: Uint8Array) => Promise<void>;
  #waiting: Uint8Array[] = [];
  #start = 0;
  #end = 0;
  #isDone = false;

  /** @param passing receives each chunk once, in order, before it can be read. */
  constructor(
    chunks: AsyncIterable<Uint8Array>,
    passing: (chunk: Uint8Array) => Promise<void> = async () => undefined,
  ) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#passing = passing;
  }

  /** Reads bytes; those before `position` are dropped and cannot be read again. */
  async read(position: number, length: number): Promise<Uint8Array> {
    while (this.#end < position + length && !this.#isDone) await this.#pull();
    this.#forget(position);
    const bytes = this.#waiting.length === 1 ? this.#waiting[0] : Buffer.concat(this.#waiting);
    const all = bytes ?? new Uint8Array(0);
    this.#waiting = [all];
    return all.subarray(position - this.#start, position - this.#start + length);
  }

  async #pull(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done === true) {
      this.#isDone = true;
      return;
    }
    await this.#passing(value);
    this.#waiting.push(value);
    this.#end += value.length;
  }

  #forget(position: number): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (this.#start + first.length > position) break;
      this.#start += first.length;
      this.#waiting.shift();
    }
  }
}
