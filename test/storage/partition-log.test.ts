import { expect, test } from "bun:test";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import type { PartitionStore } from "../../src/storage/partitions/store.ts";
import { Random } from "../tools/random.ts";
import { PartitionDisk } from "../tools/storage/partition-disk.ts";
import {
  appendSome,
  expectedPage,
  Model,
  openStore,
  pageOf,
} from "../tools/storage/partition-support.ts";

const SEEDS = process.env["SEED"] === undefined ? 25 : 1;
const FIRST_SEED = Number(process.env["SEED"] ?? 1);

async function forEachSeed(body: (random: Random) => Promise<void>): Promise<void> {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    try {
      await body(new Random(seed));
    } catch (cause) {
      throw new Error(`seed ${seed} failed; replay with SEED=${seed} bun test <this file>`, {
        cause,
      });
    }
  }
}

/** A partition under random work, beside the plain model of it. */
class Harness {
  readonly disk = new PartitionDisk();
  readonly random: Random;
  readonly model = new Model();
  store: PartitionStore;
  log: PartitionLog;
  now = 1000;

  constructor(random: Random) {
    this.random = random;
    this.store = this.#open();
    this.log = this.store.create(7, 3);
  }

  #open(): PartitionStore {
    const { random } = this;
    return openStore(this.disk, {
      segmentBytes: 20_000 + random.below(200_000),
      tailBytes: 20_000 + random.below(300_000),
      unflushedBytes: 10_000 + random.below(100_000),
      openFiles: 1 + random.below(3),
      indexPoints: 1 + random.below(20),
      readCacheBytes: random.pick([0, 100_000, 400_000, 10_000_000]),
    });
  }

  async step(): Promise<void> {
    const { random } = this;
    const what = random.below(100);
    if (what < 80) {
      if (random.below(3) === 0) this.now += random.below(50);
      appendSome(this.log, this.model, random, this.now);
    } else if (what < 86) {
      await this.store.flushAll();
    } else if (what < 90 && this.model.records.length > 0) {
      this.#trim();
    } else if (what < 94) {
      await this.restart();
    } else {
      await this.checkRandomly(3);
    }
  }

  #trim(): void {
    const end = this.model.records.length;
    const low = this.model.low + this.random.below(((end - this.model.low) >>> 1) + 1);
    this.model.low = Math.max(this.model.low, low);
    this.log.trim(low);
  }

  /** A checkpoint, some appends that the crash takes back, and the start from the checkpoint. */
  async restart(): Promise<void> {
    const cut = this.store.beginCut();
    await cut.flush();
    const lost = this.model.copy();
    for (let i = this.random.below(10); i > 0; i--) {
      appendSome(this.log, lost, this.random, this.now);
    }
    if (this.random.below(2) === 0) await this.store.flushAll();
    await this.store.close();
    this.store = this.#open();
    this.store.restore(cut.manifest);
    this.log = this.store.get(7, 3) as PartitionLog;
  }

  async checkRandomly(times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      const { random, model } = this;
      const end = model.records.length;
      const kept = end - model.low;
      const start = model.low + random.below(kept + 1);
      const maxBytes = random.pick([0, 1, 300, 5_000, 100_000, 10_000_000]);
      await this.checkRead(start, random.pick([1, 2, 10, 100, 5000]), maxBytes);
      const offset = model.low + random.below(kept + 1);
      expect(await this.log.bytesBefore(offset)).toBe(model.bytesBefore(offset));
      const time = 990 + random.below(this.now - 980);
      expect(await this.log.offsetAtTime(time)).toBe(model.offsetAtTime(time));
      const exact = model.bytesBefore(random.below(end + 1));
      expect(await this.log.offsetAtBytes(exact)).toBe(model.offsetAtBytes(exact));
      const bytes = random.below(model.bytesBefore(end) + 3);
      expect(await this.log.offsetAtBytes(bytes)).toBe(model.offsetAtBytes(bytes));
    }
  }

  /** Where the index has its points. */
  async checkPoints(): Promise<void> {
    const { log, model } = this;
    for (const segment of log.segments) {
      const index = await log.indexOf(segment);
      for (let point = 0; point < index.count; point++) {
        const offset = index.offset(point);
        const bytes = model.bytesBefore(offset);
        expect(index.bytesBefore(point)).toBe(bytes);
        expect(await log.offsetAtBytes(bytes)).toBe(model.offsetAtBytes(bytes));
        const time = model.records[offset]?.timestampMs ?? 0;
        expect(await log.offsetAtTime(time)).toBe(model.offsetAtTime(time));
      }
    }
  }

  async checkRead(start: number, limit: number, maxBytes: number): Promise<void> {
    const page = { start, limit, maxBytes };
    const { slices, first } = await this.log.page(start, limit, maxBytes);
    const expected = expectedPage(this.model, this.model.records.length, page);
    expect(pageOf(slices, this.model, page)).toEqual(expected);
    if (first === null || slices[0] === undefined) return;
    const cursor = new RecordCursor(slices[0]);
    cursor.startAt(first);
    expect(cursor.seek(start) ? cursor.offset : -1).toBe(start);
    expect(cursor.valueEnd).toBe(positionOf(slices[0], start));
    expect(start - first.offset).toBeLessThan(1100);
  }
}

/** Where the value of a record ends, found by a walk from the start. */
function positionOf(slice: Uint8Array, offset: number): number {
  const cursor = new RecordCursor(slice);
  while (cursor.next()) if (cursor.offset === offset) return cursor.valueEnd;
  return -1;
}

test("pages and look-ups are those of a plain list, whatever was rolled, flushed, trimmed, restarted", async () => {
  await forEachSeed(async (random) => {
    const harness = new Harness(random);
    for (let i = 0; i < 250; i++) await harness.step();
    await harness.checkRandomly(10);
    await harness.store.flushAll();
    await harness.restart();
    await harness.checkRandomly(20);
    await harness.checkPoints();
  });
});
