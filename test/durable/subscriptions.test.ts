import { expect, test } from "bun:test";
import { tokenOf, ZERO_TOKEN } from "../../src/durable/offset-token.ts";
import type { DurableRejectCode } from "../../src/durable/state.ts";
import { matchesGlob } from "../../src/durable/subscriptions/glob.ts";
import { infoOf, isPending } from "../../src/durable/subscriptions/links.ts";
import type { CommandResult } from "../../src/machine/commands.ts";
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
  const watched = () => [...(bench.durable.subscriptions.get("s")?.links.keys() ?? [])];
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

test("a link is pending if its position is before the end, as its texts say", () => {
  let pending = 0;
  forEachSeed(20, (random) => {
    const bench = new StreamBench();
    for (let i = 0; i < 150; i++) {
      bench.do(randomStreamCommand(random));
      const { durable, machine } = bench;
      for (const { links } of durable.subscriptions.values()) {
        for (const [path, link] of links) {
          const told = infoOf(durable, machine.broker, path, link).pending;
          expect(isPending(durable, machine.broker, path, link)).toBe(told);
          if (told) pending++;
        }
      }
    }
  });
  expect(pending).toBeGreaterThan(100);
});
