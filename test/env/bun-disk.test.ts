import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BunDisk, openBunDisk } from "../../src/env/bun-disk.ts";
import { FILE_CALLS, type FileCalls } from "../../src/env/bun-file.ts";
import type { DescriptorReserve } from "../../src/env/descriptor-reserve.ts";
import { DiskFailure, DiskFull, ResourceShortage } from "../../src/env/disk.ts";
import { SmallDisks } from "../tools/cluster/small-disks.ts";
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
    ...FILE_CALLS,
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
    ...FILE_CALLS,
    readSync: ((fd: number, bytes: Uint8Array, at: number, length: number, position: number) =>
      fs.readSync(fd, bytes, at, Math.min(length, 3), position)) as typeof fs.readSync,
  };
  await withDirectory(async (disk) => {
    const file = await disk.open("f", "create");
    await file.write(0, pattern(20));
    expect(await file.read(0, 100)).toEqual(pattern(20));
    await file.close();
  }, calls);
  const stuck: FileCalls = { ...FILE_CALLS, writeSync: (() => 0) as typeof fs.writeSync };
  await withDirectory(async (disk) => {
    const file = await disk.open("f", "create");
    await expect(file.write(0, pattern(20))).rejects.toThrow("no progress");
    await file.close();
  }, stuck);
});

test("a failed sync is final for its file: the next one is not even tried", async () => {
  let syncs = 0;
  const calls: FileCalls = {
    ...FILE_CALLS,
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
      ...FILE_CALLS,
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
    ...FILE_CALLS,
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
    ...FILE_CALLS,
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
      ...FILE_CALLS,
      fdatasync: ((_: number, done: (error: Error) => void) =>
        done(errno("ENOMEM"))) as typeof fs.fdatasync,
    },
  );
});

/** Appends a part where the descriptor stands, and fails. */
const appendPart = (code: string, part: (bytes: Uint8Array) => number) =>
  (async (fd: number, bytes: Uint8Array) => {
    fs.writeSync(fd, bytes.subarray(0, part(bytes)));
    throw errno(code);
  }) as FileCalls["append"];

test("an append that fails in its middle is repeated at its place", async () => {
  for (const code of ["ENOSPC", "EDQUOT", "ENOMEM", "EAGAIN"]) {
    let fails = false;
    const calls: FileCalls = {
      ...FILE_CALLS,
      append: (fd, bytes) =>
        fails
          ? appendPart(code, ({ length }) => length >> 1)(fd, bytes)
          : FILE_CALLS.append(fd, bytes),
    };
    await withDirectory(async (disk) => {
      const file = await disk.open("f", "truncate");
      await file.write(0, pattern(100));
      fails = true;
      const failed = await Promise.resolve(file.write(100, pattern(50))).catch((error) => error);
      if (code === "ENOSPC" || code === "EDQUOT") {
        expect(failed).toBeInstanceOf(DiskFull);
        await file.write(100, pattern(50));
      } else expect(failed).toBeUndefined();
      // From now on writes say where they belong: what was half appended moved the descriptor.
      await file.write(150, pattern(70));
      expect(await file.size()).toBe(220);
      expect(await file.read(0, 300)).toEqual(
        Uint8Array.of(...pattern(100), ...pattern(50), ...pattern(70)),
      );
      await file.close();
    }, calls);
  }
});

test("an append that fails otherwise is final for its file", async () => {
  const calls: FileCalls = { ...FILE_CALLS, append: appendPart("EIO", () => 3) };
  await withDirectory(async (disk) => {
    const file = await disk.open("f", "truncate");
    const failed: unknown = await Promise.resolve(file.write(0, pattern(50))).catch(
      (error: unknown) => error,
    );
    expect(failed).toBeInstanceOf(DiskFailure);
    expect(failed).not.toBeInstanceOf(DiskFull);
    expect(failed).toHaveProperty("message", `write ${join(disk.root, "f")}: EIO: injected`);
    await expect(file.write(0, pattern(1))).rejects.toThrow("earlier failure");
    await expect(file.sync()).rejects.toThrow("earlier failure");
    await file.close();
  }, calls);
});

test("a write that begins during an append says where it belongs", async () => {
  let release = () => {};
  const calls: FileCalls = {
    ...FILE_CALLS,
    append: async (fd, bytes) => {
      await new Promise<void>((resolve) => (release = resolve));
      return await FILE_CALLS.append(fd, bytes);
    },
  };
  await withDirectory(async (disk) => {
    const file = await disk.open("f", "truncate");
    const first = file.write(0, pattern(10));
    await file.write(10, pattern(20));
    release();
    await first;
    expect(await file.read(0, 100)).toEqual(Uint8Array.of(...pattern(10), ...pattern(20)));
    await file.close();
  }, calls);
});

test("files that are not new are never appended to, and no empty or large piece is", async () => {
  const appended: number[] = [];
  const calls: FileCalls = {
    ...FILE_CALLS,
    append: (fd, bytes) => {
      appended.push(bytes.length);
      return FILE_CALLS.append(fd, bytes);
    },
  };
  await withDirectory(async (disk) => {
    for (const mode of ["create", "existing"] as const) {
      const file = await disk.open("f", mode);
      await file.write(0, pattern(10));
      await file.write(10, pattern(10));
      await file.close();
    }
    expect(appended).toEqual([]);
    const file = await disk.open("f", "truncate");
    const sizes = [1, 0, 262_143, 262_144, 5];
    let position = 0;
    for (const size of sizes) {
      await file.write(position, pattern(size));
      position += size;
    }
    expect(appended).toEqual([1, 262_143]);
    expect(await file.size()).toBe(position);
    await file.close();
    await disk.writeWhole("w", pattern(7));
    expect(appended).toEqual([1, 262_143, 7]);
  }, calls);
});

test("a range is read by the reserve's descriptor where the process has no other", async () => {
  const reserve = { lend: () => true, refill: () => {} } as unknown as DescriptorReserve;
  const root = fs.mkdtempSync(join(tmpdir(), "ayder-disk-"));
  try {
    const calls: FileCalls = { ...FILE_CALLS, readRange: () => Promise.reject(errno("EMFILE")) };
    const disk = new BunDisk(root, calls, "r+", reserve);
    await disk.writeWhole("f", pattern(20));
    expect(await disk.readRange("f", 5, 10)).toEqual(pattern(20).subarray(5, 15));
    expect(await disk.readRange("f", 15, 10)).toEqual(pattern(20).subarray(15));
    const alone = new BunDisk(root, calls);
    await expect(alone.readRange("f", 5, 10)).rejects.toBeInstanceOf(ResourceShortage);
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
});

const WHY_NOT = SmallDisks.whyNot();
if (WHY_NOT !== null) console.log(`skipped: ${WHY_NOT}`);
test.skipIf(WHY_NOT !== null)("a file system that is really full", async () => {
  const disks = new SmallDisks();
  const root = fs.mkdtempSync(join(tmpdir(), "ayder-full-"));
  try {
    disks.mount(root);
    const disk = openBunDisk(root);
    const file = await disk.open("f", "truncate");
    await file.write(0, pattern(10_000));
    for (const spare of [0, 8_192]) {
      disks.fill(root, spare);
      const end = await file.size();
      const large = pattern(100_000);
      await expect(file.write(end, large)).rejects.toBeInstanceOf(DiskFull);
      await expect(disk.writeWhole("w", large)).rejects.toBeInstanceOf(DiskFull);
      disks.free(root);
      await file.write(end, large);
      await file.sync();
      expect(await file.size()).toBe(end + large.length);
      expect(Bun.hash(await file.read(end, large.length))).toBe(Bun.hash(large));
    }
    await file.close();
    await disk.writeWhole("w", pattern(100_000));
    expect(Bun.hash((await disk.readWhole("w")) ?? "")).toBe(Bun.hash(pattern(100_000)));
  } finally {
    disks.close();
    fs.rmSync(root, { recursive: true, force: true });
  }
});

test("Bun's calls on a descriptor do what this disk relies on", async () => {
  const root = fs.mkdtempSync(join(tmpdir(), "ayder-bun-"));
  const path = join(root, "f");
  try {
    fs.writeFileSync(path, new Uint8Array(1_000));
    const fd = fs.openSync(path, "r+");
    // It goes on where the descriptor stands, cuts nothing, and ends before it returns.
    for (const at of [0, 10, 20]) {
      const written = Bun.write(Bun.file(fd), new Uint8Array(10).fill(at + 1));
      expect(Bun.peek.status(written)).toBe("fulfilled");
      expect(await written).toBe(10);
      // Writes and reads at a position do not move it.
      fs.writeSync(fd, Uint8Array.of(9), 0, 1, 500);
      fs.readSync(fd, new Uint8Array(50), 0, 50, 100);
    }
    const bytes = fs.readFileSync(path);
    expect(bytes.length).toBe(1_000);
    for (const at of [0, 10, 20]) expect([bytes[at], bytes[at + 9]]).toEqual([at + 1, at + 1]);
    expect(bytes[30]).toBe(0);
    fs.closeSync(fd);
    // Why no empty write reaches it.
    const again = fs.openSync(path, "r+");
    await Bun.write(Bun.file(again), new Uint8Array(0));
    expect(fs.statSync(path).size).toBe(0);
    fs.closeSync(again);
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
});
