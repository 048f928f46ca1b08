/** Shows one message completely. */
import type { MessageB64 as Message } from "../../../api/consume.ts";
import { fromBase64, textOf, toBase64 } from "../lib/bytes.ts";
import { byteSize, count, timeOf } from "../lib/format.ts";
import { consume } from "../lib/requests.ts";
import { copy, curlButton } from "../ui/curl.ts";
import { h } from "../ui/dom.ts";
import { button, row, selectField } from "../ui/form.ts";
import { FORMATS, type Format, valueView } from "../ui/value-view.ts";

export function messagePanel(
  topic: string,
  message: Message,
  format: Format,
  close: () => void,
): HTMLElement {
  const { offset, partition, timestamp_ms: ms } = message;
  const value = fromBase64(message.value_b64);
  const key = message.key_b64 === undefined ? null : fromBase64(message.key_b64);
  const formats = FORMATS.map((name) => ({ value: name, label: name }));
  const shownAs = selectField("Show value as", formats, format);
  const content = h("div", {});
  const show = () => {
    const chosen = FORMATS.find((name) => name === shownAs.control.value) ?? "auto";
    content.replaceChildren(valueView(value, chosen));
  };
  shownAs.control.addEventListener("change", show);
  show();
  return h(
    "section",
    { class: "panel detail", "aria-label": `Message ${offset}` },
    h(
      "header",
      { class: "heading" },
      h("h2", { tabindex: "-1" }, `Offset ${count(offset)}`),
      button("Close", close, { class: "quiet", "data-close": true }),
    ),
    h(
      "dl",
      { class: "facts-list" },
      ...fact("Partition", String(partition)),
      ...fact("Time", `${timeOf(ms)} (${ms} ms)`),
      ...fact("Value", byteSize(value.length)),
    ),
    key === null ? h("p", { class: "hint" }, "No key.") : h("h3", {}, "Key"),
    key === null ? null : valueView(key, "auto"),
    ...headerFacts(message.headers),
    h("h3", {}, "Value"),
    row(
      shownAs.element,
      button("Copy value", () => copy(textOf(value) ?? toBase64(value), "Copied the value")),
      download(value, `${topic}-${partition}-${offset}`),
      curlButton(() => consume({ topic, partition, offset, limit: 1 })),
    ),
    content,
  );
}

function headerFacts(headers: Message["headers"] = {}): HTMLElement[] {
  const entries = Object.entries(headers);
  if (entries.length === 0) return [h("p", { class: "hint" }, "No headers.")];
  return [
    h("h3", {}, "Headers"),
    h("dl", { class: "facts-list" }, ...entries.flatMap(([name, value]) => fact(name, value))),
  ];
}

const fact = (name: string, value: string): HTMLElement[] => [
  h("dt", {}, name),
  h("dd", {}, value),
];

function download(bytes: Uint8Array<ArrayBuffer>, name: string): HTMLElement {
  return button("Download", () => {
    const url = URL.createObjectURL(new Blob([bytes]));
    h("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });
}
