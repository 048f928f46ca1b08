/** Retention of a topic, and its deletion. */

import type { RetentionList, RetentionPolicy } from "../../../api/retention.ts";
import { send } from "../api.ts";
import { byteSize, duration } from "../lib/format.ts";
import { deleteTopic, listRetention, setRetention, unsetRetention } from "../lib/requests.ts";
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
    empty: () => "Messages are retained until they are deleted.",
    columns: [
      { label: "For", cell: (policy) => scopeOf(policy) },
      { label: "Age", cell: (policy) => limitOf(policy, policy.ttl_ms, duration) },
      { label: "Size", cell: (policy) => limitOf(policy, policy.max_bytes, byteSize) },
      { label: "", cell: (policy) => (policy.topic === "*" ? "" : unsetButton(policy)) },
    ],
  });
  const unsetButton = ({ topic, partition }: RetentionPolicy) =>
    button("Inherit", () =>
      trouble.watch(signal, async () => {
        await send(unsetRetention(topic, partition));
        note("The limits were removed");
        await load();
      }),
    );
  const load = () =>
    trouble.watch(signal, async () => {
      const { policies } = await send<RetentionList>(listRetention, signal);
      table.update(policies.filter(({ topic }) => topic === name || topic === "*"));
    });
  const age = numberField("Maximum age, ms", {}, "0 disables it; empty leaves it unchanged.");
  const size = numberField("Maximum bytes per partition", {}, "Keys and values; 0 disables it.");
  const request = () => {
    const ttl = numberIn(age.control, "The age");
    const bytes = numberIn(size.control, "The size");
    if (ttl === null && bytes === null) throw new Error("Enter an age, a size, or both");
    return setRetention(name, ttl, bytes);
  };
  const submit = async () => {
    await send(request());
    note("Retention was set");
    await load();
  };
  void load();
  return section(
    "Retention",
    h(
      "p",
      { class: "hint" },
      "The most specific policy applies: partition, topic, then all topics.",
    ),
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

/** Without a limit of its own, a topic or partition takes that of the next level. */
function limitOf(
  { topic }: RetentionPolicy,
  value: number | null,
  text: (value: number) => string,
): string {
  if (value === null && topic !== "*") return "inherits";
  return value ? text(value) : "any";
}

function scopeOf({ topic, partition }: RetentionPolicy): string {
  if (topic === "*") return "all topics";
  return partition === null ? "this topic" : `partition ${partition}`;
}

function end(name: string): HTMLElement {
  const destroy = () =>
    confirmDestruction({
      title: "Delete this topic",
      warning: "Its messages and the positions of its groups are deleted permanently.",
      name,
      request: deleteTopic(name),
      done: () => go(["topics"]),
    });
  return section("Delete", row(button("Delete this topic…", destroy, { class: "bad" })));
}
