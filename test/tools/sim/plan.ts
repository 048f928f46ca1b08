/** The plan that a seed draws before anything runs: size, limits, faults and their rates. */
import { SHARE_FROM_DEFAULT } from "../../../src/node/writes/shared-files.ts";
import type { WriteConcern } from "../../../src/node/writes/write-concern.ts";
import { Random } from "../random.ts";
import type { Delays } from "./sim-network.ts";

export const FAULT_KINDS = [
  "kill",
  "power-loss",
  "power-loss-all",
  "pause",
  "partition",
  "one-way",
  "ring",
  "isolate-leader",
  "cut-links",
  "slow-links",
  "slow-disk",
  "stuck-sync",
  "sync-error",
  "disk-full",
  "bit-flip",
  "wipe",
  "clock-jump",
  "transfer",
  "membership",
  "compact",
] as const;

/** Faults that only plans of version 2 draw, from a stream of their own. */
export const LATER_FAULT_KINDS = ["start-power-loss", "shortage"] as const;
/** Faults of links, also of version 2, from one more stream. */
export const LINK_FAULT_KINDS = ["strangers", "late-links"] as const;
export const ALL_FAULT_KINDS = [...FAULT_KINDS, ...LATER_FAULT_KINDS, ...LINK_FAULT_KINDS] as const;
export type FaultKind = (typeof ALL_FAULT_KINDS)[number];

/**
 * Seeds from here on have plans of version 2: work takes simulated time, and the later faults are
 * drawn. Seeds below keep the plan that they always had, so that recorded seeds stay the same.
 */
export const VERSION_2_SEED = 100_000_000;

/** Seeds from here on also have producers that number their writes, and records with headers. */
export const VERSION_3_SEED = 2_000_000_000;

/** Seeds from here on also have members that share the partitions of topics. */
export const VERSION_4_SEED = 3_000_000_000;

/** Seeds from here on also have followers that forward writes, half of them. */
export const VERSION_5_SEED = 4_100_000_000;

/** From here on, the attempts to schedule a record have deadlines of their own. */
export const VERSION_6_SEED = 5_200_000_000;

/** A new seed that nobody has tried. */
export const freshSeed = (): number =>
  VERSION_6_SEED + 1 + Math.floor(Math.random() * 1_000_000_000);

/** The cost of a node's events in simulated time. */
export type Work = {
  /** Mean time that a node needs for an event; 0: none. */
  readonly meanMs: number;
  /** Index of a node that needs longer until all faults end, or null. */
  readonly slowNode: number | null;
  readonly slowFactor: number;
};

export type Plan = {
  readonly seed: number;
  readonly nodes: number;
  /** Nodes that are there and no members at first. */
  readonly spares: number;
  readonly faults: readonly FaultKind[];
  /** Mean time from one fault to the next. */
  readonly faultEveryMs: number;
  readonly clients: number;
  readonly thinkMs: number;
  /** Duration of the phase with faults. */
  readonly durationMs: number;
  readonly delays: Delays;
  readonly syncMs: number;
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
  readonly commitTimeoutMs: number;
  readonly journalSegmentBytes: number;
  readonly segmentBytes: number;
  readonly tailBytes: number;
  readonly checkpointBytes: number;
  readonly journalKeepBytes: number;
  readonly dedupeWindowMs: number;
  readonly dedupeKeysMax: number;
  readonly queueRequestsMax: number;
  readonly partitions: number;
  readonly valueBytesMax: number;
  readonly priorities: boolean;
  readonly writeConcern: WriteConcern;
  readonly clockRates: readonly number[];
  /** Clients number some of their writes, and some records have headers. */
  readonly numbers: boolean;
  /** As many clients again use durable streams. Drawn by no seed, so that each stays what it was. */
  readonly streams: boolean;
  /** Producers and workers of a queue, delayed records and a schedule. Drawn by no seed either. */
  readonly queues: boolean;
  /** Exports to a bucket that misbehaves, with retention and deletions. Drawn by no seed either. */
  readonly exports: boolean;
  /** A receiver, and webhooks that deliver to it. Drawn by no seed either. */
  readonly webhooks: boolean;
  /** From this number of partitions on, small ones share files. Set by no seed. */
  readonly shareFrom: number;
  /** Members of a group, and partitions of the topics that they share. 0 members: there is no group. */
  readonly groupMembers: number;
  readonly sharedPartitions: number;
  /** Followers forward writes to the leader. */
  readonly forwards: boolean;
  /** Some attempts to schedule a record have a short deadline. False: all of a record, or none. */
  readonly mixesDeadlines: boolean;
  /** Null in plans of version 1, in which time stands still while a node works. */
  readonly work: Work | null;
};

export type Overrides = {
  readonly without?: readonly FaultKind[];
  /** These, and no others, whatever the seed draws. */
  readonly only?: readonly FaultKind[];
  readonly durationMs?: number;
  readonly clients?: number;
  readonly streams?: boolean;
  readonly queues?: boolean;
  readonly exports?: boolean;
  readonly webhooks?: boolean;
  /** Small partitions share files, however few there are. */
  readonly shared?: boolean;
};

/** Streams of their own, so that dropping one kind of event does not shift the others. */
export const streamOf = (seed: number, name: string): Random => {
  let hash = 0x811c9dc5;
  for (const character of `${seed}/${name}`) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  return new Random(hash);
};

export function planOf(seed: number, overrides: Overrides = {}): Plan {
  const random = streamOf(seed, "plan");
  const nodes = random.pick([1, 3, 3, 3, 3, 5]);
  const share = random.pick([10, 25, 50, 80]);
  const seeded: FaultKind[] = FAULT_KINDS.filter(() => random.below(100) < share);
  const later = seed < VERSION_2_SEED ? null : streamOf(seed, "plan 2");
  if (later !== null) seeded.push(...LATER_FAULT_KINDS.filter(() => later.below(100) < 50));
  if (later !== null) {
    const links = streamOf(seed, "plan links");
    seeded.push(...LINK_FAULT_KINDS.filter(() => links.below(100) < 50));
  }
  const drawn = overrides.only ?? seeded;
  const writeConcern = random.pick(CONCERNS);
  const possible = drawn.filter(
    (kind) =>
      (nodes > 1 || !NEEDS_PEERS.has(kind)) &&
      // A write concern of all nodes cannot lose a disk.
      (writeConcern.kind !== "all" || !LOSES_A_DISK.has(kind)),
  );
  const plan: Plan = {
    seed,
    nodes,
    spares: nodes > 1 ? 1 : 0,
    faults: possible.filter((kind) => overrides.without?.includes(kind) !== true),
    faultEveryMs: random.pick([100, 300, 800, 2000]),
    clients: overrides.clients ?? 1 + random.below(6),
    thinkMs: random.pick([2, 10, 30, 100]),
    durationMs: overrides.durationMs ?? random.pick([3000, 6000, 12_000]),
    delays: {
      baseMs: random.pick([0.1, 0.5, 5]),
      meanMs: random.pick([0.1, 1, 10]),
      slowOneIn: random.pick([0, 20, 200]),
    },
    syncMs: random.pick([0.2, 1, 8]),
    heartbeatMs: 50,
    electionTimeoutMs: random.pick([150, 300, 600]),
    commitTimeoutMs: random.pick([300, 1000, 3000]),
    journalSegmentBytes: random.pick([4096, 16_384, 262_144]),
    segmentBytes: random.pick([2048, 16_384, 262_144]),
    tailBytes: random.pick([4096, 65_536, 1_048_576]),
    checkpointBytes: random.pick([2048, 16_384, 262_144]),
    dedupeWindowMs: 600_000,
    dedupeKeysMax: random.pick([1000, 10_000]),
    queueRequestsMax: random.pick([4, 1000]),
    partitions: 1 + random.below(3),
    valueBytesMax: random.pick([16, 200, 2000]),
    priorities: random.below(3) === 0,
    writeConcern,
    clockRates: Array.from({ length: 8 }, () => 1 + (random.below(101) - 50) / 1000),
    journalKeepBytes: random.pick(KEPT_BYTES[writeConcern.kind === "all" ? 1 : 0]),
    numbers: seed >= VERSION_3_SEED,
    streams: overrides.streams === true,
    queues: overrides.queues === true,
    exports: overrides.exports === true,
    webhooks: overrides.webhooks === true,
    shareFrom: overrides.shared === true ? 1 : SHARE_FROM_DEFAULT,
    forwards: seed >= VERSION_5_SEED && streamOf(seed, "plan forwards").below(2) === 0,
    mixesDeadlines: seed >= VERSION_6_SEED,
    work: later === null ? null : workOf(later, nodes),
    // The time in which partitions go over is judged without the load of the streams.
    ...(overrides.streams === true ? NO_SHARES : sharesOf(seed)),
  };
  return plan;
}

type Shares = Pick<Plan, "groupMembers" | "sharedPartitions">;
const NO_SHARES: Shares = { groupMembers: 0, sharedPartitions: 0 };

function sharesOf(seed: number): Shares {
  if (seed < VERSION_4_SEED) return NO_SHARES;
  const random = streamOf(seed, "plan groups");
  return { groupMembers: 2 + random.below(3), sharedPartitions: 1 + random.below(6) };
}

const workOf = (random: Random, nodes: number): Work => ({
  meanMs: random.pick([0, 0.01, 0.05, 0.1]),
  slowNode: random.below(3) === 0 ? random.below(nodes) : null,
  slowFactor: random.pick([3, 10]),
});

/**
 * With less journal kept than is written while a snapshot is on its way, a follower may get one
 * after the other while writes go on; where they wait for that very follower, that is the end of
 * them, as the setting's documentation says. So it is the setting's default there.
 */
const KEPT_BYTES = [[0, 32_768, 1_048_576], [2 ** 32]] as const;

const CONCERNS: readonly WriteConcern[] = [
  { kind: "majority" },
  { kind: "majority" },
  { kind: "majority" },
  { kind: "nodes", count: 2 },
  { kind: "all" },
  { kind: "appended" },
];

const LOSES_A_DISK = new Set<FaultKind>(["bit-flip", "wipe", "sync-error"]);

const NEEDS_PEERS = new Set<FaultKind>([
  "partition",
  "one-way",
  "ring",
  "isolate-leader",
  "cut-links",
  "late-links",
  "slow-links",
  "bit-flip",
  "wipe",
  "transfer",
  "membership",
]);
