/**
 * Goal: only a node that knows what was committed says that there is no such topic. Method: a member
 * comes for the first time when its cluster has a topic, the log of which is in a snapshot.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { Node } from "../../src/node/node.ts";
import { Script } from "../tools/sim/script.ts";

setDefaultTimeout(120_000);

const consume = (topic: string) => async (node: Node) => {
  const outcome = await node.consume({
    topic,
    partition: 0,
    group: "g",
    offset: 0,
    limit: 10,
    maxBytes: 1 << 20,
    linearizable: false,
  });
  return outcome.ok ? "ok" : outcome.code;
};
const query = (topic: string) => async (node: Node) => {
  const body = JSON.stringify({ source: { topic, partition: 0 }, aggregate: {} });
  const { signal } = new AbortController();
  const outcome = await node.streams.query({ body, signal });
  return outcome.ok ? "ok" : outcome.code;
};
const describe = (topic: string) => async (node: Node) => {
  const first = node.describeTopic(topic);
  const second = first.ok ? first : ((await node.catchUp()) ?? node.describeTopic(topic));
  return second.ok ? "ok" : second.code;
};

async function withTopic(): Promise<Script> {
  const script = new Script();
  script.start("n1", "n2");
  await script.create("t");
  for (const id of ["n1", "n2"]) await script.ask((node) => node.compact(), id);
  return script;
}

function cut({ cluster }: Script, id: string): void {
  for (const other of cluster.nodes) {
    cluster.networks.block(id, other.id);
    cluster.networks.block(other.id, id);
  }
}

for (const [name, read] of Object.entries({ consume, query, describe })) {
  test(`${name}: while a snapshot comes the answer waits for it`, async () => {
    const script = await withTopic();
    script.start("n3");
    const outcomes: string[] = [];
    while (outcomes.at(-1) !== "ok") {
      outcomes.push(await script.ask(read("t"), "n3"));
      if (outcomes.length > 1000) throw new Error("asked a thousand times");
      await script.pass(1);
    }
    expect(outcomes).not.toContain("topic_not_found");
    expect(await script.ask(read("u"), "n3")).toBe("topic_not_found");
    expect(await script.ask(read("u"))).toBe("topic_not_found");
  });

  test(`${name}: a node that hears of no leader does not deny`, async () => {
    const script = await withTopic();
    cut(script, "n3");
    script.start("n3");
    expect(await script.ask(read("t"), "n3")).toMatch(/no_leader|no_quorum/);
    script.cluster.networks.heal();
    await script.until("it is ready", () => script.node("n3").node?.health().ready === true);
    expect(await script.ask(read("t"), "n3")).toBe("ok");
  });
}
