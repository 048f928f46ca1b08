/** How long a topic keeps its messages, and its end. */
import { send } from "../api.ts";
import type { RetentionList, RetentionPolicy } from "../lib/answers.ts";
import { byteSize, duration } from "../lib/format.ts";
import { deleteTopic, listRetention, setRetention } from "../lib/requests.ts";
import { go } from "../router.ts";
import { note } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { confirmDestruction } from "../ui/dialog.ts";
import { h } from "../ui/dom.ts";
import { button, form, numberField, numberIn, row, submitButton } from "../ui/form.ts";
import { section, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import type { TopicContext } from "./topic.ts";

export function topicSettingsTab(context: TopicContext): HTMLElement {
  return h("div", { class: "stack" }, retention(context), end(context.name));
}

function retention({ name, signal }: TopicContext): HTMLElement {
  const trouble = new Trouble();
  const table = new Table<RetentionPolicy>({
    caption: "Retention",
    keyOf: ({ topic, partition }) => `${topic} ${partition}`,
    empty: () => "Everything is kept until it is deleted.",
    columns: [
      { label: "For", cell: (policy) => scopeOf(policy) },
      { label: "Age", cell: ({ ttl_ms: ms }) => (ms ? duration(ms) : "any") },
      { label: "Size", cell: ({ max_bytes: bytes }) => (bytes ? byteSize(bytes) : "any") },
    ],
  });
  const load = () =>
    trouble.watch(signal, async () => {
      const { policies } = await send<RetentionList>(listRetention, signal);
      table.update(policies.filter(({ topic }) => topic === name || topic === "*"));
    });
  const age = numberField("Oldest age, ms", {}, "0 switches it off; empty leaves it.");
  const size = numberField("Most bytes a partition", {}, "Keys and values; 0 switches it off.");
  const request = () => {
    const ttl = numberIn(age.control, "The age");
    const bytes = numberIn(size.control, "The size");
    if (ttl === null && bytes === null) throw new Error("Age, size or both are needed");
    return setRetention(name, ttl, bytes);
  };
  const submit = async () => {
    await send(request());
    note("The retention is set");
    await load();
  };
  void load();
  return section(
    "Retention",
    h("p", { class: "hint" }, "The most specific rule wins: partition, topic, then all topics."),
    trouble.element,
    table.element,
    form(
      "Set retention",
      submit,
      row(age.element, size.element),
      row(submitButton("Set"), curlButton(request)),
    ),
  );
}

function scopeOf({ topic, partition }: RetentionPolicy): string {
  if (topic === "*") return "all topics";
  return partition === null ? "this topic" : `partition ${partition}`;
}

function end(name: string): HTMLElement {
  const destroy = () =>
    confirmDestruction({
      title: "Delete this topic",
      warning: "Its messages and the positions of its groups are gone for ever.",
      name,
      request: deleteTopic(name),
      done: () => go(["topics"]),
    });
  return section("Delete", row(button("Delete this topic…", destroy, { class: "bad" })));
}
