/** The operations of a history, and their form on disk: one JSON object a line. */
import type { GroupOperation } from "./group-operations.ts";

/**
 * `fail` only for an answer that guarantees "not applied"; all that is not certain is `unknown`:
 * such an operation may take effect at any time after its call, or never.
 */
export type Outcome = "ok" | "fail" | "unknown";

/** Times are milliseconds of one monotonic clock, that of the process that drove all clients. */
export type Op<Name extends string, Args, Result> = {
  readonly op: Name;
  readonly id: number;
  readonly process: string;
  /** The node that answered; where none did, the node that was asked. */
  readonly node: string;
  readonly call: number;
  /** For `unknown`: when the client gave up. */
  readonly ret: number;
  readonly outcome: Outcome;
  readonly args: Args;
  readonly result: Result | null;
};

export type PartitionArgs = { readonly topic: string; readonly partition: number };

/** One message or an atomic batch. Each value is unique, but for retries under one key. */
export type Produce = Op<
  "produce",
  PartitionArgs & {
    /** A name for what may be stored once: an idempotency key, or the number of a producer. */
    readonly key: string | null;
    readonly values: readonly string[];
    readonly number?: {
      readonly producer: string;
      readonly epoch: number;
      readonly seq: number;
      /** Why the machine refused it: `sequence_gap` or `stale_epoch`. */
      readonly refused: string | null;
    };
  },
  {
    readonly offset: number;
    readonly count: number;
    readonly duplicate: boolean;
    readonly payloadMatches: boolean;
  }
>;

export type Message = readonly [offset: number, value: string];

export type Consume = Op<
  "consume",
  PartitionArgs & {
    readonly group: string;
    /** Null: from the committed offset. */
    readonly offset: number | null;
    readonly limit: number;
    readonly linearizable: boolean;
    /** Reads of one client from one life of one node: they never go back. */
    readonly session: string;
  },
  {
    readonly messages: readonly Message[];
    readonly next: number;
    readonly committed: number;
    readonly low: number;
    readonly end: number;
    readonly truncated: boolean;
  }
>;

export type Commit = Op<
  "commit",
  PartitionArgs & { readonly group: string; readonly offset: number },
  { readonly committed: number }
>;

export type DeleteBefore = Op<
  "delete-before",
  PartitionArgs & { readonly before: number },
  { readonly deleted: number }
>;

/** A policy by age or size: from then on the low watermark may move by itself. */
export type Retention = Op<"retention", PartitionArgs, Record<string, never>>;

export type KvKey = { readonly ns: string; readonly key: string };

/** `revision`: the new one; after `fail` by a mismatch the one in force, 0 for none. */
export type KvPut = Op<
  "kv-put",
  KvKey & { readonly value: string; readonly cas: number | null; readonly ttlMs: number | null },
  { readonly revision: number }
>;

/** `revision` only after `fail` by a mismatch. */
export type KvDelete = Op<
  "kv-delete",
  KvKey & { readonly cas: number | null },
  { readonly deleted: boolean; readonly revision: number | null }
>;

/** Absent: value null and revision 0. */
export type KvGet = Op<
  "kv-get",
  KvKey & { readonly linearizable: boolean; readonly session: string },
  { readonly value: string | null; readonly revision: number }
>;

/** The whole partition as one node has it, read after all faults and writes ended. */
export type Dump = Op<
  "dump",
  PartitionArgs,
  {
    readonly messages: readonly Message[];
    readonly low: number;
    readonly end: number;
    readonly committed: Readonly<Record<string, number>>;
  }
>;

/** The same of a KV namespace. */
export type KvDump = Op<
  "kv-dump",
  { readonly ns: string },
  { readonly entries: readonly (readonly [key: string, value: string, revision: number])[] }
>;

/** From injection to its end; `node` is what it was done to. */
export type Fault = Op<"fault", { readonly kind: string }, Record<string, never>>;

/** `node` said that it leads in this term, or another one said so of it. */
export type Leader = Op<"leader", Record<string, never>, { readonly term: number }>;

/** From here on nothing is broken any more. */
export type Heal = Op<"heal", Record<string, never>, Record<string, never>>;

export type Operation =
  | Produce
  | Consume
  | Commit
  | DeleteBefore
  | Retention
  | KvPut
  | KvDelete
  | KvGet
  | Dump
  | KvDump
  | Fault
  | Leader
  | Heal
  | GroupOperation;

export type OperationOf<Name extends Operation["op"]> = Extract<Operation, { op: Name }>;

export const toNdjson = (operations: readonly Operation[]): string =>
  operations.map((operation) => `${JSON.stringify(operation)}\n`).join("");

/** @throws SyntaxError that names the line that is not an operation. */
export function fromNdjson(text: string): Operation[] {
  const operations: Operation[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    if (line === "") continue;
    try {
      operations.push(JSON.parse(line) as Operation);
    } catch (cause) {
      throw new SyntaxError(`line ${at + 1} is no operation: ${line.slice(0, 80)}`, { cause });
    }
  }
  return operations;
}

/** When an operation had certainly ended: for an unknown one never. */
export const endOf = ({ outcome, ret }: Operation): number =>
  outcome === "unknown" ? Number.POSITIVE_INFINITY : ret;

/** Groups in order of first appearance. */
export function groupBy<T>(items: Iterable<T>, keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
