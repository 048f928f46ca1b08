/** Membership changes: paper section 6, dissertation chapter 4; in force when applied, as in etcd. */
import { describe, expect, test } from "bun:test";
import { configurationOf, EMPTY_CONFIGURATION } from "../../src/raft/membership.ts";
import type { MembershipChange } from "../../src/raft/types.ts";
import {
  ballot,
  bytes,
  Cluster,
  entriesOf,
  from,
  id,
  ids,
  index,
  Solo,
  term,
} from "../tools/raft/harness.ts";

const add = (name: string): MembershipChange => ({ type: "add_voter", id: id(name) });
const learn = (name: string): MembershipChange => ({ type: "add_learner", id: id(name) });
const remove = (name: string): MembershipChange => ({ type: "remove", id: id(name) });

/** Initial members begin with entry 1 in a snapshot, so that new members learn of them from it. */
function bootstrapped(names: string, others = ""): Cluster {
  const cluster = new Cluster(names);
  for (const member of cluster.members.values()) {
    const { configuration } = member.core;
    member.store.snapshot = { index: index(1), term: term(1), configuration };
    member.applied = [{ index: 1, term: 1, data: "" }];
    member.restart();
  }
  for (const name of ids(others)) cluster.add(name, EMPTY_CONFIGURATION);
  return cluster.elect(names.split(" ")[0] ?? "");
}

const voters = (cluster: Cluster, name: string) => cluster.core(name).configuration.voters;

test("one voter is added by a simple change, and gets all there is", () => {
  const cluster = bootstrapped("n1", "n2");
  expect(cluster.core("n1").proposeConfChange([add("n2")]).ok).toBe(true);
  cluster.settle().tick(3);
  expect(voters(cluster, "n2")).toEqual(ids("n1 n2"));
  expect(cluster.core("n2").appliedIndex).toBe(cluster.core("n1").appliedIndex);
});

test("a Raft group of one grows to three, and survives the loss of its first member", () => {
  const cluster = bootstrapped("n1", "n2 n3");
  cluster.core("n1").proposeConfChange([add("n2"), add("n3")]);
  cluster.settle().tick(5);
  expect(cluster.core("n1").configuration).toMatchObject({
    voters: ids("n1 n2 n3"),
    votersOutgoing: [],
    autoLeave: false,
  });
  cluster.cut("n1");
  cluster.tick(60);
  const roles = [cluster.core("n2").role, cluster.core("n3").role];
  expect(roles).toContain("leader");
});

test("a node is replaced by another in one change, through joint consensus", () => {
  const cluster = bootstrapped("n1 n2 n3", "n4");
  cluster.core("n1").proposeConfChange([remove("n3"), add("n4")]);
  cluster.settle().tick(5);
  for (const name of ["n1", "n2", "n4"]) expect(voters(cluster, name)).toEqual(ids("n1 n2 n4"));
});

test("a voter that was just added does not cost the leader its quorum before it could answer", () => {
  const solo = Solo.of("n1").tick();
  solo.core.proposeConfChange([add("n2")]);
  solo.settle();
  expect(solo.core.configuration.voters).toEqual(ids("n1 n2"));
  expect(solo.tick(10).core.role).toBe("leader");
  expect(solo.tick(10).core.role).toBe("follower");
});

test("a leader that begins in a joint configuration leaves it once it may", () => {
  const configuration = {
    ...configurationOf(ids("n1 n2")),
    votersOutgoing: ids("n1 n3"),
    learnersNext: ids("n3"),
    autoLeave: true,
  };
  const snapshot = { index: index(4), term: term(2), configuration };
  const solo = Solo.of("", { initial: { configuration, snapshot } });
  solo.core.campaign();
  solo.settle();
  for (const type of ["pre_vote_response", "vote_response"] as const) {
    for (const peer of ["n2", "n3"]) solo.step(from(peer, 3, ballot(type, true)));
  }
  expect([solo.core.role, solo.core.lastIndex]).toEqual(["leader", index(5)]);
  // Its first entry needs both halves, and the end of joint both again.
  solo.accept("n2", 5);
  expect(solo.core.lastIndex).toBe(index(5));
  solo.accept("n3", 5);
  expect(solo.core.lastIndex).toBe(index(6));
  solo.accept("n2", 6);
  expect(solo.core.configuration).toEqual(configuration);
  solo.accept("n3", 6);
  expect(solo.core.configuration).toEqual(configurationOf(ids("n1 n2"), ids("n3")));
});

test("a joint configuration entered explicitly stays until it is left", () => {
  const cluster = bootstrapped("n1 n2 n3", "n4");
  const core = cluster.core("n1");
  core.proposeConfChange([add("n4")], "joint_explicit");
  cluster.settle().tick(5);
  expect(core.configuration).toMatchObject({ votersOutgoing: ids("n1 n2 n3"), autoLeave: false });
  expect(core.proposeConfChange([add("n5")])).toEqual({ ok: false, code: "joint" });
  expect(core.proposeConfChange([]).ok).toBe(true);
  cluster.settle();
  expect(core.configuration.votersOutgoing).toEqual([]);
  expect(core.proposeConfChange([])).toEqual({ ok: false, code: "not_joint" });
});

test("while joint, both majorities are needed", () => {
  const cluster = bootstrapped("n1 n2 n3", "n4 n5");
  const core = cluster.core("n1");
  core.proposeConfChange([remove("n2"), remove("n3"), add("n4"), add("n5")], "joint_explicit");
  cluster.settle().tick(5);
  const at = core.commitIndex;
  cluster.cut("n4", "n5");
  core.propose(bytes("x"));
  cluster.settle();
  expect(core.commitIndex).toBe(at);
  cluster.heal();
  cluster.cut("n2", "n3");
  core.propose(bytes("y"));
  cluster.settle();
  // "x" has both majorities by now, of different members; "y" has only the new one.
  expect(core.commitIndex).toBe(index(at + 1));
  cluster.heal();
  expect(cluster.tick(3).core("n1").commitIndex).toBe(index(at + 2));
});

describe("one change at a time", () => {
  test("none before the leader committed an entry of its term", () => {
    const solo = Solo.of("n1 n2 n3").elect();
    expect(solo.core.proposeConfChange([add("n4")])).toEqual({ ok: false, code: "not_ready" });
    solo.accept("n2", 1);
    expect(solo.core.proposeConfChange([add("n4")]).ok).toBe(true);
  });

  test("none before the previous is applied", () => {
    const solo = Solo.of("n1 n2 n3").lead();
    solo.core.proposeConfChange([learn("n4")]);
    const refused = { ok: false, code: "change_in_flight" } as const;
    expect(solo.settle().core.proposeConfChange([learn("n5")])).toEqual(refused);
    solo.core.step(from("n2", 1, { type: "append_response", accepted: true, match: index(2) }));
    expect(solo.core.proposeConfChange([learn("n5")])).toEqual(refused);
    expect(solo.settle().core.proposeConfChange([learn("n5")]).ok).toBe(true);
  });

  test("none before a new leader has applied the tail it came with", () => {
    const cluster = bootstrapped("n1 n2 n3");
    cluster.cut("n1");
    cluster.core("n1").proposeConfChange([learn("n9")]);
    cluster.settle();
    cluster.heal();
    cluster.elect("n2").elect("n3");
    const core = [...cluster.members.values()].find((m) => m.core.role === "leader")?.core;
    expect(core?.proposeConfChange([learn("n8")]).ok).toBe(true);
    expect(core?.proposeConfChange([learn("n7")])).toMatchObject({ code: "change_in_flight" });
  });

  test("one that makes no sense is refused with the reason", () => {
    const solo = Solo.of("n1").tick();
    expect(solo.core.proposeConfChange([remove("n1")])).toEqual({
      ok: false,
      code: "invalid_change",
      reason: "removed all voters",
    });
    expect(solo.core.lastIndex).toBe(index(1));
  });
});

test("a leader that is removed replicates until the change is committed, then steps down", () => {
  const cluster = bootstrapped("n1 n2 n3");
  cluster.core("n1").proposeConfChange([remove("n1")]);
  cluster.settle();
  expect(cluster.core("n1").role).toBe("follower");
  cluster.tick(60);
  expect(cluster.core("n1").role).toBe("follower");
  expect([cluster.core("n2").role, cluster.core("n3").role]).toContain("leader");
  for (const name of ["n2", "n3"]) expect(voters(cluster, name)).toEqual(ids("n2 n3"));
});

test("a removed follower is told of it, and stays quiet", () => {
  const cluster = bootstrapped("n1 n2 n3");
  cluster.core("n1").proposeConfChange([remove("n3")]);
  cluster.settle();
  expect(voters(cluster, "n3")).toEqual(ids("n1 n2"));
  cluster.tick(60);
  expect([cluster.core("n3").role, cluster.core("n1").role]).toEqual(["follower", "leader"]);
});

describe("learners", () => {
  test("get everything, but count for nothing", () => {
    const cluster = bootstrapped("n1 n2", "n9");
    cluster.core("n1").proposeConfChange([learn("n9")]);
    cluster.settle().tick(3);
    expect(cluster.core("n9").appliedIndex).toBe(cluster.core("n1").appliedIndex);
    expect(cluster.core("n9").status().isLearner).toBe(true);
    const at = cluster.core("n1").commitIndex;
    cluster.cut("n2");
    cluster.core("n1").propose(bytes("x"));
    cluster.settle();
    expect(cluster.core("n1").commitIndex).toBe(at);
  });

  test("one that was promoted without knowing it votes all the same", () => {
    const cluster = bootstrapped("n1 n2", "n3");
    cluster.core("n1").proposeConfChange([learn("n3")]);
    cluster.settle().tick(2);
    cluster.core("n1").proposeConfChange([add("n3")]);
    cluster.passes = ({ to, type }) => to !== "n3" || type.includes("vote");
    cluster.settle();
    cluster.cut("n1");
    const { passes } = cluster;
    cluster.passes = (m) => passes(m) && (m.to !== "n3" || m.type.includes("vote"));
    expect(cluster.core("n3").status().isLearner).toBe(true);
    cluster.tick(40);
    expect(cluster.core("n2").role).toBe("leader");
  });

  test("a voter that becomes a learner waits for the end of joint", () => {
    const cluster = bootstrapped("n1 n2 n3");
    cluster.core("n1").proposeConfChange([learn("n3")], "joint_implicit");
    cluster.settle().tick(2);
    expect(cluster.core("n1").configuration).toMatchObject({
      voters: ids("n1 n2"),
      learners: ids("n3"),
      learnersNext: [],
    });
  });
});

// etcd issue 12359. Joint of (n2 n3) and (n1 n2); entry 2 leaves it. n1 knows that entry 2 is
// committed, thus is out, and has the longest log; n2 does not know and needs the vote of n1, which
// refuses; n3 knows, but its log is shorter than that of n2. Only the commit told in a refusal helps.
test("a commit that n2 does not know of does not deadlock the election", () => {
  const joint = { ...configurationOf(ids("n2 n3")), votersOutgoing: ids("n1 n2"), autoLeave: true };
  const leave = { index: index(2), term: term(1), type: "conf_change", data: bytes("") } as const;
  const cluster = new Cluster("n1 n2 n3");
  for (const [name, last, commit] of [
    ["n1", 4, 2],
    ["n2", 3, 1],
    ["n3", 2, 2],
  ] as const) {
    const member = cluster.get(name);
    member.store.snapshot = { index: index(1), term: term(1), configuration: joint };
    member.store.entries = [leave, ...entriesOf(3, 1, 1)].slice(0, last - 1);
    member.store.hardState = { term: term(1), vote: null, commit: index(commit) };
    member.applied = [{ index: 1, term: 1, data: "" }];
    member.restart();
  }
  cluster.settle();
  expect(voters(cluster, "n1")).toEqual(ids("n2 n3"));
  expect(cluster.core("n2").configuration).toEqual(joint);
  cluster.tick(60);
  expect(cluster.core("n2").role).toBe("leader");
});

test("a joint configuration is left as soon as a transfer that hindered it is given up", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  solo.core.proposeConfChange([remove("n3"), add("n4")]);
  solo.core.transferLeadership(id("n3"));
  solo.settle().accept("n2", 2);
  expect(solo.core.configuration.autoLeave).toBe(true);
  expect(solo.core.lastIndex).toBe(index(2));
  solo.tick(10);
  expect(solo.core.lastIndex).toBe(index(3));
});

test("the change is in force for all: quorum, replication, and the output says so", () => {
  const solo = Solo.of("n1").tick();
  solo.core.proposeConfChange([add("n2")]);
  solo.settle();
  const last = solo.outputs.filter((output) => output.configuration !== null).at(-1);
  expect(last?.configuration?.voters).toEqual(ids("n1 n2"));
  solo.core.propose(bytes("x"));
  expect(solo.settle().core.commitIndex).toBe(index(2));
  expect(solo.accept("n2", 3).core.commitIndex).toBe(index(3));
});

test("who may not campaign forgets a leader that is silent for an election timeout", () => {
  const configuration = { ...configurationOf(ids("n2 n3")), learners: ids("n1") };
  const heartbeat = { type: "heartbeat", commit: index(0), round: 0 } as const;
  const solo = Solo.of("", { initial: { configuration } });
  solo.step(from("n2", 1, heartbeat)).tick(9);
  expect(solo.core.leader).toBe(id("n2"));
  solo.tick(11);
  expect([solo.core.role, solo.core.leader, solo.core.term]).toEqual(["follower", null, term(1)]);
  expect(solo.core.readIndex("a")).toEqual({ ok: false, code: "no_leader" });
  solo.step(from("n2", 1, heartbeat));
  expect(solo.core.leader).toBe(id("n2"));
});
