/** Converts typed text to a value: text, checked JSON, or hex. */

import { parseJson } from "../../../client/json-text.ts";
import { fromHex } from "../lib/bytes.ts";

export const VALUE_KINDS = [
  { value: "text", label: "text" },
  { value: "json", label: "JSON (checked)" },
  { value: "hex", label: "hex" },
] as const;

/** @throws Error if the text is not of the chosen type. */
export function typedValue(kind: string, text: string): string | Uint8Array<ArrayBuffer> {
  if (kind === "json") parseJson(text);
  if (kind !== "hex") return text;
  const bytes = fromHex(text);
  if (bytes === null) throw new Error("The value must be pairs of hex digits, such as 00 ff 7a");
  return bytes;
}
