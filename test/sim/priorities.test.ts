/** Priorities bias elections and bring leadership home, but never to and fro. */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { NodeId } from "../../src/lib/ids.ts";
import { Script } from "../tools/sim/script.ts";

setDefaultTimeout(120_000);

const isLedBy = (script: Script, id: string) => () => script.leader?.id === (id as NodeId);

test("leadership goes to the node of the highest priority, also from one elected first", async () => {
  const script = new Script({ priorities: true, spares: 0 });
  script.start();
  await script.create("t");
  script.node("n1").kill();
  await script.until("another leads", () => script.leader !== null);
  script.start("n1");
  await script.until("the first leads again", isLedBy(script, "n1"));
});

test("a member that is added later counts by the priority with which it was added", async () => {
  const script = new Script();
  script.start();
  await script.create("t");
  await script.insist(
    (node) =>
      node.addMember({ nodeId: "n4", host: "n4", raftPort: 7000, httpPort: 8000, priority: 9 }),
    ({ ok }) => ok,
  );
  await script.insist(
    (node) => node.promoteMember("n4"),
    ({ ok }) => ok,
  );
  await script.until("it leads", isLedBy(script, "n4"));
  // Its settings say nothing of it, and are the same: what it was added with counts there too.
  await script.pass(120_000);
  expect(isLedBy(script, "n4")()).toBe(true);
});

test("a favourite that comes and goes costs few changes of the leader", async () => {
  const script = new Script({ priorities: true, spares: 0 });
  script.start();
  await script.create("t");
  let changes = 0;
  let last = script.leader?.id ?? null;
  const pass = async (ms: number) => {
    for (let i = 0; i < ms; i += 100) {
      await script.pass(100);
      const now = script.leader?.id ?? null;
      if (now !== null && now !== last) {
        changes++;
        last = now;
      }
    }
  };
  const begin = script.cluster.queue.elapsedMs;
  for (let round = 0; round < 15; round++) {
    // The pause between transfers holds although the new process does not know the last one.
    for (const id of [isLedBy(script, "n2")() ? "n3" : "n2", "n1"]) {
      script.node(id).kill();
      await pass(3_000);
      script.start(id);
      await pass(10_000);
    }
  }
  const minutes = (script.cluster.queue.elapsedMs - begin) / 60_000;
  // One loss of the leader and one return a minute.
  expect(changes).toBeLessThanOrEqual(2 * minutes + 2);
});

test("no leadership is handed to a favourite that is down", async () => {
  const script = new Script({ priorities: true, spares: 0 });
  script.start();
  await script.create("t");
  await script.until("the first leads", isLedBy(script, "n1"));
  script.node("n1").kill();
  await script.create("u");
  await script.until("the favourite of those that are up leads", isLedBy(script, "n2"));
  const term = script.leader?.node?.health().term;
  await script.pass(200_000);
  const { leader } = script;
  expect(leader?.node?.health().term).toBe(term as never);
});
