import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BunDisk, type FileCalls, openBunDisk } from "../../src/env/bun-disk.ts";
import { DiskFailure, DiskFull, ResourceShortage } from "../../src/env/disk.ts";
import { diskContract } from "./disk-contract.ts";

async function withDirectory(
  body: (disk: BunDisk) => Promise<void>,
  calls?: FileCalls,
): Promise<void> {
  const root = fs.mkdtempSync(join(tmpdir(), "ayder-disk-"));
  try {
    await body(openBunDisk(join(root, "data"), calls));
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
}

diskContract("bun-disk", (body) => withDirectory(body));

const errno = (code: string) => Object.assign(new Error(`${code}: injected`), { code });
const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7) >>> 1);

test("a short write is continued until all is written, small and large", async () => {
  const calls: FileCalls = {
    ...fs,
    writeSync: ((fd: number, bytes: Uint8Array, at: number, length: number, position: number) =>
      fs.writeSync(fd, bytes, at, Math.min(length, 100), position)) as typeof fs.writeSync,
    write: ((
      fd: number,
      bytes: Uint8Array,
      at: number,
      length: number,
      position: number,
      done: (error: NodeJS.ErrnoException | null, count: number) => void,
    ) => fs.write(fd, bytes, at, Math.min(length, 65_537), position, done)) as typeof fs.write,
  };
  await withDirectory(async (disk) => {
    for (const size of [1000, 700_000]) {
      const file = await disk.open(`f${size}`, "create");
      await file.write(5, pattern(size));
      expect(Bun.hash(await file.read(5, size))).toBe(Bun.hash(pattern(size)));
      await file.close();
    }
  }, calls);
});

test("a short read is continued, and an empty write is a failure", async () => {
  const calls: FileCalls = {
    ...fs,
    readSync: ((fd: number, bytes: Uint8Array, at: number, length: number, position: number) =>
      fs.readSync(fd, bytes, at, Math.min(length, 3), position)) as typeof fs.readSync,
  };
  await withDirectory(async (disk) => {
    const file = await disk.open("f", "create");
    await file.write(0, pattern(20));
    expect(await file.read(0, 100)).toEqual(pattern(20));
    await file.close();
  }, calls);
  const stuck: FileCalls = { ...fs, writeSync: (() => 0) as typeof fs.writeSync };
  await withDirectory(async (disk) => {
    const file = await disk.open("f", "create");
    await expect(file.write(0, pattern(20))).rejects.toThrow("no progress");
    await file.close();
  }, stuck);
});

test("a failed sync is final for its file: the next one is not even tried", async () => {
  let syncs = 0;
  const calls: FileCalls = {
    ...fs,
    fdatasync: ((_fd: number, done: (error: Error | null) => void) => {
      syncs++;
      done(syncs === 1 ? errno("EIO") : null);
    }) as typeof fs.fdatasync,
  };
  await withDirectory(async (disk) => {
    const file = await disk.open("f", "create");
    await file.write(0, pattern(20));
    await expect(file.sync()).rejects.toThrow("fdatasync");
    await expect(file.sync()).rejects.toThrow("earlier failure");
    await expect(file.write(0, pattern(1))).rejects.toThrow("earlier failure");
    expect(syncs).toBe(1);
    await file.close();
  }, calls);
});

test("no space and no quota are told apart from failures, with path and operation", async () => {
  for (const code of ["ENOSPC", "EDQUOT"]) {
    let full = true;
    const calls: FileCalls = {
      ...fs,
      writeSync: ((...args: Parameters<typeof fs.writeSync>) => {
        if (full) throw errno(code);
        return fs.writeSync(...args);
      }) as typeof fs.writeSync,
    };
    await withDirectory(async (disk) => {
      const file = await disk.open("f", "create");
      await expect(file.write(0, pattern(20))).rejects.toBeInstanceOf(DiskFull);
      full = false;
      await file.write(0, pattern(20));
      await file.close();
    }, calls);
  }
  await withDirectory(async (disk) => {
    const failure: unknown = await disk.open("no/such", "create").catch((cause: unknown) => cause);
    expect(failure).toBeInstanceOf(DiskFailure);
    expect(failure).not.toBeInstanceOf(DiskFull);
    if (!(failure instanceof DiskFailure)) return;
    expect(failure.message).toStartWith("open ");
    expect(failure.message).toContain("no/such");
    expect(failure.cause).toBeInstanceOf(Error);
  });
});

test("writeWhole fails if its sync fails, and the old content stays", async () => {
  let fail = false;
  const calls: FileCalls = {
    ...fs,
    fsync: ((fd: number, done: (error: Error | null) => void) => {
      if (fail) done(errno("EIO"));
      else fs.fsync(fd, done);
    }) as typeof fs.fsync,
  };
  await withDirectory(async (disk) => {
    await disk.writeWhole("f", pattern(5));
    fail = true;
    await expect(disk.writeWhole("f", pattern(9))).rejects.toBeInstanceOf(DiskFailure);
    expect(await disk.readWhole("f")).toEqual(pattern(5));
  }, calls);
});

test("files are for their owner only, and paths stay inside the root", async () => {
  await withDirectory(async (disk) => {
    await disk.makeDirectory("d");
    await (await disk.open("d/f", "create")).close();
    await disk.writeWhole("d/w", pattern(5));
    const mode = (path: string) => fs.statSync(join(disk.root, path)).mode & 0o777;
    expect([mode(""), mode("d"), mode("d/f"), mode("d/w")]).toEqual([0o700, 0o700, 0o600, 0o600]);
    await expect(disk.open("../f", "create")).rejects.toThrow("inside root");
    await expect(disk.readWhole("/etc/passwd")).rejects.toThrow("inside root");
  });
});

test("a lack of descriptors or memory is not a failed disk: open says so, files go on by themselves", async () => {
  let failures = 3;
  const short = (code: string) => {
    if (failures-- > 0) throw errno(code);
  };
  const calls: FileCalls = {
    ...fs,
    writeSync: ((...given: Parameters<typeof fs.writeSync>) => {
      short("ENOMEM");
      return fs.writeSync(...given);
    }) as typeof fs.writeSync,
    readSync: ((...given: Parameters<typeof fs.readSync>) => {
      short("EAGAIN");
      return fs.readSync(...given);
    }) as typeof fs.readSync,
  };
  await withDirectory(async (disk) => {
    const file = await disk.open("f", "create");
    for (let at = 0; at < 400; at += 100) await file.write(at, pattern(100));
    failures = 3;
    expect(await file.read(0, 100)).toEqual(pattern(100));
    expect(await file.read(300, 100)).toEqual(pattern(100));
    await file.close();
  }, calls);
  await withDirectory(
    async (disk) => {
      const file = await disk.open("f", "create");
      const failed = await file.sync().catch((error: unknown) => error);
      expect(failed).toBeInstanceOf(DiskFailure);
      expect(failed).not.toBeInstanceOf(ResourceShortage);
      await file.close();
    },
    {
      ...fs,
      fdatasync: ((_: number, done: (error: Error) => void) =>
        done(errno("ENOMEM"))) as typeof fs.fdatasync,
    },
  );
});
