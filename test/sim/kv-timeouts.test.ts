/**
 * Goal: a write of a key whose own time passes first is answered with what becomes of it, and one with
 * a condition only when its outcome is known. Method: three simulated nodes, and followers that are
 * paused at chosen moments.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { KvPutRequest } from "../../src/node/api.ts";
import { read, stored } from "../tools/node/as-promises.ts";
import { Script } from "../tools/sim/script.ts";
import type { SimNode } from "../tools/sim/sim-node.ts";

setDefaultTimeout(120_000);

const utf8 = (text: string) => new TextEncoder().encode(text);
const PUT: KvPutRequest = {
  namespace: "n",
  key: "k",
  value: utf8("v"),
  cas: null,
  ttlMs: null,
  timeoutMs: 20,
};
const timedOut = { ok: false, code: "commit_timeout" } as const;

/** A leader of three with two keys, whose followers can be paused. */
async function led(writeConcern: "majority" | "all" = "majority") {
  const script = new Script({
    ...{ spares: 0, queueRequestsMax: 1_000, writeConcern: { kind: writeConcern } },
  });
  script.start();
  await script.create("t");
  await script.until("all have it", () =>
    script.cluster.nodes.every(({ node }) => node?.describeTopic("t").ok === true),
  );
  const leader = script.leader as SimNode;
  const followers = script.cluster.nodes.filter(({ id }) => id !== leader.id);
  const put = (more: Partial<KvPutRequest> = {}) =>
    script.ask((node) => stored(node, { ...PUT, ...more }), leader.id);
  const remove = (key: string, cas: number | null = null) =>
    script.ask((node) => node.kvDelete({ namespace: "n", key, cas, timeoutMs: 20 }), leader.id);
  const drop = (namespace: string, ifEmpty = false) =>
    script.ask((node) => node.kvDeleteNamespace({ namespace, ifEmpty, timeoutMs: 20 }), leader.id);
  for (const key of ["k", "gone"]) await put({ key, timeoutMs: null });
  const get = (key: string) =>
    script.ask((node) => read(node, { namespace: "n", key, linearizable: true }), leader.id);
  const pause = (count = 2) => {
    for (const { life } of followers.slice(0, count)) life.pause();
  };
  const resume = () => {
    for (const { life } of followers) life.resume();
  };
  return { put, remove, drop, get, pause, resume };
}

test("writes without a condition are told what they get, in the order in which they were accepted", async () => {
  const { put, remove, get, pause, resume } = await led();
  pause();
  const unsynced = { ok: true, synced: false, ackedBy: 1 } as const;
  expect(await put()).toMatchObject({ ...unsynced, cas: 3 });
  expect(await put({ key: "other" })).toMatchObject({ ...unsynced, cas: 4 });
  // A condition that the writes before it will fulfil, and one that they will not.
  expect(await put({ cas: 3 })).toEqual(timedOut);
  expect(await put({ cas: 3 })).toEqual(timedOut);
  expect(await put({ namespace: "m" })).toMatchObject({ ...unsynced, cas: 1 });
  expect(await remove("gone")).toMatchObject({ ...unsynced, deleted: true });
  expect(await remove("gone")).toMatchObject({ ...unsynced, deleted: false });
  expect(await remove("k", 5)).toEqual(timedOut);
  expect(await remove("k")).toMatchObject({ ...unsynced, deleted: false });
  expect(await put()).toMatchObject({ ...unsynced, cas: 6 });
  resume();
  expect(await put({ timeoutMs: null })).toMatchObject({ ok: true, cas: 7, synced: true });
  expect(await get("other")).toMatchObject({ ok: true, cas: 4 });
  expect(await get("gone")).toMatchObject({ ok: false, code: "not_found" });
});

test("without a time of its own, the outcome is not known", async () => {
  const { put, pause } = await led();
  pause();
  expect(await put({ timeoutMs: null })).toEqual(timedOut);
});

test("a namespace that is deleted: told if no other write of it is in flight, and nothing after it", async () => {
  const { put, drop, pause, resume } = await led();
  pause();
  expect(await drop("n", true)).toEqual(timedOut);
  expect(await drop("unknown")).toEqual(timedOut);
  expect(await put({ namespace: "m" })).toEqual(timedOut);
  resume();
  expect(await put({ timeoutMs: null })).toMatchObject({ ok: true, cas: 3 });
  pause();
  expect(await drop("n")).toMatchObject({ ok: true, deleted: true, keys: 2, synced: false });
  resume();
  expect(await put({ timeoutMs: null })).toMatchObject({ ok: true, cas: 4 });
});

test("a write that is applied and not on as many disks as are asked for is told with its outcome", async () => {
  const { put, pause } = await led("all");
  pause(1);
  expect(await put({ cas: 1 })).toMatchObject({ ok: true, cas: 3, synced: false, ackedBy: 2 });
  expect(await put({ cas: 1 })).toMatchObject({
    ok: false,
    code: "cas_mismatch",
    details: { expected: 1, current: 3 },
  });
});
