/** All topics with their size and rate. */

import type { TopicList, TopicSummary } from "../../../api/topics.ts";
import { send } from "../api.ts";
import { samples } from "../app.ts";
import { byteSize, count, perSecond } from "../lib/format.ts";
import { createTopic, listTopics, produce } from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { every } from "../poll.ts";
import { go, mark } from "../router.ts";
import { rateOf } from "../samples.ts";
import { note } from "../ui/announce.ts";
import { Spark } from "../ui/chart.ts";
import { curlButton } from "../ui/curl.ts";
import { openDialog } from "../ui/dialog.ts";
import { type Child, h } from "../ui/dom.ts";
import {
  button,
  form,
  numberField,
  numberIn,
  requiredText,
  row,
  submitButton,
  textField,
} from "../ui/form.ts";
import { emptyState, heading, type PageContext, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import { topicPage } from "./topic.ts";

const REFRESH_MS = 2000;
/** Rows of the table; a server with more topics applies the filter. */
const SHOWN_MAX = 1000;

export function topicsPage(context: PageContext): HTMLElement {
  const topic = context.route.path[1];
  return topic === undefined ? topicList(context) : topicPage(context, topic);
}

function topicList({ route, signal }: PageContext): HTMLElement {
  const trouble = new Trouble();
  const sparks = new Map<string, Spark>();
  const filter = textField("Filter by name", { type: "search", "data-search": true });
  filter.control.value = route.query.get("filter") ?? "";
  const remark = h("p", { class: "hint" });
  let topics: readonly TopicSummary[] = [];
  /** Then the server applies the filter, to the beginning of names. */
  let tooMany = false;
  let asked = new AbortController();
  const table = new Table<TopicSummary>({
    caption: "Topics",
    keyOf: ({ topic, partitions }) => `${topic} ${partitions}`,
    empty: () => noTopics(topics.length > 0),
    columns: [
      {
        label: "Topic",
        cell: ({ topic }) => h("a", { href: hashOf(["topics", topic]), "data-item": true }, topic),
      },
      { label: "Partitions", kind: "number", wide: true, cell: (each) => count(each.partitions) },
      { label: "Messages", kind: "number", cell: ({ messages }) => count(messages) },
      { label: "Size", kind: "number", wide: true, cell: ({ bytes }) => byteSize(bytes) },
      { label: "Rate", kind: "number", cell: ({ topic }) => shownRate(topic) },
      { label: "Last minute", wide: true, cell: ({ topic }) => sparkOf(sparks, topic) },
    ],
  });
  const show = () => {
    const wanted = filter.control.value.toLowerCase();
    table.update(topics.filter(({ topic }) => topic.toLowerCase().includes(wanted)));
    for (const [topic, spark] of sparks) spark.draw(samples.series(rateOf(topic)));
  };
  const request = () => listTopics(tooMany ? filter.control.value : "", SHOWN_MAX);
  const load = () => {
    asked.abort();
    asked = new AbortController();
    const both = AbortSignal.any([signal, asked.signal]);
    return trouble.watch(both, async () => {
      let page = await send<TopicList>(request(), both);
      if (typeof page.next === "string" && !tooMany) {
        tooMany = true;
        if (filter.control.value !== "") page = await send<TopicList>(request(), both);
      }
      topics = page.topics;
      remark.textContent = tooMany ? remarkOn(page) : "";
      show();
    });
  };
  filter.control.addEventListener("input", () => {
    mark(["topics"], { filter: filter.control.value });
    if (tooMany) void load();
    else show();
  });
  void every(REFRESH_MS, signal, load);
  return h(
    "div",
    {},
    heading(
      "Topics",
      "topics",
      button("New topic", newTopic, { class: "main" }),
      curlButton(request),
    ),
    row(filter.element),
    remark,
    trouble.element,
    table.element,
  );
}

const remarkOn = ({ topics, next }: TopicList): string =>
  typeof next === "string"
    ? `The first ${count(topics.length)} topics. The filter finds others by the beginning of their name.`
    : "The filter finds topics by the beginning of their name.";

const shownRate = (topic: string): string => {
  const rate = samples.now(rateOf(topic));
  return rate === null ? "–" : perSecond(rate);
};

function sparkOf(sparks: Map<string, Spark>, topic: string): Element {
  const spark = sparks.get(topic) ?? new Spark();
  sparks.set(topic, spark);
  return spark.element;
}

function noTopics(filtered: boolean): Child {
  if (filtered) return emptyState("No topic matches the filter.");
  const first = { lines: false, partition: null, key: null, idempotencyKey: null, rocket: false };
  return emptyState(
    "No topics yet. The first message creates one:",
    produce({ topic: "hello", body: "hello world", ...first }),
  );
}

function newTopic(): void {
  const name = textField("Name", { maxlength: 249 }, "Letters, digits, dot, underscore and dash.");
  const partitions = numberField(
    "Partitions",
    { placeholder: "8" },
    "Messages are ordered within a partition.",
  );
  const request = () =>
    createTopic(
      requiredText(name.control, "The name"),
      numberIn(partitions.control, "The number of partitions"),
    );
  const create = async () => {
    const { topic } = await send<{ topic: string }>(request());
    dialog.close();
    note(`Created ${topic}`);
    go(["topics", topic]);
  };
  const dialog = openDialog(
    "New topic",
    form(
      "New topic",
      create,
      name.element,
      partitions.element,
      row(
        submitButton("Create"),
        button("Cancel", () => dialog.close()),
        curlButton(request),
      ),
    ),
  );
  name.control.focus();
}
