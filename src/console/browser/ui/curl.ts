/** "Copy as curl", for every action. */
import type { ApiRequest } from "../lib/request.ts";
import { curlOf } from "../lib/request.ts";
import { nodeState } from "../node-state.ts";
import { note, noteFailure } from "./announce.ts";
import { h } from "./dom.ts";

export const curlLine = (request: ApiRequest): string =>
  curlOf(request, { origin: location.origin, cluster: (nodeState()?.nodes ?? 1) > 1 });

/** @param make null or a thrown Error says why there is nothing to copy. */
export function curlButton(make: () => ApiRequest, label = "Copy as curl"): HTMLButtonElement {
  const copyIt = async () => {
    try {
      await copy(curlLine(make()), "Copied as curl");
    } catch (error) {
      noteFailure(error instanceof Error ? error.message : String(error));
    }
  };
  return h("button", { type: "button", class: "quiet curl", onclick: copyIt }, label);
}

export async function copy(text: string, said: string): Promise<void> {
  if (!(await copied(text))) throw new Error("The browser does not let the page copy");
  note(said, text.length > 300 ? `${text.slice(0, 300)}…` : text);
}

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // The clipboard API is for https and localhost only.
    const area = h("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
