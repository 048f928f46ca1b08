/** Exports to Parquet with their progress and their last error. */

import type { ExportDescribed, ExportList } from "../../../api/exports.ts";
import { send } from "../api.ts";
import { byteSize, count, duration, timeOf } from "../lib/format.ts";
import {
  deleteExport,
  describeExport,
  flushExport,
  listExports,
  pauseExport,
} from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { every } from "../poll.ts";
import { note } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { confirmDestruction, openDialog } from "../ui/dialog.ts";
import { h } from "../ui/dom.ts";
import { button, row } from "../ui/form.ts";
import { heading, type PageContext, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";

const REFRESH_MS = 5000;

type ExportRow = ExportList["exports"][number];
type PartitionRow = ExportDescribed["partitions"][number];

export function exportsPage({ signal }: PageContext): HTMLElement {
  const trouble = new Trouble();
  const exports = new Table<ExportRow>({
    caption: "Exports",
    keyOf: (each) => each.export,
    empty: () => "No exports. An export writes a topic to Parquet files in a bucket or directory.",
    columns: [
      {
        label: "Export",
        cell: (each) =>
          button(
            each.export,
            () => trouble.watch(signal, () => openExport(each.export, signal, () => void load())),
            { class: "link", "data-item": true },
          ),
      },
      { label: "Topic", cell: ({ topic }) => h("a", { href: hashOf(["topics", topic]) }, topic) },
      { label: "Place", wide: true, cell: ({ url }) => url },
      { label: "State", cell: ({ state }) => state },
      { label: "Files", kind: "number", cell: ({ files }) => count(files) },
      { label: "Rows", kind: "number", cell: ({ rows }) => count(rows) },
      { label: "Size", kind: "number", wide: true, cell: (each) => byteSize(each.bytes) },
      { label: "Lag", kind: "number", cell: (each) => count(each.lag_records) },
      { label: "Lost", kind: "number", wide: true, cell: ({ lost }) => count(lost) },
    ],
  });
  const load = (): Promise<void> =>
    trouble.watch(signal, async () => {
      exports.update((await send<ExportList>(listExports, signal)).exports);
    });
  void every(REFRESH_MS, signal, load);
  return h(
    "div",
    {},
    heading(
      "Exports",
      "exports",
      curlButton(() => listExports),
    ),
    trouble.element,
    exports.element,
  );
}

/** Shows one export with its partitions, and what can be done with it. */
async function openExport(name: string, signal: AbortSignal, changed: () => void): Promise<void> {
  const described = await send<ExportDescribed>(describeExport(name), signal);
  const table = new Table<PartitionRow>({
    caption: "Partitions",
    keyOf: ({ partition }) => String(partition),
    empty: () => "",
    fixed: true,
    columns: [
      { label: "Partition", kind: "number", cell: ({ partition }) => String(partition) },
      { label: "Next", kind: "number", cell: (each) => count(each.next_offset) },
      { label: "End", kind: "number", cell: (each) => count(each.end_offset) },
      { label: "Files", kind: "number", cell: ({ files }) => count(files) },
      { label: "Writing", kind: "data", cell: ({ writing }) => writing ?? "" },
    ],
  });
  table.update(described.partitions);
  const act = async (what: string, request: ReturnType<typeof flushExport>): Promise<void> => {
    await send<object>(request);
    note(what);
    dialog.close();
    changed();
  };
  const isPaused = described.state === "paused";
  const dialog = openDialog(
    name,
    h("p", {}, factsOf(described)),
    ...(described.last_error === null ? [] : [h("p", { class: "bad" }, errorOf(described))]),
    table.element,
    row(
      button("Flush", () => act("Files of everything are on their way", flushExport(name))),
      button(isPaused ? "Resume" : "Pause", () =>
        act(isPaused ? "The export goes on" : "The export is paused", pauseExport(name, !isPaused)),
      ),
      button("Delete…", () => {
        dialog.close();
        confirmDestruction({
          title: "Delete this export",
          warning: "Its files stay where they are.",
          name,
          request: deleteExport(name),
          done: changed,
        });
      }),
      button("Close", () => dialog.close()),
      curlButton(() => describeExport(name)),
    ),
  );
  dialog.element.classList.add("large");
}

const factsOf = (each: ExportDescribed): string =>
  `${each.url}, a file every ${duration(each.every_ms)} or ${byteSize(each.max_bytes)}. ` +
  `${count(each.rows)} rows in ${count(each.files)} files, ${count(each.lag_records)} records to go, ` +
  `the oldest ${duration(each.lag_seconds * 1000)} old; ${count(each.lost)} lost to retention. ` +
  `${each.manifest === 0 ? "No manifest yet" : `Manifest ${each.manifest}`}.`;

const errorOf = ({ failures, last_error: error, last_error_at_ms: at }: ExportDescribed): string =>
  `${failures === 0 ? "Last error" : `Failed ${count(failures)} times`}` +
  `${at === null ? "" : `, at ${timeOf(at)}`}: ${error ?? ""}`;
