/**
 * Goal: a change of membership is answered with what became of it, and as soon as that is known.
 * Method: whole nodes; the leader is cut off when the change is proposed, and another leader puts its
 * own entries in its place, or the majority is gone.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { placeOf, Script } from "../tools/sim/script.ts";
import type { SimNode } from "../tools/sim/sim-node.ts";

setDefaultTimeout(120_000);

const TIMEOUT_MS = 5_000;

async function running(): Promise<{ script: Script; leader: SimNode }> {
  const script = new Script({ spares: 0, commitTimeoutMs: TIMEOUT_MS });
  script.start();
  await script.create("t");
  const { leader } = script;
  if (leader === null) throw new Error("nobody leads");
  return { script, leader };
}

function isolate({ cluster }: Script, { id }: SimNode): void {
  for (const other of cluster.nodes) {
    cluster.networks.block(id, other.id);
    cluster.networks.block(other.id, id);
    cluster.networks.cut(id, other.id);
  }
}

/** Asks this node, whoever leads. */
function asked<T>(
  { life, node }: SimNode,
  run: (node: NonNullable<SimNode["node"]>) => Promise<T>,
) {
  const state: { answer: T | null } = { answer: null };
  life.run(() => {
    if (node === null) throw new Error("the node is not up");
    void run(node).then((answer) => Object.assign(state, { answer }));
  });
  return state;
}

const membersOn = ({ node }: SimNode) => node?.membership().nodes.map(({ nodeId }) => nodeId);

test("a change that another leader has cut off is not answered as done, and at once", async () => {
  const { script, leader } = await running();
  const victim = script.cluster.nodes.find((node) => node !== leader) as SimNode;
  isolate(script, leader);
  const begun = script.cluster.queue.elapsedMs;
  const removal = asked(leader, (node) => node.removeMember(victim.id));
  const others = script.cluster.nodes.filter((node) => node !== leader);
  await script.until("another leader", () =>
    others.some(({ node }) => node?.health().role === "leader"),
  );
  await script.pass(300);
  expect(removal.answer).toBeNull();
  script.cluster.networks.heal();
  await script.until("an answer", () => removal.answer !== null);
  expect(removal.answer).toEqual({ ok: false, code: "not_leader" });
  expect(script.cluster.queue.elapsedMs - begun).toBeLessThan(TIMEOUT_MS / 2);
  expect(membersOn(leader)).toContain(victim.id);
});

test("both steps of an addition share one timeout", async () => {
  const { script, leader } = await running();
  const followers = script.cluster.nodes.filter((node) => node !== leader);
  const begun = script.cluster.queue.elapsedMs;
  const stuck = (ms: number) => {
    for (const { diskState } of followers) diskState.stuckUntilMs = begun + ms;
  };
  // The first step is committed late, and the second one later still.
  stuck(0.8 * TIMEOUT_MS);
  const addition = asked(leader, (node) => node.addMember(placeOf("n9")));
  await script.pass(0.7 * TIMEOUT_MS);
  expect(addition.answer).toBeNull();
  await script.until("the first step", () => (leader.node?.health().commitIndex ?? 0) > 3);
  stuck(3 * TIMEOUT_MS);
  await script.until("an answer", () => addition.answer !== null);
  expect(script.cluster.queue.elapsedMs - begun).toBeLessThan(TIMEOUT_MS + 200);
  expect(addition.answer).toEqual({ ok: false, code: "commit_timeout" });
});
