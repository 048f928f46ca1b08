/** Each node's directory on a small file system of its own, which can be filled up. Needs root. */
import { closeSync, mkdirSync, openSync, rmSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";

const SIZE = "96m";
const FILLER = "filler";
const BLOCK_BYTES = 64 * 1024;

export class SmallDisks {
  readonly #mounted: string[] = [];

  /** Null: they can be had here; else why not. */
  static whyNot(): string | null {
    if (process.getuid?.() !== 0) return "small file systems need root";
    return Bun.which("mount") === null ? "there is no command mount" : null;
  }

  /** @throws if it cannot be mounted. */
  mount(directory: string): void {
    if (this.#mounted.includes(directory)) return;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const command = [
      "mount",
      "-t",
      "tmpfs",
      "-o",
      `size=${SIZE},mode=0700`,
      "ayder-test",
      directory,
    ];
    const { success, stderr } = Bun.spawnSync(command);
    if (!success) throw new Error(`${command.join(" ")}: ${stderr.toString().trim()}`);
    if (this.#mounted.length === 0) process.on("exit", () => this.close());
    this.#mounted.push(directory);
  }

  /** @param spareBytes free space that stays. */
  fill(directory: string, spareBytes: number): void {
    const path = join(directory, FILLER);
    const file = openSync(path, "w");
    const block = new Uint8Array(BLOCK_BYTES);
    let written = 0;
    try {
      for (;;) written += writeSync(file, block);
    } catch {
      // ENOSPC: this is what was wanted.
    }
    closeSync(file);
    if (spareBytes > 0) truncateSync(path, Math.max(0, written - spareBytes));
  }

  free(directory: string): void {
    rmSync(join(directory, FILLER), { force: true });
  }

  close(): void {
    for (const directory of this.#mounted.splice(0)) Bun.spawnSync(["umount", "-l", directory]);
  }
}
