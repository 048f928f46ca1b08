/** Parts of every page. */
import { messageOf } from "../api.ts";
import type { ApiRequest } from "../lib/request.ts";
import type { Route } from "../lib/route.ts";
import { curlButton, curlLine } from "./curl.ts";
import { type Child, h } from "./dom.ts";
import { helpLink, type ManualPage } from "./manual.ts";

export type PageContext = {
  readonly route: Route;
  /** Aborted when the page is left. */
  readonly signal: AbortSignal;
};
/** Returns the content of `main`, which begins with a heading. */
export type PageBuilder = (context: PageContext) => HTMLElement;

/**
 * Heading of a page, with its buttons and a link to the manual beside it.
 *
 * @param help the page of the manual that explains this page.
 */
export const heading = (
  title: string,
  help: ManualPage,
  ...actions: readonly Child[]
): HTMLElement =>
  h(
    "header",
    { class: "heading" },
    h("h1", { tabindex: "-1" }, title),
    h("div", { class: "row" }, ...actions, helpLink(help)),
  );

export const section = (title: string, ...children: readonly Child[]): HTMLElement =>
  h("section", { class: "panel" }, h("h2", {}, title), ...children);

/** Says that a list is empty, with the command that creates the first item. */
export function emptyState(text: string, first: ApiRequest | null = null): HTMLElement {
  const element = h("div", { class: "empty" }, h("p", {}, text));
  if (first !== null) {
    element.append(
      h("pre", { tabindex: "0" }, curlLine(first)),
      curlButton(() => first),
    );
  }
  return element;
}

/** Shows the error of a page's own requests. */
export class Trouble {
  readonly element = h("div", { class: "failure", role: "alert" });

  clear(): void {
    if (this.element.hasChildNodes()) this.element.replaceChildren();
  }

  show(error: unknown): void {
    const text = messageOf(error);
    if (this.element.textContent !== text) this.element.replaceChildren(text);
  }

  /** Runs `work`, and shows its error or clears the last one. */
  async watch(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.clear();
    } catch (error) {
      if (!signal.aborted) this.show(error);
    }
  }
}
