import { SharedLock } from "../lib/shared-lock.ts";

const FIELDS = 6;
const LOCK_AT = FIELDS * Float64Array.BYTES_PER_ELEMENT;
export const BUCKET_BYTES = 64;

/** The state of a rate limit, which may lie in memory of several threads. */
export class BucketState {
  readonly #cells: Float64Array;
  /** Null if no other thread has it. */
  readonly #lock: SharedLock | null;

  /** @param memory of all threads, `BUCKET_BYTES` of zeros at first. Null: of this thread only. */
  constructor(memory: SharedArrayBuffer | null) {
    this.#cells = new Float64Array(memory ?? new ArrayBuffer(BUCKET_BYTES), 0, FIELDS);
    this.#lock = memory === null ? null : new SharedLock(new Int32Array(memory, LOCK_AT, 1));
  }

  /** Runs it while no other thread reads or changes the state. */
  exclusively<T>(section: () => T): T {
    return this.#lock === null ? section() : this.#lock.run(section);
  }

  get hasBegun(): boolean {
    return this.#cells[0] === 1;
  }
  get tokens(): number {
    return this.#cells[1] ?? 0;
  }
  get filledAtMs(): number {
    return this.#cells[2] ?? 0;
  }
  get day(): number {
    return this.#cells[3] ?? 0;
  }
  get dayBeganAtMs(): number {
    return this.#cells[4] ?? 0;
  }
  get today(): number {
    return this.#cells[5] ?? 0;
  }

  begin(tokens: number, day: number, nowMs: number): void {
    this.#cells.set([1, tokens, nowMs, day, nowMs, 0]);
  }
  set tokens(tokens: number) {
    this.#cells[1] = tokens;
  }
  set filledAtMs(nowMs: number) {
    this.#cells[2] = nowMs;
  }
  set today(count: number) {
    this.#cells[5] = count;
  }
  beginDay(day: number, nowMs: number): void {
    this.#cells[3] = day;
    this.#cells[4] = nowMs;
    this.#cells[5] = 0;
  }
}
