/** Durable streams: the list of them, and new ones. */

import type { DurableList, StreamSummary } from "../../../api/durable.ts";
import { send } from "../api.ts";
import { byteSize, count, duration } from "../lib/format.ts";
import { createStream, listStreams } from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { every } from "../poll.ts";
import { mark } from "../router.ts";
import { curlButton } from "../ui/curl.ts";
import { h } from "../ui/dom.ts";
import {
  areaField,
  button,
  numberField,
  numberIn,
  requiredText,
  row,
  textField,
} from "../ui/form.ts";
import { emptyState, heading, type PageContext, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import { stateOf, streamPage } from "./stream.ts";
import { openStreamDialog } from "./stream-dialog.ts";

const REFRESH_MS = 5000;
const PAGE = 200;
/** The most that the server lists at once, and a page of the console shows. */
const SHOWN_MAX = 1000;
const FIRST = { stream: "chat/1", contentType: "text/plain", ttlSeconds: null, body: "hello" };

export function streamsPage(context: PageContext): HTMLElement {
  const [, stream] = context.route.path;
  return stream === undefined ? streamList(context) : streamPage(context, stream);
}

function streamList({ route, signal }: PageContext): HTMLElement {
  const trouble = new Trouble();
  const prefix = textField("Streams that begin with", { type: "search", "data-search": true });
  prefix.control.value = route.query.get("prefix") ?? "";
  const facts = h("p", { class: "status" }, "…");
  let shown = PAGE;
  let asked = new AbortController();
  const table = new Table<StreamSummary>({
    caption: "Streams",
    keyOf: ({ path }) => path,
    empty: () =>
      prefix.control.value === ""
        ? emptyState("No streams yet. Create the first one:", createStream(FIRST))
        : emptyState("No stream has this prefix."),
    columns: [
      {
        label: "Stream",
        kind: "data",
        cell: ({ path }) => h("a", { href: hashOf(["streams", path]), "data-item": true }, path),
      },
      { label: "Type", wide: true, cell: (each) => each.content_type },
      { label: "Records", kind: "number", cell: ({ records }) => count(records) },
      { label: "Size", kind: "number", cell: ({ bytes }) => byteSize(bytes) },
      { label: "State", cell: stateOf },
      {
        label: "Lives",
        wide: true,
        cell: ({ ttl_seconds: ttl }) => (ttl === null ? "" : duration(ttl * 1000)),
      },
      { label: "Forked from", wide: true, cell: (each) => each.forked_from ?? "" },
    ],
  });
  const request = () => listStreams(prefix.control.value, null, shown);
  const load = () => {
    asked.abort();
    asked = new AbortController();
    const both = AbortSignal.any([signal, asked.signal]);
    return trouble.watch(both, async () => {
      const { streams, next, total } = await send<DurableList>(request(), both);
      more.hidden = next === null || shown >= SHOWN_MAX;
      facts.textContent = `${count(streams.length)} of ${count(total)} streams`;
      table.update(streams);
    });
  };
  const more = button(
    "More",
    () => {
      shown = SHOWN_MAX;
      return load();
    },
    { hidden: true },
  );
  prefix.control.addEventListener("input", () => {
    mark(["streams"], { prefix: prefix.control.value });
    void load();
  });
  void every(REFRESH_MS, signal, load);
  return h(
    "div",
    {},
    heading(
      "Streams",
      "durable-streams",
      button("New stream", newStream, { class: "main" }),
      curlButton(request),
    ),
    row(prefix.element),
    facts,
    trouble.element,
    table.element,
    more,
  );
}

function newStream(): void {
  const path = textField("Path", {}, "Such as chat/42: up to 1,024 bytes, with slashes.");
  const type = textField("Content type", { value: "application/json" });
  const ttl = numberField(
    "Time to live, s",
    { placeholder: "for ever" },
    "The stream is deleted when it was not used for this long.",
  );
  const body = areaField("First content", { rows: 4, class: "code" });
  const request = () =>
    createStream({
      stream: requiredText(path.control, "The path"),
      contentType: requiredText(type.control, "The content type"),
      ttlSeconds: numberIn(ttl.control, "The time to live"),
      body: body.control.value,
    });
  const others = [type.element, ttl.element, body.element];
  openStreamDialog({ title: "New stream", action: "Create", path, others, request });
}
