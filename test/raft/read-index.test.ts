/** Linearizable reads without writing: dissertation 6.4, paper section 8. */
import { expect, test } from "bun:test";
import { Cluster, from, id, index, Solo, term } from "../tools/raft/harness.ts";

const confirm = (peer: string, round: number) =>
  from(peer, 1, { type: "heartbeat_response", round });
const readsOf = (solo: Solo) => solo.outputs.flatMap(({ readStates }) => readStates);

test("a read waits for a quorum that answers a round begun after it", () => {
  const solo = Solo.of("n1 n2 n3").lead().tick();
  const [stale] = solo.take("heartbeat");
  solo.core.readIndex("a");
  const [sent] = solo.settle().take("heartbeat");
  expect(sent?.round).toBeGreaterThan(stale?.round ?? 0);
  solo.step(confirm("n2", stale?.round ?? 0));
  expect(readsOf(solo)).toEqual([]);
  solo.step(confirm("n2", sent?.round ?? 0));
  expect(readsOf(solo)).toEqual([{ context: "a", index: index(1) }]);
});

test("many reads share a round", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  for (let i = 0; i < 100; i++) solo.core.readIndex(i);
  const rounds = solo.settle().take("heartbeat");
  expect(rounds).toHaveLength(2);
  solo.step(confirm("n3", rounds[0]?.round ?? 0));
  expect(readsOf(solo)).toHaveLength(100);
});

test("a later round confirms the earlier ones, if their answers were lost", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  for (const context of ["a", "b", "c"]) {
    solo.core.readIndex(context);
    solo.settle();
  }
  const last = solo.take("heartbeat").at(-1);
  solo.step(confirm("n2", last?.round ?? 0));
  expect(readsOf(solo).map(({ context }) => context)).toEqual(["a", "b", "c"]);
});

test("rounds under way are bounded; what waits joins the next heartbeat", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  for (let i = 0; i < 20; i++) {
    solo.core.readIndex(i);
    solo.settle();
  }
  expect(solo.take("heartbeat").length).toBeLessThanOrEqual(8);
  const [beat] = solo.tick().take("heartbeat");
  solo.step(confirm("n2", beat?.round ?? 0));
  expect(readsOf(solo)).toHaveLength(20);
});

test("reads wait until the leader has committed an entry of its term", () => {
  const solo = Solo.of("n1 n2 n3").elect();
  solo.core.readIndex("early");
  const [beat] = solo.tick().take("heartbeat");
  solo.step(confirm("n2", beat?.round ?? 0));
  expect(readsOf(solo)).toEqual([]);
  solo.accept("n2", 1);
  const [next] = solo.take("heartbeat");
  solo.step(confirm("n2", next?.round ?? 0));
  expect(readsOf(solo)).toEqual([{ context: "early", index: index(1) }]);
});

test("a group of one answers at once, but not before its first entry is committed", () => {
  const solo = Solo.of("n1");
  solo.core.tick();
  solo.core.persisted(solo.core.drain().persist?.token ?? 0);
  expect(solo.core.role).toBe("leader");
  solo.core.readIndex("early");
  expect(solo.core.drain().readStates).toEqual([]);
  solo.core.persisted(2);
  solo.core.readIndex("later");
  solo.settle();
  expect(readsOf(solo)).toMatchObject([{ context: "early" }, { context: "later" }]);
});

test("the answers of learners confirm nothing", () => {
  const learners = [id("n9")];
  const configuration = { ...Solo.of("n1 n2").core.configuration, learners };
  const solo = Solo.of("", { initial: { configuration } }).lead();
  solo.core.readIndex("a");
  const [sent] = solo.settle().take("heartbeat");
  solo.step(confirm("n9", sent?.round ?? 0));
  expect(readsOf(solo)).toEqual([]);
});

test("a follower asks the leader and gets the answer under its own context", () => {
  const cluster = new Cluster("n1 n2 n3").elect("n1");
  const context = { any: "value" };
  expect(cluster.core("n2").readIndex(context)).toEqual({ ok: true });
  cluster.settle();
  expect(cluster.get("n2").reads).toEqual([{ context, index: 1, applied: 1 }]);
});

test("without a known leader a read is refused", () => {
  expect(Solo.of("n1 n2").core.readIndex("x")).toEqual({ ok: false, code: "no_leader" });
});

test("an answer to another request, or repeated, or of an older term, is not an answer", () => {
  const solo = Solo.of("n1 n2 n3");
  solo.step(from("n2", 1, { type: "heartbeat", commit: index(0), round: 0 }));
  solo.core.readIndex("a");
  const [sent] = solo.settle().take("read_index_request");
  const requestId = sent?.requestId ?? 0;
  const answer = { type: "read_index_response", index: index(0) } as const;
  solo.step(from("n2", 1, { ...answer, requestId: requestId + 1 }));
  solo.step(from("n2", 0, { ...answer, requestId }));
  expect(readsOf(solo)).toEqual([]);
  solo.step(from("n2", 1, { ...answer, requestId }), from("n2", 1, { ...answer, requestId }));
  expect(readsOf(solo)).toHaveLength(1);
});

test("request ids of a former life are not used again", () => {
  const idOf = (solo: Solo) => {
    solo.step(from("n2", 1, { type: "heartbeat", commit: index(0), round: 0 })).takeAll();
    solo.core.readIndex("a");
    return solo.settle().take("read_index_request")[0]?.requestId;
  };
  let next = 0;
  const random = { u32: () => next++ };
  expect(idOf(Solo.of("n1 n2", { random }))).not.toBe(idOf(Solo.of("n1 n2", { random })));
});

test("reads are given back when the leader is lost, and when an answer stays out", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  solo.core.readIndex("mine");
  solo.settle().step(from("n2", 2, { type: "heartbeat", commit: index(0), round: 0 }));
  solo.core.readIndex("forwarded");
  solo.settle();
  for (let i = 0; i < 20; i++) {
    solo.step(from("n2", 2, { type: "heartbeat", commit: index(0), round: 0 })).tick();
  }
  expect(solo.outputs.flatMap(({ readsDropped }) => readsDropped)).toEqual(["mine", "forwarded"]);
  expect(solo.core.term).toBe(term(2));
});

test("a read that comes while a round is under way waits for a round of its own", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  solo.core.readIndex("first");
  const [first] = solo.settle().take("heartbeat");
  solo.core.propose(new Uint8Array(1));
  solo.settle().accept("n2", 2).takeAll();
  solo.core.readIndex("second");
  const [second] = solo.settle().take("heartbeat");
  expect(second?.round).toBeGreaterThan(first?.round ?? 0);
  solo.step(confirm("n2", first?.round ?? 0));
  expect(readsOf(solo)).toEqual([{ context: "first", index: index(1) }]);
  solo.step(confirm("n3", first?.round ?? 0));
  expect(readsOf(solo)).toHaveLength(1);
  solo.step(confirm("n3", second?.round ?? 0));
  expect(readsOf(solo)[1]).toEqual({ context: "second", index: index(2) });
});

test("a read beyond the rounds that may be under way is not confirmed by the last of them", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  for (let i = 0; i < 5; i++) {
    solo.core.readIndex(i);
    solo.settle();
  }
  const rounds = solo.take("heartbeat").map(({ round }) => round);
  solo.step(confirm("n2", Math.max(...rounds)));
  expect(readsOf(solo).map(({ context }) => context)).toEqual([0, 1, 2, 3]);
  const [next] = solo.take("heartbeat");
  solo.step(confirm("n2", next?.round ?? 0));
  expect(readsOf(solo).map(({ context }) => context)).toEqual([0, 1, 2, 3, 4]);
});

test("a late answer of an earlier round takes back nothing that a later one said", () => {
  const solo = Solo.of("n1 n2 n3 n4 n5").lead();
  for (const context of ["a", "b"]) {
    solo.core.readIndex(context);
    solo.settle();
  }
  const [a, b] = [...new Set(solo.take("heartbeat").map(({ round }) => round))];
  solo.step(confirm("n2", b ?? 0), confirm("n2", a ?? 0), confirm("n3", b ?? 0));
  expect(readsOf(solo).map(({ context }) => context)).toEqual(["a", "b"]);
});

test("the index of a read is the leader's commit index when it came, on a follower too", () => {
  const solo = Solo.of("n1 n2 n3");
  solo.step(from("n2", 1, { type: "heartbeat", commit: index(0), round: 0 }));
  solo.core.readIndex("mine");
  const [asked] = solo.settle().take("read_index_request");
  const requestId = asked?.requestId ?? 0;
  // It has applied nothing: the answer says from where on the read is good.
  solo.step(from("n2", 1, { type: "read_index_response", requestId, index: index(7) }));
  expect(readsOf(solo)).toEqual([{ context: "mine", index: index(7) }]);
});
