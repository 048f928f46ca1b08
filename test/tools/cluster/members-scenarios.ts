/** Scenarios in which nodes come, go, and come back as somebody else. */
import { someOf } from "./cluster.ts";
import { join, leave, replaceDisk } from "./membership.ts";
import type { NodeProcess } from "./node-process.ts";
import type { Run } from "./run-state.ts";

const FEW = 3;
/** A removed node stays for a while: it must not disturb the others. */
const LINGER_MS = [200, 1_500] as const;
/** How long a node without its disk has to do damage. */
const AMNESIA_MS = [1_500, 3_000] as const;

/** 1 → 3 → 5 → 3 → 5 …, now and then without the leader. */
export async function growAndShrink(run: Run): Promise<void> {
  while (!run.isOver) {
    if (!(await growTo(run, run.cluster.nodes.length))) return;
    if (!(await shrinkTo(run, FEW))) return;
  }
  // The time may be over with two nodes, of which none may fail.
  if (run.members.length === 2) await grow(run);
}

async function growTo(run: Run, size: number): Promise<boolean> {
  while (run.members.length < size && !run.isOver) if (!(await grow(run))) return false;
  return true;
}

async function shrinkTo(run: Run, size: number): Promise<boolean> {
  while (run.members.length > size && !run.isOver) {
    const leader = run.random.below(2) === 0 ? await run.leader() : null;
    if (!(await shrink(run, leader ?? run.random.pick(run.members)))) return false;
  }
  return true;
}

async function grow(run: Run): Promise<boolean> {
  const { cluster, members, random } = run;
  const node = random.pick(cluster.nodes.filter((one) => !members.includes(one)));
  let joined = false;
  await run.fault("grow", node.id, async () => {
    cluster.start(node);
    joined = (await run.serves(node)) && (await join(run, node));
  });
  if (joined) run.members = [...run.members, node];
  await run.pause(100, 800);
  return joined;
}

async function shrink(run: Run, node: NodeProcess): Promise<boolean> {
  let left = false;
  await run.fault("shrink", node.id, async () => {
    left = await leave(run, node);
    await run.pause(...LINGER_MS);
    await node.kill();
    node.wipe();
  });
  if (left) run.members = run.members.filter((one) => one !== node);
  await run.pause(100, 800);
  return left;
}

/**
 * A node comes back without its disk. It has forgotten what it voted for and what it acknowledged,
 * so it must not count: with the other follower down, nothing may be acknowledged.
 */
export async function wipeFollower(run: Run): Promise<void> {
  const { cluster, random } = run;
  while (!run.isOver) {
    const leader = await run.leader();
    if (leader === null) return;
    const [wiped, ...others] = someOf(random, cluster.nodes, cluster.nodes.length).filter(
      (node) => node !== leader,
    );
    if (wiped === undefined) return;
    await run.fault("wipe", wiped.id, () => withoutDisk(run, wiped, others));
    await run.leader();
    let back = false;
    await run.fault("replace", wiped.id, async () => {
      back = await replaceDisk(run, wiped);
    });
    if (!back) return;
    await run.pause(500, 2_000);
  }
}

/** One node after the other gets an empty disk, the leader as well, without a rest between them. */
export async function replaceDisks(run: Run): Promise<void> {
  let back = true;
  while (back && !run.isOver) {
    const node = run.random.pick(run.cluster.nodes);
    await run.fault("replace", node.id, async () => {
      back = await replaceDisk(run, node);
    });
  }
}

async function withoutDisk(
  run: Run,
  wiped: NodeProcess,
  others: readonly NodeProcess[],
): Promise<void> {
  const { cluster, recorder } = run;
  await wiped.kill();
  wiped.wipe();
  // With all its settings, as a supervisor would start it: it may have bootstrapped the cluster.
  cluster.start(wiped, true);
  await run.pause(...AMNESIA_MS);
  // Enough nodes that the remaining ones are not a majority without the wiped one.
  const majority = (cluster.nodes.length >> 1) + 1;
  const down = others.slice(0, others.length + 2 - majority);
  await Promise.all(down.map((node) => node.kill()));
  const begin = recorder.now();
  await Bun.sleep(AMNESIA_MS[0]);
  const end = recorder.now();
  for (const node of down) cluster.start(node);
  await Promise.all(down.map((node) => run.serves(node)));
  for (const one of recorder.operations) {
    if (one.op !== "produce" || one.outcome !== "ok") continue;
    if (one.call < begin || one.ret > end) continue;
    run.findings.push(`acknowledged on a majority with a wiped disk: ${JSON.stringify(one)}`);
    return;
  }
}
