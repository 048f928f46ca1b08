/** A table that updates its rows in place. */
import { count } from "../lib/format.ts";
import { type Child, h, setText } from "./dom.ts";

export type Column<Row> = {
  readonly label: string;
  /** A string is written at each update; an element is created once per row. */
  readonly cell: (row: Row) => string | Element;
  readonly kind?: "number" | "data" | "name";
  /** Hidden on narrow screens. */
  readonly wide?: boolean;
};

export type TableOptions<Row> = {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly keyOf: (row: Row) => string;
  /** True if rows never change. */
  readonly fixed?: boolean;
  /** Shown instead of an empty table. */
  readonly empty: () => Child;
};

/** Limit of rows, because long tables are slow to lay out; a filter finds the others. */
const ROWS_MAX = 1000;

export class Table<Row> {
  readonly element: HTMLElement;
  readonly #options: TableOptions<Row>;
  readonly #body = h("tbody");
  readonly #scroll: HTMLElement;
  readonly #remark = h("p", { class: "hint" });
  #rows = new Map<string, HTMLTableRowElement>();

  constructor(options: TableOptions<Row>) {
    this.#options = options;
    const heads = options.columns.map((column) =>
      h("th", { scope: "col", class: classOf(column) }, headOf(column)),
    );
    const table = h(
      "table",
      {},
      h("caption", { class: "unseen" }, options.caption),
      h("thead", {}, h("tr", {}, ...heads)),
      this.#body,
    );
    this.#scroll = h(
      "div",
      { class: "scroll", role: "region", "aria-label": options.caption, tabindex: "0" },
      table,
    );
    this.element = h("div", {}, h("p", { class: "waiting" }, "Loading…"));
  }

  update(rows: readonly Row[]): void {
    if (rows.length === 0) {
      this.#rows.clear();
      this.#body.replaceChildren();
      this.element.replaceChildren(this.#options.empty() ?? "");
      return;
    }
    if (this.#scroll.parentElement !== this.element) {
      this.element.replaceChildren(this.#scroll, this.#remark);
    }
    const isCut = rows.length > ROWS_MAX;
    setText(this.#remark, isCut ? `The first ${count(ROWS_MAX)} of ${count(rows.length)}.` : "");
    const kept = new Map<string, HTMLTableRowElement>();
    for (const row of rows.slice(0, ROWS_MAX)) {
      const key = this.#options.keyOf(row);
      kept.set(key, this.#refreshed(this.#rows.get(key), row));
    }
    for (const [key, element] of this.#rows) if (kept.get(key) !== element) element.remove();
    this.#rows = kept;
    this.#place([...kept.values()]);
  }

  /** Moves only rows at a wrong position, because a moved row loses the focus. */
  #place(elements: readonly HTMLTableRowElement[]): void {
    for (const [i, element] of elements.entries()) {
      const there = this.#body.children[i] ?? null;
      if (there !== element) this.#body.insertBefore(element, there);
    }
  }

  #refreshed(present: HTMLTableRowElement | undefined, row: Row): HTMLTableRowElement {
    const { columns } = this.#options;
    if (present === undefined) {
      const cells = columns.map((column, i) =>
        h(
          i === 0 ? "th" : "td",
          { class: classOf(column), ...(i === 0 ? { scope: "row" } : {}) },
          column.cell(row),
        ),
      );
      return h("tr", {}, ...cells);
    }
    if (this.#options.fixed) return present;
    for (const [i, { cell }] of columns.entries()) {
      const content = cell(row);
      const place = present.children[i];
      if (typeof content === "string" && place !== undefined) setText(place, content);
    }
    return present;
  }
}

/** The header of a column of buttons is for screen readers only. */
const headOf = <Row>({ label }: Column<Row>): string | Element =>
  label === "" ? h("span", { class: "unseen" }, "Actions") : label;

const classOf = <Row>({ kind, wide = false }: Column<Row>): string =>
  `${kind ?? "text"}${wide ? " wide" : ""}`;
