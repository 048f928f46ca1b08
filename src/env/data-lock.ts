/**
 * Allows one process at a time in a data directory. The lock is an flock(2) on `LOCK`. The kernel
 * releases it when the process ends, so a stale lock never has to be removed by hand. node:fs has no
 * flock, so this module calls the C library. Without flock (Windows), it uses a pid file with the
 * start time of the process, so that a reused pid is detected.
 */

import { dlopen, FFIType } from "bun:ffi";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { DiskFailure, DiskFull } from "./disk.ts";
import { identityOf, lossOf } from "./file-identity.ts";

const LOCK_FILE = "LOCK";
const LOCK_EX_NB = 2 | 4;
/** Enough for a process id and the time of its start. */
const HOLDER_BYTES = 64;
const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  linux: ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"],
  darwin: ["libSystem.B.dylib"],
};

/** Another process uses the directory. */
export class DataDirLocked extends Error {
  override readonly name = "DataDirLocked";
}

export type DataLock = {
  readonly release: () => void;
  /** Returns how the directory was removed, moved or replaced. Null if it was not. */
  readonly whyLost: () => string | null;
};

type Flock = (fd: number, operation: number) => number;

/**
 * @param root an existing directory.
 * @throws DataDirLocked with the process that holds it; DiskFailure; DiskFull if `LOCK` cannot be
 *   created, or cannot be written on a system without flock.
 */
export function acquireDataLock(root: string, flock: Flock | null = findFlock()): DataLock {
  const path = join(root, LOCK_FILE);
  let fd: number;
  try {
    fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw isNoSpace(cause) ? new DiskFull(message, { cause }) : new DiskFailure(message, { cause });
  }
  const holder = fs.readFileSync(path, "utf8");
  const taken = flock === null ? isRunning(holder) : flock(fd, LOCK_EX_NB) !== 0;
  if (taken) {
    fs.closeSync(fd);
    const pid = /^\d+/.exec(holder)?.[0] ?? "unknown";
    throw new DataDirLocked(`the data directory ${root} is in use by process ${pid}`);
  }
  nameHolder(fd, path, flock !== null);
  const rootIdentity = identityOf(root);
  const lockIdentity = identityOf(fd);
  let held = true;
  return {
    whyLost: () => {
      if (!held) return null;
      return lossOf(root, rootIdentity) ?? lossOf(path, lockIdentity);
    },
    release: () => {
      if (!held) return;
      held = false;
      // The file stays: removing it would let two processes lock two different files. So does its
      // length, so that the next start needs no space to write into it.
      try {
        writeHolder(fd, "");
      } catch (cause) {
        if (!isNoSpace(cause)) throw cause;
      } finally {
        fs.closeSync(fd);
      }
    },
  };
}

/** @param locked the file is locked, so its text is informational and may be missing. */
function nameHolder(fd: number, path: string, locked: boolean): void {
  try {
    writeHolder(fd, `${process.pid} ${startTimeOf(process.pid)}`);
  } catch (cause) {
    const isFull = isNoSpace(cause);
    // A node must start on a full disk, so that space can be freed.
    if (isFull && locked) return;
    fs.closeSync(fd);
    const message = `write ${path}: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw isFull ? new DiskFull(message, { cause }) : new DiskFailure(message, { cause });
  }
}

/** Overwrites the file, always with the same length. */
function writeHolder(fd: number, text: string): void {
  fs.writeSync(fd, `${text.padEnd(HOLDER_BYTES - 1)}\n`, 0);
  fs.ftruncateSync(fd, HOLDER_BYTES);
}

const isNoSpace = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && (cause.code === "ENOSPC" || cause.code === "EDQUOT");

/** The process that uses a directory, read from the lock file. Null if none does. */
export function lockHolder(root: string): number | null {
  let holder: string;
  try {
    holder = fs.readFileSync(join(root, LOCK_FILE), "utf8");
  } catch {
    return null;
  }
  return isRunning(holder) ? Number.parseInt(holder, 10) : null;
}

function findFlock(): Flock | null {
  for (const name of LIBRARIES[process.platform] ?? []) {
    try {
      const library = dlopen(name, { flock: { args: [FFIType.i32, FFIType.i32], returns: "i32" } });
      return library.symbols.flock;
    } catch {
      // The system has another C library.
    }
  }
  return null;
}

function isRunning(holder: string): boolean {
  const [pidText = "", ...start] = holder.trim().split(" ");
  const pid = Number(pidText);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (cause) {
    // EPERM: it lives but belongs to somebody else.
    if (!(cause instanceof Error && "code" in cause && cause.code === "EPERM")) return false;
  }
  const now = startTimeOf(pid);
  return now === "" || now === start.join(" ");
}

/** A text that differs between two processes with the same pid. Empty if it is not known. */
function startTimeOf(pid: number): string {
  try {
    if (process.platform === "linux") {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
      // Field 22. The name in field 2 may have spaces, so the count starts after its parenthesis.
      return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
    }
    if (process.platform === "win32") return "";
    const ps = spawnSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" });
    return ps.stdout.trim();
  } catch {
    return "";
  }
}
