/** The saved state of a view, byte by byte. Old versions are read for ever. */
import { type ByteReader, type ByteWriter, DecodeError } from "../lib/bytes.ts";
import { isLarge, type Measure, type MeasureState, newMeasureState } from "./aggregate.ts";
import { INTEGER_DIGITS_MAX, parseJsonText } from "./codecs/json.ts";
import type { Group } from "./group-table.ts";
import type { AgedOut } from "./group-windows.ts";
import { toJson } from "./json-output.ts";
import { memoryOf, type Value } from "./value.ts";

/** Version 1, written if no feature of version 2 is in use, so that older nodes can read it. */
export const VERSION_1 = 1;
/** Version 2 adds evictions, values out of range, and separate sums of fractions. */
export const VERSION_2 = 2;

/** A sum has some digits more than the longest number in it. */
const NUMBER = new RegExp(`^-?\\d{1,${INTEGER_DIGITS_MAX + 20}}n$`);

/** Numbers as text keep bigints and doubles exact: a double's shortest text reads back the same. */
function writeNumber(out: ByteWriter, value: number | bigint | null): void {
  out.text(value === null ? "" : typeof value === "bigint" ? `${value}n` : String(value));
}

function readNumber(from: ByteReader): number | bigint | null {
  const text = from.text();
  if (text === "") return null;
  if (NUMBER.test(text)) return BigInt(text.slice(0, -1));
  const value = Number(text);
  if (Number.isNaN(value) && text !== "NaN") throw new DecodeError("no number");
  return value;
}

function readDouble(from: ByteReader): number | null {
  const value = readNumber(from);
  if (typeof value === "bigint") throw new DecodeError("no double");
  return value;
}

/** Whether a group has what only version 2 keeps. */
export function needsVersion2(group: Group): boolean {
  return group.measures.some((state) => !Number.isFinite(state.runningSum));
}

export function writeGroup(out: ByteWriter, group: Group, version: number): void {
  writeNumber(out, group.windowStartMs);
  out.text(toJson(group.values));
  out.u64(group.count);
  for (const state of group.measures) {
    out.u64(state.count);
    out.u64(state.fractions);
    writeNumber(out, state.integerSum);
    writeNumber(out, state.runningSum);
    writeNumber(out, state.extreme);
    if (version >= VERSION_2) writeNumber(out, state.fractionSum);
  }
}

export function readGroup(from: ByteReader, measures: readonly Measure[], version: number): Group {
  const windowStartMs = readDouble(from);
  const values = parseJsonText(from.text());
  if (!Array.isArray(values)) throw new DecodeError("group");
  const count = from.u64();
  return {
    windowStartMs,
    values: values as readonly Value[],
    count,
    measures: measures.map(() => readState(from, version)),
  };
}

function readState(from: ByteReader, version: number): MeasureState {
  const state = newMeasureState();
  state.count = from.u64();
  state.fractions = from.u64();
  state.integerSum = readNumber(from) ?? 0;
  state.runningSum = Number(readNumber(from));
  state.extreme = readNumber(from);
  // In version 1 the running sum is finite, so this is only used once it leaves the range.
  state.fractionSum =
    version >= VERSION_2
      ? (readDouble(from) ?? 0)
      : state.fractions === 0
        ? 0
        : state.runningSum - Number(state.integerSum);
  for (const value of [state.integerSum, state.extreme]) {
    if (isLarge(value)) state.largeBytes = Math.max(state.largeBytes, memoryOf(value));
  }
  return state;
}

export type ViewExtras = {
  readonly agedOut: AgedOut;
  readonly newestMs: number | null;
  readonly outOfRange: number;
};

export function writeExtras(out: ByteWriter, { agedOut, newestMs, outOfRange }: ViewExtras): void {
  writeNumber(out, agedOut.fromMs);
  writeNumber(out, newestMs);
  for (const count of [agedOut.evicted, agedOut.late, agedOut.overflow, outOfRange]) out.u64(count);
  out.u8(agedOut.isCut ? 1 : 0);
}

export function readExtras(from: ByteReader): ViewExtras {
  const fromMs = readDouble(from);
  const newestMs = readDouble(from);
  const [evicted, late, overflow, outOfRange] = [from.u64(), from.u64(), from.u64(), from.u64()];
  return {
    agedOut: { fromMs, evicted, late, overflow, isCut: from.u8() === 1 },
    newestMs,
    outOfRange,
  };
}

export function hasExtras({ agedOut, newestMs, outOfRange }: ViewExtras): boolean {
  const { fromMs, evicted, late, overflow, isCut } = agedOut;
  return (
    fromMs !== null || newestMs !== null || isCut || evicted + late + overflow + outOfRange > 0
  );
}
