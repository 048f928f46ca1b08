/** Shows the page of the address and aborts the previous one. */
import { hashOf, parseHash } from "./lib/route.ts";
import { closeDialogs } from "./ui/dialog.ts";
import type { PageBuilder } from "./ui/page.ts";

export type Pages = ReadonlyMap<string, PageBuilder>;

/** Goes to another page. */
export function go(path: readonly string[], query: Parameters<typeof hashOf>[1] = {}): void {
  location.hash = hashOf(path, query);
}

/** Writes the current place into the address without leaving the page. */
export function mark(path: readonly string[], query: Parameters<typeof hashOf>[1]): void {
  history.replaceState(null, "", hashOf(path, query));
}

export class Router {
  readonly #pages: Pages;
  readonly #home: string;
  readonly #show: (name: string, element: HTMLElement, moved: boolean) => void;
  #leave: AbortController | null = null;

  constructor(
    pages: Pages,
    home: string,
    show: (name: string, element: HTMLElement, moved: boolean) => void,
  ) {
    this.#pages = pages;
    this.#home = home;
    this.#show = show;
    addEventListener("hashchange", () => {
      if (this.#leave !== null) this.open(true);
    });
  }

  open(moved = false): void {
    this.close();
    const leave = new AbortController();
    this.#leave = leave;
    const route = parseHash(location.hash);
    const name = route.path[0] ?? this.#home;
    const build = this.#pages.get(name);
    if (build === undefined) go([this.#home]);
    else this.#show(name, build({ route, signal: leave.signal }), moved);
  }

  /** Aborts the page; addresses open nothing until the next `open`. */
  close(): void {
    closeDialogs();
    this.#leave?.abort();
    this.#leave = null;
  }
}
