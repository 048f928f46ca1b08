/**
 * Goal: windows that other threads read are those of the file, and a file stays as long as it is read,
 * whatever is appended, trimmed, merged, deleted and closed meanwhile. Method: threads that take
 * their time, on a real disk, beside a model.
 */
import { afterAll, expect, test } from "bun:test";
import * as fs from "node:fs";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBunDisk } from "../../src/env/bun-disk.ts";
import { SharedBlocks } from "../../src/lib/blocks.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import {
  ReadThreads,
  type ReadWindow,
  verifiedEnd,
} from "../../src/storage/partitions/read-threads.ts";
import type { PartitionStore, PartitionStoreOptions } from "../../src/storage/partitions/store.ts";
import { forEachSeedAsync, Random } from "../tools/random.ts";
import {
  appendSome,
  DIRECTORY,
  expectedPage,
  Model,
  nextTurn,
  openStore,
  pageOf,
} from "../tools/storage/partition-support.ts";

const KiB = 1024;
const directories: string[] = [];
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});
function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "ayder-read-threads-"));
  directories.push(directory);
  return directory;
}

/** Reads after some turns of the loop, during which much may happen. */
class SlowThread {
  reads = 0;
  /** Seeds of the partitions whose files were removed while they were read. */
  readonly removed: number[] = [];
  readonly #random: Random;
  readonly #refuses: boolean;

  /** @param refuses some reads are left to the node's thread. */
  constructor(random: Random, refuses: boolean) {
    this.#random = random;
    this.#refuses = refuses;
  }

  readonly read: ReadWindow = async ({ descriptor, position, bytes, seed, offset }) => {
    this.reads++;
    expect(bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
    for (let left = this.#random.below(20); left > 0; left--) await nextTurn();
    const filled = fs.readSync(descriptor, bytes, 0, bytes.length, position);
    for (let left = this.#random.below(3); left > 0; left--) await nextTurn();
    // The number of names of an open file is 0 once it was removed.
    if (fs.fstatSync(descriptor).nlink === 0) this.removed.push(seed);
    if (this.#refuses && this.#random.below(5) === 0) return null;
    return filled === bytes.length ? verifiedEnd(bytes, seed, offset) : null;
  };
}

function opened(threads: readonly SlowThread[], options: Partial<PartitionStoreOptions> = {}) {
  const directory = freshDirectory();
  const readThreads = new ReadThreads();
  for (const thread of threads) readThreads.add(thread.read);
  const blocks = new SharedBlocks();
  const store = openStore(openBunDisk(directory), {
    tailBytes: 1,
    segmentBytes: 32 * KiB,
    readCacheBytes: 512 * KiB,
    openFiles: 2,
    blocks,
    readThreads,
    ...options,
  });
  return { directory, store, blocks };
}

type Part = { readonly log: PartitionLog; readonly model: Model };

/** A page is the model's, as far as records were not trimmed while it was read. */
async function readPage({ log, model }: Part, random: Random): Promise<void> {
  const { endOffset } = log;
  const start = model.low + random.below(Math.max(1, endOffset - model.low));
  const asked = { start, limit: 1 + random.below(200), maxBytes: random.pick([10, 5_000, 1e6]) };
  const { slices } = await log.page(start, asked.limit, asked.maxBytes);
  const from = Math.max(start, model.low);
  const offsets = pageOf(slices, model, { ...asked, start: from });
  // A partition that was deleted meanwhile may have been read in part.
  if (log.deleted) return;
  if (from === start) {
    const expected = expectedPage(model, endOffset, asked);
    expect(offsets.slice(0, expected.length)).toEqual(expected);
  }
}

/** Trims the partition, takes a checkpoint, or writes everything to files. */
async function disturb(store: PartitionStore, { log, model }: Part, random: Random): Promise<void> {
  const action = random.below(3);
  if (action === 0) {
    model.low = log.lowWatermark + random.below(log.endOffset - log.lowWatermark + 1);
    log.trim(model.low);
  } else if (action === 1) {
    const cut = store.beginCut();
    await cut.flush();
    cut.release();
  } else await store.flushAll();
}

test("pages are the model's while files are written, removed and closed below the readers", async () => {
  let reads = 0;
  await forEachSeedAsync(12, async (random, seed) => {
    const threads = [1, 2].map(() => new SlowThread(random, seed % 3 === 0));
    const mayShare = () => seed % 2 === 0;
    const { store, blocks } = opened(threads, { mayShare });
    let topic = 1;
    const fresh = (): Part => ({ log: store.create(topic++, 0), model: new Model() });
    let parts = Array.from({ length: 3 }, fresh);
    const deleted = new Set<number>();
    const reading = new Set<Promise<void>>();
    for (let step = 0; step < 250; step++) {
      const part = random.pick(parts);
      const { log, model } = part;
      const action = random.below(24);
      if (action === 0) {
        store.delete(log.topicId, log.partition);
        deleted.add(log.seed);
        parts = [...parts.filter((other) => other !== part), fresh()];
      } else if (action < 7) await disturb(store, part, random);
      else if (action < 12) appendSome(log, model, random, step, 20_000);
      else {
        const page = readPage(part, random).finally(() => reading.delete(page));
        reading.add(page);
      }
      if (reading.size > 8) await Promise.race(reading);
    }
    await Promise.all(reading);
    await store.close();
    // The directory of a deleted partition goes as a whole. An open file can still be read.
    const removed = threads.flatMap((thread) => thread.removed);
    expect(removed.filter((one) => !deleted.has(one))).toEqual([]);
    expect(blocks.size).toBe(0);
    reads += threads.reduce((sum, thread) => sum + thread.reads, 0);
  });
  expect(reads).toBeGreaterThan(200);
});

/** A partition of one file, and a thread that reads it. */
async function written() {
  const thread = new SlowThread(new Random(1), false);
  const { directory, store, blocks } = opened([thread], { segmentBytes: 1024 * KiB });
  const log = store.create(1, 0);
  const model = new Model();
  const random = new Random(7);
  while (log.endOffset < 300) appendSome(log, model, random, 1, 500);
  await store.flushAll();
  const file = join(directory, DIRECTORY, "1-0", `${"0".repeat(20)}.seg`);
  return { thread, store, blocks, log, model, file };
}

test("a window is read once by a thread, into shared memory, and then served from the cache", async () => {
  const { thread, store, blocks, log } = await written();
  const pages = [10, 10, 11].map((offset) => log.page(offset, 5, 1e6));
  const named = (await Promise.all(pages)).flatMap(({ slices }) =>
    slices.map((slice) => blocks.numberOf(slice)),
  );
  expect(new Set(named).size).toBe(1);
  expect(named).not.toContain(null);
  expect([thread.reads, blocks.size]).toEqual([1, 1]);
  await store.close();
  expect(blocks.size).toBe(0);
});

test("a file that is read stays, open and in its place, until the read has ended", async () => {
  const begun = Promise.withResolvers<number>();
  const gate = Promise.withResolvers<void>();
  const readThreads = new ReadThreads();
  const thread = new SlowThread(new Random(1), false);
  readThreads.add(async (read) => {
    begun.resolve(read.descriptor);
    await gate.promise;
    return await thread.read(read);
  });
  const { directory, store } = opened([], { readThreads });
  const log = store.create(1, 0);
  const model = new Model();
  const random = new Random(7);
  while (log.segments.length < 4) appendSome(log, model, random, 1, 500);
  await store.flushAll();
  const names = () => fs.readdirSync(join(directory, DIRECTORY, "1-0"));
  const page = log.page(0, 1, 1e6);
  const descriptor = await begun.promise;
  log.trim(log.segments.at(-1)?.baseOffset ?? 0);
  // Others need their files too, so that the least recently used one would be closed.
  for (let topic = 2; topic < 8; topic++) {
    appendSome(store.create(topic, 0), new Model(), random, 1, 500);
    await store.flushAll();
  }
  const first = `${"0".repeat(20)}.seg`;
  expect(names().filter((name) => name.endsWith(".seg"))).toHaveLength(2);
  expect(names()).toContain(first);
  expect(fs.fstatSync(descriptor).ino).toBe(
    fs.statSync(join(directory, DIRECTORY, "1-0", first)).ino,
  );
  gate.resolve();
  // The caller leaves out the records that were trimmed meanwhile.
  expect((await page).slices.length).toBeGreaterThan(0);
  while (names().includes(first)) await nextTurn();
  await store.close();
});

test("damage is found as without threads, and its memory is freed", async () => {
  const { thread, store, blocks, log, file } = await written();
  const bytes = fs.readFileSync(file);
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  await expect(log.page(0, 1, 1e6) as Promise<unknown>).rejects.toThrow(/differs|000\.seg/);
  expect([thread.reads, blocks.size]).toEqual([1, 0]);
  await store.close();
});

test("a window that is too large for the cache is read by the node's thread", async () => {
  const thread = new SlowThread(new Random(1), false);
  const { store, blocks } = opened([thread], { readCacheBytes: 8 * KiB });
  const log = store.create(1, 0);
  const model = new Model();
  for (let n = 0; n < 50; n++) appendSome(log, model, new Random(n), 1, 500);
  await store.flushAll();
  expect((await log.page(3, 1, 1e6)).slices.length).toBe(1);
  expect([thread.reads, blocks.size]).toEqual([0, 0]);
  await store.close();
});

test("without threads any more, the node's thread reads", async () => {
  const thread = new SlowThread(new Random(1), false);
  const readThreads = new ReadThreads();
  readThreads.add(thread.read);
  readThreads.clear();
  const { store } = opened([], { readThreads });
  const log = store.create(1, 0);
  appendSome(log, new Model(), new Random(1), 1);
  await store.flushAll();
  expect((await log.page(0, 1, 1e6)).slices.length).toBe(1);
  expect(thread.reads).toBe(0);
  await store.close();
});
