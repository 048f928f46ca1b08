import { expect, test } from "bun:test";
import { Acknowledgements, type WriteConcern } from "../../src/node/write-concern.ts";
import { type Core, createCore } from "../../src/raft/core.ts";
import { configurationOf } from "../../src/raft/membership.ts";
import type { LogIndex, NodeId, Term } from "../../src/raft/types.ts";

const ids = ["node1", "node2", "node3"] as NodeId[];
const [self, peer] = ids as [NodeId, NodeId, NodeId];

/** A leader of three with one entry that its own disk and that of `peer` have. */
function leader(): { core: Core; index: LogIndex } {
  const core = createCore(
    {
      id: self,
      electionTimeoutTicks: 10,
      heartbeatTicks: 1,
      preVote: false,
      random: { u32: () => 0 },
    },
    { configuration: configurationOf(ids) },
  );
  core.campaign();
  core.persisted(core.drain().persist?.token ?? 0);
  const term = core.term;
  const hint = { commit: 0 as LogIndex, commitTerm: 0 as Term };
  core.step({ type: "vote_response", from: peer, to: self, term, granted: true, ...hint });
  const proposed = core.propose(new Uint8Array([1]));
  if (!proposed.ok) throw new Error(proposed.code);
  core.persisted(core.drain().persist?.token ?? 0);
  const match = proposed.index;
  core.step({ type: "append_response", from: peer, to: self, term, accepted: true, match });
  return { core, index: match };
}

const acknowledgements = (core: Core, concern: WriteConcern = { kind: "majority" }) =>
  new Acknowledgements(core, concern);

test("an entry counts the disks that are known to have it", () => {
  const { core, index } = leader();
  expect(acknowledgements(core).enough(index)).toBe(2);
});

test("a committed entry is on a majority of disks, also for one who leads no more", () => {
  const { core, index } = leader();
  core.stepDown();
  expect(core.role).toBe("follower");
  expect(acknowledgements(core).enough(index)).toBe(2);
});

test("who wants every disk is not content with a majority", () => {
  const { core, index } = leader();
  expect(acknowledgements(core, { kind: "all" }).enough(index)).toBe(-1);
  core.stepDown();
  expect(acknowledgements(core, { kind: "all" }).enough(index)).toBe(-1);
});
