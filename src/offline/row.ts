import { fromUtf8 } from "../lib/bytes.ts";

/** One item of the output, for programs and for people. */
export type Row = { readonly json: object; readonly text: string };

/** A position in a file from which nothing can be read. */
export class Unreadable extends Error {
  override readonly name = "Unreadable";

  constructor(file: string, position: number, reason: string) {
    super(`${file} at byte ${position}: ${reason}`);
  }
}

const SHOWN_CHARS = 60;

/** Shows bytes as text if they are UTF-8, otherwise as base64; long values are cut. */
export function shownText(bytes: Uint8Array): string {
  let text: string;
  try {
    text = JSON.stringify(fromUtf8(bytes));
  } catch {
    text = `base64:${Buffer.from(bytes).toString("base64")}`;
  }
  return text.length <= SHOWN_CHARS ? text : `${text.slice(0, SHOWN_CHARS)}…`;
}

/** Fields for JSON: `{"key": …}` or `{"key_b64": …}`. */
export function textOrBase64(name: string, bytes: Uint8Array): Record<string, string> {
  try {
    return { [name]: fromUtf8(bytes) };
  } catch {
    return { [`${name}_b64`]: Buffer.from(bytes).toString("base64") };
  }
}

export const timeOf = (ms: number): string => new Date(ms).toISOString();
