import { expect, test } from "bun:test";
import { type DiskFile, DiskFull } from "../../src/env/disk.ts";
import type { NodeId } from "../../src/lib/ids.ts";
import type { HardState } from "../../src/raft/types.ts";
import {
  decodeSlot,
  encodeSlot,
  HardStateDamaged,
  HardStateFile,
  HardStateUnsupported,
  INITIAL_HARD_STATE,
} from "../../src/storage/hard-state.ts";
import { forEachSeed, Random } from "../tools/random.ts";
import { type Fate, SimDisk } from "../tools/sim/sim-disk.ts";
import { at, inTerm } from "../tools/storage/journal-fixture.ts";

const PATH = "hard-state";
const IDENTITY = 77;
const stateOf = (term: number, vote: string | null, commit = 0): HardState => ({
  term: inTerm(term),
  vote: vote as NodeId | null,
  commit: at(commit),
});
const voteOf = ({ term, vote }: HardState) => ({ term, vote });
const open = (disk: SimDisk) => HardStateFile.open(disk, PATH, IDENTITY);

async function fresh(disk = new SimDisk()): Promise<SimDisk> {
  await HardStateFile.create(disk, PATH, IDENTITY);
  return disk;
}

test("what was saved is there after a crash that loses everything un-synced", async () => {
  const disk = await fresh();
  const { file, state } = await open(disk);
  expect(state).toEqual(INITIAL_HARD_STATE);
  await file.save(stateOf(3, "node-a"));
  await file.save(stateOf(4, null));
  await file.save(stateOf(4, "node-b"));
  const { state: after, repaired } = await open(disk.afterCrash(() => "lost", new Random(1)));
  expect(after).toEqual(stateOf(4, "node-b"));
  expect(repaired).toBeNull();
});

test("a save during a save joins it, and the later state wins", async () => {
  const disk = await fresh();
  const { file } = await open(disk);
  await Promise.all([
    file.save(stateOf(1, "a")),
    file.save(stateOf(2, null)),
    file.save(stateOf(2, "b")),
  ]);
  expect((await open(disk.afterCrash(() => "lost", new Random(1)))).state).toEqual(stateOf(2, "b"));
});

test("a commit index alone is not synced, but kept by close", async () => {
  const calls: string[] = [];
  const disk = await fresh(new SimDisk({ onCall: (name) => void calls.push(name) }));
  const { file } = await open(disk);
  calls.length = 0;
  await file.save(stateOf(0, null, 9));
  expect(calls).toEqual([]);
  await file.close();
  expect(calls).toEqual(["write"]);
  expect((await open(disk)).state.commit).toBe(at(9));
});

test("a commit index that is wanted durable is in both slots when the save resolves", async () => {
  const calls: string[] = [];
  const disk = await fresh(new SimDisk({ onCall: (name) => void calls.push(name) }));
  const { file } = await open(disk);
  const crashed = () => disk.afterCrash(() => "lost", new Random(1));
  await file.save(stateOf(2, "a", 5));
  await file.save(stateOf(2, "a", 9), { commit: true });
  expect((await open(crashed())).state).toEqual(stateOf(2, "a", 9));
  for (const slot of [0, 1]) {
    const image = crashed();
    image.flipBit(PATH, slot * 4096 * 8 + 200);
    expect((await open(image)).state.commit).toBe(at(9));
  }
  calls.length = 0;
  await file.save(stateOf(2, "a", 9), { commit: true });
  await file.save(stateOf(2, "a", 11));
  expect(calls).toEqual([]);
  // Written without a sync, it is not durable for somebody who wants it so.
  await file.saveCommit();
  await file.save(stateOf(2, "a", 11), { commit: true });
  expect((await open(crashed())).state.commit).toBe(at(11));
});

test("who wants the commit index durable during a save of the vote alone gets it", async () => {
  const disk = await fresh();
  const { file } = await open(disk);
  const vote = file.save(stateOf(1, "a", 3));
  await file.save(stateOf(1, "a", 8), { commit: true });
  await vote;
  const image = disk.afterCrash(() => "lost", new Random(1));
  expect((await open(image)).state).toEqual(stateOf(1, "a", 8));
});

test("a vote is never taken for saved because a commit index is being written", async () => {
  const disk = await fresh();
  const { file } = await open(disk);
  await file.save(stateOf(0, null, 9));
  const hint = file.saveCommit();
  await file.save(stateOf(1, "b", 9));
  const image = disk.afterCrash(() => "lost", new Random(1));
  expect((await open(image)).state).toEqual(stateOf(1, "b", 9));
  await hint;
});

test("at every crash point either the saved state or the one on its way is found", async () => {
  let states = 0;
  const fates: readonly Fate[] = ["lost", "kept", "torn", "zeros"];
  const points: { disk: SimDisk; allowed: HardState[] }[] = [];
  let allowed: HardState[] = [];
  const disk: SimDisk = new SimDisk({
    onCall: () => void points.push({ disk: disk.snapshot(), allowed }),
  });
  await fresh(disk);
  const { file } = await open(disk);
  points.length = 0;
  let saved = INITIAL_HARD_STATE;
  for (let term = 1; term <= 12; term++) {
    const next = stateOf(term, term % 3 === 0 ? null : `node-${term}`);
    allowed = [saved, next];
    await file.save(next);
    saved = next;
    allowed = [saved];
    if (term % 4 === 0) {
      await file.save({ ...saved, commit: at(term) });
      allowed = [saved, { ...saved, commit: at(term) }];
      saved = { ...saved, commit: at(term) };
      await file.saveCommit();
    }
    points.push({ disk: disk.snapshot(), allowed });
  }
  for (const point of points) {
    for (const fate of fates) {
      for (let roll = 0; roll < 5; roll++) {
        const crashed = point.disk.afterCrash(() => fate, new Random(roll + 1));
        const { state } = await open(crashed);
        // The commit index is a hint and may be an older one.
        expect(point.allowed.map(voteOf)).toContainEqual(voteOf(state));
        expect((await open(crashed)).state).toEqual(state);
        states++;
      }
    }
  }
  expect(states).toBeGreaterThan(1000);
});

test("one bad slot costs nothing, whichever it is, and is repaired", async () => {
  for (const slot of [0, 1]) {
    const disk = await fresh();
    const { file } = await open(disk);
    await file.save(stateOf(5, "node-a", 3));
    disk.flipBit(PATH, slot * 4096 * 8 + 200);
    const opened = await open(disk);
    expect(opened.state).toEqual(stateOf(5, "node-a", 3));
    expect(opened.repaired).toContain(slot === 0 ? "slot A not valid" : "slot B not valid");
    expect((await open(disk)).repaired).toBeNull();
  }
});

test("a kill within a save and a power loss within the next start leave a state", async () => {
  const points: SimDisk[] = [];
  let collect = false;
  const onCall = () => void (collect && points.push(disk.snapshot()));
  const disk: SimDisk = await fresh(new SimDisk({ onCall }));
  const { file } = await open(disk);
  await file.save(stateOf(4, "node-a"));
  collect = true;
  await file.save(stateOf(5, "node-b"));
  const killed = [...points];
  let states = 0;
  const fates: readonly Fate[] = ["lost", "kept", "torn", "zeros"];
  for (const image of killed) {
    const second: SimDisk[] = [];
    const started: SimDisk = image.snapshot({ onCall: () => void second.push(started.snapshot()) });
    await open(started);
    for (const point of second) {
      for (let roll = 0; roll < 200; roll++) {
        const random = new Random(7919 * (states + 1));
        const { state } = await open(point.afterCrash(() => random.pick(fates), random));
        expect([stateOf(4, "node-a"), stateOf(5, "node-b")]).toContainEqual(state);
        states++;
      }
    }
  }
  expect(states).toBeGreaterThan(100);
});

test("two bad slots and a missing file are errors, never term zero", async () => {
  const disk = await fresh();
  const { file } = await open(disk);
  await file.save(stateOf(5, "node-a"));
  disk.flipBit(PATH, 200);
  disk.flipBit(PATH, 4096 * 8 + 300);
  await expect(open(disk)).rejects.toBeInstanceOf(HardStateDamaged);
  await disk.remove(PATH);
  await expect(open(disk)).rejects.toBeInstanceOf(HardStateDamaged);
  const other = await fresh();
  await expect(HardStateFile.open(other, PATH, IDENTITY + 1)).rejects.toBeInstanceOf(
    HardStateDamaged,
  );
});

test("a failed save is final", async () => {
  const disk = await fresh();
  const { file } = await open(disk);
  disk.faults.syncError = PATH;
  await expect(file.save(stateOf(1, "a"))).rejects.toThrow("EIO");
  const calls = disk.calls;
  await expect(file.save(stateOf(1, "a"))).rejects.toThrow("earlier failure");
  await expect(file.save(stateOf(2, "a"))).rejects.toThrow("earlier failure");
  expect(disk.calls).toBe(calls);
});

test("slots decode to what was encoded; any flipped bit is seen; a later version is refused", () => {
  forEachSeed(100, (random) => {
    const state = stateOf(
      random.u32() * 2 ** 20,
      random.below(3) === 0 ? null : `n${random.u32()}`,
      random.u32(),
    );
    const sequence = random.u32() * 1000;
    const bytes = encodeSlot(sequence, state, IDENTITY);
    expect(bytes.length).toBe(4096);
    expect(decodeSlot(bytes, IDENTITY, PATH)).toEqual({ sequence, state });
    const bit = random.below(bytes.length * 8);
    bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
    expect(decodeSlot(bytes, IDENTITY, PATH)).toBeNull();
  });
  expect(HardStateUnsupported.name).toBe("HardStateUnsupported");
});

test("two slots that say the same are not written by a start", async () => {
  const calls: string[] = [];
  const disk = await fresh(new SimDisk({ onCall: (name) => void calls.push(name) }));
  calls.length = 0;
  await open(disk);
  expect(calls).toEqual(["read", "open", "sync"]);
});

/** Opens with a record of where slots are written; `full` counts the writes until space is missing. */
async function openRecorded(disk: SimDisk, full: { after: number }) {
  const positions: number[] = [];
  const opened = Object.create(disk, {
    open: {
      value: async (path: string, mode: "existing") => {
        const file = await disk.open(path, mode);
        const write: DiskFile["write"] = (position, bytes) => {
          positions.push(position);
          if (full.after-- === 0) return Promise.reject(new DiskFull("no space left"));
          return file.write(position, bytes);
        };
        return Object.create(file, {
          write: { value: write },
          sync: { value: () => file.sync() },
          close: { value: () => file.close() },
        });
      },
    },
    readWhole: { value: (path: string) => disk.readWhole(path) },
  });
  return { positions, ...(await HardStateFile.open(opened, PATH, IDENTITY)) };
}

test("a save that finds no space is repeated, beginning with the slot that may be half written", async () => {
  for (const [after, order] of [
    [0, [0, 4096]],
    [1, [4096, 0]],
  ] as const) {
    const disk = await fresh();
    const full = { after: Number.POSITIVE_INFINITY };
    const { file, positions } = await openRecorded(disk, full);
    full.after = after;
    await expect(file.save(stateOf(4, "b"))).rejects.toBeInstanceOf(DiskFull);
    positions.length = 0;
    await file.save(stateOf(4, "b"));
    expect(positions).toEqual([...order]);
    const kept = await open(disk.afterCrash(() => "lost", new Random(1)));
    expect(kept).toMatchObject({ state: stateOf(4, "b"), repaired: null });
  }
});

test("a start that finds no space to repair a slot leaves that to the next save", async () => {
  for (const [slot, order] of [
    [0, [0, 4096]],
    [1, [4096, 0]],
  ] as const) {
    const disk = await fresh();
    const { file } = await open(disk);
    await file.save(stateOf(3, "a"));
    await file.close();
    disk.flipBit(PATH, slot * 4096 * 8 + 300);
    const { file: opened, state, repaired, positions } = await openRecorded(disk, { after: 0 });
    expect(state).toEqual(stateOf(3, "a"));
    expect(repaired).toContain(`slot ${"AB"[slot]} not valid`);
    await opened.save(stateOf(4, "b"));
    expect(positions).toEqual([order[0], ...order]);
    const kept = await open(disk.afterCrash(() => "lost", new Random(1)));
    expect(kept).toMatchObject({ state: stateOf(4, "b"), repaired: null });
  }
});

test("a commit index that finds no space is dropped", async () => {
  const disk = await fresh();
  const { file } = await open(disk);
  await file.save(stateOf(1, "a", 2));
  await file.save(stateOf(1, "a", 9));
  disk.faults.failCall = disk.calls;
  disk.faults.failWith = "full";
  await file.close();
  expect((await open(disk)).state).toEqual(stateOf(1, "a", 2));
});

test("a sync that finds no space is final", async () => {
  const disk = await fresh();
  const { file } = await open(disk);
  disk.faults.fullAtSync = true;
  await expect(file.save(stateOf(1, "a"))).rejects.toBeInstanceOf(DiskFull);
  disk.faults.fullAtSync = false;
  await expect(file.save(stateOf(1, "a"))).rejects.toThrow("not used after an earlier failure");
});
