import { expect, test } from "bun:test";
import { getMeta, getValue, listKeys, listNamespaces } from "../../src/kv/reads.ts";
import { utf8 } from "../../src/lib/bytes.ts";
import type { CommandResult } from "../../src/machine/commands.ts";
import { KEYS_FREED_PER_TICK_MAX } from "../../src/machine/due.ts";
import { Machine } from "../../src/machine/machine.ts";
import { Bench, entryOf, ms, RecordedEffects } from "../tools/machine/support.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

type PutOptions = { cas?: number; ttlMs?: number; value?: string; namespace?: string };

const put = (bench: Bench, key: string, options: PutOptions = {}): CommandResult =>
  bench.do({
    type: "kv_put",
    namespace: options.namespace ?? "n",
    key: utf8(key),
    value: utf8(options.value ?? "v"),
    cas: options.cas ?? null,
    ttlMs: options.ttlMs ?? null,
  });

const remove = (bench: Bench, key: string, cas: number | null = null): CommandResult =>
  bench.do({ type: "kv_delete", namespace: "n", key: utf8(key), cas });

const get = (bench: Bench, key: string, now = bench.at) =>
  getValue(bench.machine.kv, "n", key, () => ms(now));

const list = (bench: Bench, query: { prefix?: string; after?: string; limit?: number } = {}) => {
  const { prefix = "", after = "", limit = 1000 } = query;
  return listKeys(bench.machine.kv, "n", { prefix, after, limit }, ms(bench.at));
};
const keysOf = (page: ReturnType<typeof list>) => page.keys.map(({ key }) => key);

const mismatch = (expected: number, current: number) => ({
  ok: false as const,
  code: "cas_mismatch" as const,
  details: { expected, current },
});

test("revisions count the puts of a namespace from 1", () => {
  const bench = new Bench();
  expect(put(bench, "a")).toMatchObject({ ok: true, cas: 1 });
  expect(put(bench, "b")).toMatchObject({ cas: 2 });
  expect(put(bench, "a")).toMatchObject({ cas: 3 });
  expect(put(bench, "a", { namespace: "other" })).toMatchObject({ cas: 1 });
});

test("a revision is never used twice, also after deletion and expiry", () => {
  const bench = new Bench();
  put(bench, "a");
  remove(bench, "a");
  expect(put(bench, "a", { ttlMs: 1 })).toMatchObject({ cas: 2 });
  bench.at += 100_000;
  bench.do({ type: "tick" });
  expect(bench.machine.kv.size).toBe(0);
  expect(put(bench, "a")).toMatchObject({ cas: 3 });
  expect(put(bench, "a", { cas: 2 })).toEqual(mismatch(2, 3));
});

test("a put with a revision succeeds only on that revision", () => {
  const bench = new Bench();
  expect(put(bench, "a", { cas: 5 })).toEqual(mismatch(5, 0));
  put(bench, "a", { value: "one" });
  expect(put(bench, "a", { cas: 2 })).toEqual(mismatch(2, 1));
  expect(get(bench, "a")).toMatchObject({ value: utf8("one"), cas: 1 });
  expect(put(bench, "a", { cas: 1, value: "two" })).toMatchObject({ cas: 2 });
  expect(get(bench, "a")).toMatchObject({ value: utf8("two"), cas: 2 });
});

test("revision 0 means: only if absent, which an expired key is", () => {
  const bench = new Bench();
  expect(put(bench, "a", { cas: 0, ttlMs: 10 })).toMatchObject({ cas: 1 });
  expect(put(bench, "a", { cas: 0 })).toEqual(mismatch(0, 1));
  bench.at += 10;
  expect(put(bench, "a", { cas: 1 })).toEqual(mismatch(1, 0));
  expect(put(bench, "a", { cas: 0 })).toMatchObject({ cas: 2 });
});

test("a refused put leaves no trace, not even its namespace", () => {
  const bench = new Bench();
  const digest = bench.machine.digest();
  bench.at = 0;
  put(bench, "a", { cas: 1, namespace: "x" });
  expect(bench.machine.digest()).toBe(digest);
});

test("a delete tells whether there was something, and minds the revision", () => {
  const bench = new Bench();
  put(bench, "a");
  expect(remove(bench, "a", 9)).toEqual(mismatch(9, 1));
  expect(remove(bench, "a", 0)).toEqual(mismatch(0, 1));
  expect(remove(bench, "a", 1)).toMatchObject({ ok: true, deleted: true });
  expect(remove(bench, "a")).toMatchObject({ ok: true, deleted: false });
  expect(remove(bench, "a", 0)).toMatchObject({ ok: true, deleted: false });
  expect(remove(bench, "a", 1)).toEqual(mismatch(1, 0));
  expect(get(bench, "a")).toEqual({ status: "absent" });
});

test("a key lives until its time has passed, then is known as expired for a minute", () => {
  const bench = new Bench();
  put(bench, "a", { ttlMs: 500 });
  expect(get(bench, "a", 1_499)).toMatchObject({ status: "found", ttlMs: 1 });
  expect(get(bench, "a", 1_500)).toEqual({ status: "expired" });
  expect(get(bench, "a", 61_499)).toEqual({ status: "expired" });
  expect(get(bench, "a", 61_500)).toEqual({ status: "absent" });
  bench.at = 61_499;
  bench.do({ type: "tick" });
  expect(bench.machine.kv.size).toBe(1);
  bench.at = 61_500;
  bench.do({ type: "tick" });
  expect(bench.machine.kv.size).toBe(0);
});

test("deleting an expired key deletes nothing, and it stays known as expired", () => {
  const bench = new Bench();
  put(bench, "a", { ttlMs: 500 });
  bench.at += 600;
  expect(remove(bench, "a")).toMatchObject({ deleted: false });
  expect(get(bench, "a")).toEqual({ status: "expired" });
});

test("the time to live counts from the machine's clock, not from the entry's stamp", () => {
  const bench = new Bench();
  bench.at = 10_000;
  put(bench, "b");
  bench.at = 4_000;
  put(bench, "a", { ttlMs: 1_000 });
  expect(get(bench, "a", 10_999)).toMatchObject({ status: "found" });
  expect(get(bench, "a", 11_000)).toEqual({ status: "expired" });
});

test("a put without a time to live makes a key live for ever", () => {
  const bench = new Bench();
  put(bench, "a", { ttlMs: 500 });
  put(bench, "a");
  bench.at += 1e9;
  bench.do({ type: "tick" });
  expect(get(bench, "a")).toMatchObject({ status: "found", ttlMs: 0 });
  expect(bench.machine.nextExpiry()).toBeNull();
});

test("the longest time to live does not overflow", () => {
  const bench = new Bench();
  put(bench, "a", { ttlMs: Number.MAX_SAFE_INTEGER });
  expect(get(bench, "a")).toMatchObject({ ttlMs: Number.MAX_SAFE_INTEGER - 1_000 });
  expect(bench.machine.nextExpiry()).toBeGreaterThan(Number.MAX_SAFE_INTEGER / 2);
});

test("a tick frees a bounded number of keys", () => {
  const bench = new Bench();
  const more = KEYS_FREED_PER_TICK_MAX + 10;
  for (let i = 0; i < more; i++) put(bench, `k${i}`, { ttlMs: 1_000 + i });
  put(bench, "stays", { ttlMs: 1e9 });
  bench.at += 100_000;
  expect(bench.do({ type: "tick" })).toMatchObject({ keysFreed: KEYS_FREED_PER_TICK_MAX });
  expect(bench.machine.nextExpiry()).toBeLessThan(bench.at);
  expect(bench.do({ type: "tick" })).toMatchObject({ keysFreed: 10 });
  expect(bench.machine.nextExpiry()).toBe(1_000 + 1e9 + 60_000);
  expect(bench.machine.kv).toMatchObject({ size: 1, bytes: 6 });
});

test("values are bytes, empty ones too, and are not shared with the entry that brought them", () => {
  const bench = new Bench();
  const value = new Uint8Array([0, 255, 128, 10]);
  const key = utf8("a");
  bench.do({ type: "kv_put", namespace: "n", key, value, cas: null, ttlMs: null });
  expect(get(bench, "a")).toMatchObject({ value });
  put(bench, "empty", { value: "" });
  expect(get(bench, "empty")).toMatchObject({ value: new Uint8Array(0) });
  put(bench, "big", { value: "x".repeat(5_000) });
  expect(get(bench, "big")).toMatchObject({ value: utf8("x".repeat(5_000)) });
});

test("what is stored does not change with the bytes of the entry that brought it", () => {
  const bench = new Bench();
  const key = utf8("a");
  const entry = entryOf(1, {
    type: "kv_put",
    namespace: "n",
    key,
    value: utf8("value"),
    cas: null,
    ttlMs: null,
  });
  bench.machine.apply(entry, new RecordedEffects());
  entry.fill(0);
  expect(get(bench, "a")).toMatchObject({ value: utf8("value") });
});

test("which keys a tick frees does not depend on how the node came to its state", () => {
  forEachSeed(5, (random) => {
    const bench = new Bench();
    const count = KEYS_FREED_PER_TICK_MAX + 300;
    for (let i = 0; i < count; i++) put(bench, `k${random.u32()}`, { ttlMs: 1_000 });
    const chunk = bench.machine.beginSnapshot().next(Number.MAX_SAFE_INTEGER);
    const copy = new Bench(Machine.restore(chunk === null ? [] : [chunk]), 200_000);
    bench.at = 200_000;
    for (const each of [bench, copy]) each.do({ type: "tick" });
    expect(copy.machine.kv.size).toBe(300);
    expect(copy.machine.digest()).toBe(bench.machine.digest());
    expect(list(bench).keys).toEqual([]);
  });
});

test("the time of a read is asked for only if the key expires", () => {
  const bench = new Bench();
  put(bench, "stays");
  put(bench, "expires", { ttlMs: 700 });
  let asked = 0;
  const read = (key: string) =>
    getValue(bench.machine.kv, "n", key, () => {
      asked++;
      return ms(1_200);
    });
  expect(read("stays")).toMatchObject({ status: "found", cas: 1, ttlMs: 0 });
  expect(read("absent")).toEqual({ status: "absent" });
  expect(asked).toBe(0);
  expect(read("expires")).toMatchObject({ status: "found", cas: 2, ttlMs: 500 });
  expect(asked).toBe(1);
});

test("meta tells size, revision and time left", () => {
  const bench = new Bench();
  put(bench, "a", { value: "hello", ttlMs: 700 });
  const meta = (now: number) => getMeta(bench.machine.kv, "n", "a", ms(now));
  expect(meta(1_200)).toEqual({ status: "found", cas: 1, bytes: 5, ttlMs: 500 });
  expect(meta(1_700)).toEqual({ status: "expired" });
  expect(getMeta(bench.machine.kv, "none", "a", ms(0))).toEqual({ status: "absent" });
});

test("keys are listed in the byte order of their UTF-8, without expired ones", () => {
  const bench = new Bench();
  for (const key of ["b", "\u{1f600}", "\uffee", "a/2", "é", "a/1", "Z", "a"]) put(bench, key);
  put(bench, "a/0", { ttlMs: 1 });
  bench.at += 1;
  expect(keysOf(list(bench))).toEqual(["Z", "a", "a/1", "a/2", "b", "é", "\uffee", "\u{1f600}"]);
  expect(keysOf(list(bench, { prefix: "a/" }))).toEqual(["a/1", "a/2"]);
  expect(keysOf(list(bench, { prefix: "a", after: "a/1" }))).toEqual(["a/2"]);
  expect(keysOf(list(bench, { prefix: "b", after: "a" }))).toEqual(["b"]);
  expect(keysOf(list(bench, { after: "zz" }))).toEqual(["é", "\uffee", "\u{1f600}"]);
});

test("pages of a listing join without gap or repetition", () => {
  forEachSeed(10, (random) => {
    const bench = new Bench();
    const count = 1 + random.below(1500);
    for (let i = 0; i < count; i++) {
      put(
        bench,
        `${random.pick(["p/", "q/"])}${random.below(900)}`,
        random.below(9) === 0 ? { ttlMs: 1 } : {},
      );
    }
    bench.at += 1;
    const all = keysOf(list(bench, { prefix: "p/", limit: 10_000 }));
    const limit = 1 + random.below(all.length + 5);
    const joined: string[] = [];
    for (let after: string | null = ""; after !== null; ) {
      const page = list(bench, { prefix: "p/", after, limit });
      expect(page.keys.length).toBeLessThanOrEqual(limit);
      joined.push(...keysOf(page));
      after = page.next;
    }
    expect(joined).toEqual(all);
  });
});

test("a page that ends with the last key has nothing after it", () => {
  const bench = new Bench();
  for (const key of ["a", "b"]) put(bench, key);
  expect(list(bench, { limit: 2 }).next).toBeNull();
  expect(list(bench, { limit: 1 })).toEqual({
    keys: [{ key: "a", cas: 1, bytes: 1, ttlMs: 0 }],
    next: "a",
  });
  expect(listKeys(bench.machine.kv, "none", { prefix: "", after: "", limit: 1 }, ms(0))).toEqual({
    keys: [],
    next: null,
  });
});

test("names that mean something in JavaScript are plain keys and namespaces", () => {
  const bench = new Bench();
  for (const name of ["__proto__", "constructor", "toString"]) {
    expect(getValue(bench.machine.kv, name, name, () => ms(0))).toEqual({ status: "absent" });
    expect(put(bench, name, { namespace: name, cas: 0 })).toMatchObject({ cas: 1 });
    expect(getValue(bench.machine.kv, name, name, () => ms(0))).toMatchObject({ cas: 1 });
  }
});

/** A model of the store by the simplest means. */
class KvModel {
  readonly keys = new Map<string, { cas: number; expiresAt: number }>();
  revision = 0;

  current(key: string, now: number): number {
    const found = this.keys.get(key);
    return found !== undefined && found.expiresAt > now ? found.cas : 0;
  }

  put(key: string, options: PutOptions, now: number): object {
    const current = this.current(key, now);
    const { cas, ttlMs } = options;
    if (cas !== undefined && cas !== current) return mismatch(cas, current);
    this.revision++;
    const expiresAt = ttlMs === undefined ? Number.POSITIVE_INFINITY : now + ttlMs;
    this.keys.set(key, { cas: this.revision, expiresAt });
    return { ok: true, type: "kv_put", cas: this.revision };
  }

  remove(key: string, cas: number | null, now: number): object {
    const current = this.current(key, now);
    if (cas !== null && cas !== current) return mismatch(cas, current);
    this.keys.delete(key);
    return { ok: true, type: "kv_delete", deleted: current !== 0 };
  }
}

function checkRandomChange(bench: Bench, model: KvModel, key: string, random: Random): void {
  const cas = random.pick([null, 0, model.current(key, bench.at), model.revision]);
  if (random.below(4) === 0) {
    const expected = model.remove(key, cas, bench.at);
    expect(remove(bench, key, cas)).toEqual(expected as CommandResult);
    return;
  }
  const options: PutOptions = {};
  if (cas !== null) options.cas = cas;
  if (random.below(2) === 0) options.ttlMs = 1 + random.below(90_000);
  const expected = model.put(key, options, bench.at);
  expect(put(bench, key, options)).toEqual(expected as CommandResult);
}

test("the store does what a plain map with expiry times does", () => {
  // Goal: puts, deletes, revisions and expiry agree. Method: random commands against a map.
  forEachSeed(40, (random) => {
    const bench = new Bench();
    const model = new KvModel();
    for (let i = 0; i < 300; i++) {
      bench.at += random.below(random.pick([2, 40_000]));
      if (random.below(10) === 0) bench.do({ type: "tick" });
      const key = `k${random.below(12)}`;
      checkRandomChange(bench, model, key, random);
    }
    const live = [...model.keys.keys()].filter((key) => model.current(key, bench.at) > 0);
    expect(keysOf(list(bench))).toEqual(live.sort());
  });
});

test("all namespaces are listed, with the keys that have not expired", () => {
  const bench = new Bench();
  const listed = () => listNamespaces(bench.machine.kv, ms(bench.at));
  put(bench, "a", { namespace: "later" });
  put(bench, "a", { namespace: "briefly", ttlMs: 10 });
  put(bench, "a", { namespace: "briefly", ttlMs: 10 });
  put(bench, "ab", { namespace: "briefly", value: "12345" });
  expect(listed()).toEqual([
    { namespace: "briefly", revision: 3, keys: 2, bytes: 9 },
    { namespace: "later", revision: 1, keys: 1, bytes: 2 },
  ]);
  bench.at += 9;
  expect(listed()[0]).toMatchObject({ keys: 2, bytes: 9 });
  bench.at += 1;
  expect(listed()[0]).toEqual({ namespace: "briefly", revision: 3, keys: 1, bytes: 7 });
  put(bench, "b");
  remove(bench, "b");
  expect(listed()[2]).toEqual({ namespace: "n", revision: 1, keys: 0, bytes: 0 });
});

const drop = (bench: Bench, namespace: string, ifEmpty = false): CommandResult =>
  bench.do({ type: "kv_delete_namespace", namespace, ifEmpty });

test("a namespace is deleted with its keys, and its revisions are never used again", () => {
  const bench = new Bench();
  const { kv } = bench.machine;
  for (const key of ["a", "b", "c"]) put(bench, key);
  put(bench, "a", { namespace: "other", ttlMs: 10 });
  const sizes = [kv.size, kv.bytes];
  const dropped = { ok: true, type: "kv_delete_namespace", deleted: true } as const;
  expect(drop(bench, "n")).toEqual({ ...dropped, keys: 3, bytes: 6 });
  expect([kv.size, kv.bytes]).toEqual([1, 2]);
  expect(sizes).toEqual([4, 8]);
  expect(get(bench, "a")).toEqual({ status: "absent" });
  expect(keysOf(list(bench))).toEqual([]);
  expect(listNamespaces(kv, ms(bench.at)).map(({ namespace }) => namespace)).toEqual(["other"]);
  expect(drop(bench, "n")).toEqual({ ...dropped, deleted: false, keys: 0, bytes: 0 });
  // Stale revisions match in no namespace, whatever its name.
  for (const [namespace, key] of [
    ["n", "a"],
    ["elsewhere", "k"],
  ] as const) {
    for (const cas of [1, 2, 3]) {
      expect(put(bench, key, { namespace, cas })).toEqual(mismatch(cas, 0));
    }
    expect(put(bench, key, { namespace, cas: 0 })).toMatchObject({ ok: true, cas: 4 });
  }
  // Namespaces that are there go on counting.
  expect(put(bench, "a", { namespace: "other" })).toMatchObject({ cas: 2 });
  bench.at += 10;
  bench.do({ type: "tick" });
  expect(kv.size).toBe(3);
});

test("a namespace with keys is kept if only an empty one may go; expired keys do not count", () => {
  const bench = new Bench();
  put(bench, "a", { ttlMs: 10 });
  put(bench, "b");
  expect(drop(bench, "n", true)).toEqual({
    ok: false,
    code: "namespace_not_empty",
    details: { keys: 2 },
  });
  remove(bench, "b");
  expect(drop(bench, "n", true)).toMatchObject({ details: { keys: 1 } });
  bench.at += 10;
  expect(drop(bench, "n", true)).toMatchObject({ ok: true, deleted: true, keys: 0, bytes: 0 });
  expect([bench.machine.kv.size, bench.machine.kv.bytes]).toEqual([0, 0]);
});

test("a snapshot carries the revisions of deleted namespaces, and is that of its moment", () => {
  const bench = new Bench();
  for (const key of ["a", "b"]) put(bench, key);
  const before = bench.machine.beginSnapshot();
  const digest = bench.machine.digest();
  drop(bench, "n");
  const restored = Machine.restore([before.next(1e9) ?? new Uint8Array()]);
  expect(restored.digest()).toBe(digest);
  expect(restored.kv.deletedRevision).toBe(0);
  const after = Machine.restore([bench.machine.beginSnapshot().next(1e9) ?? new Uint8Array()]);
  expect(after.digest()).toBe(bench.machine.digest());
  expect(after.digest()).not.toBe(digest);
  const result = new RecordedEffects();
  const again = { type: "kv_put", namespace: "n", key: utf8("a"), value: utf8("v") } as const;
  after.apply(entryOf(bench.at, { ...again, cas: null, ttlMs: null }), result);
  expect(result.results).toEqual([{ ok: true, type: "kv_put", cas: 3 }]);
});
