/**
 * Goal: a key that expired for one reader stays expired, whatever the clocks say after that. Method:
 * the queue, the keys and a machine on a clock that a test sets; entries are applied as they come.
 */
import { expect, test } from "bun:test";
import type { Millis } from "../../src/lib/ids.ts";
import { decodeEntry } from "../../src/machine/command-codec.ts";
import { Machine } from "../../src/machine/machine.ts";
import { CommandQueue } from "../../src/node/writes/command-queue.ts";
import { Commander } from "../../src/node/writes/commander.ts";
import { Completions } from "../../src/node/writes/completions.ts";
import { KvAccess, NO_KV_LIMITS, ReadTime } from "../../src/node/writes/kv-access.ts";
import type { Core } from "../../src/raft/core.ts";
import { RecordedEffects } from "../tools/machine/support.ts";
import { noLevel } from "../tools/node/command-queue.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

const PLACE = { namespace: "n", key: "k" };

function made() {
  const wall = { ms: 1_000 };
  const clock = Object.assign(new SimClock(), { now: () => wall.ms, mayStamp: () => true });
  const machine = new Machine();
  /** The times of the entries, in order. */
  const stamps: number[] = [];
  const propose = (data: Uint8Array) => {
    stamps.push(decodeEntry(data).at);
    machine.apply(data, new RecordedEffects());
    return { ok: true, index: stamps.length, term: 1 };
  };
  const core = { lastIndex: 0, propose } as unknown as Core;
  const writeConcern = { kind: "majority" } as const;
  const commitSeconds = { observe: () => {} };
  const completions = new Completions({ core, clock, writeConcern, commitSeconds });
  const reads = new ReadTime();
  const confirm = () => Promise.resolve("ok" as const);
  const queue = new CommandQueue({
    core,
    completions,
    clock,
    machine,
    reads,
    disk: { isShort: false },
    queueBytesMax: 1 << 20,
    queueRequestsMax: 100,
    loop: { wake: () => {} },
    linearizer: { confirm },
  });
  // Nothing asks the core whether a lost proposal is in its log: there is none.
  completions.dropLost = () => {};
  queue.setRefusal(null);
  const commander = new Commander(queue, clock, noLevel);
  const linearizer = { confirm } as never;
  const kv = new KvAccess({ machine, commander, clock, limits: NO_KV_LIMITS, reads, linearizer });
  const put = (ttlMs: number | null, cas: number | null = null) => {
    const value = new Uint8Array([7]);
    kv.put({ ...PLACE, value, cas, ttlMs, timeoutMs: null }, () => {});
    queue.propose();
  };
  const get = () => {
    const found = kv.get({ ...PLACE, linearizable: false });
    if (found instanceof Promise) throw new Error("only a linearizable read is a promise");
    return found.ok ? found.ttlMs : (found.details?.["expired"] ?? 0);
  };
  const revision = () => machine.kv.namespaces.get("n")?.revision;
  return { wall, machine, stamps, kv, put, get, revision, queue };
}

const EXPIRED = 1;
const ABSENT = 0;

test("a key expires by the clock of its reader, also if no entry comes", () => {
  const { wall, put, get, stamps } = made();
  put(500);
  expect(get()).toBe(500);
  wall.ms = 1_499;
  expect(get()).toBe(1);
  wall.ms = 1_500;
  expect(get()).toBe(EXPIRED);
  wall.ms = 61_500;
  expect(get()).toBe(ABSENT);
  expect(stamps).toEqual([1_000]);
});

test("a key that a reader saw expire does not come back when the clock goes back", () => {
  const { wall, put, get, kv } = made();
  put(500);
  wall.ms = 1_500;
  expect(get()).toBe(EXPIRED);
  wall.ms = 1_100;
  expect(get()).toBe(EXPIRED);
  expect(kv.list({ namespace: "n", prefix: "", after: "", limit: 10 }).keys).toEqual([]);
  expect(kv.namespaces()).toMatchObject([{ keys: 0, bytes: 0 }]);
});

test("a list and the namespaces also move the time of later reads", () => {
  for (const look of ["list", "namespaces"] as const) {
    const { wall, put, get, kv } = made();
    put(500);
    wall.ms = 1_500;
    if (look === "list") kv.list({ namespace: "n", prefix: "", after: "", limit: 10 });
    else kv.namespaces();
    wall.ms = 1_100;
    expect(get()).toBe(EXPIRED);
  }
});

test("after a reader saw it expire, a write takes the key as absent, on a clock that went back too", () => {
  const { wall, machine, put, get, stamps, revision } = made();
  put(500);
  wall.ms = 1_500;
  expect(get()).toBe(EXPIRED);
  wall.ms = 1_100;
  // Only if absent; on the entry's own time of 1,100 the key would still be there.
  put(null, 0);
  expect(stamps).toEqual([1_000, 1_500]);
  expect(machine.now).toBe(1_500 as Millis);
  expect(revision()).toBe(2);
  expect(get()).toBe(0);
});

test("an entry is never stamped with less than one before it, or than the machine's time", () => {
  const { wall, machine, put, stamps } = made();
  put(null);
  wall.ms = 900;
  put(null);
  // As after an election: the entries of another leader were stamped by a faster clock.
  machine.now = 5_000 as Millis;
  put(null);
  wall.ms = 6_000;
  put(null);
  expect(stamps).toEqual([1_000, 1_000, 5_000, 6_000]);
});

test("a time to live counts from the entry, not from the clock of the node that reads", () => {
  const { wall, machine, put, get } = made();
  machine.now = 5_000 as Millis;
  put(500);
  wall.ms = 1_400;
  expect(get()).toBe(500);
  wall.ms = 5_400;
  expect(get()).toBe(100);
});

test("deleting a key that a reader saw expire deletes nothing", async () => {
  const { wall, put, get, kv, queue, machine } = made();
  put(500);
  wall.ms = 1_500;
  expect(get()).toBe(EXPIRED);
  wall.ms = 1_100;
  void kv.delete({ ...PLACE, cas: null, timeoutMs: null });
  queue.propose();
  expect(machine.kv.size).toBe(1);
  expect(get()).toBe(EXPIRED);
});

test("a read before the first entry is applied binds no later read and no entry", () => {
  const { wall, put, get, stamps, kv } = made();
  // The node has started with a clock that is an hour ahead, and knows nothing of the others yet.
  wall.ms = 3_601_000;
  expect(get()).toBe(ABSENT);
  expect(kv.namespaces()).toEqual([]);
  wall.ms = 1_000;
  put(600_000);
  expect(stamps).toEqual([1_000]);
  expect(get()).toBe(600_000);
});
