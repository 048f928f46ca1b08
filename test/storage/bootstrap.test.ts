import { expect, test } from "bun:test";
import type { SettlingJournal } from "../../src/storage/checkpoints/store.ts";
import { JournalDamaged } from "../../src/storage/journal/damage.ts";
import { Random } from "../tools/random.ts";
import { type Fate, SimDisk } from "../tools/sim/sim-disk.ts";
import { entryOf } from "../tools/storage/journal-fixture.ts";
import { ShardDisk } from "../tools/storage/shard-support.ts";

const FATES: readonly (Fate | "mixed")[] = ["lost", "kept", "mixed"];

/** Steps of a bootstrap node at each start. */
async function start(disk: SimDisk) {
  const shard = await ShardDisk.open(disk);
  const bootstrapped = await shard.bootstrap();
  const loaded = await shard.recover();
  const reset = await shard.checkpoints.settle(shard.journal);
  return { shard, bootstrapped, loaded, reset };
}

test("a bootstrap begins at index 1, term 1, and the journal continues at 2", async () => {
  const disk = await ShardDisk.make(new SimDisk());
  const { shard, bootstrapped, loaded, reset } = await start(disk);
  expect({ bootstrapped, reset }).toEqual({ bootstrapped: true, reset: true });
  expect(loaded).toBe(1);
  expect(shard.journal.firstIndex as number).toBe(2);
  expect(shard.journal.baseTerm as number).toBe(1);
  await shard.journal.append([entryOf(2, 1)]);
  expect(shard.checkpoints.hold()?.files.length).toBe(1);
  const again = await start(disk.afterCrash(() => "lost", new Random(1)));
  expect({ bootstrapped: again.bootstrapped, reset: again.reset }).toEqual({
    bootstrapped: false,
    reset: false,
  });
  expect(again.shard.journal.lastIndex as number).toBe(2);
});

test("an interrupted bootstrap is continued by the next start", async () => {
  const images: SimDisk[] = [];
  const disk: SimDisk = new SimDisk({ onCall: () => void images.push(disk.snapshot()) });
  await ShardDisk.make(disk);
  images.length = 0;
  await start(disk);
  expect(images.length).toBeGreaterThan(25);
  for (const [i, image] of images.entries()) {
    for (const fate of FATES) {
      const random = new Random(i + 1);
      const pick = () => (fate === "mixed" ? random.pick(["lost", "kept", "torn"] as const) : fate);
      const crashed = image.afterCrash(pick, random);
      const { shard, loaded } = await start(crashed);
      expect(loaded).toBe(1);
      expect(shard.journal.firstIndex as number).toBe(2);
      await shard.journal.append([entryOf(2, 1)]);
    }
  }
});

test("a disk with a vote or entries is not bootstrapped", async () => {
  const voted = await ShardDisk.make(new SimDisk());
  const shard = await ShardDisk.open(voted);
  await shard.hardState.save({ ...shard.hardState.state, term: 3 as never });
  expect(await (await ShardDisk.open(voted)).bootstrap()).toBe(false);
  const written = await ShardDisk.make(new SimDisk());
  await (await ShardDisk.open(written)).journal.append([entryOf(1, 0)]);
  expect(await (await ShardDisk.open(written)).bootstrap()).toBe(false);
});

test("after the bootstrap a missing journal is damage, not a fresh start", async () => {
  const disk = await ShardDisk.make(new SimDisk());
  const { shard } = await start(disk);
  await shard.journal.append([entryOf(2, 1)]);
  await disk.removeTree("shards/0/journal");
  await disk.makeDirectory("shards/0/journal");
  const again = await ShardDisk.open(disk);
  expect(await again.bootstrap()).toBe(false);
  await again.recover();
  await expect(again.checkpoints.settle(again.journal)).rejects.toBeInstanceOf(JournalDamaged);
});

test("a checkpoint is not sent while its file is about to get another name", async () => {
  const shard = await ShardDisk.open(await ShardDisk.make(new SimDisk()));
  await shard.bootstrap();
  await shard.recover();
  expect(shard.checkpoints.hold()).toBeNull();
  await shard.checkpoints.settle(shard.journal);
  const held = shard.checkpoints.hold();
  expect(held?.index).toBe(1);
  expect((await held?.files[0]?.read(0, 4))?.length).toBe(4);
});

test("a journal behind its checkpoint is damage, unless it was cut and knows that", async () => {
  const shard = await ShardDisk.open(await ShardDisk.make(new SimDisk()));
  await shard.bootstrap();
  await shard.recover();
  await shard.checkpoints.settle(shard.journal);
  for (const [lastIndex, term, marker, isReset] of [
    [1, 1, null, false],
    [0, null, null, null],
    [0, null, { index: 3, term: 2 }, true],
    [1, 2, null, null],
    [1, 2, { index: 3, term: 2 }, true],
  ] as const) {
    const resets: number[][] = [];
    const journal = {
      firstIndex: 1,
      lastIndex,
      marker,
      termAt: () => term,
      resetTo: (index: number, resetTerm: number) => {
        resets.push([index, resetTerm]);
        return Promise.resolve();
      },
    } as unknown as SettlingJournal;
    const settled = await shard.checkpoints.settle(journal).catch((cause: unknown) => cause);
    if (isReset === null) expect(settled).toBeInstanceOf(JournalDamaged);
    else expect(settled).toBe(isReset);
    expect(resets).toEqual(isReset === true ? [[1, 1]] : []);
  }
});
