/** Attempts to produce, brought together where one idempotency key makes them one write. */
import { groupBy, type Produce } from "./operations.ts";
import { Violation } from "./violation.ts";

/** One payload that may be stored at most once. */
export type Append = {
  readonly key: string | null;
  readonly values: readonly string[];
  /** Earliest call of an attempt that may have stored it; null if all were refused. */
  readonly call: number | null;
  /** Earliest answer that says it is stored; infinite if none does. */
  readonly ret: number;
  readonly attempts: readonly Produce[];
  /** An answer that says the key has another payload. */
  readonly denied: Produce | null;
  /** Offset of its first record, once known. */
  first: number | null;
};

/** @throws Violation where answers under one key contradict each other. */
export function appendsOf(produces: readonly Produce[]): Append[] {
  const appends: Append[] = [];
  const keyed: Produce[] = [];
  for (const produce of produces) {
    if (produce.args.key === null) appends.push(toAppend([produce]));
    else keyed.push(produce);
  }
  for (const attempts of groupBy(keyed, ({ args }) => args.key ?? "").values()) {
    checkAnswers(attempts);
    const payloads = groupBy(attempts, ({ args }) => args.values.join("\n"));
    for (const same of payloads.values()) appends.push(toAppend(same));
  }
  return appends;
}

function toAppend(attempts: readonly Produce[]): Append {
  const { key, values } = (attempts[0] as Produce).args;
  let call: number | null = null;
  let ret = Number.POSITIVE_INFINITY;
  let denied: Produce | null = null;
  for (const attempt of attempts) {
    if (attempt.outcome !== "fail") call = Math.min(call ?? attempt.call, attempt.call);
    if (attempt.outcome !== "ok") continue;
    if (attempt.result?.payloadMatches === false) denied = attempt;
    else ret = Math.min(ret, attempt.ret);
  }
  return { key, values, call, ret, attempts, denied, first: null };
}

/** One offset, one first write; a duplicate needs something that it is a duplicate of. */
function checkAnswers(attempts: readonly Produce[]): void {
  const ok = attempts.filter(({ outcome, result }) => outcome === "ok" && result !== null);
  const [first] = ok;
  let original: Produce | null = null;
  for (const attempt of ok) {
    if (attempt.result?.offset !== first?.result?.offset) {
      const what = `key ${attempt.args.key} answered two offsets`;
      throw new Violation("idempotency", what, first as Produce, attempt);
    }
    if (attempt.result?.duplicate === true) checkDuplicate(attempt, attempts);
    else if (original === null) original = attempt;
    else {
      const what = `key ${attempt.args.key} was stored twice as a first write`;
      throw new Violation("idempotency", what, original, attempt);
    }
  }
}

function checkDuplicate(duplicate: Produce, attempts: readonly Produce[]): void {
  const possible = attempts.some(
    (other) => other !== duplicate && other.outcome !== "fail" && other.call < duplicate.ret,
  );
  if (possible) return;
  const what = `key ${duplicate.args.key} is a duplicate of nothing`;
  throw new Violation("idempotency", what, duplicate);
}
