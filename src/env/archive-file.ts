import { statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import {
  ArchiveExists,
  type ArchiveSource,
  type ArchiveTarget,
  ArchiveUnavailable,
  type StoredFile,
} from "./archive.ts";
import { BunDisk } from "./bun-disk.ts";
import type { DiskFile } from "./disk.ts";

/**
 * Writes `<path>.partial`, which is renamed to `path` when it is complete.
 *
 * @throws ArchiveExists if either file exists; DiskFailure.
 */
export async function createArchiveFile(path: string): Promise<ArchiveTarget> {
  const full = resolve(path);
  const [disk, name] = [new BunDisk(dirname(full)), basename(full)];
  const partial = `${name}.partial`;
  const names = await disk.list("");
  refuseTaken(names, name, path);
  if (names.includes(partial)) {
    throw new ArchiveExists(
      `${path}.partial exists: another backup is under way, or one was cut off and it can be removed`,
    );
  }
  return new FileTarget(disk, { path, name, partial }, await disk.open(partial, "create"));
}

/** @throws DiskFailure */
export async function openArchiveFile(path: string): Promise<ArchiveSource> {
  const full = resolve(path);
  return await BunDisk.readOnly(dirname(full)).open(basename(full), "existing");
}

/** Returns the regular files of a directory. @throws ArchiveUnavailable if it does not exist */
export async function listArchiveFiles(directory: string): Promise<StoredFile[]> {
  const root = resolve(directory);
  if (statSync(root, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new ArchiveUnavailable(`${directory} is not a directory`);
  }
  const disk = new BunDisk(root);
  const files: StoredFile[] = [];
  for (const name of await disk.list("")) {
    const found = statSync(join(root, name), { throwIfNoEntry: false });
    if (found?.isFile() !== true) continue;
    const place = join(directory, name);
    files.push({
      place,
      bytes: found.size,
      open: () => openArchiveFile(place),
      remove: async () => {
        await disk.remove(name);
        await disk.syncDirectory("");
      },
    });
  }
  return files;
}

type Names = { readonly path: string; readonly name: string; readonly partial: string };

class FileTarget implements ArchiveTarget {
  readonly #disk: BunDisk;
  readonly #names: Names;
  readonly #file: DiskFile;
  #position = 0;

  constructor(disk: BunDisk, names: Names, file: DiskFile) {
    this.#disk = disk;
    this.#names = names;
    this.#file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#file.write(this.#position, bytes);
    this.#position += bytes.length;
  }

  async finish(): Promise<void> {
    const { path, name, partial } = this.#names;
    await this.#file.sync();
    await this.#file.close();
    refuseTaken(await this.#disk.list(""), name, path);
    await this.#disk.rename(partial, name);
    await this.#disk.syncDirectory("");
  }

  async abandon(): Promise<void> {
    await this.#file.close();
    await this.#disk.remove(this.#names.partial);
  }
}

function refuseTaken(names: readonly string[], name: string, path: string): void {
  if (names.includes(name)) throw new ArchiveExists(`${path} exists, and is not overwritten`);
}
