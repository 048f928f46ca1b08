import type { Path, Value } from "./value.ts";
import { valueAt } from "./value.ts";

/** Times are whole milliseconds within ±(2^52−1), so that the difference of two is exact. */
export const TIME_MS_MAX = 2 ** 52 - 1;

/** RFC 3339 with a zone: a time without one would be a guess. */
const RFC_3339 =
  /^\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/;

/**
 * The time of a record: its own timestamp, or the field that the request names, which holds
 * milliseconds since 1970 (a fraction is dropped) or RFC 3339 text.
 *
 * @returns null if there is no such time.
 */
export function timeOf(value: Value, timeField: Path | null, timestampMs: number): number | null {
  if (timeField === null) return timestampMs;
  const time = valueAt(value, timeField);
  if (typeof time === "string") return RFC_3339.test(time) ? inRange(parseTime(time)) : null;
  return typeof time === "number" ? inRange(Math.floor(time)) : null;
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
