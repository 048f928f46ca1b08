/** Keyboard shortcuts: `/` searches, `?` shows help, j and k move, g and a letter goes to a page. */

import { openDialog } from "./ui/dialog.ts";
import { h, isTyping } from "./ui/dom.ts";
import { checkField } from "./ui/form.ts";

const OFF = "ayder.keys-off";
const PLACES: Readonly<Record<string, string>> = {
  t: "topics",
  g: "groups",
  u: "queues",
  s: "streams",
  e: "exports",
  k: "keys",
  q: "query",
  c: "cluster",
  m: "metrics",
};
const HELP: readonly (readonly [string, string])[] = [
  ["/", "search or filter"],
  ["j, k", "next, previous item of a list"],
  ["Enter", "open it"],
  ["Esc", "close a dialog, or leave a field"],
  ["Ctrl Enter", "submit the form"],
  ["p", "pause or resume live updates"],
  ["g t, g g, g u, g s", "topics, groups, queues, streams"],
  ["g e, g k, g q", "exports, keys, query"],
  ["g c, g m", "cluster, metrics"],
  ["?", "these keys"],
];
const SECOND_KEY_MS = 1500;

let expectsPlaceUntil = 0;

export function startShortcuts(go: (place: string) => void): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") closeWith(event);
    else if (!isTyping(event.target) && localStorage.getItem(OFF) === null) press(event, go);
  });
}

function press(event: KeyboardEvent, go: (place: string) => void): void {
  if (document.querySelector("dialog[open]") !== null) return;
  const place = PLACES[event.key];
  if (performance.now() < expectsPlaceUntil && place !== undefined) {
    expectsPlaceUntil = 0;
    event.preventDefault();
    go(place);
    return;
  }
  const action = ACTIONS[event.key];
  if (action === undefined) return;
  event.preventDefault();
  action();
}

const ACTIONS: Readonly<Record<string, () => void>> = {
  "/": () => focusOn("[data-search]"),
  "?": () => showKeys(),
  j: () => move(1),
  k: () => move(-1),
  p: () => document.querySelector<HTMLElement>("main [data-pause]")?.click(),
  g: () => {
    expectsPlaceUntil = performance.now() + SECOND_KEY_MS;
  },
};

function focusOn(selector: string): void {
  const found = document.querySelector<HTMLElement>(`main ${selector}`);
  found?.focus();
  if (found instanceof HTMLInputElement) found.select();
}

/** Moves the focus to the next or previous item of the list, or to its first or last one. */
function move(by: 1 | -1): void {
  const items = [...document.querySelectorAll<HTMLElement>("main [data-item]")];
  const at = items.indexOf(document.activeElement as HTMLElement);
  const next = at < 0 ? (by > 0 ? 0 : items.length - 1) : at + by;
  items[Math.max(0, Math.min(items.length - 1, next))]?.focus();
}

/** Dialogs close on Esc by themselves. */
function closeWith(event: KeyboardEvent): void {
  if (document.querySelector("dialog[open]") !== null) return;
  const close = document.querySelector<HTMLElement>("main [data-close]");
  if (isTyping(event.target) && event.target instanceof HTMLElement) event.target.blur();
  else close?.click();
}

export function showKeys(): void {
  const rows = HELP.map(([keys, what]) =>
    h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, keys)), h("td", {}, what)),
  );
  const on = checkField("Enable single-letter shortcuts", localStorage.getItem(OFF) === null);
  on.control.addEventListener("change", () => {
    if (on.control.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  });
  const dialog = openDialog(
    "Keys",
    h("table", { class: "keys" }, h("tbody", {}, ...rows)),
    on.element,
    h("button", { type: "button", onclick: () => dialog.close() }, "Close"),
  );
}
