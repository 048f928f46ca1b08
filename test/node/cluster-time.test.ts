/** Wrong clocks change the cluster's time as little as possible. */
import { expect, test } from "bun:test";
import type { Clock } from "../../src/env/clock.ts";
import type { Micros, Millis, NodeId } from "../../src/lib/ids.ts";
import { createInstruments } from "../../src/metrics/instruments.ts";
import { SILENT } from "../../src/metrics/log.ts";
import { ClusterTime } from "../../src/node/replica/cluster-time.ts";

const START = 1_700_000_000_000;
const [SECOND, MINUTE, HOUR, DAY] = [1_000, 60_000, 3_600_000, 86_400_000] as const;
const PEERS = ["n2", "n3"] as const;

/** One node's view: its clocks, its peers' clocks, and the time of the last entry. */
class World implements Clock {
  monotonicMs = 5_000;
  skewMs = 0;
  isNew = false;
  floorMs: number;
  voters: readonly string[];
  /** Error of each peer's clock; null: unknown. */
  readonly peers: Record<string, number | null>;
  readonly time: ClusterTime;
  readonly acceptClock: boolean;

  constructor(
    voters: number,
    floorMs: number,
    peers: Record<string, number | null> = {},
    acceptClock = false,
  ) {
    this.acceptClock = acceptClock;
    this.floorMs = floorMs;
    this.voters = ["n1", ...PEERS].slice(0, voters);
    this.peers = peers;
    this.time = new ClusterTime({
      self: "n1" as NodeId,
      clock: this,
      log: SILENT,
      floor: () => this.floorMs as Millis,
      isNew: () => this.isNew,
      voters: () => this.voters as readonly NodeId[],
      acceptClock: this.acceptClock,
    });
  }

  /** A node alone. */
  static alone = (floorMs: number): World => new World(1, floorMs);
  /** The other two are heard of and right. */
  static three = (floorMs: number): World => new World(3, floorMs, { n2: 0, n3: 0 });

  get trueMs(): number {
    return START + this.monotonicMs;
  }
  now(): Millis {
    return (this.trueMs + this.skewMs) as Millis;
  }
  monotonic(): Micros {
    return (this.monotonicMs * 1000) as Micros;
  }
  after(): () => void {
    return () => {};
  }
  defer(): void {}

  /** Time passes, pings are answered, an entry is stamped each second. @returns the time. */
  pass(ms: number): number {
    const end = this.monotonicMs + ms;
    let before = this.time.now() as number;
    while (this.monotonicMs < end) {
      this.monotonicMs = Math.min(end, this.monotonicMs + SECOND);
      this.hear();
      const now = this.time.now() as number;
      expect(now).toBeGreaterThanOrEqual(before);
      before = now;
      this.floorMs = now;
    }
    return before;
  }

  hear(): void {
    for (const [id, skewMs] of Object.entries(this.peers)) {
      if (skewMs !== null) this.time.observe(id as NodeId, START + skewMs, 1);
    }
  }

  /** How far the time is ahead of the truth. */
  get errorMs(): number {
    return (this.time.now() as number) - this.trueMs;
  }
}

const running = (world: World): World => {
  world.pass(MINUTE);
  expect(world.errorMs).toBe(0);
  return world;
};

for (const [who, make] of [
  ["a node alone", World.alone],
  ["a leader of three", World.three],
] as const) {
  test(`${who} goes by its clock as long as nobody sets it`, () => {
    const world = running(make(START));
    world.skewMs = 20;
    world.pass(SECOND);
    expect(Math.abs(world.errorMs)).toBeLessThanOrEqual(20);
  });

  test(`${who} whose clock is set to the next day, or the last, expires nothing sooner or later`, () => {
    for (const skewMs of [DAY, -DAY, HOUR, -HOUR, MINUTE]) {
      const world = running(make(START));
      world.skewMs = skewMs;
      world.pass(20 * MINUTE);
      expect(world.errorMs).toBe(0);
      world.skewMs = 0;
      world.pass(MINUTE);
      expect(world.errorMs).toBe(0);
    }
  });

  test(`${who} that was off for three days knows it when it starts`, () => {
    const world = make(START - 3 * DAY);
    world.hear();
    expect(world.time.mayStamp()).toBe(true);
    expect(world.errorMs).toBe(0);
  });

  test(`${who} whose last entry lies in the future goes on from there, and a little slower`, () => {
    const world = make(START + 5 * SECOND + 8 * SECOND);
    world.hear();
    expect(world.errorMs).toBe(8 * SECOND);
    world.pass(40 * SECOND);
    expect(world.errorMs).toBe(4 * SECOND);
    world.pass(40 * SECOND);
    expect(world.errorMs).toBe(0);
  });

  test(`${who} whose clocks lost touch for good follows after half an hour, a tenth faster`, () => {
    const world = running(make(START));
    world.skewMs = HOUR;
    for (const id of Object.keys(world.peers)) world.peers[id] = HOUR;
    world.pass(29 * MINUTE);
    expect(world.errorMs).toBe(0);
    world.pass(2 * MINUTE);
    const before = world.errorMs;
    world.pass(10 * MINUTE);
    expect(world.errorMs - before).toBeCloseTo(MINUTE, 0);
  });
}

test("a small difference of a node alone is made good without a jump", () => {
  const world = running(World.alone(START));
  world.skewMs = 3 * SECOND;
  world.pass(10 * SECOND);
  expect(world.errorMs).toBe(SECOND);
  world.pass(30 * SECOND);
  expect(world.errorMs).toBe(3 * SECOND);
  world.skewMs = -3 * SECOND;
  world.pass(10 * SECOND);
  expect(world.errorMs).toBe(2 * SECOND);
});

test("a node whose own clock is wrong starts by those of the others", () => {
  for (const skewMs of [DAY, -DAY, 2 * SECOND]) {
    const world = World.three(START - HOUR);
    world.skewMs = skewMs;
    world.hear();
    expect(world.time.mayStamp()).toBe(true);
    expect(world.errorMs).toBe(0);
  }
});

test("one wrong clock of three misleads nobody", () => {
  const world = World.three(START - HOUR);
  world.peers["n2"] = DAY;
  world.hear();
  expect(world.errorMs).toBe(0);
  world.peers["n2"] = -DAY;
  world.pass(HOUR);
  expect(world.errorMs).toBe(0);
});

test("without a majority of clocks that agree a leader waits a moment, then goes on from the last entry", () => {
  const world = World.three(START - HOUR);
  world.skewMs = DAY;
  world.peers["n3"] = null;
  world.hear();
  expect(world.time.mayStamp()).toBe(false);
  world.monotonicMs += 900;
  world.hear();
  expect(world.time.mayStamp()).toBe(false);
  world.monotonicMs += 100;
  expect(world.time.mayStamp()).toBe(true);
  expect(world.errorMs).toBe(-HOUR - 5 * SECOND);
  // Too late to leap: what was stamped meanwhile would be old at once.
  world.peers["n3"] = 0;
  world.pass(MINUTE);
  expect(world.errorMs).toBe(-HOUR - 5 * SECOND);
});

test("what a majority showed long ago says nothing of now", () => {
  const world = running(World.three(START));
  world.peers["n2"] = null;
  world.peers["n3"] = null;
  world.pass(15 * SECOND);
  world.skewMs = 5 * SECOND;
  world.pass(MINUTE);
  expect(world.errorMs).toBe(0);
});

test("before anything was stamped the clock is taken as it is", () => {
  const world = World.alone(0);
  world.isNew = true;
  world.skewMs = HOUR;
  expect(world.time.now() as number).toBe(world.now());
  world.skewMs = -HOUR;
  expect(world.time.now() as number).toBe(world.now());
});

test("a node that has not applied its entries yet knows the time by its clock, from its start on", () => {
  const world = World.alone(0);
  expect(world.errorMs).toBe(0);
  world.skewMs = DAY;
  world.floorMs = world.trueMs - MINUTE;
  expect(world.errorMs).toBe(0);
});

test("entries of another leader carry the time on", () => {
  const world = running(World.three(START));
  world.floorMs = world.trueMs + 700;
  expect(world.errorMs).toBe(700);
});

test("the wall clock's distance from the majority's, and from the cluster's time, is told", () => {
  const world = running(World.three(START));
  world.skewMs = HOUR;
  world.pass(2 * SECOND);
  const instruments = createInstruments();
  world.time.measure(instruments);
  expect(instruments.clockSkewSeconds.value).toBe(3600);
  expect(instruments.clockClampSeconds.value).toBe(3600);
});

test("alone, a start with a clock a year ahead expires nothing until the clock stood for ten minutes", () => {
  const world = World.alone(START);
  world.skewMs = 365 * DAY;
  world.pass(10 * MINUTE - SECOND);
  expect(world.errorMs).toBeLessThan(SECOND);
  world.pass(2 * SECOND);
  expect(Math.abs(world.errorMs - 365 * DAY)).toBeLessThan(MINUTE);
});

test("alone, a clock that is set right while a leap is held back costs nothing", () => {
  for (const [offForMs, skewMs] of [
    [0, 365 * DAY],
    [3 * DAY, 3650 * DAY],
  ] as const) {
    const world = World.alone(START - offForMs);
    world.skewMs = skewMs;
    world.pass(5 * MINUTE);
    expect(world.time.now() as number).toBeLessThan(START + 6 * MINUTE);
    world.skewMs = 0;
    world.pass(SECOND);
    expect(Math.abs(world.errorMs)).toBeLessThan(10 * SECOND);
  }
});

test("a clock that is set again during the hold begins another ten minutes", () => {
  const world = World.alone(START);
  world.skewMs = 365 * DAY;
  world.pass(9 * MINUTE);
  world.skewMs = 400 * DAY;
  world.pass(9 * MINUTE);
  expect(world.errorMs).toBeLessThan(SECOND);
  world.pass(2 * MINUTE);
  expect(Math.abs(world.errorMs - 400 * DAY)).toBeLessThan(MINUTE);
});

test("an operator who accepts the clock, a week, and a majority of peers leap at once", () => {
  const accepted = new World(1, START, {}, true);
  accepted.skewMs = 365 * DAY;
  const week = World.alone(START - 6 * DAY);
  const cluster = World.three(START - 365 * DAY);
  for (const world of [accepted, week, cluster]) {
    world.hear();
    expect(Math.abs((world.time.now() as number) - world.now())).toBeLessThan(SECOND);
  }
});

test("entries that are applied after the start end a hold that was due to an old checkpoint", () => {
  const world = World.alone(START - 30 * DAY);
  world.time.now();
  expect(world.errorMs).toBeLessThan(-29 * DAY);
  world.floorMs = START - DAY;
  world.monotonicMs += SECOND;
  expect(Math.abs(world.errorMs)).toBeLessThan(SECOND);
});
