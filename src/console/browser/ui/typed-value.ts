/** A value as people type it: as text, as JSON that is checked, or as hex. */

import { parseJson } from "../../../client/json-text.ts";
import { fromHex } from "../lib/bytes.ts";

export const VALUE_KINDS = [
  { value: "text", label: "text" },
  { value: "json", label: "JSON (checked)" },
  { value: "hex", label: "hex" },
] as const;

/** @throws Error where the text is not what it is said to be. */
export function typedValue(kind: string, text: string): string | Uint8Array<ArrayBuffer> {
  if (kind === "json") parseJson(text);
  if (kind !== "hex") return text;
  const bytes = fromHex(text);
  if (bytes === null) throw new Error("The value must be pairs of hex digits, such as 00 ff 7a");
  return bytes;
}
