/** Formats numbers and times for people. */

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const SCALES = ["", "k", "M", "G"];

export const count = (value: number): string => GROUPED.format(value);

export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`;

export function byteSize(bytes: number): string {
  let unit = 0;
  let value = bytes;
  for (; value >= 1024 && unit < UNITS.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : threeDigits(value)} ${UNITS[unit]}`;
}

const threeDigits = (value: number): string => {
  if (value >= 100) return String(Math.round(value));
  return value.toFixed(value >= 10 ? 1 : 2).replace(/\.?0+$/, "");
};

/** Formats 1,234 as 1.23k. */
export function short(value: number): string {
  let scale = 0;
  let rest = value;
  for (; rest >= 1000 && scale < SCALES.length - 1; scale++) rest /= 1000;
  return `${threeDigits(rest)}${SCALES[scale]}`;
}

export const perSecond = (value: number): string => `${short(value)}/s`;

/** @param seconds in the unit of Prometheus metrics. */
export function seconds(value: number): string {
  if (value < 0.001) return `${threeDigits(value * 1_000_000)} µs`;
  return value < 1 ? `${threeDigits(value * 1000)} ms` : `${threeDigits(value)} s`;
}

const two = (value: number): string => String(value).padStart(2, "0");

/** Formats a local time: `2026-11-26 15:14:01.123`. */
export function timeOf(ms: number): string {
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) return String(ms);
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${date} ${time}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** Formats the largest two units: `3 d 4 h`. */
export function duration(ms: number): string {
  const parts: [number, string][] = [
    [Math.floor(ms / 86_400_000), "d"],
    [Math.floor(ms / 3_600_000) % 24, "h"],
    [Math.floor(ms / 60_000) % 60, "min"],
    [Math.floor(ms / 1000) % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return `${Math.round(ms)} ms`;
  const shown = parts.slice(first, first + 2).filter(([value]) => value > 0);
  return shown.map(([value, unit]) => `${count(value)} ${unit}`).join(" ");
}
