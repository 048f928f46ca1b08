/** Shows the answer to a query as tables: rows, aggregates, and the source. */

import { type Json, JsonNumber, shortText } from "../../../client/json-text.ts";
import { plural } from "../lib/format.ts";
import { h } from "../ui/dom.ts";
import { section } from "../ui/page.ts";
import { Table } from "../ui/table.ts";

/** Limit of columns; wider tables cannot be read. */
const COLUMNS_MAX = 40;

export function queryResult(answer: Json): { element: HTMLElement; summary: string } {
  const members = answer instanceof Map ? answer : new Map<string, Json>();
  const rows = listIn(members.get("rows"));
  const aggregates = listIn(members.get("aggregates"));
  const parts: HTMLElement[] = [];
  if (rows.length > 0) parts.push(section("Rows", table("Rows", rows)));
  if (aggregates.length > 0) parts.push(section("Aggregates", table("Aggregates", aggregates)));
  const isPart = members.get("truncated") === true;
  const found = `${plural(rows.length, "row")}, ${plural(aggregates.length, "aggregate")}`;
  const summary = isPart ? `${found}; truncated: more rows exist` : found;
  const about = ["source", "next_offsets", "stats", "lag"].flatMap((name) => {
    const value = members.get(name);
    return value === undefined ? [] : [`${name} ${shortText(value)}`];
  });
  const element = h("div", {}, h("p", { class: "facts" }, summary), ...parts);
  for (const line of about) element.append(h("p", { class: "hint data" }, line));
  return { element, summary };
}

const listIn = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);

type Row = { readonly at: number; readonly cells: ReadonlyMap<string, Json> };

function table(caption: string, items: readonly Json[]): HTMLElement {
  const rows: Row[] = items.map((item, at) => ({ at, cells: flat(item) }));
  const names = new Set(rows.flatMap(({ cells }) => [...cells.keys()]));
  const columns = [...names].slice(0, COLUMNS_MAX);
  const isNumber = (name: string) =>
    rows.every(({ cells }) => {
      const value = cells.get(name) ?? null;
      return value === null || value instanceof JsonNumber;
    });
  const shown = new Table<Row>({
    caption,
    keyOf: ({ at }) => String(at),
    empty: () => "Nothing.",
    columns: [
      { label: "#", kind: "number", cell: ({ at }) => String(at + 1) },
      ...columns.map((name) => ({
        label: name,
        kind: isNumber(name) ? ("number" as const) : ("data" as const),
        cell: ({ cells }: Row) => {
          const value = cells.get(name);
          return value === undefined ? "" : shortText(value);
        },
      })),
    ],
  });
  shown.update(rows);
  return shown.element;
}

/** Turns nested members into columns with dotted names, as queries name them. */
function flat(value: Json, prefix = "", into = new Map<string, Json>()): Map<string, Json> {
  if (!(value instanceof Map) || value.size === 0) return into.set(prefix || "value", value);
  for (const [name, item] of value) flat(item, prefix === "" ? name : `${prefix}.${name}`, into);
  return into;
}
