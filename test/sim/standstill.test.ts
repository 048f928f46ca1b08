/** A member that hears its leader and yet gets no further: it says so, and so does the leader. */
import { expect, test } from "bun:test";
import { Script } from "../tools/sim/script.ts";
import type { SimNode } from "../tools/sim/sim-node.ts";

test("a follower whose log stands still is neither ready nor healthy until it moves again", async () => {
  const script = new Script({ spares: 0 });
  script.start();
  await script.create("t");
  const ready = ({ node }: SimNode) => node?.health().ready === true;
  await script.until("all are ready", () => script.cluster.nodes.every(ready));
  const leader = script.leader;
  const slow = script.cluster.nodes.find((one) => one !== leader);
  if (leader === null || slow === undefined) throw new Error("no leader, or no follower");
  const healthy = () =>
    leader.node?.membership().nodes.find(({ nodeId }) => nodeId === slow.id)?.healthy;
  expect(healthy()).toBe(true);

  slow.diskState.stuckUntilMs = script.cluster.queue.elapsedMs + 20_000;
  await script.create("u");
  await script.until("it is not ready", () => !ready(slow));
  expect(slow.node?.health()).toMatchObject({
    ready: false,
    reason: "lagging behind the leader",
    leaderId: leader.id,
  });
  await script.until("the leader sees it", () => healthy() === false);
  expect(leader.node?.health().ready).toBe(true);

  await script.until("it is ready again", () => ready(slow) && healthy() === true);
  // A change of leaders alone does not count as lag.
  await script.insist(
    (node) => node.transferLeadership(slow.id),
    () => script.leader === slow,
  );
  await script.pass(3_000);
  expect(script.cluster.nodes.map(ready)).toEqual([true, true, true]);
});
