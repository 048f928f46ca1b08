/**
 * Goal: a forwarded write is done at most once, its outcome is told as it is, and it waits for a leader
 * within its deadline. Method: transports of whole links in memory, in simulated time; the leader's own
 * writes are functions of the test.
 */
import { expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { LEVEL_SHARED_WORK } from "../../src/lib/log-levels.ts";
import type { KvPutOutcome } from "../../src/node/api.ts";
import type { Message } from "../../src/raft/types.ts";
import type { Transport } from "../../src/transport/transport.ts";
import {
  A,
  B,
  C,
  COMMIT_TIMEOUT_MS,
  ForwardNode,
  meet,
  nodes,
  stored,
} from "../tools/node/forward-node.ts";
import { Random } from "../tools/random.ts";
import { SimClock, settle } from "../tools/sim/sim-clock.ts";
import { MemoryWorld } from "../tools/transport/memory-network.ts";

test("a follower passes writes on, and the outcomes of the leader come back", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  const outcome = a.produce("1");
  const puts: KvPutOutcome[] = [];
  const put = { namespace: "n", key: "k", value: utf8("v"), cas: 3, ttlMs: 4, timeoutMs: null };
  a.writes.kvPut(put, (each) => puts.push(each));
  b.callOutcome = { ok: false, code: "topic_not_found", details: { end: 3 } };
  const commit = { topic: "t", partition: 1, group: "g", offset: 5 };
  const committed = a.writes.calls.commitOffset(commit);
  await world.clock.advance(20);
  expect(b.texts).toEqual(["1"]);
  expect(b.put.map(({ key }) => key)).toEqual(["k"]);
  expect(b.called).toEqual([{ name: "commitOffset", given: [commit] }]);
  expect(outcome).toEqual([]);
  b.produced[0]?.done(stored(42));
  const written = { ok: true, cas: 4, batchId: 8, synced: true, ackedBy: 3 } as const;
  b.put[0]?.done(written);
  await world.clock.advance(20);
  expect(outcome).toEqual(["ok 42"]);
  expect(puts).toEqual([written]);
  expect<unknown>(await committed).toEqual(b.callOutcome);
  expect(a.instruments.forwardedCommands.value).toBe(3);
  expect(b.instruments.forwardedServed.value).toBe(3);
  expect(a.instruments.forwardsInFlight.value).toBe(0);
});

test("writes of one event-loop iteration share a frame, and so do their outcomes", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  const kinds: number[] = [];
  world.tamper = (_, __, frame) => {
    kinds.push(frame[1] ?? 0);
    return frame;
  };
  for (let i = 0; i < 500; i++) a.produce(`${i % 10}`);
  await world.clock.advance(10);
  expect(b.produced).toHaveLength(500);
  for (const [i, { done }] of b.produced.entries()) done(stored(i));
  await world.clock.advance(10);
  // 500 records of 42 bytes and their topics are below the size of one frame.
  expect(kinds.filter((kind) => kind >= 64)).toEqual([64, 65]);
});

test("a node that does not lead refuses, and the write goes to the new leader, once", async () => {
  const { world, a, b, c } = await nodes();
  a.follow(B);
  b.follow(C);
  c.follow(C);
  const outcome = a.produce("1");
  await world.clock.advance(20);
  b.produced[0]?.done({ ok: false, code: "not_leader" });
  await world.clock.advance(20);
  expect(outcome).toEqual([]);
  expect(c.produced).toEqual([]);
  a.follow(C);
  await world.clock.advance(20);
  expect(c.texts).toEqual(["1"]);
  c.produced[0]?.done(stored(1));
  await world.clock.advance(20);
  expect(outcome).toEqual(["ok 1"]);
  expect([b.produced.length, c.produced.length]).toEqual([1, 1]);
  expect(a.instruments.forwardedAgain.value).toBe(1);
});

test("a node that is not the leader executes nothing for others by a third node", async () => {
  const { world, a, b, c } = await nodes();
  a.follow(B);
  b.follow(C);
  c.follow(C);
  a.produce("1");
  await world.clock.advance(1000);
  expect(b.produced).toHaveLength(1);
  expect(c.produced).toHaveLength(0);
});

test.each(["no_quorum", "overloaded", "commit_timeout", "disk_full"] as const)(
  "an outcome of the leader that may be final is told: %s",
  async (code) => {
    const { world, a, b } = await nodes();
    b.follow(B);
    a.follow(B);
    const outcome = a.produce("1");
    await world.clock.advance(20);
    b.produced[0]?.done({ ok: false, code });
    await world.clock.advance(2_000);
    expect(outcome).toEqual([code]);
    expect(b.produced).toHaveLength(1);
  },
);

test("a link that is lost after the write was sent: the outcome is unknown, and it is not sent again", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  const outcome = a.produce("1");
  await world.clock.advance(20);
  world.cut("a", "b");
  await world.clock.advance(5);
  expect(outcome).toEqual(["commit_timeout"]);
  b.produced[0]?.done(stored(1));
  await world.clock.advance(10_000);
  expect(outcome).toEqual(["commit_timeout"]);
  expect(b.produced).toHaveLength(1);
  expect(a.instruments.forwardedUnknown.value).toBe(1);
});

test("a write waits for a leader, and is done by this node if it is elected", async () => {
  const { world, a, b } = await nodes();
  const [first, second] = [a.produce("1"), a.produce("2", 800)];
  await world.clock.advance(500);
  a.follow(B);
  b.follow(B);
  await world.clock.advance(20);
  expect(b.texts).toEqual(["1", "2"]);
  // The remaining time travels, not a time of the clock.
  expect(b.produced[0]?.request.timeoutMs).toBeNull();
  expect(b.produced[1]?.request.timeoutMs).toBe(300);
  for (const [i, { done }] of b.produced.entries()) done(stored(i));
  await world.clock.advance(20);
  expect([first, second]).toEqual([["ok 0"], ["ok 1"]]);
  a.follow(null);
  const third = a.produce("3", 800);
  await world.clock.advance(300);
  a.follow(A);
  expect(a.texts).toEqual(["3"]);
  expect(a.produced[0]?.request.timeoutMs).toBe(500);
  a.produced[0]?.done(stored(9));
  expect(third).toEqual(["ok 9"]);
});

test("without a leader within the deadline, nothing was done", async () => {
  const { world, a } = await nodes();
  const [usual, own] = [a.produce("1"), a.produce("2", 700)];
  await world.clock.advance(740);
  expect([usual, own]).toEqual([[], ["no_leader"]]);
  await world.clock.advance(COMMIT_TIMEOUT_MS - 740 + 40);
  expect([usual, own]).toEqual([["no_leader"], ["no_leader"]]);
  expect(a.instruments.forwardedUnsent.value).toBe(2);
});

test("a node that does not belong to the cluster does not wait for a leader", async () => {
  const { world, a, b } = await nodes();
  a.isMember = false;
  expect(a.produce("1")).toEqual(["no_leader"]);
  // A leader that it knows takes the write.
  b.follow(B);
  a.follow(B);
  const outcome = a.produce("2");
  await world.clock.advance(20);
  b.produced[0]?.done(stored(1));
  await world.clock.advance(20);
  expect(outcome).toEqual(["ok 1"]);
});

test("writes that wait for a leader are refused when the node turns out not to belong to the cluster", async () => {
  const { world, a, b } = await nodes();
  const outcome = a.produce("1");
  await world.clock.advance(100);
  expect(outcome).toEqual([]);
  a.isMember = false;
  await world.clock.advance(40);
  expect(outcome).toEqual(["no_leader"]);
  expect(a.instruments.forwardedUnsent.value).toBe(1);
  // One that waits for the link to a leader goes on to wait for it.
  a.follow(B);
  const second = a.produce("2");
  await world.clock.advance(40);
  b.follow(B);
  await world.clock.advance(40);
  b.produced[0]?.done(stored(1));
  await world.clock.advance(40);
  expect(second).toEqual(["ok 1"]);
});

test("a leader that is silent: the outcome is unknown, a second after the deadline", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  const outcome = a.produce("1", 300);
  await world.clock.advance(1_250);
  expect(outcome).toEqual([]);
  await world.clock.advance(100);
  expect(outcome).toEqual(["commit_timeout"]);
  // An answer after that is ignored.
  b.produced[0]?.done(stored(1));
  await world.clock.advance(100);
  expect(outcome).toEqual(["commit_timeout"]);
});

test("a frame that arrives twice is executed once", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  const frames: Uint8Array[] = [];
  const received = b.forwarding.received.bind(b.forwarding);
  b.forwarding.received = (peer, kind, payload) => {
    frames.push(payload.slice());
    received(peer, kind, payload);
  };
  a.produce("1");
  await world.clock.advance(20);
  a.produce("2");
  await world.clock.advance(20);
  for (const frame of [...frames].reverse()) received(A, "commands", frame);
  expect(b.texts).toEqual(["1", "2"]);
});

test("a process that is started again begins with its own numbers", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  const before = a.produce("1");
  await world.clock.advance(20);
  await a.transport.close();
  const again = new ForwardNode(world, A);
  await meet(world, [again, b]);
  again.follow(B);
  const after = again.produce("2");
  await world.clock.advance(20);
  expect(b.texts).toEqual(["1", "2"]);
  b.produced[0]?.done(stored(1));
  await world.clock.advance(20);
  expect(after).toEqual([]);
  b.produced[1]?.done(stored(2));
  await world.clock.advance(20);
  expect(after).toEqual(["ok 2"]);
  // The process that waited for it is gone.
  expect(before).toEqual([]);
});

test("a leader of an earlier version gets no frame that it does not know", async () => {
  const world = new MemoryWorld(new SimClock(), new Random(1));
  const a = new ForwardNode(world, A);
  const b = new ForwardNode(world, B, { level: LEVEL_SHARED_WORK });
  await meet(world, [a, b]);
  b.follow(B);
  a.follow(B);
  expect(a.writes.reachesLeader).toBe(false);
  const outcome = a.produce("1");
  await world.clock.advance(20);
  expect(outcome).toEqual(["not_leader"]);
  expect(b.produced).toEqual([]);
  expect(b.transport.stats().malformed.size).toBe(0);
});

test("a node knows the marks of those that have told them over a link, and its own", async () => {
  const { world, a, b, c } = await nodes();
  for (const { forwarding } of [a, b, c]) {
    expect([a, b, c].map((each) => forwarding.knows(each.forwarding.mark))).toEqual([
      true,
      true,
      true,
    ]);
    for (const mark of ["", "1", "undefined"]) expect(forwarding.knows(mark)).toBe(false);
  }
  expect(new Set([a, b, c].map(({ forwarding }) => forwarding.mark)).size).toBe(3);
  // A process that is started again has another one.
  const before = a.forwarding.mark;
  await a.transport.close();
  const again = new ForwardNode(world, A);
  await meet(world, [again, b, c]);
  expect(b.forwarding.knows(again.forwarding.mark)).toBe(true);
  expect(b.forwarding.knows(before)).toBe(false);
  // It does not count as a command.
  expect(b.instruments.forwardedServed.value).toBe(0);
});

test("a follower that redirects executes nothing elsewhere", async () => {
  const world = new MemoryWorld(new SimClock(), new Random(1));
  const a = new ForwardNode(world, A, { forwards: false });
  const b = new ForwardNode(world, B);
  await meet(world, [a, b]);
  b.follow(B);
  a.follow(B);
  expect(a.writes.reachesLeader).toBe(false);
  a.produce("1");
  await world.clock.advance(20);
  expect([a.texts, b.texts]).toEqual([["1"], []]);
});

test("a flood of writes leaves room for messages of consensus on the same link", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  const text = "x".repeat(10_000);
  for (let i = 0; i < 1_000; i++) a.produce(text);
  await world.clock.advance(200);
  const ahead = b.produced.reduce((sum, { request }) => sum + request.records.bytes.length, 0);
  // The window, and not the ten megabytes that wait.
  expect(ahead).toBeLessThanOrEqual(1024 * 1024);
  expect(ahead).toBeGreaterThan(900 * 1024);
  const heartbeat = { type: "heartbeat", from: A, to: B, term: 7, commit: 9, round: 3 } as unknown;
  a.transport.send([heartbeat as Message]);
  await world.clock.advance(5);
  expect(b.messages).toHaveLength(1);
  // Answers make room for the next commands.
  for (let i = 0; i < b.produced.length; i++) {
    b.produced[i]?.done(stored(i));
    if (i % 50 === 0) await world.clock.advance(25);
  }
  await world.clock.advance(100);
  expect(b.produced).toHaveLength(1_000);
});

test("writes to a leader that stands still do not hold back those to the next one", async () => {
  const { world, a, b, c } = await nodes();
  b.follow(B);
  a.follow(B);
  const lost = Array.from({ length: 200 }, () => a.produce("x".repeat(10_000), 3_000));
  await world.clock.advance(50);
  // The window of the first leader is full, and it answers nothing.
  expect(b.produced.length).toBeLessThan(200);
  c.follow(C);
  a.follow(C);
  const outcome = a.produce("1");
  await world.clock.advance(50);
  expect(c.texts.at(-1)).toBe("1");
  expect(c.produced.length + b.produced.length).toBe(201);
  for (const [i, { done }] of c.produced.entries()) done(stored(i));
  await world.clock.advance(50);
  expect(outcome).toEqual([`ok ${c.produced.length - 1}`]);
  await world.clock.advance(5_000);
  // Those that the first leader has are unknown; nothing is counted twice or left.
  expect(lost.flat().filter((each) => each === "commit_timeout")).toHaveLength(b.produced.length);
  expect(a.instruments.forwardsInFlight.value).toBe(0);
});

test("a link that does not drain gets no more commands", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  let waiting = 1 << 20;
  const { transport } = a;
  Object.defineProperty(transport, "backlogBytes", { value: () => waiting });
  const outcome = a.produce("1");
  await world.clock.advance(500);
  expect(b.produced).toEqual([]);
  waiting = 0;
  await world.clock.advance(50);
  expect(b.texts).toEqual(["1"]);
  expect(outcome).toEqual([]);
});

test("a full queue refuses before anything is sent", async () => {
  const world = new MemoryWorld(new SimClock(), new Random(1));
  const a = new ForwardNode(world, A, { queueRequestsMax: 2 });
  const outcomes = [a.produce("1"), a.produce("2"), a.produce("3")];
  expect(outcomes).toEqual([[], [], ["overloaded"]]);
});

test("a stop refuses what was not sent; everything else is unknown", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  const sent = a.produce("1");
  await world.clock.advance(20);
  a.core.leader = null;
  const waiting = a.produce("2");
  a.writes.stop();
  expect([sent, waiting, a.produce("3")]).toEqual([
    ["commit_timeout"],
    ["shutting_down"],
    ["shutting_down"],
  ]);
});

test("commands and outcomes that make no sense end the link, and nothing of them is done", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  const bad: readonly ((
    writer: Parameters<Parameters<Transport["sendCommands"]>[2]>[0],
  ) => void)[] = [
    (writer) => writer.u8(1),
    (writer) => {
      writer.u64(1);
      writer.varint(1);
      writer.varint(1);
      writer.u32(0);
    },
    (writer) => {
      writer.u64(1);
      writer.varint(1);
      writer.varint(1);
      writer.u32(2);
      writer.u8(3);
      writer.varint(10);
      writer.text("createTopic");
      writer.text("[]");
      writer.u8(99);
      writer.varint(10);
      writer.raw(new Uint8Array(8));
    },
  ];
  for (const kind of ["commands", "outcomes"] as const) {
    for (const write of bad) {
      a.transport.sendCommands(B, kind, write);
      await world.clock.advance(3_000);
    }
  }
  expect(b.transport.stats().malformed.get("payload")).toBe(6);
  expect(b.called).toEqual([]);
  await settle();
});

test("a call that the leader does not know is refused by name, and was not done", async () => {
  const { world, a, b } = await nodes();
  b.follow(B);
  a.follow(B);
  const outcome = a.writes.calls.deleteTopic("t");
  await world.clock.advance(20);
  expect<unknown>(await outcome).toEqual({
    ok: false,
    code: "cluster_not_upgraded",
    message:
      'The leader runs an earlier version that does not take "deleteTopic" from other nodes: send the request to the leader, or upgrade it',
  });
  expect(b.called).toEqual([]);
});
