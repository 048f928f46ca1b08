import { expect, test } from "bun:test";
import { DiskFailure, DiskFull } from "../../src/env/disk.ts";
import { forEachSeed, Random } from "../tools/random.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";
import { diskContract } from "./disk-contract.ts";

diskContract("sim-disk", (body) => body(new SimDisk()));

const hash = (content: Uint8Array | null) => String(Bun.hash(content ?? new Uint8Array(0)));
const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);

test("a crash keeps what was synced and may lose the rest", async () => {
  const disk = new SimDisk();
  const file = await disk.open("a", "create");
  await disk.syncDirectory("");
  await file.write(0, bytes(4, 1));
  await file.sync();
  await file.write(2, bytes(4, 2));
  expect(disk.pending).toBe(1);
  const lost = disk.afterCrash(() => "lost", new Random(1));
  expect(await lost.readWhole("a")).toEqual(bytes(4, 1));
  const kept = disk.afterCrash(() => "kept", new Random(1));
  expect(await kept.readWhole("a")).toEqual(new Uint8Array([1, 1, 2, 2, 2, 2]));
  const zeros = disk.afterCrash(() => "zeros", new Random(1));
  expect(await zeros.readWhole("a")).toEqual(new Uint8Array([1, 1, 0, 0, 0, 0]));
});

test("a name survives only if its directory was synced", async () => {
  const disk = new SimDisk();
  await disk.makeDirectory("d");
  await disk.syncDirectory("");
  const file = await disk.open("d/a", "create");
  await file.write(0, bytes(4, 1));
  await file.sync();
  expect(await disk.afterCrash(() => "lost", new Random(1)).list("d")).toEqual([]);
  await disk.syncDirectory("d");
  await disk.rename("d/a", "d/b");
  expect(await disk.afterCrash(() => "lost", new Random(1)).list("d")).toEqual(["a"]);
  expect(await disk.afterCrash(() => "kept", new Random(1)).list("d")).toEqual(["b"]);
});

test("writeWhole leaves the old content or the new one, never a mix", async () => {
  const before = new SimDisk();
  await before.writeWhole("a", bytes(700, 1));
  const points: SimDisk[] = [];
  const watched: SimDisk = new SimDisk({ onCall: () => void points.push(watched.snapshot()) });
  await watched.writeWhole("a", bytes(700, 1));
  const start = points.length;
  await watched.writeWhole("a", bytes(900, 2));
  points.push(watched.snapshot());
  let states = 0;
  for (const point of points.slice(start)) {
    forEachSeed(20, (random) => {
      const disk = point.afterCrash(() => random.pick(["lost", "kept", "torn", "zeros"]), random);
      const content = disk.peek("a");
      states++;
      expect([hash(bytes(700, 1)), hash(bytes(900, 2))]).toContain(hash(content));
    });
  }
  expect(states).toBeGreaterThan(100);
  const end = points.at(-1)?.afterCrash(() => "lost", new Random(1));
  expect(end?.peek("a")).toEqual(bytes(900, 2));
});

test("a failed sync leaves pages that are readable but will never be written", async () => {
  const disk = new SimDisk();
  const file = await disk.open("a", "create");
  await disk.syncDirectory("");
  await file.write(0, bytes(4, 1));
  disk.faults.syncError = "a";
  await expect(file.sync()).rejects.toBeInstanceOf(DiskFailure);
  await file.sync();
  expect(await file.read(0, 4)).toEqual(bytes(4, 1));
  expect(await disk.afterCrash(() => "kept", new Random(1)).readWhole("a")).toEqual(
    new Uint8Array(0),
  );
});

test("faults: no space, a failing read, the Nth call, a lying disk", async () => {
  const disk = new SimDisk();
  const file = await disk.open("a", "create");
  await file.write(0, bytes(4, 1));
  disk.faults.full = true;
  await expect(file.write(2, bytes(4, 1))).rejects.toBeInstanceOf(DiskFull);
  await file.write(0, bytes(4, 3));
  disk.faults.full = false;
  disk.faults.readError = "a";
  await expect(file.read(0, 1)).rejects.toBeInstanceOf(DiskFailure);
  disk.faults.readError = null;
  disk.faults.failCall = disk.calls + 1;
  await file.write(0, bytes(1, 1));
  await expect(file.write(0, bytes(1, 1))).rejects.toBeInstanceOf(DiskFailure);
  disk.faults.halfWrites = true;
  await file.write(0, bytes(4, 9));
  expect(await file.read(0, 4)).toEqual(new Uint8Array([9, 9, 3, 3]));
});

test("after a crash open files are void", async () => {
  const disk = new SimDisk();
  const file = await disk.open("a", "create");
  disk.crash(new Random(1));
  await expect(file.write(0, bytes(1, 1))).rejects.toBeInstanceOf(DiskFailure);
});

test("an operation waits as long as the delay says", async () => {
  let open: () => void = () => {};
  const stuck = new Promise<void>((resolve) => {
    open = resolve;
  });
  const disk = new SimDisk({ delay: (operation) => (operation === "sync" ? stuck : null) });
  const file = await disk.open("a", "create");
  let synced = false;
  const sync = file.sync().then(() => {
    synced = true;
  });
  await file.write(0, bytes(4, 1));
  expect(synced).toBe(false);
  open();
  await sync;
  // Written while the sync ran: not covered by it.
  expect(disk.pending).toBe(2);
});
