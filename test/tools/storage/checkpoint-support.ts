import type { Disk } from "../../../src/env/disk.ts";
import { fromUtf8, utf8 } from "../../../src/lib/bytes.ts";
import type { LoadedCheckpoint } from "../../../src/storage/checkpoints/reader.ts";
import { CheckpointStore, type CommittedSnapshot } from "../../../src/storage/checkpoints/store.ts";
import type { SnapshotChunks } from "../../../src/storage/checkpoints/writer.ts";
import type { PartitionLog } from "../../../src/storage/partitions/log.ts";
import type {
  PartitionStore,
  PartitionStoreOptions,
} from "../../../src/storage/partitions/store.ts";
import type { Random } from "../random.ts";
import type { PartitionDisk } from "./partition-disk.ts";
import {
  appendSome,
  DIRECTORY,
  expectedPage,
  Model,
  type ModelRecord,
  nextTurn,
  openStore,
  pageOf,
} from "./partition-support.ts";

export const CHECKPOINTS = "shards/0/checkpoints";
const CHUNK = 1000;
const LARGEST = 2000;
const EVERYTHING = { limit: 1e9, maxBytes: 1e12 };

export type State = Map<string, Model>;

export const copyState = (state: State): State =>
  new Map([...state].map(([name, model]) => [name, model.copy()]));

/** The machine of these tests is the model itself; its snapshot is JSON in pieces. */
export function chunksOf(state: State): SnapshotChunks {
  const plain = [...state].map(([name, { low, records }]) => ({ name, low, records }));
  const bytes = utf8(JSON.stringify(plain));
  let at = 0;
  return {
    next: () => {
      if (at >= bytes.length) return null;
      at += CHUNK;
      return bytes.slice(at - CHUNK, at);
    },
  };
}

export type Journal = { readonly first: number; readonly last: number };
export const ALL_OF_JOURNAL: Journal = { first: 1, last: 1e9 };

/** A node reduced to its partitions, its checkpoints and a model of what they should hold. */
export class CheckpointNode<D extends Disk = PartitionDisk> {
  readonly disk: D;
  readonly #options: Partial<PartitionStoreOptions>;
  store: PartitionStore;
  readonly checkpoints: CheckpointStore;
  state: State = new Map();
  index = 0;
  now = 1000;

  constructor(disk: D, options: Partial<PartitionStoreOptions> = {}) {
    this.disk = disk;
    this.#options = { segmentBytes: 1500, ...options };
    this.store = openStore(disk, this.#options);
    this.checkpoints = new CheckpointStore({
      disk,
      directory: CHECKPOINTS,
      partitions: this.store,
      partitionsDirectory: DIRECTORY,
      nextTurn,
    });
  }

  log(name: string): PartitionLog {
    const [topicId = 0, partition = 0] = name.split("-").map(Number);
    const log = this.store.get(topicId, partition);
    if (log === null) throw new Error(`no partition ${name}`);
    return log;
  }

  create(name: string): void {
    const [topicId = 0, partition = 0] = name.split("-").map(Number);
    this.store.create(topicId, partition);
    this.state.set(name, new Model());
  }

  delete(name: string): void {
    const [topicId = 0, partition = 0] = name.split("-").map(Number);
    this.store.delete(topicId, partition);
    this.state.delete(name);
  }

  append(name: string, times: number, random: Random): void {
    for (let i = 0; i < times; i++) {
      this.index++;
      this.now += random.below(3);
      appendSome(this.log(name), this.state.get(name) ?? new Model(), random, this.now, LARGEST);
    }
  }

  trim(name: string, low: number): void {
    const model = this.state.get(name);
    if (model === undefined || low <= model.low) return;
    this.index++;
    model.low = low;
    this.log(name).trim(low);
  }

  /** The state that the checkpoint should bring back, and the promise of it. */
  take(): { index: number; state: State; done: Promise<void> } {
    const { index } = this;
    const meta = { index, term: 3, clusterId: "c", configuration: Uint8Array.of(1, 2, 3) };
    const state = copyState(this.state);
    return { index, state, done: this.checkpoints.take(meta, chunksOf(state)) };
  }

  /** @returns the index of the checkpoint that was loaded, 0 for none. */
  async recover(journal: Journal = ALL_OF_JOURNAL): Promise<number> {
    const loaded = await this.checkpoints.recover(journal);
    return loaded === null ? 0 : await this.#restore(loaded);
  }

  /** The live switch to what was committed. @returns the store of before. */
  async adopt(name: CommittedSnapshot): Promise<PartitionStore> {
    const old = this.store;
    this.store = openStore(this.disk, this.#options);
    await this.#restore(await this.checkpoints.adopt(name, this.store));
    return old;
  }

  async #restore(loaded: LoadedCheckpoint): Promise<number> {
    this.state = new Map();
    const parts: number[] = [];
    for (let chunk = await loaded.next(); chunk !== null; chunk = await loaded.next()) {
      parts.push(...chunk);
    }
    await loaded.close();
    const plain = JSON.parse(fromUtf8(Uint8Array.from(parts))) as {
      name: string;
      low: number;
      records: ModelRecord[];
    }[];
    for (const { name, low, records } of plain) {
      const model = new Model();
      model.low = low;
      model.records.push(...records);
      this.state.set(name, model);
      this.now = Math.max(this.now, records.at(-1)?.timestampMs ?? 0);
    }
    this.index = loaded.meta.index;
    return loaded.meta.index;
  }

  /** Throws unless the partitions hold exactly `state`. */
  async verify(state: State = this.state): Promise<void> {
    const names = [...this.store.logs()].map((log) => `${log.topicId}-${log.partition}`).sort();
    same(names, [...state.keys()].sort(), "partitions");
    for (const [name, model] of state) {
      const log = this.log(name);
      const end = model.records.length;
      same(log.endOffset, end, `end of ${name}`);
      same(log.lowWatermark, model.low, `low watermark of ${name}`);
      const page = { start: model.low, ...EVERYTHING };
      const offsets = pageOf(await log.read(model.low, 1e9, 1e12), model, page);
      same(offsets.length, expectedPage(model, end, page).length, `records of ${name}`);
      const middle = (model.low + end) >>> 1;
      same(await log.bytesBefore(middle), model.bytesBefore(middle), `bytes of ${name}`);
      const { timestampMs = 0 } = model.records[middle] ?? {};
      same(await log.offsetAtTime(timestampMs), model.offsetAtTime(timestampMs), `time of ${name}`);
    }
  }
}

function same(found: unknown, expected: unknown, what: string): void {
  if (Bun.deepEquals(found, expected)) return;
  throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
}
