import type { CheckpointMeta } from "../../src/storage/checkpoint-format.ts";
import { CheckpointStore } from "../../src/storage/checkpoint-store.ts";
import type { SnapshotChunks } from "../../src/storage/checkpoint-writer.ts";
import { HardStateFile } from "../../src/storage/hard-state.ts";
import { Journal } from "../../src/storage/journal.ts";
import type { PartitionStore } from "../../src/storage/partition-store.ts";
import type { SimDisk } from "../sim/sim-disk.ts";
import { nextTurn, openStore } from "./partition-support.ts";

const SHARD = "shards/0";
export const PARTITIONS = `${SHARD}/partitions`;
export const CHECKPOINTS = `${SHARD}/checkpoints`;
const IDENTITY = 0x5a;

export const chunks = (...parts: readonly Uint8Array[]): SnapshotChunks => {
  const left = [...parts];
  return { next: () => left.shift() ?? null };
};

/** The files of a shard with the real journal, as a node opens them. */
export class ShardDisk {
  readonly disk: SimDisk;
  readonly hardState: HardStateFile;
  readonly journal: Journal;
  readonly store: PartitionStore;
  readonly checkpoints: CheckpointStore;
  /** What the machine would have been restored from. */
  machine = new Uint8Array(0);

  static async make(disk: SimDisk): Promise<void> {
    for (const name of ["journal", "partitions", "checkpoints"]) {
      await disk.makeDirectory(`${SHARD}/${name}`);
    }
    await HardStateFile.create(disk, `${SHARD}/hard-state`, IDENTITY);
    for (const path of [SHARD, "shards", ""]) await disk.syncDirectory(path);
  }

  static async open(disk: SimDisk): Promise<ShardDisk> {
    const { file } = await HardStateFile.open(disk, `${SHARD}/hard-state`, IDENTITY);
    const { journal } = await Journal.open({
      disk,
      directory: `${SHARD}/journal`,
      identity: IDENTITY,
      segmentBytes: 4096,
      reserveBytes: 0,
    });
    await journal.retrySpace();
    return new ShardDisk(disk, file, journal);
  }

  private constructor(disk: SimDisk, hardState: HardStateFile, journal: Journal) {
    this.disk = disk;
    this.hardState = hardState;
    this.journal = journal;
    this.store = openStore(disk, { directory: PARTITIONS, segmentBytes: 1500 });
    this.checkpoints = new CheckpointStore({
      disk,
      directory: CHECKPOINTS,
      partitions: this.store,
      partitionsDirectory: PARTITIONS,
      nextTurn,
    });
  }

  found(): Promise<boolean> {
    const { journal, hardState } = this;
    const meta = { clusterId: "c", configuration: Uint8Array.of(1, 2, 3) };
    const evidence = { journal, hardState: hardState.state };
    return this.checkpoints.found(evidence, meta, chunks(Uint8Array.of(7)));
  }

  async recover(): Promise<CheckpointMeta | null> {
    const { firstIndex, lastIndex } = this.journal;
    const loaded = await this.checkpoints.recover({ first: firstIndex, last: lastIndex });
    if (loaded === null) return null;
    const parts: number[] = [];
    for (let chunk = await loaded.next(); chunk !== null; chunk = await loaded.next()) {
      parts.push(...chunk);
    }
    await loaded.close();
    this.machine = Uint8Array.from(parts);
    return loaded.meta;
  }
}
