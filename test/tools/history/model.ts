/**
 * A naive server that does one thing at a time, and clients whose calls overlap: its histories are
 * legal by construction, whatever is slow, lost or asked for again.
 */
import type { Random } from "../random.ts";
import type { Message, Operation, Outcome } from "./operations.ts";

const NODES = ["n1", "n2", "n3"] as const;
const OVERLAP_MS = 6;

type Value = { readonly value: string; readonly revision: number };
/** The state that a node has applied. */
type NodeState = {
  log: string[];
  low: number;
  committed: Map<string, number>;
  kv: Map<string, Value>;
};

type Timing = { readonly call: number; readonly ret: number };

export class Model {
  readonly #random: Random;
  readonly operations: Operation[] = [];
  /** The leader's; the other two copy it now and then. */
  readonly #state: NodeState = { log: [], low: 0, committed: new Map(), kv: new Map() };
  readonly #followers = [this.#copy(), this.#copy()];
  readonly #keys: { key: string; values: string[]; offset: number | null }[] = [];
  #now = 100;
  #sequence = 0;
  #revision = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  run(steps: number): Operation[] {
    for (let i = 0; i < steps; i++) {
      this.#now += this.#random.below(3);
      if (this.#random.below(4) === 0) this.#followers[this.#random.below(2)] = this.#copy();
      this.#step();
    }
    this.#now += 1000;
    this.#dumps();
    return this.operations;
  }

  #step(): void {
    const kind = this.#random.below(20);
    if (kind < 6) this.#produce();
    else if (kind < 8) this.#produceWithKey();
    else if (kind < 12) this.#consume();
    else if (kind < 14) this.#commit();
    else if (kind < 15) this.#deleteBefore();
    else if (kind < 17) this.#put();
    else if (kind < 18) this.#remove();
    else this.#get();
  }

  #values(): string[] {
    const count = this.#random.below(3) === 0 ? 1 + this.#random.below(5) : 1;
    return Array.from({ length: count }, () => `v${this.#sequence++}`);
  }

  #produce(): void {
    const values = this.#values();
    const outcome = this.#outcome();
    const offset = this.#state.log.length;
    if (this.#applies(outcome)) this.#state.log.push(...values);
    const result = { offset, count: values.length, duplicate: false, payloadMatches: true };
    this.#add("produce", outcome, { ...PLACE, key: null, values }, result);
  }

  /** New, again, or again with something else. */
  #produceWithKey(): void {
    const old = this.#random.below(2) === 0 && this.#keys.length > 0;
    const known = old ? this.#random.pick(this.#keys) : null;
    const entry = known ?? { key: `k${this.#sequence++}`, values: this.#values(), offset: null };
    if (known === null) this.#keys.push(entry);
    const other = known !== null && this.#random.below(4) === 0;
    const values = other ? this.#values() : entry.values;
    const outcome = this.#outcome();
    const duplicate = entry.offset !== null;
    if (entry.offset === null && this.#applies(outcome)) {
      entry.offset = this.#state.log.length;
      entry.values = values;
      this.#state.log.push(...values);
    }
    const payloadMatches = entry.values === values;
    const result = {
      offset: entry.offset ?? 0,
      count: entry.values.length,
      duplicate,
      payloadMatches,
    };
    this.#add("produce", outcome, { ...PLACE, key: entry.key, values }, result);
  }

  #consume(): void {
    const linearizable = this.#random.below(2) === 0;
    const follower = this.#random.below(2);
    const state = linearizable ? this.#state : (this.#followers[follower] as NodeState);
    const session = linearizable ? "leader" : `f${follower}`;
    const group = `g${this.#random.below(2)}`;
    const committed = state.committed.get(group) ?? 0;
    const end = state.log.length;
    const offset = this.#random.below(4) === 0 ? null : this.#random.below(end + 3);
    const limit = 1 + this.#random.below(10);
    const start = Math.max(offset ?? committed, state.low);
    const messages = messagesOf(state, start, limit);
    const next = start + messages.length;
    const result = { messages, next, committed, low: state.low, end, truncated: false };
    const args = { ...PLACE, group, offset, limit, linearizable, session };
    this.#add("consume", this.#readOutcome(), args, result);
  }

  #commit(): void {
    const group = `g${this.#random.below(2)}`;
    const offset = this.#random.below(this.#state.log.length + 1);
    const outcome = this.#outcome();
    const before = this.#state.committed.get(group) ?? 0;
    if (this.#applies(outcome)) this.#state.committed.set(group, Math.max(before, offset));
    const committed = Math.max(before, offset);
    this.#add("commit", outcome, { ...PLACE, group, offset }, { committed });
  }

  #deleteBefore(): void {
    const { low, log } = this.#state;
    const before = low + this.#random.below(Math.min(8, log.length - low + 1));
    const outcome = this.#outcome();
    if (this.#applies(outcome)) this.#state.low = before;
    this.#add("delete-before", outcome, { ...PLACE, before }, { deleted: before - low });
  }

  #key(): string {
    return this.#random.below(2) === 0
      ? `chain${this.#random.below(2)}`
      : `any${Math.floor(this.#sequence / 60)}`;
  }

  #put(): void {
    const key = this.#key();
    const current = this.#state.kv.get(key)?.revision ?? 0;
    const isChain = key.startsWith("chain");
    const right = this.#random.below(5) > 0;
    const cas = isChain || this.#random.below(2) === 0 ? (right ? current : current + 1) : null;
    const value = `v${this.#sequence++}`;
    const args = { ns: "kv", key, value, cas, ttlMs: null };
    const outcome = this.#outcome();
    if (cas !== null && cas !== current) {
      const told = outcome === "ok" ? { revision: current } : null;
      const answered = told === null ? outcome : "fail";
      this.#push("kv-put", answered, args, told, this.#timing(answered));
      return;
    }
    const revision = ++this.#revision;
    if (this.#applies(outcome)) this.#state.kv.set(key, { value, revision });
    this.#add("kv-put", outcome, args, { revision });
  }

  #remove(): void {
    const key = `any${Math.floor(this.#sequence / 60)}`;
    const outcome = this.#outcome();
    const deleted = this.#state.kv.has(key);
    if (this.#applies(outcome)) this.#state.kv.delete(key);
    this.#add("kv-delete", outcome, { ns: "kv", key, cas: null }, { deleted, revision: null });
  }

  #get(): void {
    const key = this.#key();
    const linearizable = this.#random.below(3) > 0;
    const follower = this.#random.below(2);
    const state = linearizable ? this.#state : (this.#followers[follower] as NodeState);
    const found = state.kv.get(key) ?? { value: null, revision: 0 };
    const session = linearizable ? "leader" : `f${follower}`;
    this.#add("kv-get", this.#readOutcome(), { ns: "kv", key, linearizable, session }, found);
  }

  #dumps(): void {
    const { log, low, committed, kv } = this.#state;
    for (const node of NODES) {
      const result = {
        messages: messagesOf(this.#state, low, log.length),
        low,
        end: log.length,
        committed: Object.fromEntries(committed),
      };
      this.#add("dump", "ok", PLACE, result, node);
      const entries = [...kv].map(([key, { value, revision }]) => [key, value, revision]);
      this.#add("kv-dump", "ok", { ns: "kv" }, { entries }, node);
    }
  }

  #outcome(): Outcome {
    const kind = this.#random.below(12);
    return kind === 0 ? "fail" : kind === 1 ? "unknown" : "ok";
  }

  #readOutcome(): Outcome {
    return this.#random.below(12) === 0 ? "fail" : "ok";
  }

  /** An operation of unknown outcome was done or not. */
  #applies(outcome: Outcome): boolean {
    return outcome === "ok" || (outcome === "unknown" && this.#random.below(2) === 0);
  }

  /** The moment of doing lies between call and answer; who gave up may have done so before it. */
  #timing(outcome: Outcome): Timing {
    const call = this.#now - this.#random.below(OVERLAP_MS) - 0.5;
    const late = this.#now + this.#random.below(OVERLAP_MS) + 0.25;
    return { call, ret: outcome === "unknown" ? call + this.#random.below(OVERLAP_MS) : late };
  }

  #add(op: Operation["op"], outcome: Outcome, args: object, result: object, node?: string): void {
    const known = outcome === "ok" ? result : null;
    this.#push(op, outcome, args, known, { ...this.#timing(outcome), node });
  }

  #push(
    op: Operation["op"],
    outcome: Outcome,
    args: object,
    result: object | null,
    { node = "n1", ...timing }: Timing & { readonly node?: string | undefined },
  ): void {
    const id = this.operations.length;
    const one = { op, id, process: `p${id % 7}`, node, ...timing, outcome, args, result };
    this.operations.push(one as unknown as Operation);
  }

  #copy(): NodeState {
    const { log, low, committed, kv } = this.#state;
    return { log: [...log], low, committed: new Map(committed), kv: new Map(kv) };
  }
}

const PLACE = { topic: "t", partition: 0 };

function messagesOf({ log }: NodeState, start: number, limit: number): Message[] {
  return log.slice(start, start + limit).map((value, i) => [start + i, value]);
}
