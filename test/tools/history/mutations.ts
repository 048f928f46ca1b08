/** Changes to a legal history after which no correct server can have produced it. */
import type { Random } from "../random.ts";
import type { Consume, Dump, KvGet, Operation, Produce } from "./operations.ts";

/** Null: this history has no place where the change would matter. */
export type Mutation = (history: readonly Operation[], random: Random) => Operation[] | null;

const replace = (history: readonly Operation[], old: Operation, by: Operation): Operation[] =>
  history.map((one) => (one === old ? by : one));

const okProduces = (history: readonly Operation[]): Produce[] =>
  history.filter(
    (one): one is Produce =>
      one.op === "produce" && one.outcome === "ok" && one.result?.payloadMatches === true,
  );

const pickOrNull = <T>(random: Random, items: readonly T[]): T | null =>
  items.length === 0 ? null : random.pick(items);

const dumpsOf = (history: readonly Operation[]): Dump[] =>
  history.filter((one): one is Dump => one.op === "dump");

/** Records that all nodes still have, and that were acknowledged. */
function kept(history: readonly Operation[]): Produce[] {
  const low = dumpsOf(history)[0]?.result?.low ?? 0;
  return okProduces(history).filter(({ result }) => (result?.offset ?? -1) >= low);
}

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  "the newest acknowledged record is gone everywhere": (history) => {
    const end = dumpsOf(history)[0]?.result?.end ?? 0;
    const endsThere = ({ result }: Produce) => (result?.offset ?? 0) + (result?.count ?? 0) === end;
    const last = kept(history).find(endsThere);
    if (last?.result == null) return null;
    const cut = last.result.offset;
    return history.map((one) => {
      if (one.op !== "dump" || one.result === null) return one;
      const messages = one.result.messages.filter(([offset]) => offset < cut);
      return { ...one, result: { ...one.result, messages, end: cut } };
    });
  },
  "one node has another record": (history, random) => {
    const dump = random.pick(dumpsOf(history));
    if (dump.result === null || dump.result.messages.length === 0) return null;
    const at = random.below(dump.result.messages.length);
    const messages = dump.result.messages.map(([offset, value], i) =>
      i === at ? ([offset, `${value}x`] as const) : ([offset, value] as const),
    );
    return replace(history, dump, { ...dump, result: { ...dump.result, messages } });
  },
  "one node lacks a record in the middle": (history, random) => {
    const dump = random.pick(dumpsOf(history));
    if (dump.result === null || dump.result.messages.length === 0) return null;
    const at = random.below(dump.result.messages.length);
    const messages = dump.result.messages.filter((_, i) => i !== at);
    return replace(history, dump, { ...dump, result: { ...dump.result, messages } });
  },
  "an answer names another offset": (history, random) => {
    const produce = pickOrNull(random, kept(history));
    if (produce?.result == null) return null;
    const result = { ...produce.result, offset: produce.result.offset + 1 };
    return replace(history, produce, { ...produce, result });
  },
  "what was refused is there": (history, random) => {
    const produce = pickOrNull(
      random,
      kept(history).filter(({ args }) => args.key === null),
    );
    if (produce === null) return null;
    return replace(history, produce, { ...produce, outcome: "fail", result: null });
  },
  "a linearizable read misses what was acknowledged": (history, random) => {
    const missed = (read: Consume) =>
      okProduces(history).filter(
        ({ ret, result }) => ret < read.call && (result?.offset ?? 0) >= (read.result?.low ?? 0),
      );
    const reads = history.filter(
      (one): one is Consume =>
        one.op === "consume" &&
        one.outcome === "ok" &&
        one.args.linearizable &&
        missed(one).length > 0,
    );
    const read = pickOrNull(random, reads);
    if (read?.result == null) return null;
    const end = random.pick(missed(read)).result?.offset ?? 0;
    const messages = read.result.messages.filter(([offset]) => offset < end);
    const start = Math.max(read.args.offset ?? read.result.committed, read.result.low);
    const next = start + messages.length;
    return replace(history, read, { ...read, result: { ...read.result, messages, next, end } });
  },
  "a record is read before it was sent": (history, random) => {
    const reads = history.filter((one): one is Consume => one.op === "consume");
    const read = pickOrNull(
      random,
      reads.filter(({ outcome, result }) => outcome === "ok" && (result?.end ?? 0) > 0),
    );
    if (read === null) return null;
    return replace(history, read, { ...read, call: 1, ret: 2 });
  },
  "a committed offset is forgotten": (history, random) => {
    const reads = history.filter(
      (one): one is Consume =>
        one.op === "consume" &&
        one.outcome === "ok" &&
        one.args.linearizable &&
        one.args.offset !== null &&
        history.some(
          (other) =>
            other.op === "commit" &&
            other.outcome === "ok" &&
            other.ret < one.call &&
            other.args.group === one.args.group &&
            other.args.offset > 0,
        ),
    );
    const read = pickOrNull(random, reads);
    if (read?.result == null) return null;
    return replace(history, read, { ...read, result: { ...read.result, committed: 0 } });
  },
  "a node keeps what was deleted": (history, random) => {
    const dump = random.pick(dumpsOf(history));
    const acked = history.some(
      (one) => one.op === "delete-before" && one.outcome === "ok" && one.args.before > 0,
    );
    if (!acked || dump.result === null) return null;
    const first = dump.result.messages.map(([, value]) => value);
    const lost = Array.from({ length: dump.result.low }, (_, i) => [i, `old${i}`] as const);
    const messages = [...lost, ...first.map((value, i) => [lost.length + i, value] as const)];
    return replace(history, dump, { ...dump, result: { ...dump.result, messages, low: 0 } });
  },
  "a key has an older value": (history, random) => {
    const isPut = (one: Operation) => one.op === "kv-put" && one.outcome === "ok";
    const gets = history.filter(
      (one): one is KvGet =>
        one.op === "kv-get" &&
        one.outcome === "ok" &&
        one.args.linearizable &&
        one.result?.value != null,
    );
    const get = pickOrNull(random, gets);
    const older = history.find(
      (one) =>
        one.op === "kv-put" &&
        isPut(one) &&
        one.args.key === get?.args.key &&
        (one.result?.revision ?? 0) < (get.result?.revision ?? 0) &&
        history.some(
          (later) =>
            later.op === "kv-put" &&
            isPut(later) &&
            later.args.key === get.args.key &&
            later.call > one.ret &&
            later.ret < get.call,
        ),
    );
    if (get === null || older?.op !== "kv-put") return null;
    const result = { value: older.args.value, revision: older.result?.revision ?? 0 };
    return replace(history, get, { ...get, result });
  },
  "a key is lost at the end": (history, random) => {
    const dump = pickOrNull(
      random,
      history.filter((one) => one.op === "kv-dump"),
    );
    if (dump?.result == null || dump.result.entries.length === 0) return null;
    const entries = dump.result.entries.slice(1);
    return replace(history, dump, { ...dump, result: { entries } });
  },
};
