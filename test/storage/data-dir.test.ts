import { expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { SHARD_0 } from "../../src/lib/ids.ts";
import {
  beginRestore,
  DataDir,
  DataDirDamaged,
  DataDirUnsupported,
  decodeFormat,
  encodeFormat,
  endRestore,
  refuseHalfRestored,
} from "../../src/storage/data-dir.ts";
import { HardStateFile } from "../../src/storage/hard-state.ts";
import { Random } from "../tools/random.ts";
import { type Fate, SimDisk } from "../tools/sim/sim-disk.ts";

const INITIAL = { clusterId: null, storageId: "8a4f" };
const OTHER = { clusterId: "c", storageId: "other" };

test("a new directory gets its layout and identity, and keeps them", async () => {
  const disk = new SimDisk();
  const dir = await DataDir.open(disk, INITIAL);
  expect([dir.fresh, dir.identity]).toEqual([true, INITIAL]);
  expect(await disk.list("shards/0")).toEqual([
    "checkpoints",
    "hard-state",
    "journal",
    "partitions",
  ]);
  const crashed = disk.afterCrash(() => "lost", new Random(1));
  const again = await DataDir.open(crashed, OTHER);
  expect([again.fresh, again.identity]).toEqual([false, INITIAL]);
  const paths = again.shard(SHARD_0);
  await HardStateFile.open(crashed, paths.hardState, again.checksumIdentity(SHARD_0));
  expect(again.checksumIdentity(SHARD_0)).toBe(dir.checksumIdentity(SHARD_0));
});

test("a first start that crashed anywhere is done again; after FORMAT nothing is missing", async () => {
  const points: SimDisk[] = [];
  const disk: SimDisk = new SimDisk({ onCall: () => void points.push(disk.snapshot()) });
  await DataDir.open(disk, INITIAL);
  points.push(disk.snapshot());
  const random = new Random(3);
  let fresh = 0;
  for (const point of points) {
    for (let roll = 0; roll < 30; roll++) {
      const fates: readonly Fate[] = ["lost", "kept", "torn"];
      const crashed = point.afterCrash(() => random.pick(fates), random);
      const dir = await DataDir.open(crashed, OTHER);
      if (dir.fresh) fresh++;
      const paths = dir.shard(SHARD_0);
      await HardStateFile.open(crashed, paths.hardState, dir.checksumIdentity(SHARD_0));
      for (const path of [paths.journal, paths.partitions, paths.checkpoints]) {
        await (await crashed.open(`${path}/x`, "create")).close();
      }
    }
  }
  expect(fresh).toBeGreaterThan(50);
});

test("what a start has seen after a kill is there after a power loss", async () => {
  const points: SimDisk[] = [];
  const disk: SimDisk = new SimDisk({ onCall: () => void points.push(disk.snapshot()) });
  await beginRestore(disk, () => null);
  await DataDir.create(disk, INITIAL);
  await endRestore(disk);
  let started = 0;
  for (const killed of [...points, disk.snapshot()]) {
    const isRefused = await refuseHalfRestored(killed).then(
      () => false,
      () => true,
    );
    if (isRefused) continue;
    const { identity } = await DataDir.open(killed, OTHER);
    const after = killed.afterCrash(() => "lost", new Random(1));
    await refuseHalfRestored(after);
    expect((await DataDir.open(after, OTHER)).identity).toEqual(identity);
    started++;
  }
  expect(started).toBeGreaterThan(1);
});

test("a journal segment or checkpoint that a start has seen is there after a power loss", async () => {
  const disk = new SimDisk();
  const { journal, checkpoints } = (await DataDir.open(disk, INITIAL)).shard(SHARD_0);
  for (const directory of [journal, checkpoints]) {
    await (await disk.open(`${directory}/x`, "create")).close();
    await disk.rename(`${directory}/x`, `${directory}/y`);
  }
  await DataDir.open(disk, OTHER);
  const after = disk.afterCrash(() => "lost", new Random(1));
  expect(await after.list(journal)).toEqual(["y"]);
  expect(await after.list(checkpoints)).toEqual(["y"]);
});

test("the cluster id is recorded once and never changes", async () => {
  const disk = new SimDisk();
  const dir = await DataDir.open(disk, INITIAL);
  await dir.recordClusterId("cluster-1");
  await dir.recordClusterId("cluster-1");
  await expect(dir.recordClusterId("cluster-2")).rejects.toThrow("never changes");
  const again = await DataDir.open(
    disk.afterCrash(() => "lost", new Random(1)),
    OTHER,
  );
  expect(again.identity).toEqual({ clusterId: "cluster-1", storageId: "8a4f" });
});

test("another version and a damaged FORMAT are refused", async () => {
  const disk = new SimDisk();
  await DataDir.open(disk, INITIAL);
  await disk.writeWhole("FORMAT", utf8('{"format":3,"anything":true}'));
  await expect(DataDir.open(disk, INITIAL)).rejects.toBeInstanceOf(DataDirUnsupported);
  await expect(DataDir.open(disk, INITIAL)).rejects.toThrow(
    "has format 3, and this version of Ayder reads 1 and 2",
  );
  await disk.writeWhole("FORMAT", utf8("{"));
  await expect(DataDir.open(disk, INITIAL)).rejects.toBeInstanceOf(DataDirDamaged);
});

test("data of any kind without FORMAT is not taken for an empty directory", async () => {
  for (const kind of ["journal", "checkpoints", "partitions"]) {
    const disk = new SimDisk();
    await DataDir.open(disk, INITIAL);
    await disk.remove("FORMAT");
    await (await disk.open(`shards/0/${kind}/1`, "create")).close();
    await expect(DataDir.open(disk, INITIAL), kind).rejects.toThrow("no FORMAT file");
  }
});

test("any changed byte of FORMAT is seen", () => {
  const content = { ...OTHER, format: 1 };
  const bytes = encodeFormat(content);
  expect(decodeFormat(bytes)).toEqual(content);
  for (let at = 0; at < bytes.length - 1; at++) {
    const changed = bytes.slice();
    changed[at] = (changed[at] ?? 0) ^ 4;
    expect(() => decodeFormat(changed), `byte ${at}`).toThrow();
  }
});
