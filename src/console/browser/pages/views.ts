/** Views: results of queries that are kept up to date. */

import type { ViewList } from "../../../api/queries.ts";
import { parseJson } from "../../../client/json-text.ts";
import { send, sendForText } from "../api.ts";
import { count } from "../lib/format.ts";
import { deleteView, getView, listViews } from "../lib/requests.ts";
import { every } from "../poll.ts";
import { curlButton } from "../ui/curl.ts";
import { confirmDestruction, openDialog } from "../ui/dialog.ts";
import { button, row } from "../ui/form.ts";
import { type PageContext, section, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import { queryResult } from "./query-result.ts";

const REFRESH_MS = 5000;

export function viewsSection({ signal }: PageContext): { element: HTMLElement; load: () => void } {
  const trouble = new Trouble();
  const open = (view: string) =>
    trouble.watch(signal, async () => {
      const answer = parseJson(await sendForText(getView(view), signal));
      const dialog = openDialog(
        view,
        queryResult(answer).element,
        row(
          button("Close", () => dialog.close()),
          curlButton(() => getView(view)),
        ),
      );
      dialog.element.classList.add("large");
    });
  const destroy = (view: string) =>
    confirmDestruction({
      title: "Delete this view",
      warning: "Its result is deleted; the messages that it was computed from remain.",
      name: view,
      request: deleteView(view),
      done: () => void load(),
    });
  const table = new Table<ViewList["views"][number]>({
    caption: "Views",
    keyOf: ({ view }) => view,
    empty: () => "No views. “Save as view” creates one from the request above.",
    columns: [
      {
        label: "View",
        cell: ({ view }) => button(view, () => open(view), { class: "link", "data-item": true }),
      },
      { label: "Lag", kind: "number", cell: ({ lag }) => count(lag) },
      { label: "", cell: ({ view }) => button("Delete…", () => destroy(view)) },
    ],
  });
  const load = () =>
    trouble.watch(signal, async () => {
      table.update((await send<ViewList>(listViews, signal)).views);
    });
  void every(REFRESH_MS, signal, load);
  const element = section(
    "Views",
    trouble.element,
    table.element,
    row(curlButton(() => listViews)),
  );
  return { element, load: () => void load() };
}
