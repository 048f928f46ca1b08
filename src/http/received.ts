/** The answer of a receive, as JSON text. */
import { fromUtf8 } from "../lib/bytes.ts";
import type { Instruments } from "../metrics/instruments.ts";
import type { Received, ReceivedMessage } from "../node/api.ts";
import { decodeHeaders } from "../record/headers.ts";

export function receivedText(
  { topic, messages, visibleAtMs, blocked }: Received,
  base64: boolean,
  instruments: Instruments,
): string {
  let bytes = 0;
  const list = messages.map((message) => {
    bytes += message.value.length + (message.key?.length ?? 0) + message.headers.length;
    return { topic, ...fieldsOf(message, base64), visible_at_ms: visibleAtMs };
  });
  instruments.consumedRecords.value += list.length;
  instruments.consumedBytes.value += bytes;
  return JSON.stringify({
    ok: true,
    messages: list,
    count: list.length,
    ...(blocked === null ? {} : { blocked }),
  });
}

function fieldsOf(message: ReceivedMessage, base64: boolean) {
  const { partition, offset, timestampMs, key, value, headers, attempt, receipt } = message;
  return {
    partition,
    offset,
    timestamp_ms: timestampMs,
    ...(key === null ? {} : textField("key", key, base64)),
    ...textField("value", value, base64),
    ...(headers.length === 0 ? {} : { headers: headersField(headers) }),
    attempt,
    receipt,
  };
}

/** Text, or base64 if that is requested or the bytes are not valid UTF-8. */
function textField(name: "key" | "value", bytes: Uint8Array, base64: boolean) {
  const text = base64 ? null : textOf(bytes);
  return text === null ? { [`${name}_b64`]: bytes.toBase64() } : { [name]: text };
}

function textOf(bytes: Uint8Array): string | null {
  try {
    return fromUtf8(bytes);
  } catch {
    return null;
  }
}

const headersField = (headers: Uint8Array): Record<string, string> =>
  Object.fromEntries(
    decodeHeaders(headers, 0, headers.length).map(({ name, value }) => [name, value]),
  );
