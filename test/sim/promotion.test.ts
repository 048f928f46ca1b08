/** When a learner may become a voter. */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { NodeId } from "../../src/lib/ids.ts";
import { Script } from "../tools/sim/script.ts";

setDefaultTimeout(120_000);

const N4 = { nodeId: "n4", host: "n4", raftPort: 7000, httpPort: 8000, priority: null };
const message = "n4 has not been heard of yet";
const UNHEARD = { ok: false, code: "not_caught_up", message };

test("a learner that nobody has met does not become a voter, however short the log is", async () => {
  const script = new Script();
  script.start("n1", "n2", "n3");
  await script.create("t");
  await script.insist(
    (node) => node.addMember(N4),
    ({ ok }) => ok,
  );
  const early = await script.ask((node) => node.promoteMember("n4"));
  expect(early).toMatchObject(UNHEARD);
  // Another leader knows no more of it.
  script.leader?.kill();
  const late = await script.ask((node) => node.promoteMember("n4"));
  expect(late).toMatchObject(UNHEARD);
  script.start("n4");
  const promoted = await script.insist(
    (node) => node.promoteMember("n4"),
    ({ ok }) => ok,
  );
  expect(promoted.ok).toBe(true);
  const members = await script.ask((node) => node.membership().nodes);
  expect(members.find(({ nodeId }) => nodeId === ("n4" as NodeId))?.isVoter).toBe(true);
});
