/** The button "Copy as curl" of every action. */
import { base } from "../api.ts";
import type { ApiRequest } from "../lib/request.ts";
import { curlOf } from "../lib/request.ts";
import { nodeState } from "../node-state.ts";
import { note } from "./announce.ts";
import { h } from "./dom.ts";
import { button } from "./form.ts";

export const curlLine = (request: ApiRequest): string =>
  curlOf(request, { base: base(), cluster: (nodeState()?.nodes ?? 1) > 1 });

/** @param make throws if the fields do not make a valid request. */
export const curlButton = (make: () => ApiRequest): HTMLButtonElement =>
  button("Copy as curl", () => copy(curlLine(make()), "Copied as curl"), { class: "quiet" });

export async function copy(text: string, said: string): Promise<void> {
  if (!(await copied(text))) throw new Error("The browser does not let the page copy");
  note(said, text.length > 300 ? `${text.slice(0, 300)}…` : text);
}

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // The clipboard API is available for https and localhost only.
    const area = h("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
