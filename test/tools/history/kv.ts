/** Rule 11: each key by the cheapest exact method that its operations allow. */
import { checkChain } from "./kv-chain.ts";
import { searchKey } from "./kv-search.ts";
import { checkTtl } from "./kv-ttl.ts";
import { groupBy, type KvDelete, type KvDump, type KvGet, type KvPut } from "./operations.ts";
import { LargestBefore } from "./timeline.ts";
import { Violation } from "./violation.ts";

export type KeyHistory = {
  readonly puts: readonly KvPut[];
  readonly deletes: readonly KvDelete[];
  readonly gets: readonly KvGet[];
};

export type KvReport = { readonly keys: number; readonly undecided: readonly string[] };

export type KvHistory = KeyHistory & { readonly dumps: readonly KvDump[] };

/**
 * @param clockErrorMs how far the times of expiry may be off.
 * @throws Violation
 */
export function checkKv(history: KvHistory, clockErrorMs: number): KvReport {
  for (const puts of groupBy(history.puts, ({ args }) => args.ns).values()) checkRevisions(puts);
  const undecided: string[] = [];
  const keys = byKey(history);
  for (const [name, key] of keys) {
    checkKnownValues(key);
    checkSessions(key);
    if (key.puts.some(({ args }) => args.ttlMs !== null)) checkTtl(key, clockErrorMs);
    else if (key.deletes.length === 0 && key.puts.every(({ args }) => args.cas !== null)) {
      checkChain(key);
    } else if (!searchKey(key)) undecided.push(name);
  }
  return { keys: keys.size, undecided };
}

function byKey(history: KvHistory): Map<string, KeyHistory> {
  const nameOf = ({ args }: { args: { ns: string; key: string } }) => `${args.ns}/${args.key}`;
  const puts = groupBy(history.puts, nameOf);
  const deletes = groupBy(history.deletes, nameOf);
  const known = new Set([...puts.keys(), ...deletes.keys()]);
  const finals = history.dumps.flatMap((dump) => finalGets(dump, known));
  const gets = groupBy([...history.gets, ...finals], nameOf);
  const keys = new Map<string, KeyHistory>();
  for (const name of new Set([...known, ...gets.keys()])) {
    keys.set(name, {
      puts: puts.get(name) ?? [],
      deletes: deletes.get(name) ?? [],
      gets: gets.get(name) ?? [],
    });
  }
  return keys;
}

/** The final state of a node counts as a linearizable read of every key that was ever written. */
function finalGets(dump: KvDump, known: ReadonlySet<string>): KvGet[] {
  const { ns } = dump.args;
  const present = new Map(
    (dump.result?.entries ?? []).map(([key, value, revision]) => [key, { value, revision }]),
  );
  const keys = new Set(present.keys());
  for (const name of known) if (name.startsWith(`${ns}/`)) keys.add(name.slice(ns.length + 1));
  return [...keys].map((key) => ({
    ...dump,
    op: "kv-get",
    args: { ns, key, linearizable: true, session: `${dump.node} at the end` },
    result: present.get(key) ?? { value: null, revision: 0 },
  }));
}

/** Within a namespace revisions are never used twice and grow with time. */
function checkRevisions(puts: readonly KvPut[]): void {
  const used = new Map<number, KvPut>();
  const ok = puts.filter(({ outcome, result }) => outcome === "ok" && result !== null);
  const revisionOf = (put: KvPut) => put.result?.revision ?? 0;
  for (const put of ok) {
    const other = used.get(revisionOf(put));
    if (other !== undefined) {
      throw new Violation("kv-revision", `revision ${revisionOf(put)} twice`, other, put);
    }
    used.set(revisionOf(put), put);
  }
  const known = new LargestBefore(ok.map((by) => ({ time: by.ret, value: revisionOf(by), by })));
  for (const put of ok) {
    const before = known.at(put.call);
    if (before === null || before.value < revisionOf(put)) continue;
    const what = `revision ${revisionOf(put)} after ${before.value} had been given`;
    throw new Violation("kv-revision", what, before.by, put);
  }
}

/** Nobody reads what nobody wrote, what was refused, or what was not yet sent. */
function checkKnownValues({ puts, gets }: KeyHistory): void {
  const byValue = new Map(puts.map((put) => [put.args.value, put]));
  const revisions = new Map<string, { revision: number; by: KvPut | KvGet }>();
  for (const put of puts) {
    if (put.outcome !== "ok" || put.result === null) continue;
    revisions.set(put.args.value, { revision: put.result.revision, by: put });
  }
  for (const get of gets) {
    const value = get.result?.value ?? null;
    if (get.outcome !== "ok" || value === null || get.result === null) continue;
    checkWritten(value, byValue.get(value), get);
    const { revision } = get.result;
    const known = revisions.get(value);
    if (known !== undefined && known.revision !== revision) {
      const what = `${value} has revision ${revision} and ${known.revision}`;
      throw new Violation("kv-revision", what, known.by, get);
    }
    revisions.set(value, { revision, by: get });
  }
}

function checkWritten(value: string, put: KvPut | undefined, get: KvGet): void {
  if (put !== undefined && put.outcome !== "fail" && put.call <= get.ret) return;
  const others = put === undefined ? [] : [put];
  throw new Violation("kv-invention", `${value} cannot have been there`, ...others, get);
}

/** One client at one node does not go back to an older value. */
function checkSessions({ gets }: KeyHistory): void {
  const last = new Map<string, KvGet>();
  for (const get of [...gets].sort((a, b) => a.call - b.call)) {
    if (get.outcome !== "ok" || get.result?.value == null) continue;
    const before = last.get(get.args.session);
    const old = before?.result?.revision ?? 0;
    if (before !== undefined && before.ret < get.call && get.result.revision < old) {
      throw new Violation("session", `revision ${get.result.revision} after ${old}`, before, get);
    }
    if (get.result.revision >= old) last.set(get.args.session, get);
  }
}
