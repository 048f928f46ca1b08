/** The scenarios that a cluster goes through, by name. */
import type { Demands } from "../history/vacuity.ts";
import { flipBits } from "./bitflip-scenario.ts";
import type { NetworkKind } from "./cluster.ts";
import * as faults from "./faults.ts";
import { membersShare } from "./group-scenario.ts";
import { killsInARow } from "./kills-scenario.ts";
import { growAndShrink, replaceDisks, wipeFollower } from "./members-scenarios.ts";
import type { Observer } from "./observer.ts";
import type { Run } from "./run-state.ts";

export type Scenario = {
  readonly help: string;
  readonly size: number;
  /** How many of them found the cluster; the others join. */
  readonly initialMembers?: number;
  /** Where links are disturbed; absent: nothing is between the nodes. */
  readonly network?: NetworkKind;
  /** Settings of all nodes. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Sets wall clocks. */
  readonly clocks?: boolean;
  /** Fills disks up. */
  readonly smallDisks?: boolean;
  /** Events that a run must have seen in each ten seconds; one node needs no leader change. */
  readonly demands: Partial<Demands>;
  /** Goes on until the run is over. */
  readonly act: (run: Run, observer: Observer) => Promise<void>;
};

/** One fault after the other, with some rest in which the cluster can show that it works. */
const repeat =
  (...kinds: readonly faults.Fault[]) =>
  async (run: Run): Promise<void> => {
    while (!run.isOver) {
      await run.random.pick(kinds)(run);
      await run.leader();
      await run.pause(400, 1_500);
    }
  };

/** The same, but the next fault may come before the last one is overcome. */
const hurry =
  (...kinds: readonly faults.Fault[]) =>
  async (run: Run): Promise<void> => {
    while (!run.isOver) {
      await run.random.pick(kinds)(run);
      if (run.random.below(3) > 0) await run.leader();
      await run.pause(0, 1_500);
    }
  };

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "kill-leader": {
    help: "SIGKILL to the leader, again and again",
    size: 3,
    demands: { faults: 2, leaderChanges: 1 },
    act: repeat(faults.killLeader),
  },
  "kills-in-a-row": {
    help: "SIGKILL to each leader, as soon as the one before is back: one for every two --seconds",
    size: 3,
    demands: {},
    act: killsInARow,
  },
  "through-followers": {
    help: "followers forward writes; the leader is killed, stopped, or cut off mid-frame",
    size: 3,
    network: "proxies",
    environment: { RF_HA_FOLLOWER_WRITES: "forward" },
    demands: { faults: 2, leaderChanges: 1 },
    act: repeat(
      faults.killLeader,
      faults.killLeader,
      faults.pauseLeader,
      faults.partitionLeader,
      faults.cutFrames,
    ),
  },
  "kill-any": {
    help: "SIGKILL to any node; with --nodes 1 to the only one",
    size: 3,
    demands: { faults: 2 },
    act: repeat(faults.killAny),
  },
  "pause-leader": {
    help: "SIGSTOP to the leader, and SIGCONT when there is another",
    size: 3,
    demands: { faults: 1, leaderChanges: 1 },
    act: repeat(faults.pauseLeader),
  },
  "partition-leader": {
    help: "the leader alone on its side, but in reach of clients",
    size: 3,
    network: "proxies",
    demands: { faults: 1, leaderChanges: 1 },
    act: repeat(faults.partitionLeader),
  },
  laggard: {
    help: "the leader is killed when one follower has not heard of it for a while",
    size: 3,
    network: "proxies",
    demands: { faults: 1, leaderChanges: 1 },
    act: repeat(faults.killLeaderOfLaggard),
  },
  "one-way": {
    help: "links to or from the leader carry one way only",
    size: 3,
    network: "proxies",
    demands: { faults: 1 },
    act: repeat(faults.oneWay),
  },
  namespaces: {
    help: "partitions and one-way loss by the kernel, each node in a network namespace (root)",
    size: 3,
    network: "namespaces",
    demands: { faults: 1 },
    act: repeat(faults.partitionLeader, faults.partitionHalves, faults.oneWay, faults.ring),
  },
  "slow-link": {
    help: "delays up to a quarter of a second, each way by itself; connections cut mid-frame",
    size: 3,
    network: "proxies",
    demands: { faults: 1 },
    act: repeat(faults.slowLinks, faults.cutFrames, faults.halfOpen),
  },
  "restart-all": {
    help: "SIGKILL to all nodes at once",
    size: 3,
    demands: { faults: 1 },
    act: repeat(faults.restartAll),
  },
  clocks: {
    help: "wall clocks jump by seconds, an hour or a day (needs libfaketime)",
    size: 3,
    clocks: true,
    demands: { faults: 1 },
    act: repeat(faults.jumpClock),
  },
  "disk-full": {
    help: "the disk of a node is full for a while, that of the leader as often as any (root)",
    size: 3,
    smallDisks: true,
    demands: { faults: 1 },
    act: repeat(faults.fillDisk),
  },
  "wipe-follower": {
    help: "a node comes back without its disk: it must not count until it is added anew",
    size: 3,
    demands: { faults: 1 },
    act: wipeFollower,
  },
  "replace-disks": {
    help: "one node after the other is removed and added again with an empty disk",
    size: 3,
    demands: { faults: 2 },
    act: replaceDisks,
  },
  bitflip: {
    help: "a flipped bit in each kind of file of a node, stopped or running, which must heal",
    size: 3,
    demands: { faults: 1 },
    act: flipBits,
  },
  "grow-shrink": {
    help: "1 → 3 → 5 → 3 nodes and back, by changes of membership",
    size: 5,
    initialMembers: 1,
    demands: { faults: 2 },
    act: growAndShrink,
  },
  groups: {
    help: "10 members of a group, while nodes are killed and stopped and members pause and vanish",
    size: 3,
    demands: { faults: 2 },
    act: membersShare(faults.killLeader, faults.killAny, faults.pauseLeader, faults.pauseAny),
  },
  "groups-clocks": {
    help: "the same while wall clocks jump as well (needs libfaketime)",
    size: 3,
    clocks: true,
    demands: { faults: 1 },
    act: membersShare(faults.jumpClock, faults.killLeader, faults.pauseAny),
  },
  mixed: {
    help: "all of it, in random order",
    size: 5,
    network: "proxies",
    demands: { faults: 2, leaderChanges: 1 },
    act: hurry(
      faults.killLeader,
      faults.killLeaderOfLaggard,
      faults.killAny,
      faults.killMajority,
      faults.restartAll,
      faults.pauseLeader,
      faults.pauseAny,
      faults.partitionLeader,
      faults.partitionHalves,
      faults.ring,
      faults.oneWay,
      faults.slowLinks,
      faults.cutFrames,
      faults.halfOpen,
    ),
  },
};
