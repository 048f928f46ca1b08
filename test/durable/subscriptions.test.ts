import { expect, test } from "bun:test";
import { tokenOf, ZERO_TOKEN } from "../../src/durable/offset-token.ts";
import type { DurableRejectCode } from "../../src/durable/state.ts";
import { matchesGlob } from "../../src/durable/subscriptions/glob.ts";
import { infoOf, isPending, lookOn, pendingOf } from "../../src/durable/subscriptions/links.ts";
import type { SubscriptionState } from "../../src/durable/subscriptions/state.ts";
import { linkInfos, WAKE_STREAMS_MAX, wakeInfos } from "../../src/durable/subscriptions/wakes.ts";
import type { CommandResult } from "../../src/machine/commands.ts";
import { Machine } from "../../src/machine/machine.ts";
import {
  randomStreamCommand,
  recordsOf,
  StreamBench,
  subscriptionOf,
} from "../tools/durable/support.ts";
import { forEachSeed } from "../tools/random.ts";

const refused = (
  code: DurableRejectCode,
  details: Readonly<Record<string, number | string>> = {},
): CommandResult => ({ ok: false, code, details }) as CommandResult;
const JSON_STREAM = { contentType: "application/json" };

test("patterns match whole segments", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["events/*", "events/1", true],
    ["events/*", "events/1/2", false],
    ["events/*", "events", false],
    ["events/**", "events", true],
    ["events/**", "events2", false],
    ["events/*", "events2/1", false],
    ["a/b/*", "a/b/c", true],
    ["a/b/*", "a/b", false],
    ["a/b/**", "a/b", true],
    ["a/b/**", "a/bc", false],
    ["a/*/**", "a/b/c", true],
    ["a/*/**", "a", false],
    ["*", "a", true],
    ["*", "a/b", false],
    ["%2A/*", "*/x", true],
    ["events/**", "events/1/2", true],
    ["**/log", "a/b/log", true],
    ["**", "a", true],
    ["a/**/b/**/c", "a/x/b/c", true],
    ["a/**/b/**/c", "a/x/c", false],
    ["a.b", "aXb", false],
    ["%2A", "*", true],
    ["%2a", "x", false],
  ];
  for (const [pattern, path, expected] of cases) {
    expect([pattern, path, matchesGlob(pattern, path)]).toEqual([pattern, path, expected]);
  }
  // Many double stars cost no more than their number times the length of the path.
  expect(matchesGlob("**/".repeat(500), "a/".repeat(500))).toBe(true);
  expect(matchesGlob(`${"**/".repeat(500)}b`, "a/".repeat(500))).toBe(false);
});

test("the same definition again changes nothing, another one is refused", () => {
  const bench = new StreamBench();
  expect(bench.do(subscriptionOf("s"))).toEqual({
    ok: true,
    type: "put_subscription",
    created: true,
  });
  expect(bench.do(subscriptionOf("s", { origin: "http://elsewhere" }))).toMatchObject({
    created: false,
  });
  expect(bench.do(subscriptionOf("s", { leaseMs: 2_000 }))).toEqual(refused("subscription_exists"));
  expect(bench.do({ type: "delete_subscription", id: "s" })).toMatchObject({ existed: true });
  expect(bench.do({ type: "delete_subscription", id: "s" })).toMatchObject({ existed: false });
  bench.do(subscriptionOf("s", { leaseMs: 2_000 }));
  expect(bench.durable.subscriptions.get("s")?.serial).toBe(2);
});

test("a subscription is told of records after its definition only", () => {
  const bench = new StreamBench();
  bench.create("events/old", { records: recordsOf("x") });
  bench.do(subscriptionOf("s", { streams: ["later"] }));
  const subscription = () => bench.durable.subscriptions.get("s");
  expect(subscription()?.awake).toBe(false);
  expect([...(subscription()?.links ?? [])]).toEqual([
    ["later", { byName: true, byPattern: false, acked: ZERO_TOKEN }],
    ["events/old", { byName: false, byPattern: true, acked: tokenOf(1, 1) }],
  ]);
  bench.create("other", { records: recordsOf("x") });
  expect(subscription()?.awake).toBe(false);
  bench.create("later");
  expect(subscription()?.awake).toBe(false);
  bench.append("later");
  expect(subscription()).toMatchObject({ awake: true, generation: 1, deliverAt: bench.at });
});

test("a webhook that finishes at once acknowledges what it was told of", () => {
  const bench = new StreamBench();
  bench.do(subscriptionOf("s"));
  bench.create("events/1", { records: recordsOf("x") });
  bench.append("events/1");
  const note = {
    type: "note_delivery",
    id: "s",
    serial: 1,
    generation: 1,
    retryInMs: 500,
  } as const;
  const subscription = () => bench.durable.subscriptions.get("s");
  expect(bench.do({ ...note, outcome: "failed" })).toMatchObject({ noted: true });
  expect(subscription()).toMatchObject({ failures: 1, deliverAt: bench.at + 500, leaseUntil: 0 });
  expect(bench.do({ ...note, outcome: "done" })).toMatchObject({ noted: true });
  // The second record came after the wake, so there is another one.
  expect(subscription()).toMatchObject({ failures: 0, generation: 2, awake: true });
  expect(subscription()?.links.get("events/1")?.acked).toBe(tokenOf(1, 1));
  expect(bench.do({ ...note, outcome: "done" })).toMatchObject({ noted: false });
  expect(bench.do({ ...note, generation: 2, outcome: "done" })).toMatchObject({ noted: true });
  expect(subscription()).toMatchObject({ awake: false, deliverAt: 0 });
});

test("a wake that was taken and is not finished is given out again when its lease is over", () => {
  const bench = new StreamBench();
  bench.do(subscriptionOf("s"));
  bench.create("events/1", { records: recordsOf("x") });
  const note = { type: "note_delivery", id: "s", serial: 1, generation: 1, retryInMs: 0 } as const;
  bench.do({ ...note, outcome: "taken" });
  bench.at += 999;
  bench.do({ type: "tick" });
  expect(bench.durable.subscriptions.get("s")?.generation).toBe(1);
  bench.at += 1;
  bench.do({ type: "tick" });
  expect(bench.durable.subscriptions.get("s")).toMatchObject({ generation: 2, awake: true });
});

test("workers claim, acknowledge and give back the work of a pull subscription", () => {
  const bench = new StreamBench();
  bench.create("wake", JSON_STREAM);
  const config = { kind: "pull-wake", webhookUrl: null, wakeStream: "wake" } as const;
  bench.do(subscriptionOf("s", config));
  const claim = (worker: string) => bench.do({ type: "claim_wake", id: "s", worker });
  const settle = (generation: number, fields: object = {}) =>
    bench.do({
      type: "settle_wake",
      id: "s",
      pull: true,
      wakeId: `w_1_${generation}`,
      generation,
      acks: [],
      done: true,
      ...fields,
    });
  expect(claim("w1")).toEqual(refused("no_pending_work"));
  bench.lines.length = 0;
  bench.create("events/1", { records: recordsOf("x") });
  const event =
    '{"type":"wake","subscription_id":"s","stream":"events/1","generation":1,"ts":1000}';
  expect(bench.lines.at(-1)).toContain(event);
  const token = tokenOf(2, 1);
  expect(claim("w1")).toEqual({
    ok: true,
    type: "claim_wake",
    serial: 1,
    wakeId: "w_1_1",
    generation: 1,
    leaseMs: 1_000,
    streams: [{ path: "events/1", byName: false, acked: "-1", tail: token, pending: true }],
  });
  expect(claim("w2")).toEqual(refused("already_claimed", { currentHolder: "w1", generation: 1 }));
  const wrong = [
    { path: "events/2", offset: token, ackedOffset: "", tailOffset: ZERO_TOKEN },
    { path: "events/1", offset: tokenOf(2, 2), ackedOffset: "-1", tailOffset: token },
  ];
  for (const { path, offset, ...positions } of wrong) {
    const details = { stream: path, offset, ...positions };
    expect(settle(1, { acks: [{ path, offset }] })).toEqual(refused("invalid_ack", details));
  }
  expect(settle(1, { acks: [{ path: "events/1", offset: token }], done: false })).toEqual({
    ok: true,
    type: "settle_wake",
    nextWake: false,
  });
  bench.append("events/1");
  expect(settle(1)).toEqual({ ok: true, type: "settle_wake", nextWake: true });
  expect(settle(1)).toEqual(refused("fenced", { generation: 2 }));
  expect(claim("w2")).toMatchObject({ ok: true, generation: 2 });
  bench.at += 1_000;
  // The lease is over, whether a tick has noticed it or not.
  expect(settle(2)).toEqual(refused("fenced", { generation: 2 }));
  expect(claim("w1")).toMatchObject({ ok: true, generation: 3 });
  expect(bench.do({ type: "claim_wake", id: "none", worker: "w" })).toEqual(
    refused("subscription_not_found"),
  );
  bench.do(subscriptionOf("hook"));
  expect(bench.do({ type: "claim_wake", id: "hook", worker: "w" })).toEqual(
    refused("subscription_not_pull"),
  );
});

test("streams are watched by name until they are taken out or deleted", () => {
  const bench = new StreamBench();
  bench.do(subscriptionOf("s", { pattern: null, streams: ["a"] }));
  const watched = () =>
    [...(bench.durable.subscriptions.get("s")?.links ?? [])].map(([path]) => path);
  const change = (paths: string[], unlink: boolean) =>
    bench.do({ type: "link_streams", id: "s", paths, unlink });
  expect(change(["b", "c"], false)).toEqual({ ok: true, type: "link_streams" });
  change(["b"], true);
  expect(watched()).toEqual(["a", "c"]);
  bench.create("c");
  bench.do({ type: "delete_stream", path: "c" });
  expect(watched()).toEqual(["a"]);
  expect(bench.do({ type: "link_streams", id: "t", paths: ["a"], unlink: true })).toEqual(
    refused("subscription_not_found"),
  );
});

/** Compares what is noted as links change, or found in a restored state, with the texts of positions. */
function comparePending(bench: StreamBench, subscription: SubscriptionState): number {
  const scope = { durable: bench.durable, broker: bench.machine.broker };
  const found: string[] = [];
  for (const [path, link] of subscription.links) {
    const told = infoOf(scope.durable, scope.broker, path, link).pending;
    expect(isPending(scope.durable, scope.broker, path, link)).toBe(told);
    if (told) found.push(path);
  }
  expect([...pendingOf(scope, subscription)].sort()).toEqual(found.sort());
  return found.length;
}

test("a link is pending if its position is before the end, as its texts say", () => {
  let pending = 0;
  forEachSeed(20, (random) => {
    const bench = new StreamBench();
    for (let i = 0; i < 150; i++) {
      bench.do(randomStreamCommand(random));
      for (const subscription of bench.durable.subscriptions.values()) {
        pending += comparePending(bench, subscription);
        if (random.below(10) === 0) {
          subscription.pending.clear();
          subscription.lookedAt = 0;
        }
      }
    }
  });
  expect(pending).toBeGreaterThan(100);
});

const PULL = { kind: "pull-wake", webhookUrl: null, wakeStream: "wake" } as const;

test("links of a restored state are looked at in slices, while streams and links change", () => {
  forEachSeed(3, (random) => {
    const bench = new StreamBench();
    bench.do(subscriptionOf("s", { ...PULL, pattern: "**" }));
    const append = (): void => {
      const path = `x/${random.below(1_200)}`;
      if (random.below(9) === 0) copyOrBench.do({ type: "delete_stream", path });
      copyOrBench.create(path);
      copyOrBench.append(path);
    };
    let copyOrBench = bench;
    for (let i = 0; i < 3_000; i++) append();
    const snapshot = bench.machine.beginSnapshot().next(1e9) as Uint8Array;
    copyOrBench = new StreamBench(Machine.restore([snapshot]), bench.at);
    const { durable, machine } = copyOrBench;
    const scope = { durable, broker: machine.broker };
    const subscription = () => durable.subscriptions.get("s") as SubscriptionState;
    expect(subscription().links.buckets).toBeGreaterThan(3);
    let slices = 1;
    for (; !lookOn(scope, subscription(), 1); slices++) for (let i = 0; i < 100; i++) append();
    expect(slices).toBeGreaterThan(3);
    expect(comparePending(copyOrBench, subscription())).toBeGreaterThan(500);
  });
});

const NOTE = { type: "note_delivery", id: "s", serial: 1, retryInMs: 0 } as const;

test("a node that was restored writes the same wake as the others", () => {
  const bench = new StreamBench();
  bench.create("wake", JSON_STREAM);
  bench.do(subscriptionOf("s", PULL));
  for (const path of ["events/2", "events/1"]) bench.create(path, { records: recordsOf("x") });
  bench.do({ type: "claim_wake", id: "s", worker: "w" });
  const snapshot = bench.machine.beginSnapshot().next(1e9) as Uint8Array;
  const restored = new StreamBench(Machine.restore([snapshot]), bench.at);
  const wakes = [bench, restored].map((each) => {
    const before = each.lines.length;
    const fields = { pull: true, wakeId: "w_1_1", generation: 1, acks: [], done: true };
    expect(each.do({ type: "settle_wake", id: "s", ...fields })).toMatchObject({ nextWake: true });
    return each.lines.slice(before);
  });
  expect(wakes[0]?.join()).toContain('"stream":"events/1"');
  expect(wakes[1]).toEqual(wakes[0]);
});

test("a wake tells of so many streams, and the others follow", () => {
  const bench = new StreamBench();
  bench.do(subscriptionOf("s", { pattern: "**" }));
  const count = WAKE_STREAMS_MAX + 200;
  const paths = Array.from({ length: count }, (_, i) => `s/${String(i).padStart(5, "0")}`);
  for (const path of paths) bench.create(path);
  for (const path of paths.toReversed()) bench.append(path);
  const subscription = () => {
    const found = bench.durable.subscriptions.get("s");
    if (found === undefined) throw new Error("no subscription");
    return found;
  };
  const told = () => {
    const scope = { durable: bench.durable, broker: bench.machine.broker };
    return wakeInfos(scope, subscription()).map(({ path }) => path);
  };
  // The first append woke it, before there were the others.
  expect(told()).toEqual([paths.at(-1) ?? ""]);
  bench.do({ ...NOTE, generation: 1, outcome: "done" });
  expect(told()).toEqual(paths.slice(0, WAKE_STREAMS_MAX));
  expect(subscription().snapshot.size).toBe(WAKE_STREAMS_MAX);
  bench.do({ ...NOTE, generation: 2, outcome: "done" });
  expect(told()).toEqual(paths.slice(WAKE_STREAMS_MAX, -1));
  bench.do({ ...NOTE, generation: 3, outcome: "done" });
  expect(subscription()).toMatchObject({ awake: false, generation: 3 });
  expect(subscription().links.size).toBe(count);
  const scope = { durable: bench.durable, broker: bench.machine.broker };
  expect(linkInfos(scope, subscription())).toEqual([]);
});

test("a webhook that acknowledged more than its wake does not go back when it finishes", () => {
  const bench = new StreamBench();
  bench.do(subscriptionOf("s"));
  bench.create("events/1", { records: recordsOf("x") });
  bench.append("events/1");
  bench.do({ ...NOTE, generation: 1, outcome: "taken" });
  const acks = [{ path: "events/1", offset: tokenOf(1, 2) }];
  const settle = { pull: false, wakeId: "w_1_1", generation: 1, acks, done: false };
  expect(bench.do({ type: "settle_wake", id: "s", ...settle })).toMatchObject({ ok: true });
  bench.do({ ...NOTE, generation: 1, outcome: "done" });
  expect(bench.durable.subscriptions.get("s")).toMatchObject({ awake: false, generation: 1 });
  expect(bench.durable.subscriptions.get("s")?.links.get("events/1")?.acked).toBe(tokenOf(1, 2));
});

test("a subscription does not watch its own wake stream by its pattern", () => {
  const bench = new StreamBench();
  bench.create("wake", JSON_STREAM);
  bench.do(subscriptionOf("s", { ...PULL, pattern: "**" }));
  bench.create("a", { records: recordsOf("x") });
  bench.do({ type: "claim_wake", id: "s", worker: "w" });
  const acks = [{ path: "a", offset: tokenOf(2, 1) }];
  const settle = { pull: true, wakeId: "w_1_1", generation: 1, acks, done: true };
  // Otherwise the event of the first wake would be work for a second one, and so on.
  expect(bench.do({ type: "settle_wake", id: "s", ...settle })).toMatchObject({ nextWake: false });
});
