import { fromUtf8 } from "../lib/bytes.ts";

/** One thing that was looked at, for programs and for people. */
export type Row = { readonly json: object; readonly text: string };

/** Something is wrong at a place; nothing can be read from there on. */
export class Unreadable extends Error {
  override readonly name = "Unreadable";

  constructor(file: string, position: number, reason: string) {
    super(`${file} at byte ${position}: ${reason}`);
  }
}

const SHOWN_CHARS = 60;

/** Bytes as text where they are text, else in base64; the beginning, if they are many. */
export function shownText(bytes: Uint8Array): string {
  let text: string;
  try {
    text = JSON.stringify(fromUtf8(bytes));
  } catch {
    text = `base64:${Buffer.from(bytes).toString("base64")}`;
  }
  return text.length <= SHOWN_CHARS ? text : `${text.slice(0, SHOWN_CHARS)}…`;
}

/** For JSON: `{"key": …}` or `{"key_b64": …}`. */
export function textOrBase64(name: string, bytes: Uint8Array): Record<string, string> {
  try {
    return { [name]: fromUtf8(bytes) };
  } catch {
    return { [`${name}_b64`]: Buffer.from(bytes).toString("base64") };
  }
}

export const timeOf = (ms: number): string => new Date(ms).toISOString();
