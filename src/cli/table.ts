/** Formats tables for people. */
import { visible } from "./visible.ts";

export type Cell = Digits | string | number | boolean | null | undefined;

/**
 * Columns are as wide as needed, numbers are right-aligned. Without rows only the header is printed.
 *
 * @param head names of the columns, in capitals as in `ps`.
 */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) => row.map(shown));
  const names = head.map(visible);
  const widths = names.map((name, i) =>
    Math.max(width(name), ...texts.map((row) => width(row[i] ?? ""))),
  );
  const isNumber = head.map((_, i) => rows.length > 0 && rows.every((row) => isNumeric(row[i])));
  const line = (row: readonly string[]): string =>
    row
      .map((text, i) => {
        const space = " ".repeat(Math.max(0, (widths[i] ?? 0) - width(text)));
        return isNumber[i] === true ? space + text : text + space;
      })
      .join("  ")
      .trimEnd();
  return `${[names, ...texts].map(line).join("\n")}\n`;
}

/** A number that is printed as its text, because a JavaScript number would lose digits. */
export class Digits {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const isNumeric = (cell: Cell): boolean =>
  typeof cell === "number" || cell === null || cell instanceof Digits;

const width = (text: string): number => Bun.stringWidth(text);

function shown(cell: Cell): string {
  if (cell === null || cell === undefined) return "-";
  if (typeof cell === "boolean") return cell ? "yes" : "no";
  return visible(cell instanceof Digits ? cell.text : String(cell));
}

/** `3 messages`, `1 message`. */
export const counted = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? "" : "s"}`;

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Three digits and a unit: `1.50 MiB`. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** `90 ms`, `2.5 s`, `3 h`: one unit only. */
export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  for (const [name, size] of [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
  ] as const) {
    if (ms >= 2 * size) return `${Math.floor(ms / size)} ${name}`;
  }
  return `${(ms / 1000).toFixed(1)} s`;
}
