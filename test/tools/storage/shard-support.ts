import type { HeldCheckpoint } from "../../../src/storage/checkpoints/held.ts";
import type {
  SnapshotAnnouncement,
  SnapshotPlace,
} from "../../../src/storage/checkpoints/incoming.ts";
import type { CheckpointStore } from "../../../src/storage/checkpoints/store.ts";
import { HardStateFile } from "../../../src/storage/hard-state.ts";
import { Journal } from "../../../src/storage/journal/journal.ts";
import { SnapshotInstall } from "../../../src/storage/snapshots/install.ts";
import { Random } from "../random.ts";
import { SimDisk } from "../sim/sim-disk.ts";
import { CHECKPOINTS, CheckpointNode, chunksOf } from "./checkpoint-support.ts";
import { entryOf } from "./journal-fixture.ts";
import { DIRECTORY, nextTurn } from "./partition-support.ts";

const SHARD = "shards/0";
const IDENTITY = 0x5a;

/** The files of a shard with the real journal, as a node opens them. */
export class ShardDisk {
  readonly disk: SimDisk;
  readonly hardState: HardStateFile;
  readonly journal: Journal;
  readonly node: CheckpointNode<SimDisk>;
  readonly install: SnapshotInstall;

  static async make(disk: SimDisk): Promise<SimDisk> {
    for (const name of ["journal", "partitions", "checkpoints"]) {
      await disk.makeDirectory(`${SHARD}/${name}`);
    }
    await HardStateFile.create(disk, `${SHARD}/hard-state`, IDENTITY);
    for (const path of [SHARD, "shards", ""]) await disk.syncDirectory(path);
    return disk;
  }

  static async open(
    disk: SimDisk,
    { saveBytes = 2 ** 26, cutDamaged = false } = {},
  ): Promise<ShardDisk> {
    const { file } = await HardStateFile.open(disk, `${SHARD}/hard-state`, IDENTITY);
    const { journal } = await Journal.open({
      disk,
      directory: `${SHARD}/journal`,
      identity: IDENTITY,
      segmentBytes: 2048,
      reserveBytes: 0,
      cutDamaged,
    });
    await journal.retrySpace();
    return new ShardDisk(disk, file, journal, saveBytes);
  }

  private constructor(
    disk: SimDisk,
    hardState: HardStateFile,
    journal: Journal,
    saveBytes: number,
  ) {
    this.disk = disk;
    this.hardState = hardState;
    this.journal = journal;
    this.node = new CheckpointNode(disk);
    this.install = new SnapshotInstall({
      disk,
      directory: CHECKPOINTS,
      partitionsDirectory: DIRECTORY,
      clusterId: "c",
      reserveBytes: 1000,
      saveBytes,
      nextTurn,
      prepareShared: () => Promise.resolve(),
    });
  }

  get checkpoints(): CheckpointStore {
    return this.node.checkpoints;
  }

  bootstrap(): Promise<boolean> {
    const { journal, hardState } = this;
    const meta = { clusterId: "c", configuration: Uint8Array.of(1, 2, 3) };
    const evidence = { journal, hardState: hardState.state };
    return this.checkpoints.bootstrap(evidence, meta, chunksOf(new Map()));
  }

  /** @returns the index of the checkpoint. */
  recover(): Promise<number> {
    const { firstIndex, lastIndex } = this.journal;
    return this.node.recover({ first: firstIndex, last: lastIndex });
  }

  /** Entries in the journal up to the last one whose effects the node has. */
  async log(term: number): Promise<void> {
    const { journal, node } = this;
    for (let index = journal.lastIndex + 1; index <= node.index; index++) {
      await journal.append([entryOf(index, term)]);
    }
  }

  /** The result of recovery and of a switch. */
  async settle(): Promise<boolean> {
    const reset = await this.checkpoints.settle(this.journal);
    await this.checkpoints.removeStale();
    return reset;
  }
}

/** A node that has been at work, with two checkpoints in term 3. */
export async function workedShard(seed: number, times: number): Promise<ShardDisk> {
  const shard = await ShardDisk.open(await ShardDisk.make(new SimDisk()));
  const { node } = shard;
  const random = new Random(seed);
  for (const name of ["1-0", "2-0", "2-1"]) node.create(name);
  for (let round = 0; round < 2; round++) {
    for (const name of node.state.keys()) node.append(name, times, random);
    node.trim("1-0", node.log("1-0").endOffset >>> 1);
    await shard.log(3);
    await node.take().done;
  }
  return shard;
}

export const announcementOf = ({ index, term, files }: HeldCheckpoint): SnapshotAnnouncement => ({
  index,
  term,
  files: files.map(({ name, length }) => ({ name, length })),
});

/** Sends what lies behind `place`. `change` may falsify bytes on the way. */
export async function send(
  held: HeldCheckpoint,
  install: SnapshotInstall,
  place: SnapshotPlace,
  { chunk = 700, change = (bytes: Uint8Array, _file: number, _position: number) => bytes } = {},
): Promise<void> {
  for (let file = place.file; file < held.files.length; file++) {
    const source = held.files[file];
    if (source === undefined) throw new Error("no file");
    let position = file === place.file ? place.position : 0;
    while (position < source.length) {
      const bytes = await source.read(position, Math.min(chunk, source.length - position));
      await install.write(file, position, change(bytes, file, position));
      position += bytes.length;
    }
    await install.fileDone(file);
  }
}
