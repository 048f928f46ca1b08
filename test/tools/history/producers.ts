/** Writes of producers that number them: none out of order, none after a gap, none refused without reason. */
import type { Append } from "./appends.ts";
import { groupBy, type Produce } from "./operations.ts";
import { Violation } from "./violation.ts";

type Number_ = NonNullable<Produce["args"]["number"]>;
type Numbered = { readonly append: Append; readonly number: Number_ };

const nameOf = (epoch: number, seq: number): string => `${epoch}/${seq}`;

/** @param appends of one partition, with their places as far as anybody saw them. */
export function checkProducers(appends: readonly Append[]): void {
  const numbered: Numbered[] = [];
  for (const append of appends) {
    const number = append.attempts[0]?.args.number;
    if (number !== undefined) numbered.push({ append, number });
  }
  for (const own of groupBy(numbered, ({ number }) => number.producer).values()) {
    own.sort((a, b) => a.number.epoch - b.number.epoch || a.number.seq - b.number.seq);
    const byNumber = groupBy(own, ({ number }) => nameOf(number.epoch, number.seq));
    checkOrder(own);
    for (const one of own) {
      const { epoch, seq } = one.number;
      const before = (byNumber.get(nameOf(epoch, seq - 1)) ?? []).map(({ append }) => append);
      checkPredecessor(one, before);
      checkRefusals(one, before, own);
    }
  }
}

/** Later numbers and higher epochs lie behind earlier ones. */
function checkOrder(own: readonly Numbered[]): void {
  let last: Numbered | null = null;
  for (const one of own) {
    if (one.append.first === null) continue;
    if (last !== null && last.append.first !== null && one.append.first < last.append.first) {
      const what = `${textOf(one.number)} lies at ${one.append.first}, before ${textOf(last.number)} at ${last.append.first}`;
      throw new Violation("producer", what, ...last.append.attempts, ...one.append.attempts);
    }
    last = one;
  }
}

/** A stored write follows another one, which may have been stored before this one was answered. */
function checkPredecessor({ append, number }: Numbered, before: readonly Append[]): void {
  if (append.first === null || number.seq === 0) return;
  if (before.some(({ call }) => call !== null && call < append.ret)) return;
  const what = `${textOf(number)} is stored, and the number before it was not`;
  throw new Violation("producer", what, ...append.attempts);
}

/** A gap needs a missing number, and a stale epoch needs a higher one. */
function checkRefusals(
  { append, number }: Numbered,
  before: readonly Append[],
  own: readonly Numbered[],
): void {
  for (const attempt of append.attempts) {
    const refused = attempt.args.number?.refused;
    const isFenced = own.some(
      (other) =>
        other.number.epoch > number.epoch &&
        other.append.call !== null &&
        other.append.call < attempt.ret,
    );
    if (refused === "stale_epoch" && !isFenced) {
      throw new Violation("producer", `${textOf(number)} is stale without a higher epoch`, attempt);
    }
    const follows = number.seq === 0 || before.some(({ ret }) => ret < attempt.call);
    if (refused === "sequence_gap" && follows && !isFenced) {
      const what = `${textOf(number)} is told a gap, though the number before it is stored`;
      throw new Violation("producer", what, ...before.flatMap((one) => one.attempts), attempt);
    }
  }
}

const textOf = ({ producer, epoch, seq }: Number_): string => `${producer} ${epoch}/${seq}`;
