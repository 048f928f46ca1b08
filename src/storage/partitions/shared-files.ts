import { feature as faultPoint } from "bun:bundle";
import type { Disk } from "../../env/disk.ts";
import { assert } from "../../lib/assert.ts";
import { failedSync } from "../durable.ts";
import { FilesClosed, type SegmentFiles } from "./segment-files.ts";
import { SHARED_DIRECTORY, SharedFile, sharedFileNumber, sharedFilePath } from "./shared-file.ts";

/** Maximum number of bytes of one write. */
const GROUP_BYTES = 1024 * 1024;

/** Bytes that have their place and are not in the file yet. */
type Waiting = {
  readonly file: SharedFile;
  readonly position: number;
  readonly bytes: Uint8Array;
  /** Called when the bytes are in the file, which is not durable yet. */
  readonly written: () => void;
};

/** The place that bytes got. */
export type GivenPlace = {
  readonly file: SharedFile;
  readonly position: number;
  readonly end: number;
};

/** The part of a file that a consistent point names, or may name. */
export type SharedTarget = { readonly file: SharedFile; readonly length: number };

export type SharedFilesOptions = {
  readonly disk: Disk;
  readonly files: SegmentFiles;
  /** A file gets no further pieces from this size on. */
  readonly fileBytes: number;
  /** Called before the first shared file of the data directory is created. */
  readonly prepare: () => Promise<void>;
  readonly nextTurn: () => Promise<void>;
  /** The number of the newest consistent point. */
  readonly lastCut: () => number;
  /** Called with a file that no partition uses any more. */
  readonly unused: (file: SharedFile) => void;
  /** Called when the directory of shared files may be new, so that its entry must be synced. */
  readonly directoryCreated: () => void;
};

export type SharedSizes = {
  readonly files: number;
  readonly bytes: number;
  /** Bytes of the files that belong to no partition any more. */
  readonly garbageBytes: number;
};

/**
 * The shared files of a store. Pieces get their places in memory, one behind the other, and are
 * written in this order, many in one write. A file that an earlier process wrote gets no further
 * pieces.
 */
export class SharedFiles {
  readonly #options: SharedFilesOptions;
  #root: string;
  readonly #byNumber = new Map<number, SharedFile>();
  #current: SharedFile | null = null;
  /** The number of the next file. */
  #next = 0;
  #isPrepared = false;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;
  #isClosed = false;
  /** A file was created, and its entry is not durable yet. */
  #hasNewFiles = false;

  constructor(root: string, options: SharedFilesOptions) {
    this.#root = root;
    this.#options = options;
  }

  /** True from the first piece of the data directory on. */
  get isUsed(): boolean {
    return this.#next > 0;
  }

  get next(): number {
    return this.#next;
  }

  /** The files that have pieces, in the order of their numbers. */
  get used(): SharedFile[] {
    return [...this.#byNumber.values()].filter(({ liveBytes }) => liveBytes > 0);
  }

  /** True if bytes have their place and are not in a file yet. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  describe(): SharedSizes {
    let bytes = 0;
    let live = 0;
    for (const file of this.#byNumber.values()) {
      bytes += file.length;
      live += file.liveBytes;
    }
    return { files: this.#byNumber.size, bytes, garbageBytes: bytes - live };
  }

  /** Takes over the files that a checkpoint names. */
  restore(root: string, next: number, files: readonly { number: number; length: number }[]): void {
    assert(this.#next === 0, "only an empty store is restored");
    this.#root = root;
    this.#next = next;
    this.#isPrepared = next > 0;
    for (const { number, length } of files) this.#add(new SharedFile(root, number, 0, length));
  }

  byNumber(number: number): SharedFile {
    const file = this.#byNumber.get(number);
    assert(file !== undefined, "a manifest names the files of its pieces");
    return file;
  }

  /** Gives bytes a place, from where on they belong to a partition. They are written by `write`. */
  place(bytes: Uint8Array, written: () => void): GivenPlace {
    const file = this.#fileFor(bytes.length);
    const position = file.length;
    file.length += bytes.length;
    file.liveBytes += bytes.length;
    this.#waiting.push({ file, position, bytes, written });
    return { file, position, end: file.length };
  }

  /** Resolves when everything up to the place is in the file, or the store is closed. */
  async write({ file, end }: Pick<GivenPlace, "file" | "end">): Promise<void> {
    while (file.writtenTo < end && !this.#isClosed) await this.#writeSome();
  }

  /** Returns the files that must be synced for a consistent point that is taken now. */
  targets(): SharedTarget[] {
    return [...this.#byNumber.values()]
      .filter(({ syncedTo, length }) => syncedTo < length)
      .map((file) => ({ file, length: file.length }));
  }

  /** Resolves when everything that has its place now is in the files. */
  async writeAll(): Promise<void> {
    const last = this.#waiting.at(-1);
    if (last === undefined) return;
    await this.write({ file: last.file, end: last.position + last.bytes.length });
  }

  /** Writes and syncs the files of a consistent point, also those that nothing uses any more. */
  async sync(
    targets: readonly SharedTarget[],
    syncDirectory: (path: string) => Promise<void>,
  ): Promise<void> {
    for (const { file, length } of targets) {
      await this.write({ file, end: length });
      const { writtenTo } = file;
      if (writtenTo < length) throw new FilesClosed(`${file.path} was not written to its end`);
      if (file.syncedTo >= length || faultPoint("shared-file-not-synced")) continue;
      await this.#options.files.use(file.path, "existing", async (open, handle) => {
        handle.dirty = false;
        await open.sync().catch(failedSync);
      });
      file.syncedTo = Math.max(file.syncedTo, writtenTo);
    }
    if (!this.#hasNewFiles) return;
    this.#hasNewFiles = false;
    await syncDirectory(`${this.#root}/${SHARED_DIRECTORY}`);
  }

  /** Counts a piece that left its partition. */
  release(file: SharedFile, bytes: number): void {
    file.liveBytes -= bytes;
    assert(file.liveBytes >= 0, "a file has the bytes of its pieces");
    if (file.liveBytes > 0 || !this.#byNumber.has(file.number)) return;
    // Nothing is added to a file that is about to be removed.
    if (file === this.#current) this.#current = null;
    this.#byNumber.delete(file.number);
    this.#options.unused(file);
  }

  /** Gives up restored files without pieces. */
  releaseUnused(): void {
    for (const file of this.#byNumber.values()) if (file.liveBytes === 0) this.release(file, 0);
  }

  /** True if nothing waits to be written to the file. */
  isWritten(file: SharedFile): boolean {
    return file.writtenTo === file.length;
  }

  /** The file whose pieces should move, so that it can be removed; null if none is worth it. */
  worst(filesMax: number): SharedFile | null {
    let worst: SharedFile | null = null;
    let smallest: SharedFile | null = null;
    for (const file of this.#byNumber.values()) {
      if (file === this.#current || !this.isWritten(file)) continue;
      if (file.liveBytes < file.length / 2 && file.liveBytes < (worst?.liveBytes ?? file.length)) {
        worst = file;
      }
      if (file.liveBytes < (smallest?.liveBytes ?? Number.POSITIVE_INFINITY)) smallest = file;
    }
    return worst ?? (this.#byNumber.size > filesMax ? smallest : null);
  }

  /**
   * Removes files that no checkpoint and no partition names: those of a crash. Numbers of such files
   * are skipped.
   *
   * @param isDoomed tells whether the file waits for its removal elsewhere.
   */
  async sweep(isDoomed: (path: string) => boolean): Promise<void> {
    const { disk } = this.#options;
    const directory = `${this.#root}/${SHARED_DIRECTORY}`;
    const numbers: number[] = [];
    for (const name of await disk.list(directory)) {
      const number = sharedFileNumber(name);
      if (number !== null) numbers.push(number);
    }
    const orphans = numbers.filter((number) => {
      if (number >= this.#next) this.#next = number + 1;
      return !this.#byNumber.has(number) && !isDoomed(sharedFilePath(this.#root, number));
    });
    for (const number of orphans) await disk.remove(sharedFilePath(this.#root, number));
  }

  /** Gives up what waits, because the store is closed. Resolves when no write is in progress. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#waiting = [];
    await this.#writing?.catch(() => undefined);
  }

  #fileFor(bytes: number): SharedFile {
    const current = this.#current;
    if (current !== null && current.length + bytes <= this.#options.fileBytes) return current;
    const file = new SharedFile(this.#root, this.#next++, this.#options.lastCut(), 0);
    this.#add(file);
    this.#current = file;
    // A full file may have lost all its pieces already.
    if (current !== null && current.liveBytes === 0) this.release(current, 0);
    return file;
  }

  #add(file: SharedFile): void {
    this.#byNumber.set(file.number, file);
  }

  /** Joins the write in progress, or writes the next group. */
  #writeSome(): Promise<void> {
    this.#writing ??= this.#writeGroup().finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  async #writeGroup(): Promise<void> {
    const group = nextGroup(this.#waiting);
    const first = group[0];
    assert(first !== undefined, "bytes with a place are written or wait");
    const { file } = first;
    if (!file.isCreated) await this.#create(file);
    const bytes = joined(group);
    await this.#options.files.use(file.path, "existing", async (open, handle) => {
      handle.dirty = true;
      await open.write(first.position, bytes);
    });
    file.writtenTo = first.position + bytes.length;
    this.#waiting.splice(0, group.length);
    for (const { written } of group) written();
    await this.#options.nextTurn();
  }

  async #create(file: SharedFile): Promise<void> {
    const { disk, files, prepare, directoryCreated } = this.#options;
    if (!this.#isPrepared) await prepare();
    this.#isPrepared = true;
    const directory = `${this.#root}/${SHARED_DIRECTORY}`;
    await disk.makeDirectory(directory);
    directoryCreated();
    await files.use(file.path, "truncate", () => Promise.resolve());
    this.#hasNewFiles = true;
    file.isCreated = true;
  }
}

/** Returns the pieces of one file that are written together. */
function nextGroup(waiting: readonly Waiting[]): Waiting[] {
  const group: Waiting[] = [];
  let bytes = 0;
  for (const one of waiting) {
    if (one.file !== waiting[0]?.file || (bytes > 0 && bytes + one.bytes.length > GROUP_BYTES)) {
      break;
    }
    group.push(one);
    bytes += one.bytes.length;
  }
  return group;
}

function joined(group: readonly Waiting[]): Uint8Array {
  const only = group[0];
  if (group.length === 1 && only !== undefined) return only.bytes;
  const bytes = new Uint8Array(group.reduce((sum, one) => sum + one.bytes.length, 0));
  let at = 0;
  for (const one of group) {
    bytes.set(one.bytes, at);
    at += one.bytes.length;
  }
  return bytes;
}
