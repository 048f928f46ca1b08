import { describe, expect, test } from "bun:test";
import { EntryLog } from "../../src/raft/entry-log.ts";
import { configurationOf } from "../../src/raft/membership.ts";
import type { Entry } from "../../src/raft/types.ts";
import { entriesOf, index, term, text } from "../tools/raft/harness.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

function logOf(...terms: number[]): EntryLog {
  const log = new EntryLog();
  for (const entry of entriesOf(1, ...terms)) log.push(entry);
  return log;
}

/** Everything is written, committed and applied up to `at`. */
function settle(log: EntryLog, at: number): void {
  log.durable = log.lastIndex;
  log.emitted = log.lastIndex;
  log.commitTo(index(at));
  log.applying = index(at);
  log.appliedTo(index(at));
}

test("terms are known from the compacted index to the last, and nowhere else", () => {
  const log = logOf(1, 1, 2, 5);
  expect([0, 1, 2, 3, 4, 5].map((at) => log.termAt(index(at)))).toEqual([
    0,
    1,
    1,
    2,
    5,
    undefined,
  ] as never);
  settle(log, 3);
  log.compact(index(3));
  expect([2, 3, 4].map((at) => log.termAt(index(at)))).toEqual([undefined, 2, 5] as never);
});

describe("up to date (5.4.1)", () => {
  const cases: [at: number, atTerm: number, expected: boolean][] = [
    [2, 4, true],
    [3, 4, true],
    [4, 4, true],
    [2, 3, true],
    [3, 3, true],
    [4, 3, true],
    [2, 2, false],
    [1, 3, false],
    [9, 1, false],
  ];
  for (const [at, atTerm, expected] of cases) {
    test(`(${at}, ${atTerm}) against (2, 3): ${expected}`, () => {
      expect(logOf(1, 3).isUpToDate(index(at), term(atTerm))).toBe(expected);
    });
  }
});

describe("where two logs may agree", () => {
  const cases: [log: number[], at: number, atTerm: number, found: [number, number]][] = [
    [[2, 2, 2], 3, 2, [3, 2]],
    [[2, 2, 2], 3, 3, [3, 2]],
    [[2, 2, 2], 3, 1, [0, 0]],
    [[1, 2, 3, 3], 4, 2, [2, 2]],
    [[1, 1, 4, 4, 4], 5, 3, [2, 1]],
    [[1, 1, 4, 4, 4], 5, 4, [5, 4]],
  ];
  for (const [terms, at, atTerm, [foundIndex, foundTerm]] of cases) {
    test(`[${terms}] from (${at}, ${atTerm}) down: (${foundIndex}, ${foundTerm})`, () => {
      expect(logOf(...terms).findConflictByTerm(index(at), term(atTerm))).toEqual({
        index: index(foundIndex),
        term: term(foundTerm),
      });
    });
  }

  test("is unknown below what was compacted", () => {
    const log = logOf(2, 2, 3);
    settle(log, 2);
    log.compact(index(2));
    expect(log.findConflictByTerm(index(3), term(1))).toMatchObject({ index: 2, term: 0 });
  });
});

test("conflicts are found by term, from the first on", () => {
  const log = logOf(1, 2, 3);
  expect(log.findConflict(entriesOf(1, 1, 2, 3))).toBeNull();
  expect(log.findConflict(entriesOf(2, 2, 3, 3))?.index).toBe(index(4));
  expect(log.findConflict(entriesOf(1, 1, 4, 4))?.index).toBe(index(2));
});

describe("it insists on", () => {
  const cases: [name: string, act: (log: EntryLog) => void, message: string][] = [
    ["contiguous entries", (log) => log.push(entriesOf(9, 3)[0] as never), "contiguous"],
    ["terms that never descend", (log) => log.push(entriesOf(4, 1)[0] as never), "descend"],
    ["what is committed", (log) => log.truncate(index(2)), "never truncated"],
    ["commits within the log", (log) => log.commitTo(index(4)), "beyond the log"],
    ["applied in order", (log) => log.appliedTo(index(3)), "handed out"],
    ["compacting what is applied only", (log) => log.compact(index(3)), "applied"],
  ];
  for (const [name, act, message] of cases) {
    test(name, () => {
      const log = logOf(1, 2, 2);
      settle(log, 2);
      expect(() => act(log)).toThrow(message);
    });
  }
});

test("a slice is cut by bytes, but never to nothing", () => {
  const log = logOf(1, 1, 1);
  const sizes = (limit: number) => log.slice(index(1), index(3), limit).length;
  expect([0, 11, 21, 22, 32, 33, 99].map(sizes)).toEqual([1, 1, 1, 2, 2, 3, 3]);
});

test("what is evicted is not kept in memory", async () => {
  const log = new EntryLog();
  const payloads: WeakRef<Uint8Array>[] = [];
  for (const entry of entriesOf(1, ...new Array<number>(200).fill(1))) {
    payloads.push(new WeakRef(entry.data));
    log.push(entry);
  }
  // The last one stays, as it always does under load.
  settle(log, 199);
  log.evict(index(199));
  await Bun.sleep(0);
  Bun.gc(true);
  const kept = payloads.filter((payload) => payload.deref() !== undefined).length;
  // Some may be found on the stack.
  expect(kept).toBeLessThan(20);
  expect(text(log.entryAt(index(200)).data)).toBe("200@1");
});

test("a snapshot in place of the log keeps nothing but its own identity", () => {
  const log = logOf(1, 1, 2, 2, 2, 2, 2, 2, 3, 3);
  settle(log, 1);
  const configuration = configurationOf([]);
  log.restore({ index: index(7), term: term(4), configuration });
  expect([log.firstIndex, log.lastIndex, log.lastTerm, log.commit]).toEqual([8, 7, 4, 7] as never);
  expect(log.durable).toBe(index(1));
  for (const entry of entriesOf(8, 4, 4, 5)) log.push(entry);
  expect([7, 8, 9, 10].map((at) => log.termAt(index(at)) as number)).toEqual([4, 4, 4, 5]);
  log.snapshotPersisted(index(7));
  expect([log.durable, log.applied]).toEqual([index(7), index(7)]);
});

/** A log beside a plain array of terms, under a random history. */
class Twin {
  readonly log = new EntryLog();
  readonly model: number[] = [0];
  compacted = 0;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  step(): void {
    const dice = this.#random.below(10);
    if (dice < 6) this.#push();
    else if (dice === 6) this.#truncate();
    else if (dice === 7) settle(this.log, this.log.commit + this.#upTo(this.log.commit));
    else if (dice === 8) this.log.evict(index(this.#random.below(this.model.length)));
    else this.#compact();
  }

  #upTo = (from: number): number => this.#random.below(this.model.length - from);

  #push(): void {
    const term = (this.model.at(-1) ?? 0) + (this.#random.below(4) === 0 ? 1 : 0) || 1;
    this.log.push(entriesOf(this.model.length, term)[0] as Entry);
    this.model.push(term);
  }

  #truncate(): void {
    const { commit, lastIndex } = this.log;
    if (lastIndex === commit) return;
    const at = commit + 1 + this.#random.below(lastIndex - commit);
    this.log.truncate(index(at));
    this.model.length = at;
  }

  #compact(): void {
    const { applied } = this.log;
    if (applied === this.compacted || this.#random.below(3) > 0) return;
    this.compacted += 1 + this.#random.below(applied - this.compacted);
    this.log.compact(index(this.compacted));
  }
}

// Goal: run lengths and eviction change nothing but memory. Method: a plain array of terms.
test("terms equal those of a plain array under any history", () => {
  forEachSeed(25, (random) => {
    const twin = new Twin(random);
    const { log, model } = twin;
    for (let i = 0; i < 300; i++) {
      twin.step();
      expect<number>(log.lastIndex).toBe(model.length - 1);
      const known = model.map((_, at) => log.termAt(index(at)) as number | undefined);
      expect(known).toEqual(model.map((term, at) => (at < twin.compacted ? undefined : term)));
      const first = index(log.evictedIndex + 1);
      const held = log.slice(first, log.lastIndex, 1e9).map((entry) => entry.term as number);
      expect(held).toEqual(model.slice(first));
    }
  });
});
