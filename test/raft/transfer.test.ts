/** Leadership transfer: dissertation 3.10. */
import { describe, expect, test } from "bun:test";
import { configurationOf } from "../../src/raft/membership.ts";
import {
  ballot,
  bytes,
  Cluster,
  from,
  id,
  ids,
  index,
  newCore,
  Solo,
  term,
} from "../tools/raft/harness.ts";

const leads = (cluster: Cluster, name: string) => cluster.core(name).role === "leader";

test("a target that has the whole log takes over at once, in spite of leases", () => {
  const cluster = new Cluster("n1 n2 n3").elect("n1");
  expect(cluster.core("n1").transferLeadership(id("n2"))).toEqual({ ok: true });
  cluster.settle();
  expect([leads(cluster, "n2"), leads(cluster, "n1")]).toEqual([true, false]);
});

test("a target that is behind is brought up to date first", () => {
  const cluster = new Cluster("n1 n2 n3").elect("n1");
  cluster.cut("n3");
  cluster.core("n1").propose(bytes("x"));
  cluster.settle();
  cluster.heal();
  const order: string[] = [];
  cluster.onSend = ({ to, type }) => {
    if (to === "n3") order.push(type);
  };
  cluster.core("n1").transferLeadership(id("n3"));
  cluster.settle().tick(3);
  expect(order.indexOf("append_request")).toBeLessThan(order.indexOf("timeout_now"));
  expect(leads(cluster, "n3")).toBe(true);
  expect(cluster.get("n3").applied.map(({ data }) => data)).toContain("x");
});

test("meanwhile proposals are refused; after an election timeout the leader gives it up", () => {
  const cluster = new Cluster("n1 n2 n3").elect("n1");
  cluster.cut("n3");
  const core = cluster.core("n1");
  core.transferLeadership(id("n3"));
  expect(core.propose(bytes("x"))).toEqual({ ok: false, code: "transfer_in_progress" });
  cluster.tick(9);
  expect(core.status().transferee).toBe(id("n3"));
  cluster.tick(1);
  expect(core.status().transferee).toBeNull();
  expect(core.propose(bytes("x")).ok).toBe(true);
});

test("orders that follow each other do not keep a leader that nobody hears", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  for (let i = 0; i < 4 && solo.core.role === "leader"; i++) {
    solo.core.transferLeadership(id(i % 2 === 0 ? "n2" : "n3"));
    solo.settle().tick(5);
  }
  expect(solo.core.role).toBe("follower");
});

test("each order has an election timeout of its own", () => {
  const solo = Solo.of("n1 n2 n3", { checkQuorum: false }).lead();
  solo.core.propose(bytes("x"));
  solo.core.transferLeadership(id("n2"));
  solo.settle().tick(6).core.transferLeadership(id("n3"));
  expect(solo.settle().tick(9).core.status().transferee).toBe(id("n3"));
  expect(solo.tick(1).core.status().transferee).toBeNull();
});

test("the same order again does not give it more time", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  solo.core.propose(bytes("x"));
  solo.core.transferLeadership(id("n2"));
  solo.settle().tick(6).core.transferLeadership(id("n2"));
  expect(solo.tick(4).core.status().transferee).toBeNull();
});

test("a target that needs a snapshot gets it first", () => {
  const cluster = new Cluster("n1 n2 n3").elect("n1");
  cluster.cut("n3");
  for (let i = 0; i < 5; i++) cluster.core("n1").propose(bytes("x"));
  cluster.settle();
  cluster.core("n1").compact(cluster.core("n1").appliedIndex);
  cluster.heal();
  cluster.core("n1").transferLeadership(id("n3"));
  cluster.settle().tick(4);
  expect([leads(cluster, "n3"), leads(cluster, "n1")]).toEqual([true, false]);
  expect(cluster.get("n3").store.snapshot?.index).toBe(index(6));
});

test("a later term ends it", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  solo.core.propose(bytes("x"));
  solo.core.transferLeadership(id("n2"));
  solo.step(from("n3", 5, ballot("vote_response", false)));
  expect([solo.core.role, solo.core.status().transferee]).toEqual(["follower", null]);
  expect(solo.core.propose(bytes("x"))).toEqual({ ok: false, code: "not_leader" });
});

test("an order that comes late finds nobody who may not stand", () => {
  for (const voters of ["n2 n3", "n2"]) {
    const configuration = configurationOf(ids(voters), voters === "n2" ? ids("n1") : []);
    const solo = Solo.of("", { initial: { configuration } });
    solo.step(from("n2", 1, { type: "timeout_now" }));
    expect([solo.core.role, solo.core.term, solo.takeAll()]).toEqual(["follower", term(1), []]);
  }
});

describe("a follower passes the order on", () => {
  test("to the leader it knows", () => {
    const cluster = new Cluster("n1 n2 n3").elect("n1");
    expect(cluster.core("n2").transferLeadership(id("n2"))).toEqual({ ok: true });
    cluster.settle();
    expect(leads(cluster, "n2")).toBe(true);
  });

  test("but not without one", () => {
    const refused = { ok: false, code: "not_leader" } as const;
    expect(newCore("n1", "n1 n2").transferLeadership(id("n2"))).toEqual(refused);
  });
});

test("strangers and learners are no targets", () => {
  const configuration = { ...newCore("n1", "n1 n2").configuration, learners: ids("n8") };
  const solo = Solo.of("", { initial: { configuration } }).lead();
  const refused = { ok: false, code: "not_a_voter" } as const;
  expect(solo.core.transferLeadership(id("n8"))).toEqual(refused);
  expect(solo.core.transferLeadership(id("n9"))).toEqual(refused);
});

test("an order to itself calls off the one before; another target replaces it", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  solo.core.propose(bytes("x"));
  solo.core.transferLeadership(id("n2"));
  expect(solo.core.status().transferee).toBe(id("n2"));
  solo.core.transferLeadership(id("n3"));
  expect(solo.core.status().transferee).toBe(id("n3"));
  solo.core.transferLeadership(id("n1"));
  expect(solo.core.status().transferee).toBeNull();
});

for (const type of ["remove", "add_learner"] as const) {
  test(`a target that is no voter any more is no target (${type})`, () => {
    const solo = Solo.of("n1 n2 n3").lead();
    solo.core.proposeConfChange([{ type, id: id("n3") }]);
    solo.core.transferLeadership(id("n3"));
    solo.settle().accept("n2", 2);
    expect(solo.core.commitIndex).toBe(index(2));
    expect(solo.core.status().transferee).toBeNull();
  });
}
