/** Leader election: paper section 5.1, 5.2, 5.4.1; dissertation 4.2.3 and 9.6 (pre-vote, leases). */
import { describe, expect, test } from "bun:test";
import {
  ballot,
  Cluster,
  entriesOf,
  from,
  id,
  ids,
  index,
  newCore,
  type Options,
  Solo,
  term,
} from "../tools/raft/harness.ts";
import { forEachSeed } from "../tools/random.ts";

const PLAIN: Options = { preVote: false, checkQuorum: false };
const ask = (last: number, lastTerm: number, transfer = false) =>
  ({
    type: "vote_request",
    lastIndex: index(last),
    lastTerm: term(lastTerm),
    transfer,
    commit: index(0),
    commitTerm: term(0),
  }) as const;
const askFirst = (last: number, lastTerm: number) =>
  ({ ...ask(last, lastTerm), type: "pre_vote_request" }) as const;
const heartbeat = { type: "heartbeat", commit: index(0), round: 0 } as const;

const inRole = (role: string, options: Options): Solo => {
  const solo = Solo.of("n1 n2 n3", options);
  if (role === "leader") solo.elect();
  if (role.endsWith("candidate")) solo.core.campaign();
  return solo.settle();
};

test("servers start as followers that know no leader (5.2)", () => {
  const { core } = Solo.of("n1 n2 n3");
  expect([core.role, core.leader, core.term]).toEqual(["follower", null, term(0)]);
});

describe("a larger term makes any role a follower (5.1)", () => {
  for (const role of ["follower", "candidate", "leader"]) {
    test(role, () => {
      const solo = Solo.of("n1 n2 n3", PLAIN);
      if (role === "leader") solo.elect();
      if (role === "candidate") solo.core.campaign();
      solo.settle().step(from("n2", 7, heartbeat));
      expect([solo.core.role, solo.core.term, solo.core.leader]).toEqual([
        "follower",
        term(7),
        id("n2"),
      ]);
    });
  }
});

test("messages of an older term change nothing; a leader of it is told of the new one (5.1)", () => {
  const solo = Solo.of("n1 n2 n3", PLAIN);
  solo.step(from("n2", 5, heartbeat)).takeAll();
  solo.step(from("n3", 4, heartbeat), from("n3", 4, ask(9, 4)));
  expect(solo.takeAll()).toMatchObject([{ type: "append_response", to: "n3", term: 5, match: 0 }]);
  expect(solo.core.leader).toBe(id("n2"));
});

test("a message cannot use up the terms that there are", () => {
  const solo = Solo.of("n1 n2 n3", PLAIN).lead();
  for (const far of [Number.MAX_SAFE_INTEGER, 2 ** 32 + 2]) {
    solo.step(
      from("n2", far, heartbeat),
      from("n2", far, ask(9, 9)),
      from("n2", far, ballot("vote_response", false)),
    );
  }
  expect([solo.core.role, solo.core.term, solo.takeAll()]).toEqual(["leader", term(1), []]);
  solo.step(from("n2", 2 ** 32 + 1, heartbeat));
  expect([solo.core.role, solo.core.leader]).toEqual(["follower", id("n2")]);
});

test("a learner whose term was raised by a removed node gets back to its leader", () => {
  const cluster = new Cluster("n1 n2", PLAIN).elect("n1");
  const configuration = { ...newCore("n1", "n1 n2").configuration, learners: ids("n8") };
  cluster.core("n1").proposeConfChange([{ type: "add_learner", id: id("n8") }]);
  cluster.add(id("n8"), configuration);
  cluster.settle().tick(2);
  cluster.core("n8").step({ ...from("n9", 8, ask(0, 0)), to: id("n8") });
  cluster.settle().tick(40);
  expect(cluster.core("n8").term).toBeGreaterThanOrEqual(8);
  const leader = [...cluster.members.values()].find(({ core }) => core.role === "leader");
  expect(cluster.core("n8").leader).toBe(leader?.name ?? null);
});

test("an election begins between one and two timeouts of silence, at random (5.2)", () => {
  const seen = new Set<number>();
  forEachSeed(200, (random) => {
    const core = newCore("n1", "n1 n2 n3", { ...PLAIN, random });
    let ticks = 0;
    while (core.role === "follower") {
      core.tick();
      ticks++;
    }
    seen.add(ticks);
  });
  expect(Math.min(...seen)).toBe(10);
  expect(Math.max(...seen)).toBe(19);
  expect(seen.size).toBe(10);
});

test("a candidate raises its term, votes for itself and asks all others (5.2)", () => {
  const solo = Solo.of("n1 n2 n3", PLAIN);
  solo.core.campaign();
  solo.settle();
  expect(solo.core.status()).toMatchObject({ role: "candidate", term: 1, vote: "n1" });
  expect(solo.take("vote_request").map(({ to }) => to)).toEqual(ids("n2 n3"));
});

describe("the outcome of an election (5.2)", () => {
  const cases: [voters: string, votes: Record<string, boolean>, outcome: string][] = [
    ["n1", {}, "leader"],
    ["n1 n2 n3", { n2: true }, "leader"],
    ["n1 n2 n3", {}, "candidate"],
    ["n1 n2 n3", { n2: false, n3: false }, "follower"],
    ["n1 n2 n3 n4 n5", { n2: true }, "candidate"],
    ["n1 n2 n3 n4 n5", { n2: true, n3: true }, "leader"],
    ["n1 n2 n3 n4 n5", { n2: true, n3: false, n4: false, n5: false }, "follower"],
    ["n1 n2 n3 n4 n5", { n2: false, n3: false }, "candidate"],
  ];
  for (const [voters, votes, outcome] of cases) {
    test(`[${voters}] with ${JSON.stringify(votes)}: ${outcome}`, () => {
      const solo = Solo.of(voters, PLAIN);
      solo.core.campaign();
      solo.settle();
      for (const [peer, granted] of Object.entries(votes)) {
        solo.step(from(peer, 1, ballot("vote_response", granted)));
      }
      expect<string>(solo.core.role).toBe(outcome);
    });
  }
});

test("the first ballot of a voter counts, a repeated or changed one does not", () => {
  const solo = Solo.of("n1 n2 n3 n4 n5", PLAIN);
  solo.core.campaign();
  solo.settle();
  const no = from("n2", 1, ballot("vote_response", false));
  const yes = from("n2", 1, ballot("vote_response", true));
  solo.step(no, yes, yes, from("n3", 1, ballot("vote_response", true)), yes);
  expect(solo.core.role).toBe("candidate");
});

describe("a vote goes to one candidate a term, whose log is at least as complete (5.2, 5.4.1)", () => {
  // The voter's log ends in index 3, term 2.
  const cases: [lastIndex: number, lastTerm: number, vote: string | null, granted: boolean][] = [
    [3, 2, null, true],
    [4, 2, null, true],
    [2, 2, null, false],
    [9, 1, null, false],
    [1, 3, null, true],
    [3, 2, "n2", true],
    [3, 2, "n3", false],
  ];
  for (const [lastIndex, lastTerm, vote, granted] of cases) {
    test(`(${lastIndex}, ${lastTerm}) with vote ${vote}: ${granted}`, () => {
      const hardState = { term: term(3), vote: vote === null ? null : id(vote), commit: index(0) };
      const solo = Solo.of("n1 n2 n3", {
        ...PLAIN,
        initial: { hardState, entries: entriesOf(1, 1, 2, 2) },
      });
      solo.step(from("n2", 3, ask(lastIndex, lastTerm)));
      expect(solo.take("vote_response")).toMatchObject([{ granted }]);
    });
  }
});

test("a candidate yields to a leader of its own term (5.2)", () => {
  const solo = Solo.of("n1 n2 n3", PLAIN);
  solo.core.campaign();
  solo.settle().step(from("n3", 1, heartbeat));
  expect([solo.core.role, solo.core.leader]).toEqual(["follower", id("n3")]);
});

describe("a request of a later term by a log as complete", () => {
  for (const role of ["follower", "candidate", "leader"]) {
    test(`gets the vote of a ${role}`, () => {
      const solo = inRole(role, PLAIN);
      solo.takeAll();
      solo.step(from("n2", 9, ask(5, 8)));
      expect(solo.take("vote_response")).toMatchObject([{ granted: true, term: 9 }]);
      expect([solo.core.role, solo.core.status().vote]).toEqual(["follower", id("n2")]);
    });
  }
  for (const role of ["follower", "pre_candidate", "leader"]) {
    test(`gets the pre-vote of a ${role}, which goes on as it was`, () => {
      const solo = inRole(role, { checkQuorum: false });
      const before = solo.core.status();
      solo.takeAll();
      solo.step(from("n2", 9, askFirst(5, 8)));
      expect(solo.take("pre_vote_response")).toMatchObject([{ granted: true, term: 9 }]);
      expect(solo.core.status()).toEqual(before);
    });
  }
});

for (const preVote of [false, true]) {
  test(`of two that duel one wins, the other follows, ${preVote ? "with" : "without"} pre-vote`, () => {
    const cluster = new Cluster("n1 n2 n3", { preVote });
    cluster.passes = ({ from: a, to: b }) =>
      !(a === "n1" && b === "n3") && !(a === "n3" && b === "n1");
    cluster.elect("n1").elect("n3");
    expect([cluster.core("n1").role, cluster.core("n2").leader]).toEqual(["leader", id("n1")]);
    const { role, term: at } = cluster.core("n3");
    // It stands in vain, or is told before that the term is taken.
    expect([role, at]).toEqual([preVote ? "follower" : "candidate", term(1)]);
    cluster.heal();
    cluster.tick(2);
    expect([cluster.core("n3").role, cluster.core("n3").leader]).toEqual(["follower", id("n1")]);
  });
}

test("a leader that is told to campaign goes on as it was", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  const before = solo.core.status();
  solo.core.campaign();
  expect(solo.core.hasOutput).toBe(false);
  expect(solo.core.status()).toEqual(before);
});

test("a split vote ends in a new election", () => {
  const solo = Solo.of("n1 n2 n3", PLAIN);
  solo.core.campaign();
  solo.settle().tick(20);
  expect(solo.core.term).toBe(term(2));
});

test("a leader asserts itself by an empty entry (section 8) and heartbeats (5.2)", () => {
  const solo = Solo.of("n1 n2 n3", PLAIN).elect();
  expect(solo.take("append_request")).toMatchObject([
    { to: "n2", entries: [{ index: 1, term: 1, type: "normal" }] },
    { to: "n3", entries: [{ index: 1, term: 1 }] },
  ]);
  expect(solo.tick().take("heartbeat")).toHaveLength(2);
});

test("a group of one elects itself at the first tick, and commits by its own disk alone", () => {
  const { core } = Solo.of("n1").tick();
  expect([core.role, core.commitIndex]).toEqual(["leader", index(1)]);
});

describe("pre-vote", () => {
  const options: Options = { preVote: true, checkQuorum: false };

  test("a node that cannot win never raises its term", () => {
    const solo = Solo.of("n1 n2 n3", options).tick(100);
    expect([solo.core.role, solo.core.term]).toEqual(["pre_candidate", term(0)]);
    solo.step(from("n2", 0, ballot("pre_vote_response", false)));
    solo.step(from("n3", 0, ballot("pre_vote_response", false)));
    expect([solo.core.role, solo.core.term]).toEqual(["follower", term(0)]);
  });

  test("with a majority of pre-votes the real election follows", () => {
    const solo = Solo.of("n1 n2 n3", options);
    solo.core.campaign();
    solo.settle();
    expect(solo.take("pre_vote_request")).toMatchObject([{ term: 1 }, { term: 1 }]);
    solo.step(from("n2", 1, ballot("pre_vote_response", true)));
    expect([solo.core.role, solo.core.term]).toEqual(["candidate", term(1)]);
  });

  test("granting changes nothing at the voter, and may be done for several", () => {
    const solo = Solo.of("n1 n2 n3", options);
    solo.step(from("n2", 3, askFirst(0, 0)), from("n3", 3, askFirst(0, 0)));
    expect(solo.core.status().hardState).toMatchObject({ term: 0, vote: null });
    expect(solo.take("pre_vote_response")).toMatchObject([
      { to: "n2", granted: true, term: 3 },
      { to: "n3", granted: true, term: 3 },
    ]);
  });

  test("a shorter log gets no pre-vote", () => {
    const initial = {
      hardState: { term: term(2), vote: null, commit: index(0) },
      entries: entriesOf(1, 2),
    };
    const solo = Solo.of("n1 n2 n3", { ...options, initial });
    solo.step(from("n2", 3, askFirst(9, 1)));
    expect(solo.take("pre_vote_response")).toMatchObject([{ granted: false, term: 2 }]);
  });

  test("a refusal with a higher term is the new term", () => {
    const solo = Solo.of("n1 n2 n3", options);
    solo.core.campaign();
    solo.settle().step(from("n2", 9, ballot("pre_vote_response", false)));
    expect([solo.core.role, solo.core.term]).toEqual(["follower", term(9)]);
  });

  test("a late grant of an earlier round is no consent to this one", () => {
    const solo = Solo.of("n1 n2 n3", options).elect();
    const earlier = from("n3", 1, ballot("pre_vote_response", true));
    solo.core.stepDown();
    solo.settle().tick(20);
    solo.core.campaign();
    expect([solo.core.role, solo.core.term]).toEqual(["pre_candidate", term(1)]);
    expect(solo.step(earlier).core.role).toBe("pre_candidate");
    solo.step(from("n3", 2, ballot("pre_vote_response", true)));
    expect([solo.core.role, solo.core.term]).toEqual(["candidate", term(2)]);
  });

  test("a node that was cut off does not depose the leader when it comes back", () => {
    const cluster = new Cluster("n1 n2 n3").elect("n1");
    cluster.cut("n3");
    cluster.tick(60);
    cluster.heal();
    cluster.tick(30);
    expect([cluster.core("n1").role, cluster.core("n1").term]).toEqual(["leader", term(1)]);
    expect(cluster.core("n3").leader).toBe(id("n1"));
  });

  test("a node with a higher term and a shorter log is brought back without pre-vote for it", () => {
    const cluster = new Cluster("n1 n2 n3").elect("n1");
    // It raised its term by some way of old.
    cluster.core("n3").step({ ...from("n9", 8, ballot("vote_response", false)), to: id("n3") });
    cluster.settle().tick(60);
    const roles = [...cluster.members.values()].map(({ core }) => core.role).sort();
    expect(roles).toEqual(["follower", "follower", "leader"]);
    expect(new Set([...cluster.members.values()].map(({ core }) => core.term)).size).toBe(1);
  });
});

describe("leader stickiness and check-quorum", () => {
  test("requests are ignored while a leader was heard within the minimum timeout", () => {
    const solo = Solo.of("n1 n2 n3").step(from("n2", 1, heartbeat));
    solo.takeAll();
    solo.step(from("n3", 9, ask(9, 9)), from("n3", 9, askFirst(9, 9)));
    expect(solo.takeAll()).toEqual([]);
    expect(solo.core.term).toBe(term(1));
    solo.core.setElectionTimeout(1000);
    solo.tick(10).step(from("n3", 9, ask(9, 9)));
    expect(solo.take("vote_response")).toMatchObject([{ granted: true }]);
  });

  test("a campaign on the leader's order is heard in spite of that", () => {
    const solo = Solo.of("n1 n2 n3").step(from("n2", 1, heartbeat));
    solo.step(from("n3", 2, ask(9, 2, true)));
    expect(solo.take("vote_response")).toMatchObject([{ granted: true, term: 2 }]);
  });

  test("a leader that hears no quorum for an election timeout steps down", () => {
    const solo = Solo.of("n1 n2 n3 n4 n5").lead();
    solo.tick(10);
    expect(solo.core.role).toBe("leader");
    solo.step(from("n2", 1, { type: "heartbeat_response", round: 0 })).tick(10);
    expect([solo.core.role, solo.core.term]).toEqual(["follower", term(1)]);
  });

  test("learners do not count towards the quorum of check-quorum", () => {
    const configuration = { ...newCore("n1", "n1 n2").configuration, learners: ids("n8 n9") };
    const solo = Solo.of("", { initial: { configuration } }).lead().tick(10);
    for (const peer of ["n8", "n9"]) {
      solo.step(from(peer, 1, { type: "heartbeat_response", round: 0 }));
    }
    expect(solo.tick(10).core.role).toBe("follower");
  });

  test("a leader that is behind in term is told so by an empty answer", () => {
    const solo = Solo.of("n1 n2 n3").step(from("n2", 5, heartbeat));
    solo.takeAll();
    solo.step(from("n3", 4, heartbeat));
    expect(solo.take("append_response")).toMatchObject([{ to: "n3", term: 5, match: 0 }]);
  });
});

describe("who may stand", () => {
  test("learners and strangers do not, but they vote when asked", () => {
    const configuration = { ...newCore("n1", "n2 n3").configuration, learners: ids("n1") };
    for (const initial of [{ configuration }, {}]) {
      const solo = Solo.of("n2 n3", { ...PLAIN, initial }).tick(100);
      solo.core.campaign();
      expect(solo.settle().core.role).toBe("follower");
      solo.step(from("n2", 1, ask(0, 0)));
      expect(solo.take("vote_response")).toMatchObject([{ granted: true }]);
    }
  });

  test("nobody stands with a committed membership change still to apply", () => {
    const change = { ...entriesOf(1, 1)[0], type: "conf_change", data: new Uint8Array(0) } as const;
    const configuration = {
      ...newCore("n1", "n1 n2").configuration,
      votersOutgoing: ids("n1 n2 n3"),
    };
    const core = newCore("n1", "", {
      initial: {
        configuration,
        hardState: { term: term(1), vote: null, commit: index(1) },
        entries: [change as ReturnType<typeof entriesOf>[0]],
      },
    });
    core.campaign();
    expect(core.role).toBe("follower");
    core.drain();
    core.applied(index(1));
    core.campaign();
    expect(core.role).toBe("pre_candidate");
  });

  test("after stepDown a node holds still for two election timeouts", () => {
    const solo = Solo.of("n1").tick();
    solo.core.stepDown();
    expect(solo.settle().core.role).toBe("follower");
    expect(solo.tick(19).core.role).toBe("follower");
    expect(solo.tick(1).core.role).toBe("leader");
  });

  test("meanwhile it does not stand on order either, of its driver or of the leader", () => {
    const solo = Solo.of("n1 n2 n3").step(from("n2", 1, heartbeat));
    solo.core.stepDown();
    solo.core.campaign();
    expect(solo.step(from("n2", 1, { type: "timeout_now" })).core.role).toBe("follower");
    solo.core.setElectionTimeout(1000);
    solo.tick(20).step(from("n2", 1, { type: "timeout_now" }));
    expect([solo.core.role, solo.core.term]).toEqual(["candidate", term(2)]);
  });

  test("a log that begins in a later term than the hard state is not continued in an earlier", () => {
    const configuration = newCore("n1", "n1 n2 n3").configuration;
    const solo = Solo.of("", PLAIN);
    solo.core.bootstrap({ index: index(1), term: term(5), configuration });
    solo.settle().elect();
    expect([solo.core.role, solo.core.term]).toEqual(["leader", term(5)]);
    expect(solo.core.status().lastTerm).toBe(term(5));
  });
});

describe("priority", () => {
  const priority = new Map([
    [id("n1"), 100],
    [id("n2"), 50],
    [id("n3"), 25],
  ]);
  const first = (name: string, random: Options["random"]) =>
    newCore(name, "n1 n2 n3", random === undefined ? {} : { priority, random }).status()
      .electionDeadlineTicks;

  test("lengthens the timeout of those who are less preferred, by rank", () => {
    const random = { u32: () => 0 };
    expect(["n1", "n2", "n3"].map((name) => first(name, random))).toEqual([10, 12, 15]);
  });

  test("fades with every failed round", () => {
    const random = { u32: () => 0 };
    const solo = new Solo(newCore("n3", "n1 n2 n3", { priority, random, preVote: false }));
    const deadlines = [1, 2, 3, 4].map(() => {
      solo.core.campaign();
      return solo.core.status().electionDeadlineTicks;
    });
    expect(deadlines).toEqual([12, 11, 10, 10]);
  });

  test("never makes up for a shorter log", () => {
    const hardState = { term: term(1), vote: null, commit: index(0) };
    const initial = { hardState, entries: entriesOf(1, 1) };
    const solo = Solo.of("n1 n2 n3", { ...PLAIN, priority, initial });
    solo.step({ ...from("n1", 2, ask(0, 0)), to: id("n1") });
    expect(solo.take("vote_response")).toMatchObject([{ granted: false }]);
  });

  test("names a caught-up voter that is preferred to the leader", () => {
    const solo = new Solo(newCore("n2", "n1 n2 n3", { priority }));
    solo.elect().accept("n3", 1);
    expect(solo.core.status().preferredLeader).toBeNull();
    expect(solo.accept("n1", 1).core.status().preferredLeader).toBe(id("n1"));
  });
});

test("a voter that knows of a later commit tells it in its vote, granted or not", () => {
  const hardState = { term: term(2), vote: null, commit: index(2) };
  const solo = Solo.of("n1 n2 n3", {
    ...PLAIN,
    initial: { hardState, entries: entriesOf(1, 1, 2) },
  });
  solo.step(from("n2", 3, ask(0, 0)));
  expect(solo.take("vote_response")).toMatchObject([{ granted: false, commit: 2, commitTerm: 2 }]);
  const behind = Solo.of("n1 n2 n3", {
    ...PLAIN,
    initial: { hardState: { ...hardState, commit: index(0) }, entries: entriesOf(1, 1, 2, 2) },
  });
  const hint = { commit: index(2), commitTerm: term(1) };
  behind.step(from("n2", 2, { ...ballot("vote_response", false), ...hint } as never));
  expect(behind.core.commitIndex).toBe(index(0));
  behind.step(
    from("n2", 1, { ...ballot("vote_response", false), ...hint, commitTerm: term(2) } as never),
  );
  expect(behind.core.commitIndex).toBe(index(2));
});
