import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBunDisk } from "../../src/env/bun-disk.ts";
import { DiskFailure } from "../../src/env/disk.ts";
import type { Entry } from "../../src/raft/types.ts";
import { JournalUnsupported } from "../../src/storage/journal/damage.ts";
import { frameBytes } from "../../src/storage/journal/frame.ts";
import type { Journal } from "../../src/storage/journal/journal.ts";
import { JournalFull } from "../../src/storage/journal/preallocated.ts";
import { forEachSeed, Random } from "../tools/random.ts";
import { SimClock, settle } from "../tools/sim/sim-clock.ts";
import type { SimDisk } from "../tools/sim/sim-disk.ts";
import {
  at,
  DIRECTORY,
  entriesOf,
  entryOf,
  inTerm,
  line,
  logOf,
  newDisk,
  openJournal,
  recoverLog,
  SEGMENT_BYTES,
} from "../tools/storage/journal-fixture.ts";

const lost = (disk: SimDisk) => disk.afterCrash(() => "lost", new Random(1));

test("an empty journal begins at 1, and a second start finds it empty", async () => {
  const disk = await newDisk();
  const { journal, torn } = await openJournal(disk);
  expect([journal.firstIndex, journal.lastIndex, journal.durableIndex]).toEqual([
    at(1),
    at(0),
    at(0),
  ]);
  expect([journal.baseTerm, journal.lastTerm, torn]).toEqual([inTerm(0), inTerm(0), null]);
  await journal.close();
  expect((await recoverLog(disk)).lastIndex).toBe(0);
});

test("what append has resolved survives the loss of everything un-synced", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  expect(await journal.append([entryOf(1, 1)])).toBe(at(1));
  expect(await journal.append(entriesOf(2, 30, 2))).toBe(at(30));
  const expected = await logOf(journal);
  const after = await recoverLog(lost(disk));
  expect(after.lines).toEqual(expected.lines);
  expect(after.lines).toEqual([entryOf(1, 1), ...entriesOf(2, 30, 2)].map(line));
});

test("one append is one write and one sync", async () => {
  const calls: string[] = [];
  const disk = await newDisk({ onCall: (operation) => void calls.push(operation) });
  const { journal } = await openJournal(disk);
  await journal.append([entryOf(1, 1)]);
  await journal.retrySpace();
  calls.length = 0;
  await journal.append(entriesOf(2, 5, 1));
  expect(calls).toEqual(["write", "sync"]);
});

test("recovery hands over entries in order, and terms as runs", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(1, 5, 1));
  await journal.append(entriesOf(6, 9, 4));
  await journal.append(entriesOf(10, 40, 6));
  await journal.close();
  const seen: Entry[] = [];
  const { journal: again } = await openJournal(disk, {
    onEntries: async (entries) => void seen.push(...entries),
  });
  expect(seen.map(line)).toEqual((await logOf(again)).lines);
  expect(again.termRuns()).toEqual([
    { first: at(1), term: inTerm(1) },
    { first: at(6), term: inTerm(4) },
    { first: at(10), term: inTerm(6) },
  ]);
  expect([0, 1, 5, 6, 9, 10, 40, 41].map((index) => again.termAt(at(index)))).toEqual(
    [0, 1, 1, 4, 4, 6, 6].map(inTerm).concat([null as never]),
  );
});

test("an append at or below lastIndex replaces the suffix", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(1, 10, 1));
  await journal.append(entriesOf(8, 9, 2));
  const expected = [...entriesOf(1, 7, 1), ...entriesOf(8, 9, 2)].map(line);
  expect((await logOf(journal)).lines).toEqual(expected);
  expect(journal.lastTerm).toBe(inTerm(2));
  expect((await recoverLog(lost(disk))).lines).toEqual(expected);
});

test("a cut may reach back over several segments", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  for (let i = 1; i <= 60; i++) await journal.append([entryOf(i, 1)]);
  await journal.append(entriesOf(5, 6, 2));
  await journal.append(entriesOf(3, 50, 3));
  const expected = [...entriesOf(1, 2, 1), ...entriesOf(3, 50, 3)].map(line);
  expect((await logOf(journal)).lines).toEqual(expected);
  expect((await recoverLog(lost(disk))).lines).toEqual(expected);
});

test("released segments go, their entries too, and the rest stays", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(1, 9, 1));
  for (let i = 10; i <= 80; i++) await journal.append([entryOf(i, 2)]);
  const files = (await disk.list(DIRECTORY)).length;
  const staying = journal.bytesFrom(at(41));
  expect(journal.bytesFrom(at(1))).toBe(journal.bytes);
  await journal.release(at(40));
  expect(journal.bytes).toBe(staying);
  expect(journal.bytesFrom(at(1))).toBe(staying);
  expect(journal.bytesFrom(at(81))).toBeLessThan(staying);
  expect((await disk.list(DIRECTORY)).length).toBeLessThan(files);
  expect(journal.firstIndex).toBeGreaterThan(10);
  expect(journal.firstIndex).toBeLessThanOrEqual(41);
  const expected = await logOf(journal);
  const after = await recoverLog(lost(disk));
  expect(after).toEqual({ ...expected, torn: null });
  const { journal: again } = await openJournal(lost(disk));
  expect(again.baseTerm).toBe(inTerm(2));
  expect(again.termRuns()).toEqual([{ first: again.firstIndex, term: inTerm(2) }]);
});

test("segments go oldest first, each durably, also if several ask at once", async () => {
  const calls: string[] = [];
  const onCall = (operation: string, path: string) => {
    if (/^(remove|syncDirectory)$/.test(operation)) calls.push(`${operation} ${path}`);
  };
  const delay = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  const disk = await newDisk({ onCall, delay });
  const { journal } = await openJournal(disk);
  for (let i = 1; i <= 80; i++) await journal.append([entryOf(i, 2)]);
  calls.length = 0;
  await Promise.all([20, 40, 60, 79].map((index) => journal.release(at(index))));
  const removals = calls.filter((call) => call.startsWith("remove"));
  expect(removals.length).toBeGreaterThan(2);
  expect(removals).toEqual([...removals].sort());
  for (const removal of removals) {
    expect(calls[calls.indexOf(removal) + 1]).toBe(`syncDirectory ${DIRECTORY}`);
  }
});

test("release never takes the active segment", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(1, 3, 1));
  await journal.release(at(3));
  expect(journal.firstIndex).toBe(at(1));
});

test("what is before the active segment stays until that is on the disk", async () => {
  let stuck: Promise<void> | null = null;
  const syncs: Promise<void>[] = [];
  const delay = (operation: string) => {
    if (operation !== "sync" || stuck === null) return null;
    syncs.push(stuck);
    return stuck;
  };
  const disk = await newDisk({ delay });
  const { journal } = await openJournal(disk);
  const rollsAt = (await journalThatFills(journal)) + 1;
  await journal.retrySpace();
  const gate = Promise.withResolvers<void>();
  stuck = gate.promise;
  const append = journal.append([entryOf(rollsAt, 1)]);
  while (syncs.length === 0) await Bun.sleep(0);
  await journal.release(at(rollsAt - 1));
  const after = await recoverLog(lost(disk));
  expect(after.lastIndex).toBe(at(rollsAt - 1));
  stuck = null;
  gate.resolve();
  await append;
  await journal.release(at(rollsAt - 1));
  expect(journal.firstIndex).toBe(at(rollsAt));
  expect((await recoverLog(lost(disk))).lastIndex).toBe(at(rollsAt));
});

/** @returns the last entry that fits into the first segment: the next one rolls. */
async function journalThatFills(journal: Journal): Promise<number> {
  for (let index = 1; ; index++) {
    if (journal.bytes + frameBytes(entryOf(index, 1).data.length) > SEGMENT_BYTES) return index - 1;
    await journal.append([entryOf(index, 1)]);
  }
}

test("after a reset the log is empty and goes on behind the snapshot", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(1, 40, 1));
  await journal.resetTo(at(100), inTerm(7));
  expect([journal.firstIndex, journal.lastIndex, journal.durableIndex]).toEqual([
    at(101),
    at(100),
    at(100),
  ]);
  const { journal: empty } = await openJournal(lost(disk));
  expect([empty.firstIndex, empty.lastIndex, empty.baseTerm]).toEqual([
    at(101),
    at(100),
    inTerm(7),
  ]);
  await journal.append(entriesOf(101, 130, 8));
  expect((await recoverLog(lost(disk))).lines).toEqual(entriesOf(101, 130, 8).map(line));
});

test("an entry larger than a segment gets one that holds it", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  const sizes = [10, 3000, 10, 70_000, 5_000_000, 20];
  const entries = sizes.map((size, i) => entryOf(i + 1, 1, size));
  for (const entry of entries) await journal.append([entry]);
  expect((await recoverLog(lost(disk))).lines).toEqual(entries.map(line));
});

test("a read gives the wanted range, and at least one entry whatever the limit", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk, { segmentBytes: 64 * 1024 });
  const all = entriesOf(1, 3000, 1, 100);
  await journal.append(all.slice(0, 1500));
  for (const entry of all.slice(1500)) await journal.append([entry]);
  for (const [from, to, limit] of [
    [1, 3000, 1e9],
    [700, 702, 1e9],
    [2999, 9999, 1e9],
    [1234, 3000, 1],
    [1, 3000, 100_000],
  ] as const) {
    const got = await journal.read(at(from), at(to), limit);
    const end = Math.min(to, from + Math.max(1, Math.floor(limit / 100)) - 1);
    expect(got.map(line)).toEqual(all.slice(from - 1, end).map(line));
  }
  expect(await journal.read(at(3001), at(3001), 1)).toEqual([]);
});

test("entries of any size come page by page, whatever the limit and wherever slices end", async () => {
  const KIB = 1024;
  const limits = [1, 50 * KIB, 100 * KIB, 500 * KIB, 1e9];
  const cases: Promise<void>[] = [];
  forEachSeed(20, (random, seed) => {
    const all = Array.from({ length: 60 }, (_, i) =>
      entryOf(i + 1, 1, random.below(random.below(4) === 0 ? 300 * KIB : 20 * KIB)),
    );
    const check = async (): Promise<void> => {
      const disk = await newDisk();
      const { journal } = await openJournal(disk, { segmentBytes: 8 * KIB * KIB });
      await journal.append(all);
      for (const limit of limits) {
        const got: Entry[] = [];
        while (got.length < all.length) {
          const page = await journal.read(at(got.length + 1), at(all.length), limit);
          expect(page.length, `seed ${seed}`).toBeGreaterThan(0);
          got.push(...page);
        }
        expect(got.map(line), `seed ${seed}`).toEqual(all.map(line));
      }
    };
    cases.push(check());
  });
  await Promise.all(cases);
});

test("a read that was under way when its segment went ends well", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  for (let i = 1; i <= 60; i++) await journal.append([entryOf(i, 1)]);
  const read = journal.read(at(1), at(5), 1e9);
  await journal.release(at(50));
  expect((await read).map(line)).toEqual(entriesOf(1, 5, 1).map(line));
});

test("a failed write or sync is final and never tried again", async () => {
  for (const operation of ["write", "sync"]) {
    const calls: string[] = [];
    const disk = await newDisk({ onCall: (name) => void calls.push(name) });
    const failures: string[] = [];
    const { journal } = await openJournal(disk, {
      onFailure: (failure) => void failures.push(failure.message),
    });
    await journal.append([entryOf(1, 1)]);
    await journal.retrySpace();
    disk.faults.failCall = disk.calls + (operation === "write" ? 0 : 1);
    await expect(journal.append([entryOf(2, 1)])).rejects.toThrow(`${operation} `);
    expect(failures.length).toBe(1);
    calls.length = 0;
    await expect(journal.append([entryOf(2, 1)])).rejects.toThrow("earlier failure");
    expect(() => journal.retrySpace()).toThrow(DiskFailure);
    await expect(journal.read(at(1), at(1), 1)).rejects.toThrow(DiskFailure);
    expect(calls).toEqual([]);
    expect(journal.durableIndex).toBe(at(1));
  }
});

test("a full disk leaves prepared segments to write into, says so, and recovers", async () => {
  const disk = await newDisk();
  const told: boolean[] = [];
  const { journal } = await openJournal(disk, { onSpaceLow: (low) => void told.push(low) });
  let last = await journal.append([entryOf(1, 1, 400)]);
  await journal.retrySpace();
  disk.faults.full = true;
  const fill = async () => {
    for (;;) await journal.append([entryOf(last + 1, 1, 400)]).then((index) => (last = index));
  };
  await expect(fill()).rejects.toBeInstanceOf(JournalFull);
  expect(told).toEqual([true]);
  expect(journal.spaceLow).toBe(true);
  // The rest of the first segment and two preallocated segments.
  expect(last).toBe(at(12));
  await expect(journal.append([entryOf(last + 1, 1, 400)])).rejects.toBeInstanceOf(JournalFull);
  expect(await journal.retrySpace()).toBe(false);
  disk.faults.full = false;
  expect(await journal.retrySpace()).toBe(true);
  expect(told).toEqual([true, false]);
  await journal.append([entryOf(last + 1, 1, 400)]);
  expect((await recoverLog(lost(disk))).lastIndex).toBe(last + 1);
});

test("little free space makes small segments and keeps a reserve", async () => {
  const disk = await newDisk();
  disk.faults.freeBytes = 3 * 2 ** 20;
  const { journal } = await openJournal(disk, {
    segmentBytes: 32 * 2 ** 20,
    reserveBytes: 4 * 2 ** 20,
  });
  expect(await journal.retrySpace()).toBe(false);
  disk.faults.freeBytes = 64 * 2 ** 20;
  expect(await journal.retrySpace()).toBe(true);
  const sizes = (await disk.list(DIRECTORY)).map(
    (name) => disk.peek(`${DIRECTORY}/${name}`)?.length,
  );
  expect(Math.max(...sizes.map((size) => size ?? 0))).toBe(4 * 2 ** 20);
});

test("an idle journal writes a watermark once, a busy one none", async () => {
  const disk = await newDisk();
  const clock = new SimClock();
  const { journal } = await openJournal(disk, { clock });
  await journal.append(entriesOf(1, 2, 1));
  const before = journal.bytes;
  await clock.advance(1);
  await journal.append([entryOf(3, 1, 16)]);
  await clock.advance(1.5);
  expect(journal.bytes).toBe(before + 64);
  await clock.advance(10);
  expect(journal.bytes).toBe(before + 64 + 48);
  await clock.advance(100);
  expect(journal.bytes).toBe(before + 64 + 48);
  await settle();
  await journal.append([entryOf(4, 1)]);
  await journal.close();
  expect((await recoverLog(disk)).lastIndex).toBe(4);
});

test("misuse is a bug: overlap, gaps, terms that go back, use after close", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  const first = journal.append([entryOf(1, 2)]);
  await expect(journal.append([entryOf(2, 2)])).rejects.toThrow("do not overlap");
  await first;
  await expect(journal.append([entryOf(3, 2)])).rejects.toThrow("no gaps");
  await expect(journal.append([])).rejects.toThrow("not empty");
  await expect(journal.append([entryOf(2, 2), entryOf(4, 2)])).rejects.toThrow("no gaps");
  await journal.close();
  await expect(journal.append([entryOf(2, 2)])).rejects.toThrow("closed");
});

test("another node's journal and another version's are refused, not repaired", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(1, 3, 1));
  await journal.close();
  const before = disk.digest();
  await expect(openJournal(disk, { identity: 5 })).rejects.toBeInstanceOf(JournalUnsupported);
  expect(disk.digest()).toBe(before);
});

test("on a real directory too: rolls, a large entry, a release, a restart without close", async () => {
  const root = mkdtempSync(join(tmpdir(), "ayder-journal-"));
  try {
    const disk = openBunDisk(root);
    await disk.makeDirectory(DIRECTORY);
    const { journal } = await openJournal(disk, { segmentBytes: 16 * 1024 });
    const all = [...entriesOf(1, 200, 1, 300), entryOf(201, 1, 3_000_000), entryOf(202, 2)];
    await journal.append(all.slice(0, 20));
    for (const entry of all.slice(20)) await journal.append([entry]);
    await journal.release(at(100));
    const expected = await logOf(journal);
    expect(expected.lines).toEqual(all.slice(expected.firstIndex - 1).map(line));
    await journal.retrySpace();
    const { journal: again, torn } = await openJournal(disk, { segmentBytes: 16 * 1024 });
    expect(torn).toBeNull();
    expect(await logOf(again)).toEqual(expected);
    await again.close();
    await journal.close();
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test("random appends, cuts, releases, resets and restarts agree with a plain array", async () => {
  const runs: Promise<void>[] = [];
  forEachSeed(40, (random, seed) => void runs.push(againstArray(random, seed)));
  await Promise.all(runs);
});

async function againstArray(random: Random, seed: number): Promise<void> {
  const twin = await Twin.start(random);
  for (let step = 0; step < 120; step++) {
    await twin.act();
    await twin.compare(`seed ${seed} step ${step}`);
  }
}

/** A journal and the array that it should equal. */
class Twin {
  readonly #random: Random;
  #disk: SimDisk;
  #journal: Journal;
  #base = 0;
  #term = 1;
  #model: Entry[] = [];

  static async start(random: Random): Promise<Twin> {
    const disk = await newDisk();
    return new Twin(random, disk, (await openJournal(disk)).journal);
  }

  private constructor(random: Random, disk: SimDisk, journal: Journal) {
    this.#random = random;
    this.#disk = disk;
    this.#journal = journal;
  }

  async act(): Promise<void> {
    const action = this.#random.below(20);
    if (action < 14) await this.#append(action === 0);
    else if (action < 17) {
      await this.#journal.release(at(this.#base + this.#random.below(this.#model.length + 1)));
    } else if (action === 17) await this.#reset();
    else if (action === 18) await this.#journal.noteIdle();
    else await this.#restart();
  }

  async compare(where: string): Promise<void> {
    const log = await logOf(this.#journal);
    expect(log.lastIndex, where).toBe(this.#base + this.#model.length);
    expect(log.firstIndex, where).toBeGreaterThan(this.#base);
    const expected = this.#model.slice(log.firstIndex - 1 - this.#base).map(line);
    expect(log.lines, where).toEqual(expected);
  }

  async #append(cut: boolean): Promise<void> {
    const random = this.#random;
    const last = this.#base + this.#model.length;
    const floor = Math.max(this.#journal.firstIndex, last - 30);
    const first = cut ? floor + random.below(last + 2 - floor) : last + 1;
    if (first <= last || random.below(8) === 0) this.#term++;
    const size = random.below(30) === 0 ? 2500 : random.below(200);
    const batch = entriesOf(first, first + random.below(6), this.#term, size);
    await this.#journal.append(batch);
    this.#model = [...this.#model.slice(0, first - 1 - this.#base), ...batch];
  }

  async #reset(): Promise<void> {
    this.#base += this.#model.length + this.#random.below(50);
    this.#model = [];
    await this.#journal.resetTo(at(this.#base), inTerm(this.#term));
  }

  async #restart(): Promise<void> {
    const random = this.#random;
    if (random.below(2) === 0) await this.#journal.close();
    this.#disk = this.#disk.afterCrash(() => random.pick(["lost", "kept", "torn"]), random);
    this.#journal = (await openJournal(this.#disk)).journal;
  }
}
