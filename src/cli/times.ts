/** Times in options: a duration, an age, or a timestamp. */
import { type Arguments, UsageError } from "./command.ts";

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const DURATION = /^(\d{1,15})(ms|s|m|h|d)$/;
const MILLISECONDS = /^\d{1,15}$/;
/** ISO 8601 with a date at least; without a zone it is local time, as everywhere in ECMAScript. */
const DATE = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$/;

/**
 * Reads an age before `nowMs` (`10m`), milliseconds since 1970, or an ISO 8601 timestamp.
 *
 * @returns milliseconds since 1970, at least 0.
 * @throws UsageError that names `what`.
 */
export function timeOf(what: string, text: string, nowMs: number): number {
  const ageMs = millisecondsOf(text);
  if (ageMs !== null) return Math.max(0, nowMs - ageMs);
  if (MILLISECONDS.test(text)) return Number(text);
  const timeMs = DATE.test(text) ? Date.parse(text) : Number.NaN;
  if (timeMs >= 0) return timeMs;
  throw new UsageError(
    `${what}: "${text}" is neither an age (10m; units are ms, s, m, h, d) nor a timestamp (2026-01-31T08:00Z, or milliseconds since 1970)`,
  );
}

/**
 * Reads a duration such as `30s`.
 *
 * @param min 0 or 1 milliseconds.
 * @throws UsageError that names `what`.
 */
export function durationOf(what: string, text: string, min: 0 | 1 = 1): number {
  const ms = millisecondsOf(text);
  if (ms !== null && Number.isSafeInteger(ms) && ms >= min) return ms;
  const least = min === 0 ? "" : ", above 0";
  throw new UsageError(`${what}: "${text}" is not a time such as 500ms, 30s, 5m, 2h or 7d${least}`);
}

/** Reads an option that is a duration. @throws UsageError that names it. */
export function durationIn(args: Arguments, name: string, min: 0 | 1 = 1): number | undefined {
  const text = args.text(name);
  return text === undefined ? undefined : durationOf(`--${name}`, text, min);
}

/** Reads an option that is a list of durations, which may be 0. @throws UsageError that names it. */
export const durationsIn = (args: Arguments, name: string): readonly number[] | undefined =>
  args
    .text(name)
    ?.split(",")
    .map((text) => durationOf(`--${name}`, text, 0));

function millisecondsOf(text: string): number | null {
  const [, digits = "", unit = ""] = DURATION.exec(text) ?? [];
  return digits === "" ? null : Number(digits) * (UNITS_MS[unit] ?? 0);
}
