import type { Disk, DiskFile } from "./disk.ts";

const NOTHING = new Uint8Array(0);

/**
 * A read-only view of another disk: writes, renames and removals are dropped. Recovery repairs
 * files while it reads them, and this view shows what it would find without any change.
 */
export class DryDisk implements Disk {
  readonly #disk: Disk;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  async open(path: string, mode: "create" | "existing" | "truncate"): Promise<DiskFile> {
    return mode === "existing" ? new DryFile(await this.#disk.open(path, mode)) : new DryFile(null);
  }

  readonly readWhole: Disk["readWhole"] = (path) => this.#disk.readWhole(path);
  readonly readRange: Disk["readRange"] = (path, position, length) =>
    this.#disk.readRange(path, position, length);
  readonly list: Disk["list"] = (directory) => this.#disk.list(directory);
  readonly space: Disk["space"] = () => this.#disk.space();
  async writeWhole(): Promise<void> {}
  async makeDirectory(): Promise<void> {}
  async remove(): Promise<void> {}
  async removeTree(): Promise<void> {}
  async rename(): Promise<void> {}
  async syncDirectory(): Promise<void> {}
}

class DryFile implements DiskFile {
  readonly #file: DiskFile | null;

  /** @param file null for a new file. */
  constructor(file: DiskFile | null) {
    this.#file = file;
  }

  write(): null {
    return null;
  }

  async sync(): Promise<void> {}
  async truncate(): Promise<void> {}

  async read(position: number, length: number): Promise<Uint8Array> {
    return (await this.#file?.read(position, length)) ?? NOTHING;
  }

  async size(): Promise<number> {
    return (await this.#file?.size()) ?? 0;
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
