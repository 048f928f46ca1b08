import { describe, expect, test } from "bun:test";
import { type Disk, DiskFailure } from "../../src/env/disk.ts";

const bytesOf = (...values: number[]) => new Uint8Array(values);

/** One contract, two implementations: whatever passes here may stand behind `Disk`. */
export function diskContract(
  name: string,
  withDisk: (body: (disk: Disk) => Promise<void>) => Promise<void>,
): void {
  const contract = (statement: string, body: (disk: Disk) => Promise<void>) =>
    test(statement, () => withDisk(body));

  describe(`${name} as a disk`, () => {
    contract("reads back what was written at positions, holes as zeros", async (disk) => {
      const file = await disk.open("a", "create");
      await file.write(3, bytesOf(1, 2));
      await file.write(8, bytesOf(9));
      expect(await file.read(0, 100)).toEqual(bytesOf(0, 0, 0, 1, 2, 0, 0, 0, 9));
      expect(await file.read(4, 2)).toEqual(bytesOf(2, 0));
      expect(await file.size()).toBe(9);
      await file.close();
    });

    contract("writes and reads many megabytes whole", async (disk) => {
      const file = await disk.open("large", "create");
      const bytes = new Uint8Array(3 * 2 ** 20 + 5);
      for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31) >>> 3;
      await file.write(7, bytes);
      await file.sync();
      expect(Bun.hash(await file.read(7, bytes.length))).toBe(Bun.hash(bytes));
      await file.close();
    });

    contract("gives fewer bytes only at the end of the file", async (disk) => {
      const file = await disk.open("a", "create");
      await file.write(0, bytesOf(1, 2, 3));
      expect(await file.read(2, 10)).toEqual(bytesOf(3));
      expect((await file.read(3, 10)).length).toBe(0);
      expect((await file.read(50, 10)).length).toBe(0);
      await file.close();
    });

    contract("overwrites in place and keeps the rest", async (disk) => {
      const file = await disk.open("a", "create");
      await file.write(0, bytesOf(1, 2, 3, 4));
      await file.close();
      const again = await disk.open("a", "existing");
      await again.write(1, bytesOf(9));
      expect(await again.read(0, 10)).toEqual(bytesOf(1, 9, 3, 4));
      await again.close();
    });

    contract("gives what is written with a buffer that is used again at once", async (disk) => {
      const file = await disk.open("a", "create");
      const buffer = bytesOf(1, 1);
      await file.write(0, buffer);
      buffer.fill(2);
      expect(await file.read(0, 2)).toEqual(bytesOf(1, 1));
      await file.close();
    });

    contract("refuses to create what exists and to open what does not", async (disk) => {
      await (await disk.open("a", "create")).close();
      await expect(disk.open("a", "create")).rejects.toBeInstanceOf(DiskFailure);
      await expect(disk.open("b", "existing")).rejects.toBeInstanceOf(DiskFailure);
      await expect(disk.open("none/b", "create")).rejects.toBeInstanceOf(DiskFailure);
    });

    contract("makes a file empty, or new, to truncate it", async (disk) => {
      await disk.writeWhole("a", bytesOf(1, 2, 3));
      const file = await disk.open("a", "truncate");
      expect(await file.size()).toBe(0);
      await file.write(0, bytesOf(4, 5, 6));
      await file.truncate(2);
      expect(await file.read(0, 9)).toEqual(bytesOf(4, 5));
      await file.truncate(4);
      expect(await file.read(0, 9)).toEqual(bytesOf(4, 5, 0, 0));
      await file.close();
      await (await disk.open("new", "truncate")).close();
      expect(await disk.list("")).toEqual(["a", "new"]);
    });

    contract("replaces whole files, and leaves nothing beside them", async (disk) => {
      expect(await disk.readWhole("a")).toBeNull();
      await disk.writeWhole("a", bytesOf(1, 2, 3));
      await disk.writeWhole("a", bytesOf(4));
      expect(await disk.readWhole("a")).toEqual(bytesOf(4));
      await disk.writeWhole("a", new Uint8Array(0));
      expect(await disk.readWhole("a")).toEqual(new Uint8Array(0));
      expect(await disk.list("")).toEqual(["a"]);
    });

    contract("lists names sorted, of one level, directories too", async (disk) => {
      await disk.makeDirectory("d/inner");
      for (const name of ["d/b", "d/a", "d/inner/x", "top"]) {
        await (await disk.open(name, "create")).close();
      }
      expect(await disk.list("d")).toEqual(["a", "b", "inner"]);
      expect(await disk.list("")).toEqual(["d", "top"]);
      expect(await disk.list("nowhere")).toEqual([]);
      await disk.makeDirectory("d/inner");
      await disk.syncDirectory("d");
    });

    contract("renames over what is there, and removes without complaint", async (disk) => {
      await disk.makeDirectory("d");
      await disk.writeWhole("a", bytesOf(1));
      await disk.writeWhole("d/b", bytesOf(2));
      await disk.rename("a", "d/b");
      expect(await disk.readWhole("d/b")).toEqual(bytesOf(1));
      expect(await disk.readWhole("a")).toBeNull();
      await disk.remove("d/b");
      await disk.remove("d/b");
      expect(await disk.list("d")).toEqual([]);
      await expect(disk.rename("a", "c")).rejects.toBeInstanceOf(DiskFailure);
    });

    contract("renames and removes whole trees", async (disk) => {
      await disk.makeDirectory("t/u");
      await disk.writeWhole("t/u/x", bytesOf(7));
      await disk.rename("t", "v");
      expect(await disk.readWhole("v/u/x")).toEqual(bytesOf(7));
      await disk.removeTree("v");
      await disk.removeTree("v");
      expect(await disk.list("")).toEqual([]);
    });

    contract("reads on through an open file that was removed", async (disk) => {
      const file = await disk.open("a", "create");
      await file.write(0, bytesOf(1));
      await disk.remove("a");
      expect(await file.read(0, 5)).toEqual(bytesOf(1));
      await file.close();
    });

    contract("knows how much space is free", async (disk) => {
      const { freeBytes, totalBytes } = await disk.space();
      expect(freeBytes).toBeGreaterThan(0);
      expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
    });
  });
}
