/** The partitions of a topic, and deletion of old messages. */

import type { Deleted } from "../../../api/retention.ts";
import type { Partition, TopicDescribed } from "../../../api/topics.ts";
import { send } from "../api.ts";
import { byteSize, count, perSecond, plural } from "../lib/format.ts";
import { deleteBefore } from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { note } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { openDialog } from "../ui/dialog.ts";
import { h } from "../ui/dom.ts";
import {
  button,
  form,
  numberField,
  requiredNumber,
  row,
  submitButton,
  textField,
} from "../ui/form.ts";
import { Table } from "../ui/table.ts";
import type { TopicContext } from "./topic.ts";

type Row = Partition & { readonly rate: number | null };

export function partitionsTab({ name, topic, watch }: TopicContext): HTMLElement {
  let last: { readonly atMs: number; readonly topic: TopicDescribed } | null = null;
  const table = new Table<Row>({
    caption: "Partitions",
    keyOf: ({ partition }) => String(partition),
    empty: () => "No partitions.",
    columns: [
      {
        label: "Partition",
        cell: ({ partition }) => messagesLink(name, partition),
      },
      { label: "First kept", kind: "number", cell: (each) => count(each.low_watermark) },
      { label: "End", kind: "number", cell: (each) => count(each.end_offset) },
      {
        label: "Messages",
        kind: "number",
        wide: true,
        cell: (each) => count(each.end_offset - each.low_watermark),
      },
      { label: "Size", kind: "number", wide: true, cell: ({ bytes }) => byteSize(bytes) },
      {
        label: "Rate",
        kind: "number",
        cell: ({ rate }) => (rate === null ? "–" : perSecond(rate)),
      },
      { label: "", cell: (each) => button("Delete…", () => deleteDialog(name, each)) },
    ],
  });
  const show = (next: TopicDescribed) => {
    const atMs = performance.now();
    const before = last;
    last = { atMs, topic: next };
    table.update(
      next.partitions.map((each, i) => {
        const old = before?.topic.partitions[i];
        if (before === null || old === undefined) return { ...each, rate: null };
        const seconds = (atMs - before.atMs) / 1000;
        return { ...each, rate: Math.max(0, each.end_offset - old.end_offset) / seconds };
      }),
    );
  };
  show(topic);
  watch(show);
  return table.element;
}

const messagesLink = (topic: string, partition: number): HTMLElement =>
  h(
    "a",
    { href: hashOf(["topics", topic, "messages"], { partition }), "data-item": true },
    String(partition),
  );

function deleteDialog(topic: string, { partition, end_offset: end }: Partition): void {
  const offset = numberField(
    "First offset to retain",
    {},
    `At most ${count(end)}. Earlier messages are deleted permanently; offsets are not reused.`,
  );
  const typed = textField("Type the topic’s name to confirm");
  const request = () =>
    deleteBefore(topic, partition, requiredNumber(offset.control, "The offset"));
  const submit = async () => {
    if (typed.control.value !== topic) throw new Error(`Type ${topic} to confirm`);
    const { deleted_count: deleted, freed_bytes: bytes } = await send<Deleted>(request());
    dialog.close();
    note(`Deleted ${plural(deleted, "message")}, ${byteSize(bytes)}`);
  };
  const dialog = openDialog(
    `Delete from partition ${partition}`,
    form(
      "Delete before an offset",
      submit,
      offset.element,
      typed.element,
      row(
        submitButton("Delete", { class: "main bad" }),
        button("Cancel", () => dialog.close()),
        curlButton(request),
      ),
    ),
  );
  offset.control.focus();
}
