/** Rules 1 to 6 of a partition: which value lies at which offset, and why that may be. */
import { type Append, appendsOf } from "./appends.ts";
import type { Consume, DeleteBefore, Dump, Operation, Produce } from "./operations.ts";
import { Violation } from "./violation.ts";

export type PartitionHistory = {
  readonly produces: readonly Produce[];
  readonly consumes: readonly Consume[];
  readonly dumps: readonly Dump[];
  readonly deletions: readonly DeleteBefore[];
  /** A policy by age or size was in force. */
  readonly retention: boolean;
};

type Witness = { readonly value: string; readonly by: Operation };

/** An append whose place is known. */
export type Located = { readonly append: Append; readonly first: number; readonly by: Operation };

/** The record at each offset, by all answers together. */
export class PartitionLog {
  readonly #history: PartitionHistory;
  readonly #at = new Map<number, Witness>();
  readonly #offsets = new Map<string, number>();
  readonly #appends: readonly Append[];
  readonly #appendOf = new Map<string, Append>();
  readonly located: Located[] = [];

  /** @throws Violation */
  constructor(history: PartitionHistory) {
    this.#history = history;
    this.#appends = appendsOf(history.produces);
    for (const append of this.#appends) {
      for (const value of append.values) this.#appendOf.set(value, append);
    }
    this.#collect();
    this.#locate();
    this.#checkKeys();
    this.#checkOrder();
    this.#checkDumps();
  }

  /** All writes, with their places as far as anybody saw them. */
  get appends(): readonly Append[] {
    return this.#appends;
  }

  /** The append at an offset, if anybody ever saw it. */
  appendAt(offset: number): Append | null {
    const witness = this.#at.get(offset);
    return witness === undefined ? null : (this.#appendOf.get(witness.value) ?? null);
  }

  #collect(): void {
    for (const produce of this.#history.produces) {
      const { outcome, result, args } = produce;
      if (outcome !== "ok" || result === null || !result.payloadMatches) continue;
      if (result.count !== args.values.length) {
        throw new Violation("torn-batch", `${args.values.length} sent, ${result.count}`, produce);
      }
      for (const [i, value] of args.values.entries()) this.#see(result.offset + i, value, produce);
    }
    for (const read of [...this.#history.consumes, ...this.#history.dumps]) {
      if (read.outcome !== "ok" || read.result === null) continue;
      for (const [offset, value] of read.result.messages) this.#see(offset, value, read);
    }
  }

  #see(offset: number, value: string, by: Operation): void {
    const other = this.#at.get(offset);
    if (other === undefined) this.#at.set(offset, { value, by });
    else if (other.value !== value) {
      const what = `offset ${offset} is ${other.value} and ${value}`;
      throw new Violation("divergence", what, other.by, by);
    }
    const place = this.#offsets.get(value);
    if (place === undefined) this.#offsets.set(value, offset);
    else if (place !== offset) {
      const first = this.#at.get(place)?.by;
      const what = `${value} lies at ${place} and at ${offset}`;
      throw new Violation("duplicate", what, ...(first === undefined ? [] : [first]), by);
    }
  }

  #locate(): void {
    for (const [offset, { value, by }] of this.#at) {
      const append = this.#appendOf.get(value);
      if (append === undefined) {
        throw new Violation("invention", `${value} at ${offset} was never sent`, by);
      }
      if (append.call === null) {
        const what = `${value} at ${offset} was refused, yet it is there`;
        throw new Violation("aborted-read", what, ...append.attempts, by);
      }
      if (append.first === null) {
        append.first = offset - append.values.indexOf(value);
        this.located.push({ append, first: append.first, by });
      }
    }
    for (const { append, first, by } of this.located) this.#checkBatch(append, first, by);
    this.located.sort((a, b) => a.first - b.first);
  }

  /** Contiguous and in order, as far as anybody saw. */
  #checkBatch(append: Append, first: number, by: Operation): void {
    for (const [i, value] of append.values.entries()) {
      const place = this.#offsets.get(value) ?? first + i;
      const there = this.#at.get(first + i);
      if (place === first + i && (there === undefined || there.value === value)) continue;
      const what = `batch from ${first}: its record ${i} (${value}) is not at ${first + i}`;
      const others = there === undefined ? [] : [there.by];
      throw new Violation("torn-batch", what, ...append.attempts, by, ...others);
    }
  }

  /** One key stores one payload, once; a payload that was told to be another's is nowhere. */
  #checkKeys(): void {
    const stored = new Map<string, Located>();
    for (const located of this.located) {
      const { key } = located.append;
      if (key === null) continue;
      const other = stored.get(key);
      if (other !== undefined) {
        const what = `key ${key} stored ${other.first} and ${located.first}`;
        throw new Violation("idempotency", what, other.by, located.by);
      }
      stored.set(key, located);
      const denied = located.append.denied;
      if (denied !== null) {
        const what = `key ${key}: said to have another payload, yet ${located.first} has this one`;
        throw new Violation("idempotency", what, denied, located.by);
      }
    }
  }

  /** From the end: whatever lies behind must not have ended before this one was called. */
  #checkOrder(): void {
    let earliest: Append | null = null;
    for (let i = this.located.length - 1; i >= 0; i--) {
      const { append, first } = this.located[i] as Located;
      if (earliest !== null && earliest.ret < (append.call as number)) {
        const what = `${first} lies before ${earliest.first}, but was sent after that was answered`;
        throw new Violation("append-order", what, ...earliest.attempts, ...append.attempts);
      }
      if (earliest === null || append.ret < earliest.ret) earliest = append;
    }
  }

  #checkDumps(): void {
    const { deletions } = this.#history;
    const allowed = deletions.reduce((most, { args }) => Math.max(most, args.before), 0);
    for (const dump of this.#history.dumps) {
      if (dump.outcome !== "ok" || dump.result === null) continue;
      const { low, end, messages } = dump.result;
      if (messages.length !== Math.max(0, end - low)) {
        throw new Violation("density", `${messages.length} records in [${low}, ${end})`, dump);
      }
      for (const [i, [offset]] of messages.entries()) {
        if (offset !== low + i) throw new Violation("density", `no record at ${low + i}`, dump);
      }
      if (low > allowed && !this.#history.retention) {
        throw new Violation("loss", `begins at ${low}, deleted was up to ${allowed}`, dump);
      }
      this.#checkAcknowledged(dump, low, end);
    }
  }

  /** Agreement and density leave only what lies beyond the end. */
  #checkAcknowledged(dump: Dump, low: number, end: number): void {
    for (const { append, first } of this.located) {
      const last = first + append.values.length;
      if (last <= end || last <= low) continue;
      const ok = append.ret !== Number.POSITIVE_INFINITY;
      if (!ok && first >= end) continue;
      const rule = first < end ? "torn-batch" : "loss";
      const what = `[${first}, ${last}) is not whole in a node that ends at ${end}`;
      throw new Violation(rule, what, ...append.attempts, dump);
    }
  }
}
