/** Writes messages: one as text, JSON or hex, or one per line. */

import type { Produced, ProducedBatch } from "../../../api/produce.ts";
import { send } from "../api.ts";
import { count } from "../lib/format.ts";
import { produce } from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { say } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { h } from "../ui/dom.ts";
import {
  areaField,
  checkField,
  form,
  row,
  selectField,
  submitButton,
  textField,
} from "../ui/form.ts";
import { typedValue, VALUE_KINDS } from "../ui/typed-value.ts";
import type { TopicContext } from "./topic.ts";

/** One message or a batch of them. */
/** Answers to messages without the number of a producer tell the place. */
type Answer =
  | (Produced & { readonly offset: number })
  | (ProducedBatch & { readonly first_offset: number; readonly count: number });

const KINDS = [...VALUE_KINDS, { value: "lines", label: "lines: one message per line" }];
const AUTO = "";

export function produceTab({ name, topic }: TopicContext): HTMLElement {
  const partitions = topic.partitions.map(({ partition }) => String(partition));
  const partition = selectField(
    "Partition",
    [
      { value: AUTO, label: "by key, otherwise round robin" },
      ...partitions.map((value) => ({ value, label: value })),
    ],
    AUTO,
  );
  const key = textField("Key", {}, "Messages with the same key go to the same partition.");
  const idempotencyKey = textField(
    "Idempotency key",
    {},
    "A repetition stores nothing and returns the first offset.",
  );
  const headers = areaField("Headers", { rows: 2, class: "code" }, "One line each: name=value");
  const kind = selectField("Value type", KINDS, "text");
  const value = areaField("Value", { rows: 10, class: "code" });
  const rocket = checkField("Rocket: answer before the fsync; a crash may lose it");
  const result = h("div", { class: "result" });
  const request = () =>
    produce({
      topic: name,
      lines: kind.control.value === "lines",
      partition: partition.control.value === AUTO ? null : Number(partition.control.value),
      key: key.control.value || null,
      idempotencyKey: idempotencyKey.control.value || null,
      rocket: rocket.control.checked,
      headers: headers.control.value,
      body: typedValue(kind.control.value, value.control.value),
    });
  const submit = async () => {
    result.replaceChildren();
    const produced = await send<Answer>(request());
    const text = resultText(produced);
    const offset = firstOffsetOf(produced);
    const at = { partition: produced.partition, offset };
    result.replaceChildren(
      h("p", {}, text),
      h("a", { href: hashOf(["topics", name, "messages"], at) }, "Show it"),
    );
    say(text);
  };
  return h(
    "div",
    { class: "panel" },
    form(
      "Produce",
      submit,
      row(partition.element, key.element, idempotencyKey.element),
      headers.element,
      kind.element,
      value.element,
      rocket.element,
      row(submitButton("Produce"), curlButton(request)),
    ),
    result,
  );
}

const firstOffsetOf = (produced: Answer): number =>
  "offset" in produced ? produced.offset : produced.first_offset;

function resultText(produced: Answer): string {
  const { partition, duplicate = false, payload_matches: matches = true, sealed } = produced;
  const offset = firstOffsetOf(produced);
  const many = "count" in produced ? produced.count : 1;
  const place =
    many === 1
      ? `offset ${count(offset)} of partition ${partition}`
      : `offsets ${count(offset)} to ${count(offset + many - 1)} of partition ${partition}`;
  if (duplicate) {
    const other = matches ? "" : ", with another value";
    if (sealed === false) return `Already being stored, at ${place}${other}; not on disk yet`;
    return `Already stored, at ${place}${other}; nothing was written`;
  }
  return `Stored at ${place}; ${durability(produced)}`;
}

function durability({ mode, durable = false, acked_by: nodes = 1 }: Answer): string {
  if (mode === "rocket") return "not on disk yet: a crash may lose it";
  if (!durable) return "not on disk yet; the write continues";
  return nodes === 1 ? "on disk" : `on the disks of ${nodes} nodes`;
}
