import type { Clock } from "./clock.ts";
import { type Disk, type DiskFile, type DiskSpace, ResourceShortage } from "./disk.ts";

const FIRST_WAIT_MS = 10;
const LONGEST_WAIT_MS = 500;

export type PatientDiskOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  /**
   * Called with the reason when the first operation has to wait, and with null when no operation
   * waits any more.
   */
  readonly changed: (shortage: ResourceShortage | null) => void;
};

/**
 * Retries the operations of another disk while the process is out of descriptors or memory.
 * Otherwise a burst of connections would look like a failed disk and stop the node. Reads and writes
 * of open files do not need a descriptor, and `BunFile` repeats them itself.
 */
export class PatientDisk implements Disk {
  readonly #options: PatientDiskOptions;
  #waiting = 0;

  constructor(options: PatientDiskOptions) {
    this.#options = options;
  }

  /** True while an operation waits. */
  get isShort(): boolean {
    return this.#waiting > 0;
  }

  open(path: string, mode: "create" | "existing" | "truncate"): Promise<DiskFile> {
    return this.#patiently((disk) => disk.open(path, mode));
  }

  readWhole(path: string): Promise<Uint8Array | null> {
    return this.#patiently((disk) => disk.readWhole(path));
  }

  readRange(path: string, position: number, length: number): Promise<Uint8Array> {
    return this.#patiently((disk) => disk.readRange(path, position, length));
  }

  writeWhole(path: string, bytes: Uint8Array): Promise<void> {
    return this.#patiently((disk) => disk.writeWhole(path, bytes));
  }

  list(directory: string): Promise<string[]> {
    return this.#patiently((disk) => disk.list(directory));
  }

  makeDirectory(path: string): Promise<void> {
    return this.#patiently((disk) => disk.makeDirectory(path));
  }

  remove(path: string): Promise<void> {
    return this.#patiently((disk) => disk.remove(path));
  }

  removeTree(path: string): Promise<void> {
    return this.#patiently((disk) => disk.removeTree(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#patiently((disk) => disk.rename(from, to));
  }

  syncDirectory(path: string): Promise<void> {
    return this.#patiently((disk) => disk.syncDirectory(path));
  }

  space(): Promise<DiskSpace> {
    return this.#patiently((disk) => disk.space());
  }

  async #patiently<T>(operation: (disk: Disk) => Promise<T>): Promise<T> {
    try {
      return await operation(this.#options.disk);
    } catch (error) {
      if (!(error instanceof ResourceShortage)) throw error;
      return await this.#again(operation, error);
    }
  }

  async #again<T>(operation: (disk: Disk) => Promise<T>, first: ResourceShortage): Promise<T> {
    const { disk, clock, changed } = this.#options;
    if (this.#waiting++ === 0) changed(first);
    try {
      for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
        await new Promise<void>((resolve) => clock.after(waitMs, resolve));
        try {
          return await operation(disk);
        } catch (error) {
          if (!(error instanceof ResourceShortage)) throw error;
        }
      }
    } finally {
      if (--this.#waiting === 0) changed(null);
    }
  }
}
