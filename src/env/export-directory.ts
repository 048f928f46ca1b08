import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
} from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { type ArchiveTarget, ArchiveUnavailable } from "./archive.ts";
import type { ExportStore } from "./export-store.ts";

const PARTIAL = ".partial";

/** A directory of exported files. A file is synced, then renamed, then its directory is synced. */
export class DirectoryStore implements ExportStore {
  readonly #root: string;
  readonly #exportDir: string | null;

  /** @param exportDir the directory, without symbolic links, that the files must be below; null: any. */
  constructor(root: string, exportDir: string | null) {
    this.#root = resolve(root);
    this.#exportDir = exportDir;
  }

  async create(name: string): Promise<ArchiveTarget> {
    return await told(this.#pathOf(name), async () => {
      const path = this.#pathOf(name);
      await this.#makeDirectory(dirname(path));
      const before = `.${basename(path)}.`;
      await removePartials(dirname(path), before);
      const partial = join(dirname(path), `${before}${crypto.randomUUID()}${PARTIAL}`);
      return new FileTarget(path, partial, await open(partial, "wx"));
    });
  }

  async remove(name: string): Promise<void> {
    const path = this.#pathOf(name);
    await told(path, async () => {
      const directory = dirname(path);
      await this.#checkInside(directory);
      if ((await stat(directory).catch(nullIfMissing)) === null) return;
      await removePartials(directory, `.${basename(path)}.`);
      await rm(path, { force: true });
      await syncDirectory(directory);
    });
  }

  async read(name: string): Promise<Uint8Array | null> {
    const path = this.#pathOf(name);
    return await told(path, async () => {
      await this.#checkInside(dirname(path));
      return await readFile(path).catch(nullIfMissing);
    });
  }

  async list(prefix: string): Promise<readonly string[]> {
    const root = this.#pathOf(prefix);
    return await told(root, async () => {
      const options = { recursive: true, withFileTypes: true } as const;
      const found = (await readdir(root, options).catch(nullIfMissing)) ?? [];
      return found
        .filter((each) => each.isFile())
        .map((each) => relative(this.#root, join(each.parentPath, each.name)));
    });
  }

  #pathOf(name: string): string {
    const path = resolve(this.#root, name);
    if (path === this.#root || path.startsWith(this.#root + sep)) return path;
    throw new ArchiveUnavailable(`${name} is not below ${this.#root}`);
  }

  /** Makes a directory and those above it, and syncs the directories in which they appear. */
  async #makeDirectory(directory: string): Promise<void> {
    await this.#checkInside(directory);
    const first = await mkdir(directory, { recursive: true });
    await this.#checkInside(directory);
    if (first === undefined) return;
    for (let made = directory; ; made = dirname(made)) {
      await syncDirectory(dirname(made));
      if (made === first || made === dirname(made)) return;
    }
  }

  /** Refuses a path that leads out of the export directory through a symbolic link. */
  async #checkInside(directory: string): Promise<void> {
    if (this.#exportDir === null) return;
    const allowed = await realpath(this.#exportDir);
    let existing = directory;
    for (;;) {
      const real = await realpath(existing).catch(nullIfMissing);
      if (real !== null) {
        if (real === allowed || real.startsWith(allowed + sep)) return;
        throw new ArchiveUnavailable(
          `${directory} leads to ${real}, which is not below ${allowed}`,
        );
      }
      existing = dirname(existing);
    }
  }
}

class FileTarget implements ArchiveTarget {
  readonly #path: string;
  readonly #partial: string;
  readonly #file: FileHandle;

  constructor(path: string, partial: string, file: FileHandle) {
    this.#path = path;
    this.#partial = partial;
    this.#file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await told(this.#path, async () => {
      for (let at = 0; at < bytes.length; ) {
        at += (await this.#file.write(bytes, at, bytes.length - at)).bytesWritten;
      }
    });
  }

  async finish(): Promise<void> {
    await told(this.#path, async () => {
      await this.#file.sync();
      await this.#file.close();
      await rename(this.#partial, this.#path);
      await syncDirectory(dirname(this.#path));
    });
  }

  async abandon(): Promise<void> {
    await this.#file.close().catch(() => undefined);
    await rm(this.#partial, { force: true });
  }
}

/** Removes what a process left that was killed while it wrote the same file. */
async function removePartials(directory: string, before: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(before) || !name.endsWith(PARTIAL)) continue;
    await rm(join(directory, name), { force: true });
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

const nullIfMissing = (error: unknown): null => {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
  throw error;
};

async function told<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof ArchiveUnavailable) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ArchiveUnavailable(`${path}: ${reason}`, { cause });
  }
}
