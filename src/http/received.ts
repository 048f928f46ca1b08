/** The answer of a receive, as JSON text. */
import { fromUtf8 } from "../lib/bytes.ts";
import type { Instruments } from "../metrics/instruments.ts";
import type { Received, ReceivedMessage } from "../node/api.ts";
import { decodeHeaders } from "../record/headers.ts";

/** Writes the text itself, because objects of a hundred messages cost more than all else. */
export function receivedText(
  { topic, messages, visibleAtMs, blocked }: Received,
  base64: boolean,
  instruments: Instruments,
): string {
  const start = `{"topic":${JSON.stringify(topic)},"partition":`;
  const end = `","visible_at_ms":${visibleAtMs}}`;
  let bytes = 0;
  let list = "";
  for (const message of messages) {
    const { partition, offset, timestampMs, key, value, headers, attempt, receipt } = message;
    bytes += value.length + (key?.length ?? 0) + headers.length;
    if (list !== "") list += ",";
    list += `${start}${partition},"offset":${offset},"timestamp_ms":${timestampMs}`;
    if (key !== null) list += field("key", key, base64);
    list += field("value", value, base64);
    if (headers.length > 0) list += `,"headers":${headersText(message)}`;
    // A receipt has no character that JSON escapes.
    list += `,"attempt":${attempt},"receipt":"${receipt}${end}`;
  }
  instruments.consumedRecords.value += messages.length;
  instruments.consumedBytes.value += bytes;
  const why = blocked === null ? "" : `,"blocked":"${blocked}"`;
  return `{"ok":true,"messages":[${list}],"count":${messages.length}${why}}`;
}

/** Text, or base64 if that is requested or the bytes are not valid UTF-8. */
function field(name: "key" | "value", bytes: Uint8Array, base64: boolean): string {
  const text = base64 ? null : textOf(bytes);
  return text === null
    ? `,"${name}_b64":"${bytes.toBase64()}"`
    : `,"${name}":${JSON.stringify(text)}`;
}

function textOf(bytes: Uint8Array): string | null {
  try {
    return fromUtf8(bytes);
  } catch {
    return null;
  }
}

const headersText = ({ headers }: ReceivedMessage): string =>
  JSON.stringify(
    Object.fromEntries(
      decodeHeaders(headers, 0, headers.length).map(({ name, value }) => [name, value]),
    ),
  );
