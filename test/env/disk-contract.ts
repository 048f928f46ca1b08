import { describe, expect, test } from "bun:test";
import { type Disk, DiskFailure, type DiskFile } from "../../src/env/disk.ts";
import { Random } from "../tools/random.ts";

const bytesOf = (...values: number[]) => new Uint8Array(values);

/** A file, and what must be in it. */
class Modelled {
  readonly #file: DiskFile;
  readonly #random: Random;
  readonly #context: string;
  #bytes = new Uint8Array(0);
  /** Where the last write ended. */
  #end = 0;

  constructor(file: DiskFile, random: Random, context: string) {
    this.#file = file;
    this.#random = random;
    this.#context = context;
  }

  /** Mostly in order, sometimes large or empty. */
  async write(value: number): Promise<void> {
    const random = this.#random;
    const position = random.below(4) > 0 ? this.#end : random.below(this.#bytes.length + 10);
    const sizeMax = random.below(20) === 0 ? 600_000 : 300;
    const bytes = new Uint8Array(random.below(sizeMax)).fill(value);
    await this.#file.write(position, bytes);
    if (bytes.length === 0) return;
    this.#end = position + bytes.length;
    const longer = new Uint8Array(Math.max(this.#end, this.#bytes.length));
    longer.set(this.#bytes);
    longer.set(bytes, position);
    this.#bytes = longer;
  }

  async compare(): Promise<void> {
    const random = this.#random;
    const from = random.below(this.#bytes.length + 1);
    const length = random.below(random.below(20) === 0 ? 200_000 : 500);
    const expected = this.#bytes.subarray(from, from + length);
    expect(Bun.hash(await this.#file.read(from, length)), this.#context).toBe(Bun.hash(expected));
  }

  async cut(): Promise<void> {
    const size = this.#random.below(this.#bytes.length + 1);
    await this.#file.truncate(size);
    this.#bytes = this.#bytes.slice(0, size);
    this.#end = Math.min(this.#end, size);
  }

  async end(): Promise<void> {
    expect(await this.#file.size(), this.#context).toBe(this.#bytes.length);
    const all = await this.#file.read(0, this.#bytes.length);
    expect(Bun.hash(all), this.#context).toBe(Bun.hash(this.#bytes));
    await this.#file.close();
  }
}

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

    contract("reads a range of a file that is not open", async (disk) => {
      const file = await disk.open("a", "create");
      await file.write(0, bytesOf(1, 2, 3, 4));
      await file.close();
      expect(await disk.readRange("a", 1, 2)).toEqual(bytesOf(2, 3));
      expect(await disk.readRange("a", 0, 4)).toEqual(bytesOf(1, 2, 3, 4));
      expect(await disk.readRange("a", 2, 10)).toEqual(bytesOf(3, 4));
      expect((await disk.readRange("a", 4, 10)).length).toBe(0);
      expect((await disk.readRange("a", 50, 10)).length).toBe(0);
      expect((await disk.readRange("a", 1, 0)).length).toBe(0);
      await expect(disk.readRange("none", 0, 1)).rejects.toBeInstanceOf(DiskFailure);
    });

    contract("an empty write changes nothing, wherever it is", async (disk) => {
      const file = await disk.open("a", "truncate");
      for (const position of [0, 3, 3, 1]) {
        await file.write(position, bytesOf());
        if (position === 0) await file.write(0, bytesOf(1, 2, 3));
        expect(await file.read(0, 10)).toEqual(bytesOf(1, 2, 3));
      }
      await file.close();
    });

    for (const mode of ["create", "truncate"] as const) {
      contract(`random writes, reads and cuts agree with an array (${mode})`, async (disk) => {
        const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
        const random = new Random(seed);
        const modelled = new Modelled(await disk.open("a", mode), random, `SEED=${seed}`);
        for (let step = 0; step < 300; step++) {
          await modelled.write(step % 251);
          await modelled.compare();
          if (random.below(30) === 0) await modelled.cut();
        }
        await modelled.end();
      });
    }

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
