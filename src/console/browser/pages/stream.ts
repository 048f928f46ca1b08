/** One durable stream: its facts and producers, its records, and what can be done with it. */

import type { StreamDetails, StreamSummary } from "../../../api/durable.ts";
import { open, send, sendForText } from "../api.ts";
import { byteSize, count, duration, timeOf } from "../lib/format.ts";
import {
  appendToStream,
  closeStream,
  deleteStream,
  describeStream,
  forkStream,
} from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { every } from "../poll.ts";
import { go } from "../router.ts";
import { note } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { confirmDestruction, openDialog } from "../ui/dialog.ts";
import { type Child, h } from "../ui/dom.ts";
import {
  areaField,
  button,
  checkField,
  form,
  numberField,
  numberIn,
  requiredText,
  row,
  selectField,
  submitButton,
  textField,
} from "../ui/form.ts";
import { heading, type PageContext, section, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import { typedValue, VALUE_KINDS } from "../ui/typed-value.ts";
import { openStreamDialog } from "./stream-dialog.ts";
import { recordsSection } from "./stream-records.ts";

const REFRESH_MS = 5000;
const NEXT_OFFSET = "stream-next-offset";

type ProducerRow = StreamDetails["producers"][number];

export function streamPage({ signal }: PageContext, stream: string): HTMLElement {
  const trouble = new Trouble();
  const facts = h("dl", { class: "facts-list" });
  const producers = new Table<ProducerRow>({
    caption: "Producers",
    keyOf: ({ producer_id: id }) => id,
    empty: () => "No producer has numbered its appends.",
    columns: [
      { label: "Producer", kind: "data", cell: ({ producer_id: id }) => id },
      { label: "Epoch", kind: "number", cell: ({ epoch }) => count(epoch) },
      { label: "Seq", kind: "number", cell: ({ seq }) => count(seq) },
      { label: "Last append", wide: true, cell: (each) => timeOf(each.last_write_ms) },
    ],
  });
  let contentType = "";
  const load = () =>
    trouble.watch(signal, async () => {
      const details = await send<StreamDetails>(describeStream(stream), signal);
      contentType = details.content_type;
      facts.replaceChildren(...factsOf(details));
      producers.update(details.producers);
    });
  void every(REFRESH_MS, signal, load);
  return h(
    "div",
    {},
    h(
      "nav",
      { "aria-label": "Where", class: "crumbs" },
      h("a", { href: hashOf(["streams"]) }, "Streams"),
    ),
    heading(
      stream,
      "durable-streams",
      button("Fork…", () => fork(stream)),
      button("Close…", () => close(stream, () => void load())),
      button("Delete…", () => destroy(stream), { class: "bad" }),
      curlButton(() => describeStream(stream)),
    ),
    trouble.element,
    facts,
    recordsSection(stream, signal),
    appendSection(
      stream,
      () => contentType,
      () => void load(),
    ),
    section("Producers", producers.element),
  );
}

export const stateOf = ({ deleted, closed }: Pick<StreamSummary, "deleted" | "closed">): string =>
  deleted ? "deleted" : closed ? "closed" : "open";

function factsOf(details: StreamDetails): HTMLElement[] {
  const { ttl_seconds: ttl, expires_at_ms: expires, forked_from: parent } = details;
  const life = ttl === null ? "" : `${duration(ttl * 1000)} after the last use; `;
  const all: [string, Child][] = [
    ["Type", details.content_type],
    ["State", stateOf(details)],
    ["Records", `${count(details.records)}, ${byteSize(details.bytes)}`],
    ["End", h("code", {}, details.next_offset)],
    ["Expires", expires === null ? "never" : `${life}${timeOf(expires)}`],
  ];
  if (parent !== null) {
    const link = h("a", { href: hashOf(["streams", parent]) }, parent);
    all.push(["Forked from", h("span", {}, link, ` at ${details.fork_offset ?? ""}`)]);
  }
  if (details.forks > 0) all.push(["Forks", count(details.forks)]);
  if (details.last_seq !== null) all.push(["Last Stream-Seq", details.last_seq]);
  return all.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
}

function appendSection(stream: string, typeOf: () => string, changed: () => void): HTMLElement {
  const kind = selectField("Value type", VALUE_KINDS, "text");
  const value = areaField("Value", { rows: 4, class: "code" });
  const last = checkField("Close the stream with it");
  const request = () =>
    appendToStream({
      stream,
      contentType: typeOf(),
      body: typedValue(kind.control.value, value.control.value),
      last: last.control.checked,
    });
  const append = async () => {
    const { headers } = await open(request());
    note(`Appended; the end is ${headers.get(NEXT_OFFSET) ?? ""}`);
    changed();
  };
  return section(
    "Append",
    form(
      "Append to the stream",
      append,
      kind.element,
      value.element,
      last.element,
      row(submitButton("Append"), curlButton(request)),
    ),
  );
}

function fork(from: string): void {
  const path = textField("Path of the fork");
  const offset = textField(
    "Offset",
    { placeholder: "the end" },
    "One that the server gave. The fork begins with the records below it.",
  );
  const ttl = numberField("Time to live, s", { placeholder: "as its source" });
  const request = () =>
    forkStream({
      stream: requiredText(path.control, "The path"),
      from,
      offset: offset.control.value.trim() || null,
      ttlSeconds: numberIn(ttl.control, "The time to live"),
    });
  const others = [offset.element, ttl.element];
  openStreamDialog({ title: "Fork this stream", action: "Fork", path, others, request });
}

function close(stream: string, changed: () => void): void {
  const end = async () => {
    await sendForText(closeStream(stream));
    dialog.close();
    note(`Closed ${stream}`);
    changed();
  };
  const dialog = openDialog(
    "Close this stream",
    form(
      "Close this stream",
      end,
      h("p", {}, "Nothing can be appended any more. Its records stay."),
      row(
        submitButton("Close the stream"),
        button("Cancel", () => dialog.close()),
        curlButton(() => closeStream(stream)),
      ),
    ),
  );
}

const destroy = (stream: string): void =>
  confirmDestruction({
    title: "Delete this stream",
    warning: "Its records are deleted permanently. Forks keep those that they share with it.",
    name: stream,
    request: deleteStream(stream),
    done: () => go(["streams"]),
  });
