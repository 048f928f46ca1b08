/**
 * Goal: a call that waits at the leader for a follower takes no room of writes, and ends with its client,
 * its link, or its time. Method: as in `forward.test.ts`.
 */
import { expect, test } from "bun:test";
import { B, C, COMMIT_TIMEOUT_MS, nodes, stored } from "../tools/node/forward-node.ts";
import { settle } from "../tools/sim/sim-clock.ts";

const LEASE = { queue: "q", max: 1, waitMs: 30_000, visibilityMs: null };
const LEASED = {
  ok: true,
  topic: "t",
  topicId: 1,
  messages: [{ partition: 0, offset: 7, attempt: 1, receipt: "q1-0-7-1" }],
  visibleAtMs: 5,
  blocked: null,
} as const;

test("a call that waits takes no room on the link, and its outcome comes long after the deadline of a write", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  const { signal } = new AbortController();
  const outcomes = Array.from({ length: 5_000 }, () => a.writes.calls.receive(LEASE, signal));
  await world.clock.advance(20_000);
  expect(b.called[0]).toEqual({ name: "receive", given: [LEASE] });
  expect(b.waiting).toHaveLength(5_000);
  // 5,000 writes of this size would be more than the window.
  const written = a.produce("1");
  await world.clock.advance(20);
  expect(b.texts).toEqual(["1"]);
  b.produced[0]?.done(stored(3));
  for (const { end } of b.waiting) end(LEASED);
  await world.clock.advance(20);
  expect(written).toEqual(["ok 3"]);
  expect(await outcomes.at(-1)).toEqual(LEASED);
  expect(a.instruments.forwardsInFlight.value).toBe(0);
});

test("a wait that the leader does not end: the outcome is unknown after the wait and the deadline", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  let code = "";
  const { signal } = new AbortController();
  void a.writes.calls.receive({ ...LEASE, waitMs: 2_000 }, signal).then((outcome) => {
    code = outcome.ok ? "ok" : outcome.code;
  });
  await world.clock.advance(COMMIT_TIMEOUT_MS + 2_900);
  expect(code).toBe("");
  await world.clock.advance(200);
  await settle();
  expect(code).toBe("commit_timeout");
});

test("a client that leaves ends the wait at the leader, and one that has not been sent is not sent", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  const [first, second] = [new AbortController(), new AbortController()];
  const unsent = a.writes.calls.receive(LEASE, first.signal);
  await world.clock.advance(20);
  first.abort();
  expect(await unsent).toEqual({ ok: false, code: "shutting_down" });
  a.follow(B);
  const sent = a.writes.calls.receive(LEASE, second.signal);
  void a.writes.calls.receive(LEASE, new AbortController().signal);
  await world.clock.advance(20);
  expect(b.waiting.map(({ signal }) => signal.aborted)).toEqual([false, false]);
  second.abort();
  await world.clock.advance(20);
  expect(b.waiting.map(({ signal }) => signal.aborted)).toEqual([true, false]);
  b.waiting[0]?.end({ ...LEASED, messages: [] });
  await world.clock.advance(20);
  expect(await sent).toMatchObject({ messages: [] });
});

test("a leader that loses a follower ends its waits, so that nothing is leased to nobody", async () => {
  const { world, a, b, c } = await nodes();
  b.follow(B);
  for (const node of [a, c]) node.follow(B);
  const { signal } = new AbortController();
  const lost = a.writes.calls.receive(LEASE, signal);
  await world.clock.advance(20);
  void c.writes.calls.receive(LEASE, signal);
  await world.clock.advance(20);
  world.cut("a", "b");
  await world.clock.advance(20);
  expect(await lost).toMatchObject({ ok: false, code: "commit_timeout" });
  expect(b.waiting.map((wait) => wait.signal.aborted)).toEqual([true, false]);
});

test("a call of several commands is not sent again after a refusal", async () => {
  const { world, a, b, c } = await nodes();
  a.follow(B);
  b.callOutcome = { ok: false, code: "not_leader" };
  const outcome = a.writes.calls.redrive({ queue: "q", max: null, perSecond: null });
  await world.clock.advance(20);
  a.follow(C);
  c.follow(C);
  await world.clock.advance(200);
  expect<unknown>(await outcome).toEqual(b.callOutcome);
  expect([b.called.length, c.called.length]).toEqual([1, 0]);
});

test("more waits than the limit are refused before anything is sent", async () => {
  const { a } = await nodes();
  const { signal } = new AbortController();
  for (let i = 0; i < 8_192; i++) void a.writes.calls.receive(LEASE, signal);
  expect(await a.writes.calls.receive(LEASE, signal)).toEqual({ ok: false, code: "overloaded" });
  // Waits do not count as writes.
  expect(a.produce("1")).toEqual([]);
});
