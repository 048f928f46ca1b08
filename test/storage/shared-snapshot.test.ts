import { expect, test } from "bun:test";
import { SnapshotRefused } from "../../src/storage/snapshots/check.ts";
import { SnapshotInstall } from "../../src/storage/snapshots/install.ts";
import { Random } from "../tools/random.ts";
import { CHECKPOINTS, CheckpointNode, copyState } from "../tools/storage/checkpoint-support.ts";
import { PartitionDisk } from "../tools/storage/partition-disk.ts";
import { DIRECTORY, nextTurn } from "../tools/storage/partition-support.ts";
import { announcementOf, send } from "../tools/storage/shard-support.ts";

const SHARED = { mayShare: () => true, segmentBytes: 8_000, warmMax: 2 };

/** A node whose newest checkpoint names several shared files, and files of partitions. */
async function leader() {
  const node = new CheckpointNode(new PartitionDisk(), SHARED);
  const random = new Random(3);
  for (let topic = 1; topic <= 20; topic++) node.create(`${topic}-0`);
  node.append("20-0", 90, random);
  for (let round = 0; round < 3; round++) {
    for (const name of node.state.keys()) node.append(name, 1, random);
    await node.take().done;
    await node.store.tidy();
  }
  node.delete("3-0");
  node.append("4-0", 1, random);
  await node.take().done;
  const held = node.checkpoints.hold();
  if (held === null) throw new Error("no checkpoint");
  return { node, held, state: copyState(node.state) };
}

async function follower(prepareShared = async (): Promise<void> => undefined) {
  const disk = new PartitionDisk();
  await disk.makeDirectory(DIRECTORY);
  await disk.makeDirectory(CHECKPOINTS);
  const install = new SnapshotInstall({
    disk,
    directory: CHECKPOINTS,
    partitionsDirectory: DIRECTORY,
    clusterId: "c",
    reserveBytes: 0,
    saveBytes: 3_000,
    nextTurn,
    prepareShared,
  });
  return { disk, install };
}

test("a snapshot takes shared files along, and a node that got them goes on", async () => {
  const { held, state } = await leader();
  const names = held.files.map(({ name }) => name);
  expect(names.filter((name) => /^s\/\d+$/.test(name)).length).toBeGreaterThan(1);
  expect(names.some((name) => name.startsWith("p/20-0/"))).toBe(true);
  for (const file of held.files) await file.verify(nextTurn);
  let prepared = 0;
  const { disk, install } = await follower(async () => void prepared++);
  await send(held, install, await install.begin(announcementOf(held)));
  await install.finish();
  expect(prepared).toBe(0);
  const name = await install.commit();
  expect(prepared).toBe(1);
  const node = new CheckpointNode(disk, SHARED);
  await node.adopt(name);
  await node.checkpoints.finishInstall();
  await node.verify(state);
  const random = new Random(9);
  for (const each of node.state.keys()) node.append(each, 1, random);
  const { state: second, done } = node.take();
  await done;
  const again = new CheckpointNode(disk.crash(disk.changes.length, "lost"), SHARED);
  await again.recover();
  await again.verify(second);
});

test("a transfer of shared files that a crash cut off is resumed at any place", async () => {
  const { held, state } = await leader();
  const { disk, install } = await follower();
  await send(held, install, await install.begin(announcementOf(held)));
  const changes = disk.changes.length;
  for (let count = 0; count < changes; count += 5) {
    const image = disk.crash(count, new Random(count));
    await image.makeDirectory(DIRECTORY);
    await image.makeDirectory(CHECKPOINTS);
    const { install: resumed } = await resume(image);
    await send(held, resumed, await resumed.begin(announcementOf(held)));
    await resumed.finish();
    const node = new CheckpointNode(image, SHARED);
    await node.adopt(await resumed.commit());
    await node.verify(state);
  }
});

async function resume(disk: PartitionDisk) {
  const install = new SnapshotInstall({
    disk,
    directory: CHECKPOINTS,
    partitionsDirectory: DIRECTORY,
    clusterId: "c",
    reserveBytes: 0,
    saveBytes: 3_000,
    nextTurn,
    prepareShared: () => Promise.resolve(),
  });
  return { install };
}

test("a changed byte of a piece is refused, in whichever file it travels", async () => {
  const { held, node } = await leader();
  const pieces = [...node.store.logs()].flatMap(({ segments }) => segments);
  for (const [i, { name }] of held.files.entries()) {
    const piece = pieces.find(({ shared }) => name === `s/${shared?.number}`);
    if (piece === undefined) continue;
    const { install } = await follower();
    const at = piece.position + Math.floor(piece.length / 2);
    const change = (bytes: Uint8Array, file: number, position: number) => {
      if (file !== i || at < position || at >= position + bytes.length) return bytes;
      const copy = bytes.slice();
      copy[at - position] = (copy[at - position] ?? 0) ^ 16;
      return copy;
    };
    const sending = install
      .begin(announcementOf(held))
      .then((place) => send(held, install, place, { change }));
    await expect(sending, name).rejects.toBeInstanceOf(SnapshotRefused);
  }
});

test("a name of a shared file that no node sends is refused", async () => {
  const { held } = await leader();
  const announcement = announcementOf(held);
  for (const name of ["s/-1", "s/01", "s/1/2", "s/99999999999999999999", "s/"]) {
    const { install } = await follower();
    const files = [...announcement.files, { name, length: 10 }];
    await expect(install.begin({ ...announcement, files }), name).rejects.toThrow("not taken");
  }
});
