import { type Disk, DiskFailure, type DiskFile, DiskFull, ResourceShortage } from "./disk.ts";
import type { KnownPaths } from "./known-paths.ts";

export type WatchedDiskOptions = {
  readonly disk: Disk;
  readonly known: KnownPaths;
  /** Files that are relied on only while they are open. The reader of a closed one repairs it. */
  readonly isReliedWhileOpen: (path: string) => boolean;
};

/**
 * Wraps another disk and remembers the paths that it used. Before each use of a path it checks the
 * path and the directories above it, so that the node never reads or writes a directory that
 * replaced a lost one. An operation that fails because of a loss reports the loss.
 */
export class WatchedDisk implements Disk {
  readonly #options: WatchedDiskOptions;
  /** Number of open handles of each file that is relied on only while it is open. */
  readonly #open = new Map<string, number>();

  constructor(options: WatchedDiskOptions) {
    this.#options = options;
  }

  async open(path: string, mode: "create" | "existing" | "truncate"): Promise<DiskFile> {
    const file = await this.#see(
      path,
      (disk) => disk.open(path, mode),
      () => [path],
    );
    if (!this.#options.isReliedWhileOpen(path)) return file;
    this.#open.set(path, (this.#open.get(path) ?? 0) + 1);
    return new WatchedFile(file, () => this.#closed(path));
  }

  readWhole(path: string): Promise<Uint8Array | null> {
    return this.#see(
      path,
      (disk) => disk.readWhole(path),
      () => [],
    );
  }

  readRange(path: string, position: number, length: number): Promise<Uint8Array> {
    return this.#see(
      path,
      (disk) => disk.readRange(path, position, length),
      () => [],
    );
  }

  writeWhole(path: string, bytes: Uint8Array): Promise<void> {
    return this.#see(
      path,
      (disk) => this.#options.known.removed([path], () => disk.writeWhole(path, bytes)),
      () => [],
    ).then(() => this.#settle(path));
  }

  list(directory: string): Promise<string[]> {
    return this.#see(
      directory,
      (disk) => disk.list(directory),
      (names) => names.map((name) => (directory === "" ? name : `${directory}/${name}`)),
    );
  }

  makeDirectory(path: string): Promise<void> {
    return this.#see(
      path,
      (disk) => disk.makeDirectory(path),
      () => [path],
    );
  }

  remove(path: string): Promise<void> {
    return this.#gone([path], (disk) => disk.remove(path));
  }

  removeTree(path: string): Promise<void> {
    return this.#gone([path], (disk) => disk.removeTree(path));
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#gone([from, to], (disk) => disk.rename(from, to));
    await this.#settle(to);
  }

  syncDirectory(path: string): Promise<void> {
    return this.#see(
      path,
      (disk) => disk.syncDirectory(path),
      () => [path],
    );
  }

  readonly space: Disk["space"] = () => this.#options.disk.space();

  /** Records that a new file is at this path. */
  async #settle(path: string): Promise<void> {
    await this.#options.known.seen(
      () => Promise.resolve(),
      () => [path],
    );
  }

  #closed(path: string): void {
    const left = (this.#open.get(path) ?? 1) - 1;
    if (left > 0) return void this.#open.set(path, left);
    this.#open.delete(path);
    this.#options.known.forget(path);
  }

  #see<T>(
    path: string,
    work: (disk: Disk) => Promise<T>,
    pathsOf: (result: T) => readonly string[],
  ): Promise<T> {
    return this.#use(path, (disk) => this.#options.known.seen(() => work(disk), pathsOf));
  }

  #gone(paths: readonly string[], work: (disk: Disk) => Promise<void>): Promise<void> {
    return this.#use(paths[0] ?? "", (disk) =>
      this.#options.known.removed(paths, () => work(disk)),
    );
  }

  async #use<T>(path: string, work: (disk: Disk) => Promise<T>): Promise<T> {
    const { disk, known } = this.#options;
    this.#refuseLost(known.whyLostOn(path));
    try {
      return await work(disk);
    } catch (error) {
      const isPassing = error instanceof DiskFull || error instanceof ResourceShortage;
      if (error instanceof DiskFailure && !isPassing)
        this.#refuseLost(known.whyLostOn(path), error);
      throw error;
    }
  }

  #refuseLost(loss: string | null, cause?: Error): void {
    if (loss !== null) throw new DiskFailure(`the data directory is lost: ${loss}`, { cause });
  }
}

class WatchedFile implements DiskFile {
  readonly #file: DiskFile;
  readonly #closed: () => void;

  constructor(file: DiskFile, closed: () => void) {
    this.#file = file;
    this.#closed = closed;
  }

  get descriptor(): number | null {
    return this.#file.descriptor;
  }

  readonly write: DiskFile["write"] = (position, bytes) => this.#file.write(position, bytes);
  readonly sync: DiskFile["sync"] = () => this.#file.sync();
  readonly read: DiskFile["read"] = (position, length) => this.#file.read(position, length);
  readonly size: DiskFile["size"] = () => this.#file.size();
  readonly truncate: DiskFile["truncate"] = (size) => this.#file.truncate(size);

  close(): Promise<void> {
    this.#closed();
    return this.#file.close();
  }
}
