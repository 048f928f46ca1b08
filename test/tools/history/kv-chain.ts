/**
 * A key that is only ever changed by compare-and-set: every success names its predecessor, so the
 * successes form one chain in the order of their revisions, and everything else is compared with
 * it. O(n log n), for histories of any length ("Testing shared memories", Gibbons and Korach).
 */
import type { KeyHistory } from "./kv.ts";
import { endOf, type KvGet, type KvPut } from "./operations.ts";
import { LargestBefore, type Moment } from "./timeline.ts";
import { Violation } from "./violation.ts";

type Link = { readonly put: KvPut; readonly revision: number };

/** @throws Violation */
export function checkChain(key: KeyHistory): void {
  const links = linksOf(key);
  checkLinks(links, unresolved(key, links));
  checkTimes(key, links);
}

/** Successes, also those that only a read betrays, by revision. */
function linksOf({ puts, gets }: KeyHistory): Link[] {
  const revealed = new Map<string, number>();
  for (const { outcome, result } of gets) {
    if (outcome === "ok" && result?.value != null) revealed.set(result.value, result.revision);
  }
  const links: Link[] = [];
  for (const put of puts) {
    const own = put.outcome === "ok" ? put.result?.revision : undefined;
    const revision = own ?? (put.outcome === "unknown" ? revealed.get(put.args.value) : undefined);
    if (revision !== undefined) links.push({ put, revision });
  }
  return links.sort((a, b) => a.revision - b.revision);
}

const unresolved = ({ puts }: KeyHistory, links: readonly Link[]): KvPut[] => {
  const linked = new Set(links.map(({ put }) => put));
  return puts.filter((put) => put.outcome === "unknown" && !linked.has(put));
};

/** Each link continues the one before it; a gap needs a write that nobody knows the outcome of. */
function checkLinks(links: readonly Link[], lost: readonly KvPut[]): void {
  let gaps = 0;
  let before: Link | null = null;
  for (const link of links) {
    const { put, revision } = link;
    const expected = put.args.cas as number;
    const others = before === null ? [] : [before.put];
    if (revision <= expected) {
      throw new Violation("kv-chain", `revision ${revision} after ${expected}`, put);
    }
    const last = before?.revision ?? 0;
    if (expected < last) {
      throw new Violation("kv-chain", `${expected} was replaced by ${last} before`, ...others, put);
    }
    if (expected > last) gaps++;
    before = link;
  }
  if (gaps <= lost.length) return;
  const puts = links.slice(0, 4).map(({ put }) => put);
  throw new Violation("kv-chain", `${gaps} gaps, ${lost.length} unknown writes`, ...puts);
}

/** Revisions order all operations; the order must not contradict that of time. */
function checkTimes(key: KeyHistory, links: readonly Link[]): void {
  const reads = [...readsOf(key)];
  const known = new LargestBefore([
    ...links.map(({ put, revision }) => ({ time: endOf(put), value: revision, by: put })),
    ...reads,
  ]);
  for (const { put, revision } of links) {
    const before = known.at(put.call);
    if (before !== null && before.value >= revision) {
      const what = `revision ${revision} after ${before.value} had been seen`;
      throw new Violation("kv-chain", what, before.by, put);
    }
  }
  const calls = new Map(links.map(({ put, revision }) => [revision, put.call]));
  const allKnown = unresolved(key, links).length === 0;
  for (const { value, by } of reads) {
    const before = known.at(by.call);
    if (before !== null && value < before.value) {
      const what = `revision ${value} read, ${before.value} had been seen`;
      throw new Violation("kv-chain", what, before.by, by);
    }
    if (value === 0) continue;
    const call = calls.get(value) ?? (allKnown ? Number.POSITIVE_INFINITY : 0);
    if (call > by.ret) throw new Violation("kv-chain", `revision ${value} is of nobody`, by);
  }
}

/** Linearizable reads; a mismatch tells the revision in force as well. */
function* readsOf({ gets, puts }: KeyHistory): Generator<Moment & { by: KvGet | KvPut }> {
  for (const by of gets) {
    if (by.outcome !== "ok" || by.result === null || !by.args.linearizable) continue;
    yield { time: by.ret, value: by.result.revision, by };
  }
  for (const by of puts) {
    if (by.outcome !== "fail" || by.result === null) continue;
    if (by.result.revision === by.args.cas) {
      throw new Violation("kv-chain", `refused, though ${by.args.cas} was in force`, by);
    }
    yield { time: by.ret, value: by.result.revision, by };
  }
}
