import { expect, test } from "bun:test";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

test("the only voter cannot be removed, is told why, and goes on", async () => {
  const single = new SingleNode(new Random(1));
  const node = await single.open();
  const { nodes } = node.membership();
  expect(nodes.map(({ isVoter }) => isVoter)).toEqual([true]);
  const id = nodes[0]?.nodeId ?? "";
  const removed = await single.settled(node.removeMember(id));
  expect(removed).toMatchObject({ ok: false, code: "last_voter" });
  if (removed.ok) throw new Error("removed");
  expect(removed.message).toContain(`${id} is the only voter`);
  // A learner does not count: it cannot lead.
  const request = { nodeId: "n2", host: "localhost", raftPort: 1, httpPort: null, priority: null };
  expect(await single.settled(node.addMember(request))).toMatchObject({ ok: true });
  expect(await single.settled(node.removeMember(id))).toMatchObject({ code: "last_voter" });
  expect(await single.settled(node.removeMember("n2"))).toMatchObject({ ok: true });
});
