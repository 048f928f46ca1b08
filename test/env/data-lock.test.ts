import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { acquireDataLock, DataDirLocked, lockHolder } from "../../src/env/data-lock.ts";

async function withRoot(body: (root: string) => Promise<void> | void): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "ayder-lock-"));
  try {
    await body(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

test("a directory has one holder, who is named to the second", () =>
  withRoot((root) => {
    const lock = acquireDataLock(root);
    expect(() => acquireDataLock(root)).toThrow(`in use by process ${process.pid}`);
    lock.release();
    lock.release();
    acquireDataLock(root).release();
  }));

test("the lock of a killed process is free at once", () =>
  withRoot(async (root) => {
    const module = join(import.meta.dir, "../../src/env/data-lock.ts");
    const child = Bun.spawn({
      cmd: [
        process.execPath,
        "-e",
        `const { acquireDataLock } = await import(${JSON.stringify(module)});
         acquireDataLock(${JSON.stringify(root)}); console.log("held"); setInterval(() => {}, 1e6);`,
      ],
      stdout: "pipe",
    });
    try {
      const reader = child.stdout.getReader();
      await reader.read();
      expect(() => acquireDataLock(root)).toThrow(`in use by process ${child.pid}`);
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
    acquireDataLock(root).release();
  }));

test("without flock a pid file does, and a pid that was given out again does not count", () =>
  withRoot((root) => {
    const lock = acquireDataLock(root, null);
    expect(() => acquireDataLock(root, null)).toThrow(DataDirLocked);
    const [pid] = readFileSync(join(root, "LOCK"), "utf8").split(" ");
    expect(pid).toBe(String(process.pid));
    lock.release();
    writeFileSync(join(root, "LOCK"), `${process.pid} another start\n`);
    acquireDataLock(root, null).release();
    writeFileSync(join(root, "LOCK"), "4194999 1\n");
    acquireDataLock(root, null).release();
  }));

test("the length of LOCK never changes, so that a start on a full disk can write it", () =>
  withRoot((root) => {
    const path = join(root, "LOCK");
    const lengths = [];
    for (let i = 0; i < 2; i++) {
      const lock = acquireDataLock(root);
      lengths.push(readFileSync(path).length);
      expect(lockHolder(root)).toBe(process.pid);
      lock.release();
      lengths.push(readFileSync(path).length);
      expect(lockHolder(root)).toBeNull();
    }
    expect(lengths).toEqual([64, 64, 64, 64]);
    // Older versions wrote a text of any length.
    writeFileSync(path, `4194999 ${"9".repeat(80)}\n`);
    const lock = acquireDataLock(root);
    expect(readFileSync(path, "utf8")).toMatch(new RegExp(`^${process.pid} [^\\n]*\\n$`));
    expect(readFileSync(path).length).toBe(64);
    lock.release();
  }));
