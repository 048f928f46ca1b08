/** A cluster is bootstrapped once, on empty disks of a majority; lost disks do not bootstrap another. */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { NodeId } from "../../src/lib/ids.ts";
import { placeOf, Script } from "../tools/sim/script.ts";

setDefaultTimeout(120_000);

/** Three members and a topic. */
async function bootstrapped(): Promise<Script> {
  const script = new Script({ spares: 0 });
  script.start();
  await script.create("t");
  await script.pass(1000);
  return script;
}

test("the node that may found a cluster does not found it alone", async () => {
  const script = new Script({ spares: 0 });
  script.start("n1");
  await script.pass(60_000);
  expect(script.leader).toBeNull();
  script.start("n2", "n3");
  await script.create("t");
});

test("a majority of empty disks will do, after waiting for the rest", async () => {
  const script = new Script({ spares: 0 });
  script.start("n1", "n2");
  await script.pass(4_000);
  expect(script.leader).toBeNull();
  await script.create("t");
  script.start("n3");
  await script.until("the third follows", () => script.node("n3").node?.listTopics().length === 1);
});

test("without the order to found nobody does", async () => {
  const script = new Script({ spares: 0 });
  script.node("n1").bootstraps = false;
  script.start();
  await script.pass(60_000);
  expect(script.leader).toBeNull();
});

test("several that may found a cluster found one", async () => {
  const script = new Script({ spares: 0 });
  for (const id of ["n2", "n3"]) script.node(id).bootstraps = true;
  script.start();
  await script.create("t");
  await script.until("all are of it", () =>
    script.cluster.nodes.every(({ node }) => node?.listTopics().length === 1),
  );
});

test("a node that is killed at any moment of the bootstrap continues it", async () => {
  for (let ms = 0; ms < 120; ms += 4) {
    const script = new Script({ spares: 0 });
    script.start();
    await script.pass(40 + ms);
    script.node("n1").kill();
    await script.pass(200);
    script.start("n1");
    await script.create("t");
  }
});

test("a bootstrap node whose disk was lost joins the existing cluster", async () => {
  const script = await bootstrapped();
  script.node("n1").wipe();
  script.start("n1");
  await script.pass(30_000);
  expect(script.leader?.id).not.toBe("n1" as NodeId);
  expect(script.node("n1").node?.health().leaderId).toBeNull();
  expect(await script.ask((node) => node.listTopics().length)).toBe(1);
  await script.insist(
    (node) => node.removeMember("n1"),
    ({ ok }) => ok,
  );
  await script.insist(
    (node) => node.addMember(placeOf("n1")),
    ({ ok }) => ok,
  );
  await script.insist(
    (node) => node.promoteMember("n1"),
    ({ ok }) => ok,
  );
  expect(script.node("n1").node?.listTopics().length).toBe(1);
});

test("a bootstrap node whose disk was lost while all were down waits for the others", async () => {
  const script = await bootstrapped();
  for (const { id } of script.cluster.nodes) script.node(id).kill();
  script.node("n1").wipe();
  script.start("n1");
  await script.pass(30_000);
  script.start("n2", "n3");
  await script.until("two are enough", () => script.leader?.node?.listTopics().length === 1);
  await script.insist(
    (node) => node.removeMember("n1"),
    ({ ok }) => ok,
  );
  await script.insist(
    (node) => node.addMember(placeOf("n1")),
    ({ ok }) => ok,
  );
  await script.until("it is one of them", () => script.node("n1").node?.listTopics().length === 1);
});

test("two lost disks, including that of the bootstrap node, create no second cluster", async () => {
  const script = await bootstrapped();
  for (const id of ["n1", "n2"]) script.node(id).wipe();
  script.start("n1", "n2");
  await script.pass(60_000);
  expect(script.leader).toBeNull();
});

test("two lost disks wait for the third, which is a little late", async () => {
  const script = await bootstrapped();
  script.node("n3").kill();
  for (const id of ["n1", "n2"]) script.node(id).wipe();
  script.start("n1", "n2");
  await script.pass(3_000);
  script.start("n3");
  await script.pass(60_000);
  expect(script.leader).toBeNull();
});

test("a lost disk is not taken for the one that voted, even by a member that has applied nothing", async () => {
  const script = await bootstrapped();
  script.node("n3").kill();
  await script.create("u");
  script.node("n1").kill();
  script.node("n2").wipe();
  script.start("n2", "n3");
  await script.pass(20_000);
  expect(script.leader).toBeNull();
  script.start("n1");
  await script.until("two with their disks are enough", () => {
    return script.leader?.node?.listTopics().length === 2;
  });
});

test("an initial member that starts late is known by its first storage id", async () => {
  const script = new Script({ spares: 0 });
  script.start("n1", "n2");
  await script.create("t");
  script.start("n3");
  await script.until("the third follows", () => script.node("n3").node?.listTopics().length === 1);
  await script.pass(2_000);
  script.node("n3").wipe();
  script.node("n1").kill();
  script.start("n3");
  await script.pass(20_000);
  expect(script.leader).toBeNull();
});

test("a member that has no space for the id of its cluster learns it when there is some", async () => {
  for (const id of ["n1", "n2", "n3"]) {
    const script = new Script({ spares: 0 });
    const others = ["n1", "n2", "n3"].filter((one) => one !== id);
    script.start(id);
    await script.pass(1_000);
    const { disk } = script.node(id);
    disk.faults.full = true;
    script.start(...others);
    await script.pass(20_000);
    expect(script.node(id).node).not.toBeNull();
    disk.faults.full = false;
    await script.create("t");
    await script.until(`${id} has the topic`, () =>
      script.cluster.nodes.every(({ node }) => node?.listTopics().length === 1),
    );
  }
});
