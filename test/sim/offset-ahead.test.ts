/**
 * Goal: a node says that an offset is beyond the end only if it is beyond the end of the leader.
 * Method: a follower is cut off while records come, and is asked for the last of them.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { Node } from "../../src/node/node.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { DEFAULT_JOIN_RULES } from "../../src/stream/join-rules.ts";
import { Script } from "../tools/sim/script.ts";
import type { SimNode } from "../tools/sim/sim-node.ts";

setDefaultTimeout(120_000);

const RECORD = encodeRecord(null, new Uint8Array([7]));
const PLACE = { topic: "t", partition: 0 };

const consume = (offset: number) => async (node: Node) => {
  const request = { ...PLACE, group: "g", offset, limit: 10, maxBytes: 1 << 20 };
  const page = await node.consume({ ...request, linearizable: false });
  return page.ok ? `ok, end ${page.endOffset}` : page.code;
};
const query = (offset: number) => async (node: Node) => {
  const body = JSON.stringify({ source: { ...PLACE, offset } });
  const answer = await node.streams.query({ body, signal: new AbortController().signal });
  return answer.ok ? "ok" : `${answer.code} ${JSON.stringify(answer.details)}`;
};
const join = (offset: number) => async (node: Node) => {
  const on = { left_key: "k", right_key: "k" };
  const body = JSON.stringify({ left: PLACE, right: { ...PLACE, offset }, on });
  const { signal } = new AbortController();
  const answer = await node.streams.join({ body, signal, rules: DEFAULT_JOIN_RULES });
  return answer.ok ? "ok" : `${answer.code} ${JSON.stringify(answer.details)}`;
};

const write = (script: Script) =>
  script.insist(
    (node) =>
      new Promise<{ ok: boolean }>((done) => {
        const request = { ...PLACE, key: null, idempotencyKey: null, records: RECORD };
        node.produce({ ...request, timeoutMs: null, rocket: false }, done);
      }),
    ({ ok }) => ok,
  );

/** Three records that a follower does not have yet, as it cannot hear of them. */
async function lagging() {
  const script = new Script({ spares: 0 });
  script.start();
  await script.create("t");
  await script.until("all have it", () =>
    script.cluster.nodes.every(({ node }) => node?.describeTopic("t").ok === true),
  );
  const follower = script.cluster.nodes.find(
    ({ node }) => node?.health().role === "follower",
  ) as SimNode;
  for (const { id } of script.cluster.nodes) {
    script.cluster.networks.block(id, follower.id);
    script.cluster.networks.block(follower.id, id);
    script.cluster.networks.cut(id, follower.id);
  }
  for (let i = 0; i < 3; i++) await write(script);
  return { script, follower };
}

for (const [name, read, beyond] of [
  ["a page", consume, /^offset_out_of_range$/],
  ["a query", query, /^offset_out_of_range \{"endOffset":3,"field":"source.offset"\}$/],
  ["a join", join, /^offset_out_of_range \{"endOffset":3,"field":"right.offset"\}$/],
] as const) {
  test(`${name}: a follower that lags asks the leader what the end is`, async () => {
    const { script, follower } = await lagging();
    expect(await script.ask(read(3), follower.id)).toMatch(/^(no_leader|no_quorum)/);
    script.cluster.networks.heal();
    await script.until("it knows the leader", () => follower.node?.health().leaderId !== null);
    let answer = "no_leader";
    while (/^(no_leader|no_quorum)/.test(answer)) answer = await script.ask(read(3), follower.id);
    expect(answer).toMatch(/^ok/);
    expect(await script.ask(read(4), follower.id)).toMatch(beyond);
    expect(await script.ask(read(4))).toMatch(beyond);
  });
}

test("a page by topic id: a follower that lags asks the leader which topic it is", async () => {
  const { script, follower } = await lagging();
  await script.insist(
    (node) => node.deleteTopic("t"),
    ({ ok }) => ok,
  );
  await script.create("t");
  const page = (topicId: number) => async (node: Node) => {
    const request = { ...PLACE, group: "g", offset: 0, topicId, limit: 10, maxBytes: 1 << 20 };
    const answer = await node.consume({ ...request, linearizable: false });
    return answer.ok ? `topic ${answer.topicId}` : answer.code;
  };
  expect(await script.ask(page(1))).toBe("offset_out_of_range");
  expect(await script.ask(page(2))).toBe("topic 2");
  expect(await script.ask(page(1), follower.id)).toBe("topic 1");
  expect(await script.ask(page(2), follower.id)).toMatch(/^(no_leader|no_quorum)$/);
  script.cluster.networks.heal();
  let answer = "no_leader";
  while (/^(no_leader|no_quorum)/.test(answer)) answer = await script.ask(page(2), follower.id);
  expect(answer).toBe("topic 2");
  expect(await script.ask(page(1), follower.id)).toBe("offset_out_of_range");
  expect(await script.ask(page(3), follower.id)).toBe("offset_out_of_range");
});

test("a commit beyond the end counts as the end, and so does a deletion", async () => {
  const { script } = await lagging();
  const commit = (offset: number) =>
    script.ask((node) => node.commitOffset({ ...PLACE, group: "g", offset }));
  expect(await commit(2)).toEqual({ ok: true, committedOffset: 2, clamped: false });
  expect(await commit(9)).toEqual({ ok: true, committedOffset: 3, clamped: true });
  expect(await commit(1)).toEqual({ ok: true, committedOffset: 3, clamped: false });
  const cut = (beforeOffset: number) =>
    script.ask((node) => node.deleteBefore({ ...PLACE, beforeOffset }));
  expect(await cut(1)).toMatchObject({ ok: true, deletedCount: 1, clamped: false });
  expect(await cut(9)).toMatchObject({ ok: true, deletedCount: 2, clamped: true });
});
