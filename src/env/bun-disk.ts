/** A real directory. Which calls are Bun's and which are those of node:fs: decisions/0053-bun-file.md. */
import * as fs from "node:fs";
import { join } from "node:path";
import { assert } from "../lib/assert.ts";
import { parentOf } from "../lib/path.ts";
import { BunFile, FILE_CALLS, type FileCalls } from "./bun-file.ts";
import { type DescriptorReserve, NO_RESERVE } from "./descriptor-reserve.ts";
import type { Disk, DiskFile, DiskSpace } from "./disk.ts";
import { attempt, codeOf, fault, isDescriptorShortage } from "./file-errors.ts";

/** Creates the directory (0700) if needed and opens it. `data-lock.ts` takes the lock. */
export function openBunDisk(root: string, calls: FileCalls = FILE_CALLS): BunDisk {
  try {
    fs.mkdirSync(root, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw fault("make directory", root, cause);
  }
  return new BunDisk(root, calls);
}

export class BunDisk implements Disk {
  readonly root: string;
  readonly #calls: FileCalls;
  readonly #replacing = new Set<string>();
  readonly #existing: "r" | "r+";
  readonly #reserve: DescriptorReserve;
  readonly #checkRoot: () => void;

  constructor(
    root: string,
    calls: FileCalls = FILE_CALLS,
    existing: "r" | "r+" = "r+",
    reserve: DescriptorReserve = NO_RESERVE,
    checkRoot: () => void = () => {},
  ) {
    this.root = root;
    this.#calls = calls;
    this.#existing = existing;
    this.#reserve = reserve;
    this.#checkRoot = checkRoot;
  }

  /**
   * A disk that opens its files from `reserve` when the process has no other descriptor left.
   *
   * @param checkRoot throws if the root is now another directory. It is called before each use of a
   * path, so that a node whose directory was replaced does not change the files of its successor.
   */
  static withReserve(root: string, reserve: DescriptorReserve, checkRoot?: () => void): BunDisk {
    return new BunDisk(root, FILE_CALLS, "r+", reserve, checkRoot);
  }

  /** Opens the directory without write permission. A write to one of its files throws `DiskFailure`. */
  static readOnly(root: string): BunDisk {
    return new BunDisk(root, FILE_CALLS, "r");
  }

  async open(path: string, mode: "create" | "existing" | "truncate"): Promise<DiskFile> {
    const flags = mode === "create" ? "wx+" : mode === "existing" ? this.#existing : "w+";
    const full = this.#full(path);
    const fd = await this.#open(full, flags);
    return new BunFile(fd, full, this.#calls, mode === "truncate");
  }

  async readWhole(path: string): Promise<Uint8Array | null> {
    const full = this.#full(path);
    try {
      return await this.#withDescriptor(
        () => Bun.file(full).bytes(),
        () => fs.readFileSync(full),
      );
    } catch (cause) {
      if (codeOf(cause) === "ENOENT") return null;
      throw fault("read", full, cause);
    }
  }

  async readRange(path: string, position: number, length: number): Promise<Uint8Array> {
    const full = this.#full(path);
    try {
      return await this.#withDescriptor(
        () => this.#calls.readRange(full, position, length),
        () => readRangeNow(full, position, length),
      );
    } catch (cause) {
      throw fault("read", full, cause);
    }
  }

  async writeWhole(path: string, bytes: Uint8Array): Promise<void> {
    const full = this.#full(path);
    const temporary = `${full}.tmp`;
    assert(!this.#replacing.has(full), `one replacement of ${path} at a time`);
    this.#replacing.add(full);
    try {
      await this.#writeTemporary(temporary, bytes);
      await attempt<void>("rename", full, (done) => fs.rename(temporary, full, done));
      await this.syncDirectory(parentOf(path));
    } finally {
      this.#replacing.delete(full);
    }
  }

  async list(directory: string): Promise<string[]> {
    const full = this.#full(directory);
    try {
      const names = await this.#withDescriptor(
        () => fs.promises.readdir(full),
        () => fs.readdirSync(full),
      );
      return names.sort();
    } catch (cause) {
      if (codeOf(cause) === "ENOENT") return [];
      throw fault("list", full, cause);
    }
  }

  async makeDirectory(path: string): Promise<void> {
    const full = this.#full(path);
    try {
      await fs.promises.mkdir(full, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw fault("make directory", full, cause);
    }
  }

  async remove(path: string): Promise<void> {
    const full = this.#full(path);
    try {
      await fs.promises.unlink(full);
    } catch (cause) {
      if (codeOf(cause) !== "ENOENT") throw fault("remove", full, cause);
    }
  }

  async removeTree(path: string): Promise<void> {
    const full = this.#full(path);
    try {
      await this.#withDescriptor(
        () => fs.promises.rm(full, { recursive: true, force: true }),
        () => fs.rmSync(full, { recursive: true, force: true }),
      );
    } catch (cause) {
      throw fault("remove tree", full, cause);
    }
  }

  async rename(from: string, to: string): Promise<void> {
    const source = this.#full(from);
    const target = this.#full(to);
    await attempt<void>("rename", source, (done) => fs.rename(source, target, done));
  }

  async syncDirectory(path: string): Promise<void> {
    const full = this.#full(path);
    const fd = await this.#open(full, "r");
    try {
      await attempt<void>("fsync", full, (done) => this.#calls.fsync(fd, done));
    } finally {
      fs.closeSync(fd);
    }
  }

  /** Called once a second. Refills the reserve when descriptors are available again. */
  async space(): Promise<DiskSpace> {
    this.#reserve.refill();
    try {
      const { bavail, blocks, bsize } = await fs.promises.statfs(this.root);
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    } catch (cause) {
      throw fault("statfs", this.root, cause);
    }
  }

  /**
   * `Bun.write` of a path is not used: it ignores the mode (1.4.5), and only the descriptor that
   * wrote is certain to get an error of the sync.
   */
  async #writeTemporary(path: string, bytes: Uint8Array): Promise<void> {
    const fd = await this.#open(path, "w");
    const file = new BunFile(fd, path, this.#calls, true);
    try {
      await file.write(0, bytes);
      await attempt<void>("fsync", path, (done) => this.#calls.fsync(fd, done));
    } finally {
      await file.close();
    }
  }

  #open(path: string, flags: string): Promise<number> {
    return this.#withDescriptor(
      () => attempt<number>("open", path, (done) => fs.open(path, flags, 0o600, done)),
      () => fs.openSync(path, flags, 0o600),
      path,
    );
  }

  /** @param now does the same as `start`, but synchronously. */
  async #withDescriptor<T>(start: () => Promise<T>, now: () => T, path = ""): Promise<T> {
    try {
      return await start();
    } catch (error) {
      if (!isDescriptorShortage(error) || !this.#reserve.lend()) throw error;
      try {
        return now();
      } catch (cause) {
        if (path === "") throw cause;
        throw fault("open", path, cause);
      } finally {
        this.#reserve.refill();
      }
    }
  }

  #full(path: string): string {
    assert(!path.startsWith("/") && !path.split("/").includes(".."), `path inside root: ${path}`);
    this.#checkRoot();
    return join(this.root, path);
  }
}

/** Uses a descriptor that the reserve has just freed. */
function readRangeNow(path: string, position: number, length: number): Uint8Array {
  const fd = fs.openSync(path, "r");
  try {
    const bytes = new Uint8Array(length);
    let filled = 0;
    for (let count = -1; count !== 0 && filled < length; filled += count) {
      count = fs.readSync(fd, bytes, filled, length - filled, position + filled);
    }
    return bytes.subarray(0, filled);
  } finally {
    fs.closeSync(fd);
  }
}
