/**
 * Linearizability of one key by search (Wing & Gong 1993, with the memory of Lowe 2016): which
 * order of the operations explains all answers? Meant for keys with few hundred operations.
 */
import type { KeyHistory } from "./kv.ts";
import { endOf, type KvDelete, type KvGet, type KvPut } from "./operations.ts";
import { Violation } from "./violation.ts";

type KeyOperation = KvPut | KvDelete | KvGet;

/** `revision` null: of a write whose answer was lost and whose value nobody read. */
type State = {
  readonly value: string | null;
  readonly revision: number | null;
  readonly highest: number;
};

const EMPTY: State = { value: null, revision: 0, highest: 0 };
const STEPS_MAX = 3_000_000;

/** Begin or end of an operation, in a list from which both are taken out while it is tried. */
type Entry = {
  readonly index: number;
  readonly isCall: boolean;
  readonly time: number;
  before: Entry | null;
  after: Entry | null;
};

/**
 * @returns false if the search was given up undecided.
 * @throws Violation if there is no order.
 */
export function searchKey(key: KeyHistory): boolean {
  const operations: KeyOperation[] = [
    ...key.puts.filter(matters),
    ...key.deletes.filter(matters),
    ...key.gets.filter((get) => get.outcome === "ok" && get.args.linearizable),
  ];
  const verdict = new Search(operations).run();
  if (verdict !== "no") return verdict === "yes";
  throw new Violation("kv-search", "no order explains these answers", ...operations);
}

/** A refusal counts only where it tells what is in force. */
const matters = ({ outcome, result }: KvPut | KvDelete): boolean =>
  outcome !== "fail" || result !== null;

class Search {
  readonly #operations: readonly KeyOperation[];
  readonly #revealed = new Map<string, number>();
  readonly #ends: (Entry | null)[];
  readonly #head: Entry;
  readonly #done: Uint32Array;
  readonly #tried = new Set<string>();

  constructor(operations: readonly KeyOperation[]) {
    this.#operations = operations;
    this.#done = new Uint32Array(Math.ceil(operations.length / 32));
    this.#ends = new Array(operations.length).fill(null);
    this.#head = this.#link();
    for (const { op, outcome, result } of operations) {
      if (op === "kv-get" && outcome === "ok" && result?.value != null) {
        this.#revealed.set(result.value, result.revision);
      }
    }
  }

  run(): "yes" | "no" | "undecided" {
    const path: { entry: Entry; state: State }[] = [];
    let state = EMPTY;
    let entry = this.#head.after;
    for (let steps = 0; steps < STEPS_MAX; steps++) {
      if (this.#allAnswered()) return "yes";
      if (entry?.isCall === true) {
        const next = this.#apply(state, this.#operations[entry.index] as KeyOperation);
        if (next !== null && this.#isNew(entry.index, next)) {
          path.push({ entry, state });
          state = next;
          this.#lift(entry);
          entry = this.#head.after;
        } else {
          entry = entry.after;
        }
        continue;
      }
      const back = path.pop();
      if (back === undefined) return "no";
      state = back.state;
      this.#unlift(back.entry);
      entry = back.entry.after;
    }
    return "undecided";
  }

  #link(): Entry {
    const entries: Entry[] = [];
    for (const [index, operation] of this.#operations.entries()) {
      const ends = { call: operation.call, ret: endOf(operation) };
      entries.push({ index, isCall: true, time: ends.call, before: null, after: null });
      const end = { index, isCall: false, time: ends.ret, before: null, after: null };
      this.#ends[index] = end;
      entries.push(end);
    }
    // At one and the same time calls come first: then the two are concurrent.
    entries.sort((a, b) => order(a, b));
    const head: Entry = { index: -1, isCall: false, time: 0, before: null, after: null };
    let last = head;
    for (const entry of entries) {
      last.after = entry;
      entry.before = last;
      last = entry;
    }
    return head;
  }

  /** The remaining operations have no answer, and need not have happened. */
  #allAnswered(): boolean {
    for (let entry = this.#head.after; entry !== null; entry = entry.after) {
      if (!entry.isCall) return entry.time === Number.POSITIVE_INFINITY;
    }
    return true;
  }

  #isNew(index: number, state: State): boolean {
    const word = index >>> 5;
    this.#done[word] = (this.#done[word] as number) | (1 << (index & 31));
    const memory = `${this.#done.join()}|${state.value}|${state.revision}|${state.highest}`;
    if (!this.#tried.has(memory)) {
      this.#tried.add(memory);
      return true;
    }
    this.#clear(index);
    return false;
  }

  #clear(index: number): void {
    const word = index >>> 5;
    this.#done[word] = (this.#done[word] as number) & ~(1 << (index & 31));
  }

  #lift(call: Entry): void {
    takeOut(call);
    takeOut(this.#ends[call.index] as Entry);
  }

  #unlift(call: Entry): void {
    putBack(this.#ends[call.index] as Entry);
    putBack(call);
    this.#clear(call.index);
  }

  /** @returns null if the answer cannot be that of this operation in this state. */
  #apply(state: State, operation: KeyOperation): State | null {
    switch (operation.op) {
      case "kv-get": {
        const { value, revision } = operation.result ?? EMPTY;
        return value === state.value && isRevision(state, revision ?? 0) ? state : null;
      }
      case "kv-put":
        return this.#put(state, operation);
      case "kv-delete":
        return remove(state, operation);
    }
  }

  #put(state: State, { outcome, args, result }: KvPut): State | null {
    const fits = args.cas === null || isRevision(state, args.cas);
    if (outcome === "fail") return refused(state, args.cas, result?.revision ?? 0);
    if (outcome === "unknown") {
      // It may stay undone, so there is no need to try it where it would do nothing.
      const revision = this.#revealed.get(args.value) ?? null;
      if (!fits || (revision !== null && revision <= state.highest)) return null;
      return { value: args.value, revision, highest: Math.max(state.highest, revision ?? 0) };
    }
    const revision = result?.revision ?? 0;
    if (!fits || revision <= state.highest) return null;
    return { value: args.value, revision, highest: revision };
  }
}

const order = (a: Entry, b: Entry): number => {
  if (a.time !== b.time) return a.time < b.time ? -1 : 1;
  return Number(b.isCall) - Number(a.isCall);
};

const isRevision = (state: State, revision: number): boolean =>
  state.revision === null ? revision > state.highest : state.revision === revision;

const refused = (state: State, cas: number | null, current: number): State | null =>
  current !== cas && isRevision(state, current) ? state : null;

function remove(state: State, { outcome, args, result }: KvDelete): State | null {
  const fits = args.cas === null || isRevision(state, args.cas);
  if (outcome === "fail") return refused(state, args.cas, result?.revision ?? 0);
  const gone = { value: null, revision: 0, highest: state.highest };
  if (outcome === "unknown") return fits ? gone : null;
  const matches = result?.deleted === (state.value !== null);
  return fits && matches ? gone : null;
}

function takeOut(entry: Entry): void {
  if (entry.before !== null) entry.before.after = entry.after;
  if (entry.after !== null) entry.after.before = entry.before;
}

function putBack(entry: Entry): void {
  if (entry.before !== null) entry.before.after = entry;
  if (entry.after !== null) entry.after.before = entry;
}
