/**
 * Goal: whatever a crash leaves of the operations that were not synced, recovery opens, and finds
 * every entry whose append had resolved. Method: run a workload once; before each disk call keep
 * the disk as it is with all that is pending; then try every combination of lost, kept and torn.
 */
import { expect, test } from "bun:test";
import type { Entry } from "../../src/raft/types.ts";
import type { Journal } from "../../src/storage/journal/journal.ts";
import { Random } from "../tools/random.ts";
import type { Fate, SimDisk } from "../tools/sim/sim-disk.ts";
import {
  at,
  entriesOf,
  entryOf,
  inTerm,
  type Log,
  line,
  logOf,
  newDisk,
  openJournal,
  recoverLog,
} from "../tools/storage/journal-fixture.ts";

const FATES: readonly Fate[] = ["lost", "kept", "torn"];
/** More combinations than that are sampled. */
const COMBINATIONS_MAX = 81;
const STATES_MIN = 1000;

/** A log that recovery may find, as lines from `base + 1`. */
type Allowed = { readonly base: number; readonly lines: readonly string[] };

/** The entries promised so far, and those that a crash now may add. */
class Promised {
  base = 0;
  lines: string[] = [];
  /** Highest first index that has been seen: earlier entries may be gone. */
  firstIndex = 1;
  allowed: Allowed[] = [{ base: 0, lines: [] }];

  settle(journal: Journal): void {
    this.firstIndex = journal.firstIndex;
    this.allowed = [{ base: this.base, lines: this.lines }];
  }

  appending(batch: readonly Entry[]): void {
    const kept = this.lines.slice(0, (batch[0]?.index ?? 0) - 1 - this.base);
    for (let count = 0; count <= batch.length; count++) {
      this.allowed.push({ base: this.base, lines: [...kept, ...batch.slice(0, count).map(line)] });
    }
    this.lines = [...kept, ...batch.map(line)];
  }

  releasing(upTo: number): void {
    this.firstIndex = Math.max(this.firstIndex, upTo + 1);
  }

  resetting(index: number): void {
    this.allowed.push({ base: index, lines: [] });
    this.base = index;
    this.lines = [];
    this.firstIndex = index + 1;
  }

  frozen(): (log: Log) => string | null {
    const { firstIndex } = this;
    const allowed = [...this.allowed];
    return (log) => judge(log, allowed, firstIndex);
  }
}

/** @returns null if the log is one of those allowed. */
function judge(log: Log, allowed: readonly Allowed[], firstIndex: number): string | null {
  if (log.lines.length !== log.lastIndex - log.firstIndex + 1) return "not dense";
  if (log.firstIndex > firstIndex) return `begins at ${log.firstIndex} instead of ${firstIndex}`;
  const fits = allowed.some(({ base, lines }) => {
    if (log.lastIndex !== base + lines.length) return false;
    const skip = Math.max(0, base + 1 - log.firstIndex);
    const from = log.firstIndex + skip - 1 - base;
    return log.lines.slice(skip).join() === lines.slice(from).join();
  });
  return fits ? null : `ends at ${log.lastIndex}, allowed: ${allowed.map(describe).join(", ")}`;
}

const describe = ({ base, lines }: Allowed): string => `${base}+${lines.length}`;

type Point = {
  readonly disk: SimDisk;
  readonly label: string;
  readonly judge: (log: Log) => string | null;
};

/**
 * Runs the workload and keeps the disk before each call. Random delays shift the background work
 * (segments that are prepared) against the appends.
 */
async function record(random: Random): Promise<Point[]> {
  const points: Point[] = [];
  const promised = new Promised();
  let label = "";
  let recording = false;
  const keep = (call: string) => {
    if (!recording) return;
    points.push({ disk: disk.snapshot(), label: `${label}: ${call}`, judge: promised.frozen() });
  };
  const disk: SimDisk = await newDisk({
    onCall: (name, path) => keep(`${name} ${path}`),
    delay: () => hops(random.below(12)),
  });
  label = "open";
  recording = true;
  let { journal } = await openJournal(disk);
  const step = async (name: string, run: () => Promise<unknown>) => {
    label = name;
    await run();
    promised.settle(journal);
    keep("done");
  };
  const append = (batch: Entry[]) =>
    step(`append ${batch[0]?.index}..${batch.at(-1)?.index}`, () => {
      promised.appending(batch);
      return journal.append(batch);
    });

  await append([entryOf(1, 1)]);
  await append(entriesOf(2, 4, 1, 600));
  await step("idle", () => journal.noteIdle());
  await append(entriesOf(5, 6, 1));
  await append(entriesOf(5, 7, 2, 40));
  await step("idle", () => journal.noteIdle());
  for (let index = 8; index <= 16; index++) await append([entryOf(index, 2, 300)]);
  await append(entriesOf(9, 10, 3, 200));
  await append(entriesOf(11, 13, 3, 900));
  await append([entryOf(14, 3, 6000)]);
  await append(entriesOf(15, 18, 3, 500));
  await step("release", () => {
    promised.releasing(15);
    return journal.release(at(15));
  });
  await append(entriesOf(18, 22, 4, 500));
  await step("close", () => journal.close());
  label = "reopen";
  ({ journal } = await openJournal(disk));
  promised.settle(journal);
  await append(entriesOf(23, 30, 5, 120));
  await step("reset", () => {
    promised.resetting(50);
    return journal.resetTo(at(50), inTerm(6));
  });
  await append(entriesOf(51, 60, 6, 300));
  await append(entriesOf(52, 54, 7, 300));
  await step("close", () => journal.close());
  recording = false;
  return points;
}

async function hops(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await null;
}

/** Every combination of fates for `count` operations, or a sample of them. */
function* combinations(count: number, random: Random): Generator<readonly Fate[]> {
  const total = FATES.length ** count;
  if (total <= COMBINATIONS_MAX) {
    for (let code = 0; code < total; code++) {
      yield Array.from({ length: count }, (_, i) => fateAt(Math.floor(code / FATES.length ** i)));
    }
    return;
  }
  for (const fate of FATES) yield Array.from({ length: count }, () => fate);
  for (let i = 0; i < COMBINATIONS_MAX; i++) {
    yield Array.from({ length: count }, () => random.pick([...FATES, "zeros" as const]));
  }
}

const fateAt = (code: number): Fate => FATES[code % FATES.length] ?? "lost";

/** Recovers, once more, after a crash, and after one more append: all must agree. */
async function check(point: Point, crashed: SimDisk, random: Random): Promise<string | null> {
  const first = await recoverLog(crashed);
  const problem = point.judge(first);
  if (problem !== null) return problem;
  const image = crashed.digest();
  const again = await recoverLog(crashed.afterCrash(() => "lost", random));
  if (again.lines.join() !== first.lines.join()) return "a second recovery finds another log";
  if (again.firstIndex !== first.firstIndex) return "a second recovery begins elsewhere";
  if (again.torn !== null) return "the cut was not durable";
  if (crashed.digest() !== image) return "recovery is not idempotent";
  const { journal } = await openJournal(crashed);
  const next = entryOf(first.lastIndex + 1, 99);
  await journal.append([next]);
  const after = await recoverLog(crashed.afterCrash(() => random.pick(FATES), random));
  const expected = [...first.lines, line(next)].join();
  return after.lines.join() === expected ? null : "an append after recovery is lost";
}

/** Crashes at each call of the recovery itself, one level deep. */
async function checkCrashedRecovery(
  point: Point,
  crashed: SimDisk,
  random: Random,
): Promise<number> {
  const stages: SimDisk[] = [];
  const watched = crashed.afterCrash(() => "kept", random);
  const base = watched.calls;
  for (let call = base; ; call++) {
    const disk = crashed.afterCrash(() => "kept", new Random(1));
    disk.faults.failCall = call;
    const outcome = await recoverLog(disk).catch((failure: unknown) => failure);
    if (disk.calls <= call) break;
    disk.faults.failCall = null;
    stages.push(disk.afterCrash(() => random.pick(FATES), random));
    if (outcome instanceof Error && !outcome.message.includes("injected")) {
      if (!outcome.message.includes("earlier failure")) throw outcome;
    }
  }
  for (const stage of stages) {
    const log = await recoverLog(stage);
    expect(point.judge(log), `${point.label}, recovery crashed`).toBeNull();
  }
  return stages.length;
}

test("every crash state recovers to what was promised", async () => {
  const seed = Number(process.env["SEED"] ?? 1);
  const random = new Random(seed);
  let states = 0;
  let nested = 0;
  const points = [...(await record(random)), ...(await record(random)), ...(await record(random))];
  for (const point of points) {
    for (const fates of combinations(point.disk.pending, random)) {
      const crashed = point.disk.afterCrash((operation) => fates[operation] ?? "lost", random);
      const problem = await check(point, crashed, random);
      expect(problem, `SEED=${seed}: ${point.label} with ${fates.join(" ")}`).toBeNull();
      states++;
      if (states % 40 !== 0) continue;
      const copy = point.disk.afterCrash((operation) => fates[operation] ?? "lost", random);
      nested += await checkCrashedRecovery(point, copy, random);
    }
  }
  expect(states).toBeGreaterThanOrEqual(STATES_MIN);
  console.log(`crash states: ${states}, within recovery: ${nested}`);
}, 300_000);

test("whichever disk call fails, the journal says so, and nothing promised is lost", async () => {
  let failed = 0;
  for (const failWith of ["eio", "full"] as const) {
    for (let call = 0; ; call++) {
      const disk = await newDisk();
      disk.faults.failCall = disk.calls + call;
      disk.faults.failWith = failWith;
      const acked: Entry[] = [];
      let told: unknown = null;
      const outcome = await workload(disk, acked, (failure) => {
        told = failure;
      }).catch((failure: unknown) => failure);
      if (disk.calls <= (disk.faults.failCall ?? 0)) break;
      disk.faults.failCall = null;
      failed++;
      // Preparing a segment may fail for want of space without any harm.
      if (failWith === "eio") expect(outcome ?? told, `call ${call}`).toBeInstanceOf(Error);
      const log = await recoverLog(disk.afterCrash(() => "lost", new Random(call)));
      const lines = acked.slice(log.firstIndex - 1).map(line);
      expect(log.lines.slice(0, lines.length), `${failWith} at call ${call}`).toEqual(lines);
    }
  }
  expect(failed).toBeGreaterThan(100);
});

async function workload(
  disk: SimDisk,
  acked: Entry[],
  onFailure: (failure: unknown) => void,
): Promise<void> {
  const { journal } = await openJournal(disk, { onFailure });
  for (let index = 1; index <= 30; index += 3) {
    const batch = entriesOf(index, index + 2, 1, 250);
    await journal.append(batch);
    acked.push(...batch);
    await journal.noteIdle();
    await journal.retrySpace();
    if (index % 4 === 0) await journal.release(at(index - 1));
  }
  await journal.close();
  const { journal: again } = await openJournal(disk, { onFailure });
  await again.retrySpace();
  await again.append([entryOf(31, 2)]);
  acked.push(entryOf(31, 2));
  await logOf(again);
  await again.close();
}
