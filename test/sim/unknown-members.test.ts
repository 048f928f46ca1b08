/** Members that know less than others of who is a member. */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { NodeId } from "../../src/lib/ids.ts";
import { placeOf, Script } from "../tools/sim/script.ts";

setDefaultTimeout(120_000);

async function join(script: Script, id: string): Promise<void> {
  await script.insist(
    (node) => node.addMember(placeOf(id)),
    (result) => result.ok || result.code === "member_exists",
  );
  await script.insist(
    (node) => node.promoteMember(id),
    ({ ok }) => ok,
  );
}

const appliedBy = (script: Script, id: string): number =>
  script.node(id).node?.health().appliedIndex ?? 0;

test("a member that lags follows a leader that joined meanwhile", async () => {
  const script = new Script();
  script.start();
  await script.create("t");
  await script.until("all have it", () => appliedBy(script, "n3") > 2);
  script.node("n3").kill();
  await join(script, "n4");
  await script.insist(
    (node) => node.transferLeadership("n4"),
    () => script.leader?.id === ("n4" as NodeId),
  );
  await script.create("u");
  script.start("n3");
  await script.until("it has caught up", () => {
    const node = script.node("n3").node;
    return node !== null && node.health().leaderId === "n4" && node.health().ready;
  });
  expect(script.leader?.id).toBe("n4" as NodeId);
  await script.until("it has all", () => script.node("n3").node?.listTopics().length === 2);
});

test("a member that lags follows a leader that came back with another disk meanwhile", async () => {
  const script = new Script({ nodes: 5, spares: 0 });
  script.start();
  await script.create("t");
  await script.pass(3000);
  // Its knowledge of disks survives the process.
  await script.ask((node) => node.compact(), "n3");
  script.node("n3").kill();
  await script.insist(
    (node) => node.transferLeadership("n1"),
    () => script.leader?.id === ("n1" as NodeId),
  );
  script.node("n2").wipe();
  await script.insist(
    (node) => node.removeMember("n2"),
    ({ ok }) => ok,
  );
  script.start("n2");
  await join(script, "n2");
  await script.insist(
    (node) => node.transferLeadership("n2"),
    () => script.leader?.id === ("n2" as NodeId),
  );
  script.start("n3");
  await script.until("it has caught up", () => {
    const node = script.node("n3").node;
    return node !== null && node.health().leaderId === "n2" && node.health().ready;
  });
  expect(script.leader?.id).toBe("n2" as NodeId);
});

test("a member that was removed is not ready any more, although it still knows a leader", async () => {
  const script = new Script();
  script.start();
  await script.create("t");
  const ready = () => script.node("n3").node?.health().ready;
  await script.until("it is ready", () => ready() === true);
  await script.insist(
    (node) => (script.leader?.id === ("n3" as NodeId) ? node.transferLeadership("n1") : null),
    () => script.leader?.id !== ("n3" as NodeId),
  );
  await script.insist(
    (node) => node.removeMember("n3"),
    ({ ok }) => ok,
  );
  await script.until("it knows", () => ready() === false);
  expect(script.node("n3").node?.health().reason).toBe("not a member of the cluster");
});

/** Longer than any election: a request that waits for a leader is told from one that does not. */
const PATIENCE_MS = 20_000;

async function refusalAt(script: Script, id: string): Promise<{ code: string; ms: number }> {
  const before = script.cluster.queue.elapsedMs;
  const join = { group: "g", member: "m", topics: ["t"], leaseMs: 10_000 };
  const answer = await script.ask((node) => node.groups.join(join), id);
  return { code: answer.ok ? "ok" : answer.code, ms: script.cluster.queue.elapsedMs - before };
}

for (const [name, isDown] of [
  ["was down when it was removed", true],
  ["saw its removal", false],
] as const) {
  test(`a node that ${name} refuses writes at once and says why`, async () => {
    const lines: string[] = [];
    const changes = { forwards: true, commitTimeoutMs: PATIENCE_MS };
    const script = new Script(changes, (line) => lines.push(line));
    script.start();
    await script.create("t");
    await script.insist(
      (node) => (script.leader?.id === ("n3" as NodeId) ? node.transferLeadership("n1") : null),
      () => script.leader?.id !== ("n3" as NodeId),
    );
    await script.until("n3 has it", () => appliedBy(script, "n3") === appliedBy(script, "n1"));
    if (isDown) script.node("n3").kill();
    await script.insist(
      (node) => node.removeMember("n3"),
      (result) => result.ok || result.code === "member_not_found",
    );
    if (isDown) script.start("n3");
    const health = () => script.node("n3").node?.health();
    await script.until("it is up", () => health() !== undefined);
    const waiting = refusalAt(script, "n3");
    await script.until("it knows", () => health()?.reason === "not a member of the cluster", 5000);
    expect((await waiting).code).toBe("no_leader");
    await script.until("it forgets its leader", () => health()?.leaderId === null, 5000);
    const refusal = await refusalAt(script, "n3");
    expect([refusal.code, refusal.ms < 50]).toEqual(["no_leader", true]);
    await script.pass(5000);
    const warnings = lines.filter((line) => line.includes("was removed from the cluster"));
    expect(warnings.map((line) => /n\d#/.exec(line)?.[0])).toEqual(["n3#"]);
    // Added again, it forwards.
    await join(script, "n3");
    await script.until("it is ready", () => health()?.ready === true);
    expect((await refusalAt(script, "n3")).code).toBe("ok");
  });
}
