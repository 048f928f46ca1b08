import { DiskFull } from "../../../src/env/disk.ts";

/** A disk that is full from the step `from` on. A step is an operation that may need space. */
export class SpaceLimit {
  from: number;
  steps = 0;
  readonly #copiesOnWrite: boolean;
  readonly #removesTrees: boolean;

  constructor(from: number, { copiesOnWrite = false, removesTrees = true } = {}) {
    this.from = from;
    this.#copiesOnWrite = copiesOnWrite;
    this.#removesTrees = removesTrees;
  }

  get isFull(): boolean {
    return this.steps >= this.from;
  }

  need(what: string): void {
    if (this.steps++ >= this.from) throw new DiskFull(`${what}: ENOSPC`);
  }

  needToWrite(path: string, grows: boolean): void {
    // The journal reserves its space in ways that hold on each file system.
    const isReserved = path.includes("/journal/") || !this.#copiesOnWrite;
    if (grows || !isReserved) this.need(`write ${path}`);
  }

  needToRemove(tree: string): void {
    if (!this.#removesTrees) this.need(`removeTree ${tree}`);
  }
}
