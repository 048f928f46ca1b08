import type { Disk, DiskFile } from "../../env/disk.ts";

type Handle = {
  readonly path: string;
  readonly file: Promise<DiskFile>;
  users: number;
  /** Written since its last sync. Such a file stays open while others can be closed first. */
  dirty: boolean;
  whenFree: (() => void) | null;
};

/** The store was closed while the file was in use. */
export class FilesClosed extends Error {
  override readonly name = "FilesClosed";
}

/**
 * Open files of all partitions, at most about `limit`; the least recently used are closed first.
 * A file that has unsynced writes may be closed when all are such: Linux keeps a failed write-back
 * for the next who opens the file (errseq_t, 4.17 and later), and the checkpoint's sync sees it.
 */
export class SegmentFiles {
  readonly #disk: Disk;
  readonly #limit: number;
  readonly #onFailure: (error: unknown) => void;
  /** In order of use, the least recent first. */
  readonly #handles = new Map<string, Handle>();
  #closed = false;

  constructor(disk: Disk, limit: number, onFailure: (error: unknown) => void) {
    this.#disk = disk;
    this.#limit = limit;
    this.#onFailure = onFailure;
  }

  get open(): number {
    return this.#handles.size;
  }

  /** Runs `body` with the open file, which stays open until it ends. */
  async use<T>(
    path: string,
    mode: "existing" | "truncate",
    body: (file: DiskFile, handle: { dirty: boolean }) => Promise<T>,
  ): Promise<T> {
    if (this.#closed) throw new FilesClosed(`${path} is not opened any more`);
    const handle = this.#acquire(path, mode);
    try {
      return await body(await handle.file, handle);
    } finally {
      handle.users--;
      if (handle.users === 0) handle.whenFree?.();
    }
  }

  /** Closes the file, which must not be in use. */
  async drop(path: string): Promise<void> {
    const handle = this.#handles.get(path);
    if (handle === undefined) return;
    this.#handles.delete(path);
    await (await handle.file).close();
  }

  /**
   * Waits until all users of a file finish, because its descriptor may soon belong to another file.
   */
  async close(): Promise<void> {
    this.#closed = true;
    for (const handle of [...this.#handles.values()]) {
      if (handle.users > 0) await new Promise<void>((free) => (handle.whenFree = free));
      await this.drop(handle.path);
    }
  }

  #acquire(path: string, mode: "existing" | "truncate"): Handle {
    let handle = this.#handles.get(path);
    if (handle === undefined) {
      handle = { path, file: this.#disk.open(path, mode), users: 0, dirty: false, whenFree: null };
      const { file } = handle;
      file.catch(() => this.#handles.delete(path));
    } else {
      this.#handles.delete(path);
    }
    this.#handles.set(path, handle);
    handle.users++;
    if (this.#handles.size > this.#limit) this.#shrink();
    return handle;
  }

  #shrink(): void {
    let victim: Handle | null = null;
    for (const handle of this.#handles.values()) {
      if (handle.users > 0) continue;
      victim ??= handle;
      if (handle.dirty) continue;
      victim = handle;
      break;
    }
    if (victim === null) return;
    this.drop(victim.path).catch(this.#onFailure);
  }
}
