/** Writes small histories by hand: each line says when, who and what. */
import type {
  Commit,
  Consume,
  DeleteBefore,
  Dump,
  KvDelete,
  KvDump,
  KvGet,
  KvPut,
  Leader,
  Message,
  Operation,
  OperationOf,
  Outcome,
  Produce,
} from "./operations.ts";

type Span = readonly [call: number, ret: number];

const PLACE = { topic: "t", partition: 0 };

export class HistoryBuilder {
  readonly operations: Operation[] = [];

  /** Answered with `offset`; null: refused; undefined: no answer. */
  produce(span: Span, values: string[], offset?: number | null): this {
    const result = (at: number) => ({
      offset: at,
      count: values.length,
      duplicate: false,
      payloadMatches: true,
    });
    return this.#add("produce", span, { ...PLACE, key: null, values }, map(offset, result));
  }

  withKey(
    span: Span,
    key: string,
    values: string[],
    result: Partial<NonNullable<Produce["result"]>> | null | undefined,
  ): this {
    const whole = { offset: 0, count: values.length, duplicate: false, payloadMatches: true };
    const answer = result == null ? result : { ...whole, ...result };
    return this.#add("produce", span, { ...PLACE, key, values }, answer);
  }

  /** One value by number `epoch/seq`: stored at `offset`, refused for a reason, or without an answer. */
  numbered(span: Span, number: string, value: string, answer?: number | string): this {
    const [epoch = 0, seq = 0] = number.split("/").map(Number);
    const refused = typeof answer === "string" ? answer : null;
    const args = {
      ...PLACE,
      key: `p ${number}`,
      values: [value],
      number: { producer: "p", epoch, seq, refused },
    };
    const stored = { offset: Number(answer), count: 1, duplicate: false, payloadMatches: true };
    const result = refused !== null ? null : answer === undefined ? undefined : stored;
    return this.#add("produce", span, args, result);
  }

  /** All of `values` lie from `start` on. */
  consume(
    span: Span,
    start: number,
    values: string[],
    rest: Partial<Consume["args"]> & Partial<NonNullable<Consume["result"]>> = {},
  ): this {
    const { group = "g", offset = start, limit = 100, linearizable = true, ...other } = rest;
    const { session = `${this.operations.length}`, ...result } = other;
    const next = start + values.length;
    const answer = {
      messages: messages(start, values),
      next,
      committed: 0,
      low: 0,
      end: next,
      truncated: false,
      ...result,
    };
    const args = { ...PLACE, group, offset, limit, linearizable, session };
    return this.#add("consume", span, args, answer);
  }

  commit(span: Span, offset: number, committed?: number | null): this {
    const args = { ...PLACE, group: "g", offset };
    const result = map(committed, (value): Commit["result"] => ({ committed: value }));
    return this.#add("commit", span, args, result);
  }

  deleteBefore(span: Span, before: number, deleted?: number | null): this {
    const result = map(deleted, (value): DeleteBefore["result"] => ({ deleted: value }));
    return this.#add("delete-before", span, { ...PLACE, before }, result);
  }

  put(
    span: Span,
    value: string,
    revision: number | null | undefined,
    rest: Partial<KvPut["args"]> = {},
  ): this {
    const args = { ns: "kv", key: "k", value, cas: null, ttlMs: null, ...rest };
    return this.#add(
      "kv-put",
      span,
      args,
      map(revision, (to) => ({ revision: to })),
    );
  }

  /** Refused, and told which revision is in force. */
  mismatch(span: Span, value: string, cas: number, revision: number): this {
    const args = { ns: "kv", key: "k", value, cas, ttlMs: null };
    this.#add("kv-put", span, args, { revision });
    this.operations.push({ ...(this.operations.pop() as KvPut), outcome: "fail" });
    return this;
  }

  remove(span: Span, deleted?: boolean | null): this {
    const args = { ns: "kv", key: "k", cas: null };
    const result = map(deleted, (value): KvDelete["result"] => ({
      deleted: value,
      revision: null,
    }));
    return this.#add("kv-delete", span, args, result);
  }

  get(span: Span, value: string | null, revision: number, rest: Partial<KvGet["args"]> = {}): this {
    const session = `${this.operations.length}`;
    const args = { ns: "kv", key: "k", linearizable: true, session, ...rest };
    return this.#add("kv-get", span, args, { value, revision });
  }

  dump(
    node: string,
    values: string[],
    { low = 0, committed = {} }: { low?: number; committed?: Record<string, number> } = {},
  ): this {
    const result: Dump["result"] = {
      messages: messages(low, values),
      low,
      end: low + values.length,
      committed,
    };
    return this.#add("dump", [10_000, 10_001], PLACE, result, node);
  }

  kvDump(node: string, entries: NonNullable<KvDump["result"]>["entries"]): this {
    return this.#add("kv-dump", [10_000, 10_001], { ns: "kv" }, { entries }, node);
  }

  leader(at: number, node: string, term: number): this {
    const result: Leader["result"] = { term };
    return this.#add("leader", [at, at], {}, result, node);
  }

  heal(at: number): this {
    return this.#add("heal", [at, at], {}, {});
  }

  #add<Name extends Operation["op"]>(
    op: Name,
    [call, ret]: Span,
    args: OperationOf<Name>["args"],
    result: OperationOf<Name>["result"] | undefined,
    node = "n1",
  ): this {
    const id = this.operations.length;
    const outcome: Outcome = result === undefined ? "unknown" : result === null ? "fail" : "ok";
    const one = { op, id, process: "p", node, call, ret, outcome, args, result: result ?? null };
    this.operations.push(one as unknown as Operation);
    return this;
  }
}

const messages = (start: number, values: readonly string[]): Message[] =>
  values.map((value, i) => [start + i, value]);

const map = <T, R>(value: T | null | undefined, to: (value: T) => R): R | null | undefined =>
  value == null ? (value as null | undefined) : to(value);
