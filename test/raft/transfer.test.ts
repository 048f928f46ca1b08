/** Leadership transfer: dissertation 3.10. */
import { describe, expect, test } from "bun:test";
import { bytes, Cluster, id, ids, index, newCore, Solo } from "./harness.ts";

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

test("a target that is removed is no target any more", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  solo.core.proposeConfChange([{ type: "remove", id: id("n3") }]);
  solo.core.transferLeadership(id("n3"));
  solo.settle().accept("n2", 2);
  expect(solo.core.commitIndex).toBe(index(2));
  expect(solo.core.status().transferee).toBeNull();
});
