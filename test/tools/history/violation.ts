import type { Operation } from "./operations.ts";

/** The rules of a history, one name each. */
export type Rule =
  | "divergence"
  | "duplicate"
  | "idempotency"
  | "producer"
  | "invention"
  | "aborted-read"
  | "loss"
  | "density"
  | "torn-batch"
  | "append-order"
  | "stale-read"
  | "early-read"
  | "session"
  | "commit"
  | "floor"
  | "kv-chain"
  | "kv-revision"
  | "kv-search"
  | "kv-ttl"
  | "kv-invention"
  | "two-leaders"
  | "not-equal"
  | "group-owners"
  | "group-fence"
  | "group-commit"
  | "group-loss"
  | "group-value"
  | "group-unowned"
  | "group-lease"
  | "group-takeover"
  | "liveness";

/** The history cannot have come from a correct server. Thrown by the checks, caught by `check`. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly rule: Rule;
  readonly operations: readonly Operation[];

  constructor(rule: Rule, message: string, ...operations: readonly Operation[]) {
    super(message);
    this.rule = rule;
    this.operations = operations;
  }
}
