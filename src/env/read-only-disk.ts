import type { Disk, DiskFile } from "./disk.ts";

/** A read-only view of another disk. Every change is an error, so that a look cannot make one. */
export class ReadOnlyDisk implements Disk {
  readonly #disk: Disk;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  async open(path: string, mode: "create" | "existing" | "truncate"): Promise<DiskFile> {
    if (mode !== "existing") throw refused(path);
    return new ReadOnlyFile(path, await this.#disk.open(path, mode));
  }

  readonly readWhole: Disk["readWhole"] = (path) => this.#disk.readWhole(path);
  readonly readRange: Disk["readRange"] = (path, position, length) =>
    this.#disk.readRange(path, position, length);
  readonly list: Disk["list"] = (directory) => this.#disk.list(directory);
  readonly space: Disk["space"] = () => this.#disk.space();
  writeWhole(path: string): Promise<never> {
    return refuse(path);
  }
  makeDirectory(path: string): Promise<never> {
    return refuse(path);
  }
  remove(path: string): Promise<never> {
    return refuse(path);
  }
  removeTree(path: string): Promise<never> {
    return refuse(path);
  }
  rename(from: string): Promise<never> {
    return refuse(from);
  }
  syncDirectory(directory: string): Promise<never> {
    return refuse(directory);
  }
}

const refuse = (path: string): Promise<never> => Promise.reject(refused(path));
const refused = (path: string): Error => new Error(`${path} must not be changed by a look at it`);

class ReadOnlyFile implements DiskFile {
  readonly #path: string;
  readonly #file: DiskFile;

  constructor(path: string, file: DiskFile) {
    this.#path = path;
    this.#file = file;
  }

  get descriptor(): number | null {
    return this.#file.descriptor;
  }

  write(): never {
    throw refused(this.#path);
  }

  sync(): Promise<never> {
    return refuse(this.#path);
  }
  truncate(): Promise<never> {
    return refuse(this.#path);
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return this.#file.read(position, length);
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
