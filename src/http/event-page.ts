/** A page of records as a batch of CloudEvents 1.0. */
import type { ConsumePage } from "../node/api.ts";
import { RecordCursor } from "../record/batch-reader.ts";
import { eventText } from "../record/cloud-event.ts";
import { decodeHeaders } from "../record/headers.ts";
import { EVENT_BATCH_TYPE } from "./cloud-events.ts";
import type { ConsumeCall } from "./consume-request.ts";

/** Headers of the answer: the list of events has no place for them. */
export const EVENT_PAGE_HEADERS = {
  "Ayder-Next-Offset": "Offset of the next read",
  "Ayder-End-Offset": "Offset that the next record gets",
};

export type EventPage = {
  readonly response: Response;
  readonly records: number;
  readonly bytes: number;
};

export function eventPage(consume: ConsumeCall, page: ConsumePage): EventPage {
  const { topic, partition } = consume.request;
  const { limit, maxBytes } = consume.limits;
  const events: string[] = [];
  let nextOffset = page.startOffset;
  let length = 2;
  let bytes = 0;
  walk: for (const slice of page.slices) {
    const cursor = new RecordCursor(slice);
    for (let more = cursor.seek(nextOffset); more; more = cursor.next()) {
      if (cursor.offset >= page.endOffset || events.length >= limit) break walk;
      const event = eventOf(cursor, topic, partition);
      length += Buffer.byteLength(event) + 1;
      if (events.length > 0 && length > maxBytes) break walk;
      events.push(event);
      bytes += cursor.logicalBytes;
      nextOffset = cursor.offset + 1;
    }
  }
  const headers = {
    "content-type": EVENT_BATCH_TYPE,
    "ayder-next-offset": String(nextOffset),
    "ayder-end-offset": String(page.endOffset),
  };
  const response = new Response(`[${events.join(",")}]`, { headers });
  return { response, records: events.length, bytes };
}

function eventOf(cursor: RecordCursor, topic: string, partition: number): string {
  const { bytes, offset, timestampMs, headersStart, headersEnd } = cursor;
  return eventText({
    ...{ topic, partition, offset },
    time: () => new Date(timestampMs).toISOString(),
    headers: decodeHeaders(bytes, headersStart, headersEnd),
    value: bytes.subarray(cursor.valueStart, cursor.valueEnd),
  });
}
