// A voter comes back without its disk: it has forgotten what it acknowledged, so its vote must not
// count, also not for a node that has just started or that has never heard of the disk.
import { expect, test } from "bun:test";
import { Script } from "../tools/sim/script.ts";
import type { SimNode } from "../tools/sim/sim-node.ts";

const LONG_MS = 10_000;

const topicsOf = ({ node }: SimNode): string[] =>
  node?.listTopics().map(({ topic }) => topic) ?? [];

/** `lost` is back, blank, and the only one that `candidate` can reach: nobody may lead. */
async function mustNotLead(script: Script, candidate: SimNode, lost: SimNode): Promise<void> {
  for (const id of [candidate.id, lost.id]) script.start(id);
  await script.pass(LONG_MS);
  expect([candidate.up, lost.up]).toEqual([true, true]);
  expect(script.leader).toBeNull();
}

async function mustHaveAll(script: Script, nodes: readonly SimNode[]): Promise<void> {
  for (const node of nodes) {
    await script.until(`${node.id} has all`, () => topicsOf(node).includes("acknowledged"));
  }
}

/** A cluster that n2 was not there for when it was founded: its disk is known from the log only. */
async function foundedWithout2(): Promise<{ script: Script; nodes: [SimNode, SimNode, SimNode] }> {
  const script = new Script({ spares: 0 });
  const nodes = ["n1", "n2", "n3"].map((id) => script.node(id)) as [SimNode, SimNode, SimNode];
  script.start("n1", "n3");
  await script.create("first");
  await script.insist(
    (node) => node.transferLeadership("n1"),
    () => script.leader?.id === nodes[0].id,
  );
  return { script, nodes };
}

test("a node that has just started counts no vote of another disk than its log names", async () => {
  const { script, nodes } = await foundedWithout2();
  const [leader, lost, behind] = nodes;
  script.start("n2");
  await script.until("n2 has all", () => topicsOf(lost).length === 1);
  await script.pass(LONG_MS);
  behind.kill();
  await script.create("acknowledged");
  leader.kill();
  lost.wipe();
  await mustNotLead(script, behind, lost);
  script.start(leader.id);
  await mustHaveAll(script, [leader, behind]);
});

test("a node that never heard of a member's disk counts no vote of it", async () => {
  const { script, nodes } = await foundedWithout2();
  const [leader, lost, early] = nodes;
  const { networks } = script.cluster;
  networks.block("n1", "n3");
  networks.block("n3", "n1");
  script.start("n2");
  await script.create("acknowledged");
  leader.kill();
  lost.wipe();
  await mustNotLead(script, early, lost);
  networks.heal();
  script.start(leader.id);
  await mustHaveAll(script, [leader, early]);
});

test("whole disks elect a leader when all nodes start at once, before anything is applied", async () => {
  const script = new Script({ spares: 0 });
  script.start();
  await script.create("acknowledged");
  await script.pass(LONG_MS);
  for (const node of script.cluster.nodes) node.kill();
  script.start("n2", "n3");
  await mustHaveAll(script, [script.node("n2"), script.node("n3")]);
});
