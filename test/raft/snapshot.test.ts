/** Compaction, snapshots (paper section 7), and payloads that left memory. */
import { describe, expect, test } from "bun:test";
import { configurationOf } from "../../src/raft/membership.ts";
import {
  bytes,
  Cluster,
  entriesOf,
  from,
  id,
  ids,
  index,
  newCore,
  Solo,
  term,
} from "../tools/raft/harness.ts";

const offer = (at: number, atTerm: number, voters = "n1 n2 n3") =>
  ({
    type: "snapshot_offer",
    snapshot: { index: index(at), term: term(atTerm), configuration: configurationOf(ids(voters)) },
  }) as const;

const follower = (terms: number[], at: number, commit = 0) =>
  Solo.of("n1 n2 n3", {
    initial: {
      hardState: { term: term(at), vote: null, commit: index(commit) },
      entries: entriesOf(1, ...terms),
    },
  });

/** n3 misses five entries, which are compacted away meanwhile. */
function lagging(): Cluster {
  const cluster = new Cluster("n1 n2 n3").elect("n1");
  cluster.cut("n3");
  for (let i = 0; i < 5; i++) cluster.core("n1").propose(bytes(`e${i}`));
  cluster.settle();
  cluster.core("n1").compact(index(5));
  cluster.heal();
  return cluster;
}

test("a follower below the log gets a snapshot, then the log from there on", () => {
  const cluster = lagging().tick(5);
  expect(cluster.get("n3").store.snapshot?.index).toBe(index(5));
  expect(cluster.get("n3").applied).toEqual(cluster.get("n1").applied);
  expect(cluster.core("n1").status().progress?.get(id("n3"))).toMatchObject({
    state: "replicate",
    match: 6,
  });
});

test("while a snapshot is on its way nothing else goes to that peer", () => {
  const cluster = lagging();
  cluster.passes = ({ type }) => type !== "snapshot_offer";
  cluster.tick(3);
  const progress = () => cluster.core("n1").status().progress?.get(id("n3"));
  expect(progress()).toMatchObject({ state: "snapshot", pendingSnapshot: 5, paused: true });
  cluster.core("n1").reportSnapshot(id("n3"), false);
  expect(progress()).toMatchObject({ state: "probe", next: 2, paused: true });
  cluster.heal();
  cluster.tick(3);
  expect(progress()).toMatchObject({ state: "replicate", match: 6 });
});

describe("while a snapshot is on its way, an acknowledgement of the peer", () => {
  /** n3 is offered the snapshot of entry 5; the log goes on from there to 8. */
  const offered = () => {
    const solo = Solo.of("n1 n2 n3").lead();
    for (let i = 0; i < 4; i++) solo.core.propose(bytes("x"));
    solo.settle().accept("n2", 5).core.compact(index(5));
    for (let i = 0; i < 3; i++) solo.core.propose(bytes("y"));
    solo.settle().core.reportUnreachable(id("n3"));
    const refusal = { rejected: index(1), hintIndex: index(0), hintTerm: term(0), lost: true };
    solo.step(from("n3", 1, { type: "append_response", accepted: false, ...refusal }));
    expect(solo.take("snapshot_offer")).toMatchObject([{ to: "n3", snapshot: { index: 5 } }]);
    return solo;
  };
  const progress = ({ core }: Solo) => core.status().progress?.get(id("n3"));

  test("at the start of the log or above ends the wait, whoever brought it there", () => {
    const solo = offered().accept("n3", 6);
    expect(progress(solo)).toMatchObject({ state: "replicate", match: 6, pendingSnapshot: 0 });
    const sent = solo.take("append_request").filter(({ to }) => to === "n3");
    expect(sent).toMatchObject([{ prevIndex: 6, entries: [{ index: 7 }, { index: 8 }] }]);
  });

  test("from below the log does not", () => {
    const solo = offered().accept("n3", 4);
    expect(progress(solo)).toMatchObject({ state: "snapshot", match: 4, pendingSnapshot: 5 });
    // In particular no second offer.
    expect(solo.takeAll().filter(({ to }) => to === "n3")).toEqual([]);
  });
});

test("a peer that was not heard of lately is offered none", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  for (let i = 0; i < 4; i++) solo.core.propose(bytes("x"));
  solo.settle().accept("n2", 5);
  solo.tick(10).core.reportUnreachable(id("n3"));
  solo.core.compact(index(4));
  solo.takeAll();
  const refusal = { rejected: index(1), hintIndex: index(0), hintTerm: term(0) };
  expect(solo.take("snapshot_offer")).toEqual([]);
  solo.step(from("n3", 1, { type: "append_response", accepted: false, ...refusal } as never));
  solo.step(from("n3", 1, { type: "heartbeat_response", round: 0 }));
  expect(solo.core.status().progress?.get(id("n3"))?.recentActive).toBe(true);
});

describe("at the follower", () => {
  test("a snapshot replaces a log that does not hold it", () => {
    const solo = follower([1, 1, 1], 2, 1);
    solo.core.step(from("n2", 2, offer(8, 2)));
    const output = solo.core.drain();
    expect(output.persist).toMatchObject({ snapshot: { index: 8 }, entries: [], mustSync: true });
    expect(output.messagesAfterPersist).toMatchObject([{ type: "append_response", match: 8 }]);
    expect([solo.core.appliedIndex, solo.core.durableIndex]).toEqual([index(0), index(1)]);
    solo.core.persisted(output.persist?.token ?? 0);
    expect([solo.core.appliedIndex, solo.core.durableIndex]).toEqual([index(8), index(8)]);
    expect(solo.core.firstIndex).toBe(index(9));
  });

  test("one that the log holds only moves the commit index, and what follows stays", () => {
    const solo = follower([1, 1, 2], 2).step(from("n2", 2, offer(2, 1)));
    expect([solo.core.commitIndex, solo.core.lastIndex]).toEqual([index(2), index(3)]);
    expect(solo.outputs.every(({ persist }) => persist?.snapshot == null)).toBe(true);
  });

  test("one that is old is answered with the commit index", () => {
    const solo = follower([1, 1, 1], 2, 3).step(from("n2", 2, offer(2, 1)));
    expect(solo.take("append_response")).toMatchObject([{ match: 3 }]);
  });

  test("membership comes with it, even if this node is not yet in it", () => {
    const solo = follower([], 2).step(from("n2", 2, offer(4, 2, "n2 n7")));
    expect(solo.core.configuration.voters).toEqual(ids("n2 n7"));
    expect(solo.tick(50).core.role).toBe("follower");
  });

  test("nobody campaigns, and nothing is applied, while it is installed", () => {
    const { core } = follower([1, 1, 1], 2, 2);
    core.step(from("n2", 2, offer(8, 2)));
    core.campaign();
    expect([core.role, core.drain().committed.length]).toEqual(["follower", 0]);
  });

  test("entries after it are written after it, and a second snapshot may overtake the first", () => {
    const { core } = follower([1], 2, 1);
    core.step(from("n2", 2, offer(8, 2)));
    const first = core.drain();
    core.step(from("n2", 2, offer(12, 2)));
    const second = core.drain();
    const more = { prevIndex: index(12), prevTerm: term(2), entries: entriesOf(13, 2) };
    core.step(from("n2", 2, { type: "append_request", commit: index(13), ...more }));
    const third = core.drain();
    core.persisted(first.persist?.token ?? 0);
    expect(core.appliedIndex).toBe(index(0));
    core.persisted(second.persist?.token ?? 0);
    expect(core.appliedIndex).toBe(index(12));
    core.persisted(third.persist?.token ?? 0);
    expect(core.drain().committed).toMatchObject([{ index: 13 }]);
  });
});

describe("compaction", () => {
  test("forgets entries, keeps the term of the last, and is a bug beyond what is applied", () => {
    const solo = Solo.of("n1").tick();
    for (let i = 0; i < 4; i++) solo.core.propose(bytes("x"));
    solo.settle().core.compact(index(3));
    expect(solo.core).toMatchObject({ firstIndex: 4, lastIndex: 5 });
    expect([solo.core.termAt(index(3)), solo.core.termAt(index(2))]).toEqual([term(1), null]);
    solo.core.propose(bytes("y"));
    expect(() => solo.core.compact(index(6))).toThrow("applied");
  });

  test("offers carry the membership as of the checkpoint, not of now", () => {
    const solo = Solo.of("n1").tick();
    solo.core.propose(bytes("x"));
    solo.settle();
    solo.core.proposeConfChange([{ type: "add_learner", id: id("n9") }]);
    solo.settle().core.snapshotCreated(index(2));
    expect(solo.core.snapshot.configuration.learners).toEqual([]);
    solo.core.snapshotCreated(index(3));
    expect(solo.core.snapshot.configuration.learners).toEqual(ids("n9"));
  });

  test("a start does not tell what was in force between its checkpoint and what is applied", () => {
    const { configuration } = newCore("n1", "n1");
    const core = newCore("n1", "n1 n2", {
      initial: {
        hardState: { term: term(1), vote: null, commit: index(3) },
        snapshot: { index: index(1), term: term(1), configuration },
        entries: entriesOf(2, 1, 1),
        applied: index(3),
      },
    });
    expect(() => core.compact(index(2))).toThrow("the membership of that time is not known");
    core.compact(index(3));
    expect(core.snapshot.configuration.voters).toEqual(ids("n1 n2"));
  });

  test("a newer checkpoint is offered though the log is kept longer", () => {
    const cluster = lagging();
    cluster.core("n1").snapshotCreated(index(6));
    cluster.tick(5);
    expect(cluster.get("n3").store.snapshot?.index).toBe(index(6));
  });
});

describe("payloads that left memory", () => {
  /** n2 misses entries 2 … 6; n1 keeps only their terms. */
  const evicted = () => {
    const solo = Solo.of("n1 n2 n3", { maxAppendBytes: 40 }).lead();
    for (let i = 0; i < 5; i++) solo.core.propose(bytes("0123456789"));
    solo.settle().accept("n3", 6);
    solo.core.evict(index(6));
    solo.takeAll();
    solo.core.reportUnreachable(id("n2"));
    return solo;
  };
  const payloads = (first: number, count: number) =>
    entriesOf(first, ...new Array<number>(count).fill(1));
  const fetches = (solo: Solo) => solo.outputs.splice(0).flatMap((output) => output.fetches);

  test("are fetched once the logs are known to meet, and streamed on", () => {
    const solo = evicted();
    solo.step(from("n2", 1, { type: "heartbeat_response", round: 0 }));
    expect(solo.take("append_request")).toMatchObject([{ to: "n2", prevIndex: 1, entries: [] }]);
    expect(fetches(solo)).toEqual([]);
    solo.accept("n2", 1);
    expect(fetches(solo)).toEqual([{ peer: id("n2"), from: index(2), to: index(6), maxBytes: 40 }]);
    solo.core.fetched(id("n2"), index(2), payloads(2, 2));
    expect(solo.settle().take("append_request")).toMatchObject([
      { prevIndex: 1, entries: [{ index: 2 }, { index: 3 }] },
    ]);
    expect(fetches(solo)).toMatchObject([{ from: 4 }]);
    solo.core.fetched(id("n2"), index(4), payloads(4, 3));
    solo.settle().core.propose(bytes("new"));
    expect(solo.settle().take("append_request").at(-1)).toMatchObject({ prevIndex: 6 });
  });

  test("late, repeated or wrong answers are not sent", () => {
    const solo = evicted().accept("n2", 1);
    solo.takeAll();
    solo.core.fetched(id("n2"), index(3), payloads(3, 1));
    solo.core.fetched(id("n3"), index(2), payloads(2, 1));
    expect(solo.settle().take("append_request")).toEqual([]);
    solo.core.fetched(id("n2"), index(2), payloads(2, 1));
    solo.core.fetched(id("n2"), index(2), payloads(2, 1));
    expect(
      solo
        .settle()
        .take("append_request")
        .filter((m) => m.to === "n2"),
    ).toHaveLength(1);
  });

  test("if they cannot be read, the peer gets a snapshot that covers them", () => {
    const solo = evicted().accept("n2", 1);
    solo.takeAll();
    solo.core.fetchFailed(id("n2"), index(2));
    solo.settle();
    expect(solo.outputs.at(-1)?.snapshotNeeded).toEqual([{ peer: id("n2"), index: index(2) }]);
    expect(solo.take("snapshot_offer")).toEqual([]);
    solo.core.snapshotCreated(index(6));
    expect(solo.settle().take("snapshot_offer")).toMatchObject([
      { to: "n2", snapshot: { index: 6 } },
    ]);
  });

  test("entries that are not those of the log are as good as none", () => {
    const solo = evicted().accept("n2", 1);
    solo.core.fetched(id("n2"), index(2), entriesOf(2, 9));
    solo.settle();
    expect(solo.outputs.at(-1)?.snapshotNeeded).toHaveLength(1);
  });

  test("only what is applied and durable leaves memory", () => {
    const { core } = Solo.of("n1 n2 n3").lead();
    core.propose(bytes("x"));
    core.evict(index(99));
    expect(core.evictedIndex).toBe(index(1));
  });

  test("a node may start with payloads in the journal alone", () => {
    const core = newCore("n1", "n1 n2", {
      initial: {
        hardState: { term: term(3), vote: null, commit: index(4) },
        evicted: {
          through: index(4),
          runs: [
            { first: index(1), term: term(1) },
            { first: index(3), term: term(3) },
          ],
        },
        entries: entriesOf(5, 3),
        applied: index(4),
      },
    });
    expect([1, 2, 3, 4, 5].map((at) => core.termAt(index(at)) as number)).toEqual([1, 1, 3, 3, 3]);
    expect([core.evictedIndex, core.lastIndex]).toEqual([index(4), index(5)]);
  });
});
