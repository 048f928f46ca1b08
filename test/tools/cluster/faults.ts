/** Faults of nodes and links; each is over when its function returns. */
import { Client } from "./client.ts";
import { someOf } from "./cluster.ts";
import { type Network, separate } from "./links.ts";
import type { NodeProcess } from "./node-process.ts";
import type { Run } from "./run-state.ts";
import { timeTakeover } from "./takeover.ts";
import { consumeNewest, produce } from "./workload-log.ts";

export type Fault = (run: Run) => Promise<void>;

const DOWN_MS = [100, 2_500] as const;
const PAUSED_MS = [1_000, 4_000] as const;
const BROKEN_MS = [1_000, 5_000] as const;
const DELAY_MS_MAX = 250;
const CLOCK_MS = [2_000, 6_000] as const;
const JUMPS_SECONDS = [5, 3_600, 86_400];
const LURKERS = 12;
const ARRIVE_MS = 60;

const idOf = ({ id }: NodeProcess): string => id;

export const killLeader: Fault = async (run) => {
  const leader = await run.leader();
  if (leader === null) return;
  await Promise.all([kill(run, "kill-leader", [leader]), timeTakeover(run, leader)]);
};

export const killAny: Fault = (run) => kill(run, "kill", [run.random.pick(run.cluster.nodes)]);

/** All at once: only what is on the disks is left. */
export const restartAll: Fault = (run) => kill(run, "restart-all", run.cluster.nodes);

export const killMajority: Fault = (run) => {
  const { nodes } = run.cluster;
  return kill(run, "kill-majority", someOf(run.random, nodes, (nodes.length >> 1) + 1));
};

export const pauseLeader: Fault = async (run) => {
  const leader = await run.leader();
  if (leader === null) return;
  const paused = pause(run, "pause-leader", leader, () => lurk(run, leader));
  await Promise.all([paused, timeTakeover(run, leader)]);
};

export const pauseAny: Fault = (run) =>
  pause(run, "pause", run.random.pick(run.cluster.nodes), () => []);

/** Clients still reach it: it must know that it leads no longer. */
export const partitionLeader: Fault = async (run) => {
  const leader = await run.leader();
  if (leader === null) return;
  await Promise.all([partition(run, "partition-leader", [leader]), timeTakeover(run, leader)]);
};

export const partitionHalves: Fault = (run) => {
  const { nodes } = run.cluster;
  const side = someOf(run.random, nodes, 1 + run.random.below(nodes.length >> 1));
  return partition(run, "partition", side);
};

/** The leader dies when one follower has not heard of it for a while: that one must not follow it. */
export const killLeaderOfLaggard: Fault = async (run) => {
  const leader = await run.leader();
  const { links, nodes } = run.cluster;
  if (leader === null || links === null) return;
  const laggard = run.random.pick(nodes.filter((node) => node !== leader));
  separate(links, [laggard.id], [leader.id]);
  await run.pause(500, 2_000);
  // The others find the laggard's requests when they wake up, before they ask for votes themselves.
  const others = run.random.below(3) > 0 ? nodes : [];
  const paused = others.filter((node) => node !== leader && node !== laggard);
  for (const node of paused) node.pause();
  const killed = kill(run, "kill-leader-of-laggard", [leader]);
  await run.pause(300, 1_000);
  for (const node of paused) node.resume();
  await killed;
  links.heal(true);
};

/** Each node hears only the one before it. */
export const ring: Fault = (run) =>
  withLinks(run, "ring", "all", (links) => {
    const ids = run.cluster.nodes.map(idOf);
    for (const [i, from] of ids.entries()) {
      for (const [j, to] of ids.entries()) {
        if (i !== j && (i + 1) % ids.length !== j) links.set(from, to, { blocked: true });
      }
    }
  });

/** The leader speaks and does not hear, or hears and does not speak, or one link has one way. */
export const oneWay: Fault = async (run) => {
  const leader = await run.leader();
  if (leader === null) return;
  const others = run.cluster.nodes.filter((node) => node !== leader);
  const kind = run.random.below(3);
  const affected = kind === 2 ? [run.random.pick(others)] : others;
  await withLinks(run, "one-way", leader.id, (links) => {
    for (const { id } of affected) {
      if (kind === 0) links.set(leader.id, id, { blocked: true });
      else links.set(id, leader.id, { blocked: true });
    }
  });
};

export const slowLinks: Fault = (run) =>
  withLinks(run, "slow-link", "all", (links) => {
    const { nodes } = run.cluster;
    for (const from of nodes) {
      for (const to of nodes) {
        if (from === to || run.random.below(2) === 0) continue;
        links.set(from.id, to.id, { delayMs: run.random.below(DELAY_MS_MAX) });
      }
    }
  });

/** Connections break in the middle of a frame, again and again. */
export const cutFrames: Fault = (run) =>
  run.fault("cut-frames", "all", async () => {
    for (let i = 0; i < 10 && !run.isOver; i++) {
      const [from, to] = someOf(run.random, run.cluster.nodes, 2);
      if (from !== undefined && to !== undefined) run.cluster.links?.cutMidFrame(from.id, to.id);
      await run.pause(20, 200);
    }
  });

/** The dialler believes that a link ended, the other side does not. */
export const halfOpen: Fault = (run) =>
  withLinks(run, "half-open", "some", (links) => {
    const [from, to] = someOf(run.random, run.cluster.nodes, 2);
    if (from !== undefined && to !== undefined) links.halfOpen(from.id, to.id);
  });

/** The wall clock of one node is wrong for a while; that of the leader as often as any other. */
export const jumpClock: Fault = async (run) => {
  const leader = await run.leader();
  const isLeader = run.random.below(2) === 0 && leader !== null;
  const node = isLeader ? leader : run.random.pick(run.cluster.nodes);
  const seconds = run.random.pick(JUMPS_SECONDS) * (run.random.below(2) === 0 ? 1 : -1);
  await run.fault(`clock ${seconds} s`, `${node.id}${isLeader ? " (leader)" : ""}`, async () => {
    run.cluster.clocks?.set(node.id, seconds);
    await run.pause(...CLOCK_MS);
    run.cluster.clocks?.set(node.id, 0);
  });
};

/** Nothing more goes onto the disk of one node, or next to nothing. */
export const fillDisk: Fault = async (run) => {
  const leader = await run.leader();
  const isLeader = run.random.below(2) === 0 && leader !== null;
  const node = isLeader ? leader : run.random.pick(run.cluster.nodes);
  const spareBytes = run.random.pick([0, 100_000, 3_000_000]);
  await run.fault(`disk full but ${spareBytes}`, node.id, async () => {
    run.cluster.disks?.fill(node.dataDir, spareBytes);
    await run.pause(...BROKEN_MS);
    run.cluster.disks?.free(node.dataDir);
  });
};

async function kill(run: Run, kind: string, nodes: readonly NodeProcess[]): Promise<void> {
  await run.fault(kind, nodes.map(idOf).join(), async () => {
    await Promise.all(nodes.map((node) => node.kill()));
    await run.pause(...DOWN_MS);
    for (const node of nodes) if (node.state === "stopped") run.cluster.start(node);
    await Promise.all(nodes.map((node) => run.serves(node)));
  });
}

/** @param before is run when the node is about to go on. */
async function pause(
  run: Run,
  kind: string,
  node: NodeProcess,
  before: () => readonly Promise<unknown>[],
): Promise<void> {
  let begun: readonly Promise<unknown>[] = [];
  await run.fault(kind, node.id, async () => {
    node.pause();
    await run.pause(...PAUSED_MS);
    begun = before();
    // So that it finds them when it wakes up, before it can know that it leads no longer.
    await Bun.sleep(ARRIVE_MS);
    node.resume();
  });
  await Promise.all(begun);
}

/** Requests that wait in the sockets of a paused leader. */
function lurk(run: Run, leader: NodeProcess): Promise<unknown>[] {
  const { cluster, recorder, knowledge, random } = run;
  return Array.from({ length: LURKERS }, async (_, i) => {
    const client = new Client(`lurker${i}`, cluster);
    const actor = { client, recorder, knowledge, random };
    await (i % 4 === 3 ? produce(actor, leader) : consumeNewest(actor, leader));
    client.close();
  });
}

async function partition(run: Run, kind: string, side: readonly NodeProcess[]): Promise<void> {
  const others = run.cluster.nodes.filter((node) => !side.includes(node));
  await withLinks(run, kind, side.map(idOf).join(), (links) =>
    separate(links, side.map(idOf), others.map(idOf)),
  );
}

/** Disturbs links for a while; afterwards connections break, or what was held back arrives late. */
async function withLinks(
  run: Run,
  kind: string,
  target: string,
  disturb: (links: Network) => void,
): Promise<void> {
  const { links } = run.cluster;
  if (links === null) throw new Error(`${kind} needs proxies`);
  await run.fault(kind, target, async () => {
    disturb(links);
    await run.pause(...BROKEN_MS);
    links.heal(run.random.below(2) === 0);
  });
}
