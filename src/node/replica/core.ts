import { feature as faultPoint } from "bun:bundle";
import type { Machine } from "../../machine/machine.ts";
import { type Core, createCore, type InitialState } from "../../raft/core.ts";
import { before } from "../../raft/indexes.ts";
import { EMPTY_CONFIGURATION } from "../../raft/membership.ts";
import type { NodeHealth } from "../api.ts";
import type { NodeOptions } from "../options.ts";
import type { ClusterOptions } from "../peers/cluster.ts";
import type { Recovered } from "../recovery/recover.ts";
import { ClusterTime } from "./cluster-time.ts";

const HEARTBEAT_TICKS = 2;
const TICK_MS_MIN = 5;
/** Term of the checkpoint with which a cluster begins. */
const FOUNDED_INDEX = 1;

export function newCore(options: NodeOptions, recovered: Recovered): Core {
  const { members } = options.cluster;
  return createCore(
    {
      id: options.nodeId,
      electionTimeoutTicks: electionTicksOf(options.cluster),
      heartbeatTicks: HEARTBEAT_TICKS,
      random: options.random,
      priority: new Map(members.map(({ id, priority }) => [id, priority])),
      // The command queue bounds the accepted commands.
      maxUncommittedBytes: Number.MAX_SAFE_INTEGER,
    },
    {
      hardState: recovered.hardState,
      configuration: recovered.snapshot?.configuration ?? EMPTY_CONFIGURATION,
      ...(recovered.snapshot === null ? {} : { snapshot: recovered.snapshot }),
      ...(faultPoint("restart-forgets-the-log-before-its-checkpoint") ? {} : evictedOf(recovered)),
      entries: recovered.entries,
      marker: recovered.storage.journal.marker,
    },
  );
}

/** Restores the terms of journal entries before the checkpoint, so that lagging peers can get them. */
function evictedOf({ snapshot, storage: { journal } }: Recovered): Pick<InitialState, "evicted"> {
  if (snapshot === null || journal.firstIndex > snapshot.index) return {};
  const { index: through } = snapshot;
  const start = { index: before(journal.firstIndex), term: journal.baseTerm };
  const runs = journal.termRuns().filter(({ first }) => first <= through);
  return { evicted: { after: start, through, runs } };
}

export const newTime = (
  { nodeId: self, clock, log, acceptClock = false }: NodeOptions,
  core: Core,
  machine: Machine,
): ClusterTime =>
  new ClusterTime({
    self,
    clock,
    log,
    floor: () => machine.now,
    isNew: () => core.lastIndex <= FOUNDED_INDEX,
    voters: () => core.configuration.voters,
    acceptClock,
  });

export const tickMsOf = ({ heartbeatMs }: ClusterOptions): number =>
  Math.max(TICK_MS_MIN, heartbeatMs / HEARTBEAT_TICKS);

export const electionTicksOf = (cluster: ClusterOptions): number =>
  Math.max(HEARTBEAT_TICKS + 1, Math.round(cluster.electionTimeoutMs / tickMsOf(cluster)));

export function roleOf({ role, id, configuration }: Core): NodeHealth["role"] {
  if (role === "follower" && configuration.learners.includes(id)) return "learner";
  return role === "pre_candidate" ? "candidate" : role;
}
