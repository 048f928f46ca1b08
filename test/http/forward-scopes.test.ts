/**
 * Goal: on a follower, a permission that depends on the state is decided by a state that is not older
 * than the request. Method: a fake node that lags until it catches up.
 */
import { expect, test } from "bun:test";
import type { QueueTopics, Received } from "../../src/node/api.ts";
import { FakeLater } from "../tools/http/fake-later.ts";
import { FakeQueues } from "../tools/http/fake-queues.ts";
import { fixture } from "../tools/http/fixture.ts";

const tokens = "whole,few@read=mine+admin=mine";
const NOTHING = { topic: "mine", topicId: 1, visibleAtMs: 0, blocked: null } as const;

/** A follower to which the queue `q` is of the topic `mine`, until it catches up. */
function lagging(now: string | null) {
  let caughtUp = 0;
  let known: QueueTopics | null = { topic: "mine", deadLetter: null };
  const received: Received = { ...NOTHING, messages: [] };
  const queues = new FakeQueues();
  queues.topicsOfQueue = () => known;
  queues.receive = async () => ({ ok: true, ...received });
  queues.settle = async () => ({ ok: true, results: [null] });
  queues.reject = async () => ({ ok: true, results: [null] });
  queues.redrive = async () => ({ ok: true, moved: 0, remaining: 0 });
  const auth = { tokens, skipPrefixes: [] };
  const forwardWrites = { commitTimeoutMs: 1000 };
  const { node, ask } = fixture({ auth, queues, later: new FakeLater(), forwardWrites });
  node.healthNow = { role: "follower", leaderUrl: "http://127.0.0.1:1" };
  node.isLinked = true;
  node.catchUp = () => {
    caughtUp++;
    known = now === null ? null : { topic: now, deadLetter: null };
    return Promise.resolve(null);
  };
  const statusOf = async (line: string, token: string, body?: string) =>
    (await ask(line, { token, ...(body === undefined ? {} : { body }) })).status;
  return { node, queues, statusOf, caughtUp: () => caughtUp };
}

const RECEIPTS = '{"receipts":["q1-0-0-1"]}';
const REQUESTS: readonly (readonly [string, string?])[] = [
  ["POST /broker/queues/q/receive"],
  ["POST /broker/queues/q/ack", RECEIPTS],
  ["POST /broker/queues/q/nack", RECEIPTS],
  ["POST /broker/queues/q/extend", '{"receipts":["q1-0-0-1"],"by_ms":1000}'],
  ["POST /broker/queues/q/reject", RECEIPTS],
  ["POST /broker/queues/q/redrive", "{}"],
];

test.each(REQUESTS)(
  "%s: a queue that is of another topic by now is not allowed",
  async (...asked) => {
    const [line, body] = asked;
    const other = lagging("theirs");
    expect(await other.statusOf(line, "few", body)).toBe(403);
    expect(other.caughtUp()).toBe(1);
    const same = lagging("mine");
    expect(await same.statusOf(line, "few", body)).toBe(200);
    // A token for all names is allowed whatever the state is, so nothing is asked.
    const all = lagging("theirs");
    expect(await all.statusOf(line, "whole", body)).toBe(200);
    expect(all.caughtUp()).toBe(0);
  },
);

test("a node that cannot catch up does not decide", async () => {
  const { node, statusOf } = lagging("mine");
  node.catchUp = () => Promise.resolve({ ok: false, code: "no_leader" }) as never;
  expect(await statusOf("POST /broker/queues/q/receive", "few")).toBe(503);
  expect(await statusOf("DELETE /broker/schedules/s", "few")).toBe(503);
  expect(await statusOf("POST /broker/groups/g/leave", "few", '{"member":"m"}')).toBe(503);
});

test("messages of a topic that the token may not read are not told, even if the leader leased them", async () => {
  const { queues, statusOf } = lagging("mine");
  const source = new Uint8Array(1);
  const value = { valueStart: 0, valueEnd: 1, headersStart: 1, headersEnd: 1 };
  const record = { source, keyStart: -1, keyEnd: -1, ...value };
  const message = {
    ...{ record, queueId: 1 },
    ...{ partition: 0, offset: 0, timestampMs: 1, attempt: 1, receipt: "q1-0-0-1" },
    ...{ key: null, value: source, headers: new Uint8Array(0) },
  };
  queues.receive = async () => ({ ok: true, ...NOTHING, topic: "theirs", messages: [message] });
  expect(await statusOf("POST /broker/queues/q/receive", "few")).toBe(403);
  expect(await statusOf("POST /broker/queues/q/receive", "whole")).toBe(200);
});

test("the leader decides by its own state", async () => {
  const { node, statusOf, caughtUp } = lagging("theirs");
  node.healthNow = { role: "leader" };
  expect(await statusOf("POST /broker/queues/q/receive", "few")).toBe(200);
  expect(caughtUp()).toBe(0);
});
