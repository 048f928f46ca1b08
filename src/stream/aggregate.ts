import { compareNumbers, isNumeric, type Path, toInteger, type Value, valueAt } from "./value.ts";

export const MEASURE_OPS = ["count", "sum", "avg", "min", "max"] as const;
export type MeasureOp = (typeof MEASURE_OPS)[number];
/** `field` is null for a count of records. `as` is the field of the answer. */
export type Measure = { readonly op: MeasureOp; readonly field: Path | null; readonly as: string };

/**
 * Running state of one measure in one group. The integers are summed apart from the running sum,
 * so that a sum of integers is exact at any size; the first fraction makes the sum a double.
 */
export type MeasureState = {
  /** Values that took part: numbers, or for `count` all that are not null. */
  count: number;
  fractions: number;
  integerSum: number | bigint;
  /** All values in the order of arrival, as doubles. */
  runningSum: number;
  /** Lowest or highest so far. */
  extreme: number | bigint | null;
};

export function newMeasureState(): MeasureState {
  return { count: 0, fractions: 0, integerSum: 0, runningSum: 0, extreme: null };
}

export function addToMeasure(state: MeasureState, measure: Measure, record: Value): void {
  const value = measure.field === null ? true : valueAt(record, measure.field);
  if (measure.op === "count") {
    if (value !== undefined && value !== null) state.count++;
    return;
  }
  // What is not a number is no part of a sum: text, null, a missing field, NaN.
  if (!isNumeric(value)) return;
  state.count++;
  if (measure.op === "min") lower(state, value);
  else if (measure.op === "max") raise(state, value);
  else addToSum(state, value);
}

function lower(state: MeasureState, value: number | bigint): void {
  if (state.extreme === null || compareNumbers(value, state.extreme) < 0) state.extreme = value;
}

function raise(state: MeasureState, value: number | bigint): void {
  if (state.extreme === null || compareNumbers(value, state.extreme) > 0) state.extreme = value;
}

function addToSum(state: MeasureState, value: number | bigint): void {
  state.runningSum += Number(value);
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    state.fractions++;
    return;
  }
  const { integerSum } = state;
  if (typeof integerSum === "number" && typeof value === "number") {
    const sum = integerSum + value;
    state.integerSum = Number.isSafeInteger(sum) ? sum : BigInt(integerSum) + BigInt(value);
  } else {
    state.integerSum = toInteger(BigInt(integerSum) + BigInt(value));
  }
}

/** Of nothing: count and sum are 0; avg, min and max are null. */
export function measureResult(state: MeasureState, op: MeasureOp): number | bigint | null {
  switch (op) {
    case "count":
      return state.count;
    case "sum":
      return state.fractions === 0 ? state.integerSum : state.runningSum;
    case "avg":
      return averageOf(state);
    case "min":
    case "max":
      return state.extreme;
  }
}

function averageOf({ count, fractions, integerSum, runningSum }: MeasureState) {
  if (count === 0) return null;
  if (fractions > 0) return runningSum / count;
  if (typeof integerSum === "number") return integerSum / count;
  return quotientOf(integerSum, BigInt(count));
}

const QUOTIENT_DIGITS = 25;

/** Exact where the division is, else the double nearest to the quotient's first decimals. */
function quotientOf(sum: bigint, count: bigint): number | bigint {
  if (sum % count === 0n) return toInteger(sum / count);
  const magnitude = sum < 0n ? -sum : sum;
  const scaled = (magnitude % count) * 10n ** BigInt(QUOTIENT_DIGITS);
  const decimals = String(scaled / count).padStart(QUOTIENT_DIGITS, "0");
  return Number(`${sum < 0n ? "-" : ""}${magnitude / count}.${decimals}`);
}
