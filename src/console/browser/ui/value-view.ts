/** Shows a value as text, as colored JSON, or as hex; the format is detected. */

import { indented, type Token, tokensOf } from "../../../client/json-text.ts";
import { fromBase64, hexDump, textOf } from "../lib/bytes.ts";
import { byteSize } from "../lib/format.ts";
import { h } from "./dom.ts";

export const FORMATS = ["auto", "text", "json", "hex"] as const;
export type Format = (typeof FORMATS)[number];

/** Longer values are slow to lay out and are cut; the whole value can be copied or downloaded. */
const SHOWN_BYTES_MAX = 64 * 1024;
const PREVIEW_BYTES_MAX = 400;
const PREVIEW_HEX_BYTES = 24;

/** @returns null if the bytes are not JSON. */
function jsonTokens(bytes: Uint8Array): readonly Token[] | null {
  const text = bytes.length > SHOWN_BYTES_MAX ? null : textOf(bytes);
  try {
    return text === null ? null : tokensOf(text);
  } catch {
    return null;
  }
}

export function valueView(bytes: Uint8Array, format: Format): HTMLElement {
  const tokens = format === "auto" || format === "json" ? jsonTokens(bytes) : null;
  if (tokens !== null && (format === "json" || tokens.length > 1)) return jsonView(tokens);
  const shown = bytes.subarray(0, SHOWN_BYTES_MAX);
  const text = format === "hex" ? null : cutText(shown);
  const element = h("pre", { class: "value", tabindex: "0" }, text ?? hexDump(shown));
  const remarks: string[] = [];
  if (format === "json") remarks.push("This is not JSON.");
  if (text === null && format !== "hex") remarks.push("This is not UTF-8, so it is shown as hex.");
  if (bytes.length === 0) remarks.push("Empty.");
  if (shown.length < bytes.length) {
    remarks.push(`The first ${byteSize(shown.length)} of ${byteSize(bytes.length)}.`);
  }
  if (remarks.length === 0) return element;
  return h("div", {}, h("p", { class: "hint" }, remarks.join(" ")), element);
}

/** Omits a character that the cut would split. */
function cutText(bytes: Uint8Array): string | null {
  for (let less = 0; less < 4; less++) {
    const text = textOf(bytes.subarray(0, bytes.length - less));
    if (text !== null && (less === 0 || bytes.length === SHOWN_BYTES_MAX)) return text;
  }
  return null;
}

function jsonView(tokens: readonly Token[]): HTMLElement {
  const parts = indented(tokens).map(({ kind, text }) =>
    kind === "mark" ? text : h("span", { class: `json-${kind}` }, text),
  );
  return h("pre", { class: "value", tabindex: "0" }, ...parts);
}

/** Formats the value on one line, for a list. */
export function preview(bytes: Uint8Array, format: Format): string {
  if (format !== "hex") {
    for (let less = 0; less < 4; less++) {
      const text = textOf(bytes.subarray(0, PREVIEW_BYTES_MAX - less));
      if (text !== null) return text;
    }
  }
  return [...bytes.subarray(0, PREVIEW_HEX_BYTES)]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join(" ");
}

export const previewOf = (base64: string | undefined, format: Format): string =>
  base64 === undefined ? "" : preview(fromBase64(base64), format);
