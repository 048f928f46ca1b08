import {
  compareNumbers,
  isNumeric,
  memoryOf,
  type Path,
  toInteger,
  type Value,
  valueAt,
} from "./value.ts";

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
  /** Sum of the fractions, kept apart so that a sum beyond the range of doubles is still known. */
  fractionSum: number;
  /** All values in the order of arrival, as doubles. */
  runningSum: number;
  /** Lowest or highest so far. */
  extreme: number | bigint | null;
  /** Memory of the largest number so far, if it is a large one. */
  largeBytes: number;
};

export function newMeasureState(): MeasureState {
  return {
    count: 0,
    fractions: 0,
    integerSum: 0,
    fractionSum: 0,
    runningSum: 0,
    extreme: null,
    largeBytes: 0,
  };
}

/** Counters that the measures of a table share. */
export type MeasureTotals = {
  /** Numbers that no measure can take: JSON's `1e400`. */
  outOfRange: number;
  bytes: number;
};

export function addToMeasure(
  state: MeasureState,
  measure: Measure,
  record: Value,
  totals: MeasureTotals,
): void {
  const value = measure.field === null ? true : valueAt(record, measure.field);
  if (measure.op === "count") {
    if (value !== undefined && value !== null) state.count++;
    return;
  }
  // Values that are not numbers are ignored: text, null, a missing field.
  if (!isNumeric(value)) {
    if (typeof value === "number") totals.outOfRange++;
    return;
  }
  state.count++;
  if (isLarge(value)) growTo(state, memoryOf(value), totals);
  if (measure.op === "min") lower(state, value);
  else if (measure.op === "max") raise(state, value);
  else addToSum(state, value);
}

const LARGE = 2n ** 128n;

/** Whether a number takes more memory than a state is counted with. */
export function isLarge(value: Value | undefined): boolean {
  return typeof value === "bigint" && (value > LARGE || value < -LARGE);
}

/** A sum is hardly longer than the largest number in it. */
function growTo(state: MeasureState, bytes: number, totals: MeasureTotals): void {
  if (bytes <= state.largeBytes) return;
  totals.bytes += bytes - state.largeBytes;
  state.largeBytes = bytes;
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
    state.fractionSum += value;
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

/** The value of a measure. Without values, count and sum are 0; avg, min and max are null. */
export function measureResult(state: MeasureState, op: MeasureOp): number | bigint | null {
  switch (op) {
    case "count":
      return state.count;
    case "sum":
      return sumOf(state);
    case "avg":
      return averageOf(state);
    case "min":
    case "max":
      return state.extreme;
  }
}

/** A sum with fractions that leaves the range of doubles is the nearest integer that is known. */
function sumOf({ fractions, integerSum, fractionSum, runningSum }: MeasureState): number | bigint {
  if (fractions === 0) return integerSum;
  if (Number.isFinite(runningSum) || !Number.isFinite(fractionSum)) return runningSum;
  return toInteger(BigInt(integerSum) + BigInt(Math.round(fractionSum)));
}

function averageOf(state: MeasureState): number | bigint | null {
  if (state.count === 0) return null;
  const sum = sumOf(state);
  return typeof sum === "number" ? sum / state.count : quotientOf(sum, BigInt(state.count));
}

const QUOTIENT_DIGITS = 25;

/**
 * Exact where the division is, else the double nearest to the quotient's first decimals, or beyond
 * the range of doubles the nearest integer.
 */
function quotientOf(sum: bigint, count: bigint): number | bigint {
  if (sum % count === 0n) return toInteger(sum / count);
  const magnitude = sum < 0n ? -sum : sum;
  const scaled = (magnitude % count) * 10n ** BigInt(QUOTIENT_DIGITS);
  const decimals = String(scaled / count).padStart(QUOTIENT_DIGITS, "0");
  const quotient = Number(`${sum < 0n ? "-" : ""}${magnitude / count}.${decimals}`);
  if (Number.isFinite(quotient)) return quotient;
  const nearest = (magnitude * 2n + count) / (count * 2n);
  return sum < 0n ? -nearest : nearest;
}
