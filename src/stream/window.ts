import { isTimeText } from "../lib/time-text.ts";
import { isObject, type Path, type Value, valueAt } from "./value.ts";

/** Times are whole milliseconds within ±(2^52−1), so that the difference of two is exact. */
export const TIME_MS_MAX = 2 ** 52 - 1;

/**
 * The unit of a time field, from the schema: an integer of this unit since 1970, or a
 * `google.protobuf.Timestamp`.
 */
export type TimeUnit = "millis" | "micros" | "nanos" | "days" | "timestamp";

/** @returns the time of a record; null if it has none. */
export type ReadTime = (value: Value, timestampMs: number) => number | null;

/**
 * The time of a record: its own timestamp, or the field that the request names. The unit of the field
 * applies, otherwise milliseconds since 1970 or RFC 3339 text. Fractions of a millisecond are dropped.
 */
export function timeReader(timeField: Path | null, unit: TimeUnit | null): ReadTime {
  if (timeField === null) return (_value, timestampMs) => timestampMs;
  return (value) => timeOf(valueAt(value, timeField), unit);
}

function timeOf(time: Value | undefined, unit: TimeUnit | null): number | null {
  if (typeof time === "string") return isTimeText(time) ? inRange(parseTime(time)) : null;
  switch (unit) {
    case "micros":
      return dividedBy(time, 1000);
    case "nanos":
      return dividedBy(time, 1_000_000);
    case "days":
      return typeof time === "number" ? inRange(Math.floor(time) * 86_400_000) : null;
    case "timestamp":
      return timestampOf(time);
    default:
      return typeof time === "number" ? inRange(Math.floor(time)) : null;
  }
}

/** Down to a whole number, also before 1970. */
function dividedBy(time: Value | undefined, divisor: number): number | null {
  if (typeof time === "number") return inRange(Math.floor(time / divisor));
  if (typeof time !== "bigint") return null;
  const by = BigInt(divisor);
  const quotient = time / by;
  return inRange(Number(time % by < 0n ? quotient - 1n : quotient));
}

/** Fields that are zero may be missing. */
function timestampOf(time: Value | undefined): number | null {
  if (!isObject(time)) return null;
  const { seconds = 0, nanos = 0 } = time;
  if (typeof seconds !== "number" || typeof nanos !== "number") return null;
  return inRange(seconds * 1000 + Math.floor(nanos / 1_000_000));
}

function inRange(time: number): number | null {
  return Math.abs(time) <= TIME_MS_MAX ? time + 0 : null;
}

/** `Date.parse` reads 30 February as 1 March, which is another day than the text says. */
function parseTime(text: string): number {
  const [year = 0, month = 0, day = 0] = text.slice(0, 10).split("-").map(Number);
  return day <= daysOf(year, month) ? Date.parse(text.toUpperCase()) : Number.NaN;
}

function daysOf(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** floor(time / size) · size, exact for every time and size, also before 1970. */
export function windowStart(timeMs: number, sizeMs: number): number {
  const rest = timeMs % sizeMs;
  return timeMs - (rest < 0 ? rest + sizeMs : rest);
}

export function windowEnd(startMs: number, sizeMs: number): number | bigint {
  const end = startMs + sizeMs;
  return Number.isSafeInteger(end) ? end : BigInt(startMs) + BigInt(sizeMs);
}
