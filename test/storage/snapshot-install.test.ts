import { expect, test } from "bun:test";
import { DiskFull } from "../../src/env/disk.ts";
import { JournalFull } from "../../src/storage/journal/preallocated.ts";
import { SnapshotRefused } from "../../src/storage/snapshots/check.ts";
import { Random } from "../tools/random.ts";
import type { SimDisk } from "../tools/sim/sim-disk.ts";
import { SpaceLimit } from "../tools/sim/space-limit.ts";
import { CHECKPOINTS, copyState, type State } from "../tools/storage/checkpoint-support.ts";
import { entryOf } from "../tools/storage/journal-fixture.ts";
import { announcementOf, ShardDisk, send, workedShard } from "../tools/storage/shard-support.ts";

const leader = await workedShard(1, 6);
const held = leader.checkpoints.hold();
if (held === null) throw new Error("no checkpoint");
const sent = copyState(leader.node.state);
const announcement = announcementOf(held);

async function receive(follower: ShardDisk): Promise<void> {
  await send(held ?? never(), follower.install, await follower.install.begin(announcement));
  await follower.install.finish();
}

const never = (): never => {
  throw new Error("never");
};

/** From the commit to the end of the switch, as a running node does it. */
async function install(follower: ShardDisk): Promise<void> {
  const old = await follower.node.adopt(await follower.install.commit());
  await follower.checkpoints.settle(follower.journal);
  await old.close();
  await follower.checkpoints.removeStale();
}

/** A follower with a log of its own that the leader's has left behind. */
async function behind(options: { onCall?: (operation: string, path: string) => void } = {}) {
  const { disk } = await workedShard(2, 3);
  const follower = await ShardDisk.open(disk.snapshot(options));
  const index = await follower.recover();
  await follower.settle();
  expect(index).toBeGreaterThan(0);
  expect(index).toBeLessThan(announcement.index);
  return { follower, before: copyState(follower.node.state), index };
}

async function expectNew(follower: ShardDisk): Promise<void> {
  await follower.node.verify(sent);
  const { journal } = follower;
  expect(journal.firstIndex as number).toBe(announcement.index + 1);
  expect(journal.lastIndex as number).toBe(announcement.index);
  expect(journal.termAt(journal.lastIndex) as number).toBe(announcement.term);
}

async function expectRoots(disk: SimDisk, ...roots: string[]): Promise<void> {
  const names = await disk.list("shards/0");
  expect(names.filter((name) => name.startsWith("partitions"))).toEqual(roots);
}

test("a running node switches to a received snapshot, goes on, and comes back with it", async () => {
  const { follower } = await behind();
  await receive(follower);
  await install(follower);
  await expectNew(follower);
  await expectRoots(follower.disk, "partitions@1");
  const { node } = follower;
  node.append("2-1", 20, new Random(3));
  await follower.log(announcement.term);
  const { state, done } = node.take();
  await done;
  node.append("2-1", 5, new Random(4));
  await node.verify();
  expect((await follower.disk.list(CHECKPOINTS)).length).toBe(2);
  const again = await ShardDisk.open(follower.disk.afterCrash(() => "lost", new Random(1)));
  await again.recover();
  expect(await again.settle()).toBe(false);
  await again.node.verify(state);
  // Twice: roots never meet.
  const next = again.checkpoints.hold() ?? never();
  const { follower: other } = await behind();
  await receive(other);
  await install(other);
  await send(next, other.install, await other.install.begin(announcementOf(next)));
  await other.install.finish();
  await install(other);
  await expectRoots(other.disk, "partitions@2");
  await other.node.verify(again.node.state);
});

test("the files of a transfer have fixed names, and no index files are sent", () => {
  const names = announcement.files.map(({ name }) => name);
  expect(names[0]).toBe("checkpoint");
  expect(names.slice(1).every((name) => /^p\/\d+-\d+\/\d{20}$/.test(name))).toBe(true);
  expect(names.length).toBeGreaterThan(8);
});

test("a crash before the commit leaves the node as it was, one after it exactly the new state", async () => {
  // Method: one install, a crash at every disk operation of it, un-synced changes lost, kept or torn.
  const images: { disk: SimDisk; committed: boolean }[] = [];
  let committed = false;
  let recording = false;
  const { follower, before, index } = await behind({
    onCall: () => {
      if (recording) images.push({ disk: follower.disk.snapshot(), committed });
    },
  });
  recording = true;
  await receive(follower);
  const name = await follower.install.commit();
  committed = true;
  const old = await follower.node.adopt(name);
  await follower.checkpoints.settle(follower.journal);
  await old.close();
  await follower.checkpoints.removeStale();
  recording = false;
  images.push({ disk: follower.disk.snapshot(), committed });
  let outcomes = 0;
  for (const [i, image] of images.entries()) {
    for (const fate of ["lost", "kept", "mixed"] as const) {
      const random = new Random(++outcomes);
      const fates = ["lost", "kept", "torn", "zeros"] as const;
      const crashed = image.disk.afterCrash(
        () => (fate === "mixed" ? random.pick(fates) : fate),
        random,
      );
      try {
        await expectOldOrNew(crashed, { before, index }, image.committed);
      } catch (cause) {
        throw new Error(`crash at operation ${i} of ${images.length}, ${fate}`, { cause });
      }
    }
  }
  expect(outcomes).toBeGreaterThan(600);
}, 300_000);

async function expectOldOrNew(
  disk: SimDisk,
  old: { readonly before: State; readonly index: number },
  committed: boolean,
): Promise<void> {
  const node = await ShardDisk.open(disk);
  const lastBefore = node.journal.lastIndex as number;
  const index = await node.recover();
  await node.settle();
  if (index !== announcement.index) {
    expect(committed).toBe(false);
    expect(index).toBe(old.index);
    await node.node.verify(old.before);
    expect(node.journal.lastIndex as number).toBe(lastBefore);
    await receive(node);
    await install(node);
  }
  // Nothing is left of the transfer that could be given up.
  expect(await node.install.pending()).toBeNull();
  await node.install.abort();
  await expectNew(node);
  await node.journal.append([entryOf(announcement.index + 1, announcement.term)]);
  // And once more: recovery is finished, whatever it had to do.
  const again = await ShardDisk.open(disk.afterCrash(() => "lost", new Random(1)));
  expect(await again.recover()).toBe(announcement.index);
  expect(await again.settle()).toBe(false);
  expect(again.journal.lastIndex as number).toBe(announcement.index + 1);
  await again.node.verify(sent);
}

test("any failing disk operation before the commit leaves a node that takes the next snapshot", async () => {
  const { follower, before, index } = await behind();
  const first = follower.disk.calls;
  const image = follower.disk.snapshot();
  await receive(follower);
  const operations = follower.disk.calls - first;
  for (let failing = 0; failing < operations; failing += 3) {
    const disk = image.snapshot();
    const node = await ShardDisk.open(disk);
    await node.recover();
    disk.faults.failCall = disk.calls + failing;
    disk.faults.failWith = "full";
    const failed = await receive(node).catch((error: unknown) => error);
    disk.faults.failCall = null;
    if (failed !== undefined) await node.install.abort();
    const again = await ShardDisk.open(disk.afterCrash(() => "lost", new Random(1)));
    expect(await again.recover()).toBe(index);
    await again.node.verify(before);
    await receive(again);
    await install(again);
    await expectNew(again);
  }
});

/** A follower that installed a snapshot, has no journal segment left and no space for another. */
async function installedWithoutSegments(onCall: (operation: string, path: string) => void) {
  const { follower } = await behind({ onCall });
  await receive(follower);
  const { journal, disk } = follower;
  await journal.retrySpace();
  disk.faults.space = new SpaceLimit(0);
  for (;;) {
    const full = await journal
      .append([entryOf(journal.lastIndex + 1, announcement.term + 1)])
      .catch((error: unknown) => error);
    if (full instanceof JournalFull) break;
    if (full instanceof Error) throw full;
  }
  disk.faults.space = null;
  const name = await follower.install.commit();
  return { follower, name };
}

test("without space for a segment, the journal is reset in the space of its old segments", async () => {
  const images: SimDisk[] = [];
  let disk: SimDisk | null = null;
  let removals = 0;
  const { follower, name } = await installedWithoutSegments((operation, path) => {
    if (disk === null) return;
    images.push(disk.snapshot());
    const isSegment = operation === "remove" && path.includes("/journal/");
    if (isSegment && ++removals === 3) disk.faults.space = null;
  });
  const old = await follower.node.adopt(name);
  disk = follower.disk;
  disk.faults.space = new SpaceLimit(0, { copiesOnWrite: true });
  await follower.checkpoints.settle(follower.journal);
  disk = null;
  await old.close();
  await follower.checkpoints.removeStale();
  expect(removals).toBeGreaterThanOrEqual(3);
  await expectNew(follower);
  expect(images.length).toBeGreaterThan(10);
  for (const image of images) await expectOldOrNew(image, { before: new Map(), index: 0 }, true);
});

test("while others use the space of the old segments too, the reset waits and is repeated", async () => {
  const { follower, name } = await installedWithoutSegments(() => {});
  const old = await follower.node.adopt(name);
  follower.disk.faults.space = new SpaceLimit(0);
  for (let attempt = 0; attempt < 3; attempt++) {
    const failed = follower.checkpoints.settle(follower.journal);
    await expect(failed).rejects.toBeInstanceOf(JournalFull);
  }
  const full = follower.disk.snapshot();
  follower.disk.faults.space = null;
  await follower.checkpoints.settle(follower.journal);
  await old.close();
  await follower.checkpoints.removeStale();
  await expectNew(follower);
  // And a restart in the middle.
  await expectOldOrNew(full, { before: new Map(), index: 0 }, true);
});

test("a transfer goes on where it was, after a reconnect and after a restart", async () => {
  const { follower } = await behind();
  const files = held.files.length;
  const stopAt = 4;
  const part = { ...held, files: held.files.slice(0, stopAt) };
  await send(part, follower.install, await follower.install.begin(announcement));
  const bytes = await (held.files[stopAt] ?? never()).read(0, 50);
  await follower.install.write(stopAt, 0, bytes);
  const place = await follower.install.begin(announcement);
  expect(place).toMatchObject({ file: stopAt, position: 50 });
  expect(follower.install.resumePoint()).toEqual(place);
  // After a restart, from what is known to be durable.
  const disk = follower.disk.afterCrash(() => "kept", new Random(1));
  const again = await ShardDisk.open(disk);
  await again.recover();
  await again.settle();
  expect(await again.install.pending()).toEqual(announcement);
  const resumed = await again.install.begin(announcement);
  expect(resumed.file).toBeLessThanOrEqual(stopAt);
  await send(held, again.install, resumed);
  await again.install.finish();
  await install(again);
  await expectNew(again);
  expect(files).toBeGreaterThan(stopAt + 1);
  expect(await again.install.pending()).toBeNull();
});

test("what counts as received is there after a crash, wherever it comes", async () => {
  const images: SimDisk[] = [];
  const { follower } = await behind();
  const disk = follower.disk.snapshot({ onCall: () => void images.push(disk.snapshot()) });
  const receiver = await ShardDisk.open(disk, { saveBytes: 900 });
  await receiver.recover();
  images.length = 0;
  await receive(receiver);
  let resumed = 0;
  for (const [i, image] of images.entries()) {
    const random = new Random(i + 1);
    const lost = i % 2 === 0;
    const crashed = image.afterCrash(() => (lost ? "lost" : random.pick(["lost", "torn"])), random);
    const again = await ShardDisk.open(crashed, { saveBytes: 900 });
    await again.recover();
    await again.settle();
    const place = await again.install.begin(announcement);
    if (place.file > 0 || place.position > 0) resumed++;
    await send(held, again.install, place);
    await again.install.finish();
  }
  expect(resumed).toBeGreaterThan(images.length / 3);
});

test("what is stale may be removed at any moment of a transfer", async () => {
  const { follower, before } = await behind();
  const tidy = () => follower.checkpoints.removeStale();
  const place = await follower.install.begin(announcement);
  const change = (bytes: Uint8Array) => {
    void tidy();
    return bytes;
  };
  await send(held, follower.install, place, { change });
  await tidy();
  await follower.install.finish();
  await tidy();
  const name = await follower.install.commit();
  // The old store is still in use, the new one not yet.
  await tidy();
  await follower.node.verify(before);
  const old = await follower.node.adopt(name);
  await tidy();
  await follower.settle();
  await old.close();
  await expectNew(follower);
  await expectRoots(follower.disk, "partitions@1");
});

test("a checkpoint that is being sent stays until it was sent, although another root took its place", async () => {
  const { follower } = await behind();
  const { checkpoints } = follower;
  const sending = checkpoints.hold() ?? never();
  const bytesOf = async () => {
    const all: Uint8Array[] = [];
    for (const { length, read } of sending.files) all.push(await read(0, length));
    return all;
  };
  const first = await bytesOf();
  await receive(follower);
  await install(follower);
  await expectRoots(follower.disk, "partitions", "partitions@1");
  expect(await bytesOf()).toEqual(first);
  await sending.release();
  await expectRoots(follower.disk, "partitions@1");
});

test("another snapshot takes the place of the one that was being received", async () => {
  const { follower } = await behind();
  const part = { ...held, files: held.files.slice(0, 3) };
  await send(part, follower.install, await follower.install.begin(announcement));
  const files = announcement.files.slice(0, -1);
  await follower.install.begin({ ...announcement, files });
  await expectRoots(follower.disk, "partitions", "partitions@1");
  await follower.install.abort();
  await expectRoots(follower.disk, "partitions");
  expect(await follower.install.pending()).toBeNull();
  expect((await follower.disk.list(CHECKPOINTS)).every((name) => name.endsWith(".ckpt"))).toBe(
    true,
  );
});

test("what no honest node announces is refused, and nothing is touched", async () => {
  const { follower, index } = await behind();
  const [checkpoint = never(), segment = never(), ...rest] = announcement.files;
  const named = (name: string) => [checkpoint, { ...segment, name }, ...rest];
  const hostile = [
    ...[
      "../../../etc/passwd",
      "/etc/passwd",
      "p/../hard-state",
      "p/1-0/../../../../FORMAT",
      "p/1-0/00000000000000000000.seg",
      "p/01-0/00000000000000000000",
      "p/1-0/0",
      "p/1-0/99999999999999999999",
      "p/1-2000000/00000000000000000000",
      "p/99999999999-0/00000000000000000000",
      "p/1-0/0000000000000000000\n",
      "checkpoint",
      "",
      rest[0]?.name ?? "",
    ].map(named),
    ...[0, -1, 1.5, Number.NaN, 2 ** 53, 2 ** 40].map((length) => [
      checkpoint,
      { ...segment, length },
      ...rest,
    ]),
    [],
    [segment, checkpoint, ...rest],
  ].map((files) => ({ ...announcement, files }));
  const others = [
    { ...announcement, index: 0 },
    { ...announcement, index },
    { ...announcement, term: 0 },
  ];
  const digest = follower.disk.digest();
  for (const wrong of [...hostile, ...others]) {
    await expect(follower.install.begin(wrong)).rejects.toBeInstanceOf(SnapshotRefused);
  }
  const large = { ...announcement, files: [{ ...checkpoint, length: 2 ** 41 }, segment, ...rest] };
  await expect(follower.install.begin(large)).rejects.toBeInstanceOf(DiskFull);
  expect(follower.disk.digest()).toBe(digest);
  await expectRoots(follower.disk, "partitions");
});

test("bytes out of order, beyond the end, and a file that is not whole are refused", async () => {
  const { follower } = await behind();
  await follower.install.begin(announcement);
  const bytes = await (held.files[0] ?? never()).read(0, 50);
  const refused = async (run: Promise<unknown>) =>
    await expect(run).rejects.toBeInstanceOf(SnapshotRefused);
  await refused(follower.install.write(0, 10, bytes));
  await refused(follower.install.write(1, 0, bytes));
  await refused(follower.install.write(0, 0, new Uint8Array((held.files[0]?.length ?? 0) + 1)));
  await follower.install.write(0, 0, bytes);
  await refused(follower.install.write(0, 0, bytes));
  await refused(follower.install.fileDone(0));
  await refused(follower.install.finish());
});

test("one flipped bit in any received file is refused before the commit", async () => {
  const { follower, before } = await behind();
  const image = follower.disk.snapshot();
  const random = new Random(7);
  let flips = 0;
  for (const [file, { length }] of announcement.files.entries()) {
    for (let i = 0; i < 12; i++) {
      const bit = i < 2 ? i * (length * 8 - 1) : random.below(length * 8);
      const node = await ShardDisk.open(image.snapshot());
      await node.recover();
      const change = (bytes: Uint8Array, at: number, position: number) => {
        const byte = (bit >>> 3) - position;
        if (at !== file || byte < 0 || byte >= bytes.length) return bytes;
        const changed = bytes.slice();
        changed[byte] = (changed[byte] ?? 0) ^ (1 << (bit & 7));
        return changed;
      };
      const place = await node.install.begin(announcement);
      const receiving = send(held, node.install, place, { change }).then(() =>
        node.install.finish(),
      );
      await expect(receiving).rejects.toBeInstanceOf(SnapshotRefused);
      await node.install.abort();
      await node.node.verify(before);
      flips++;
    }
  }
  expect(flips).toBeGreaterThan(100);
});

test("bits that flip between a crash and the end of a resumed transfer are found", async () => {
  const { follower } = await behind();
  const { disk } = follower;
  await receive(follower);
  const paths = disk.paths().filter((path) => path.includes("@1"));
  expect(paths.length).toBe(announcement.files.length);
  for (const path of paths) {
    const image = disk.afterCrash(() => "lost", new Random(1));
    image.flipBit(path, 8 * 20 + 3);
    const again = await ShardDisk.open(image);
    await again.recover();
    const place = await again.install.begin(announcement);
    // The checkpoint is read at once: the transfer begins anew.
    if (path.endsWith(".part")) expect(place.file).toBe(0);
    else await expect(again.install.finish()).rejects.toBeInstanceOf(SnapshotRefused);
  }
});

test("a snapshot of another cluster, and one whose files are not those of its manifest, are refused", async () => {
  const { follower } = await behind();
  const [checkpoint = never(), , ...rest] = held.files;
  const fewer = { ...held, files: [checkpoint, ...rest] };
  const place = await follower.install.begin(announcementOf(fewer));
  await expect(send(fewer, follower.install, place)).rejects.toThrow("names other files");
  const otherTerm = { ...announcement, term: announcement.term + 1 };
  await follower.install.begin(otherTerm);
  const start = { file: 0, position: 0, crc: 0 };
  await expect(send(held, follower.install, start)).rejects.toThrow("another term");
});
