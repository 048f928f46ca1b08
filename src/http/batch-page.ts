/** A page of records as the batches in which they are stored. */
import type { ConsumePage } from "../node/api.ts";
import {
  batchBaseOffset,
  batchCount,
  batchLength,
  batchLogicalBytes,
} from "../record/batch-header.ts";
import type { Compat } from "./compat.ts";
import type { ConsumeCall } from "./consume-request.ts";
import { TOPIC_ID_HEADER } from "./consume-request.ts";
import { bodyAnswer } from "./responses.ts";

export const BATCH_TYPE = "application/vnd.ayder.batch";
export const BATCHES_TYPE = "application/vnd.ayder.batches";

/** Headers of the answer, which take the place of the fields of a page. */
export const BATCH_PAGE_HEADERS = {
  "Ayder-Start-Offset":
    "First offset of the page; earlier records in the first batch are not part of it",
  "Ayder-Low-Watermark": "First kept offset",
  "Ayder-Committed-Offset": "The next offset this group reads; absent if it has not committed",
  "Ayder-Truncated": "true: max_bytes stopped the page before limit",
  "Ayder-Topic-Id": "Identity of the topic, which the header checksums include",
};

export type BatchPage = {
  readonly response: Response;
  readonly records: number;
  /** Keys, values and headers of all records in the batches. */
  readonly logicalBytes: number;
};

export function batchPage(
  compat: Compat,
  { limits, request }: ConsumeCall,
  page: ConsumePage,
): BatchPage {
  const { startOffset, endOffset, lowWatermark, topicId } = page;
  const end = Math.min(startOffset + limits.limit, endOffset);
  const taken = new Taken(startOffset, request.maxBytes);
  for (const slice of page.slices) taken.take(slice, end);
  const nextOffset = Math.min(taken.offset, end);
  const headers = new Headers({
    "content-type": BATCHES_TYPE,
    "ayder-start-offset": String(startOffset),
    "ayder-next-offset": String(nextOffset),
    "ayder-end-offset": String(endOffset),
    "ayder-low-watermark": String(lowWatermark),
    "ayder-truncated": String(nextOffset < end),
    [TOPIC_ID_HEADER]: String(topicId),
  });
  const committed = compat.fromNextOffset(page.committedOffset, lowWatermark);
  if (committed !== null) headers.set("ayder-committed-offset", String(committed));
  const response = bodyAnswer(taken.bytes(), { headers });
  return { response, records: nextOffset - startOffset, logicalBytes: taken.logicalBytes };
}

/** Whole batches of a page, up to the one that reaches its end. */
class Taken {
  readonly #parts: Uint8Array[] = [];
  /** The offset after the last batch. */
  offset: number;
  logicalBytes = 0;

  readonly #maxBytes: number;
  #isFull = false;

  constructor(startOffset: number, maxBytes: number) {
    this.offset = startOffset;
    this.#maxBytes = maxBytes;
  }

  /** Takes the batches of `slice` that begin before `end`, as long as they fit, but at least one. */
  take(slice: Uint8Array, end: number): void {
    let at = 0;
    while (!this.#isFull && at < slice.length && batchBaseOffset(slice, at) < end) {
      const logicalBytes = this.logicalBytes + batchLogicalBytes(slice, at);
      this.#isFull = logicalBytes > this.#maxBytes;
      if (this.#isFull && this.logicalBytes > 0) break;
      this.offset = batchBaseOffset(slice, at) + batchCount(slice, at);
      this.logicalBytes = logicalBytes;
      at += batchLength(slice, at);
    }
    if (at > 0) this.#parts.push(slice.subarray(0, at));
  }

  /** Stored bytes never change, so one part is used as it is. */
  bytes(): Uint8Array<ArrayBuffer> {
    const [first] = this.#parts;
    if (first !== undefined && this.#parts.length === 1) return first as Uint8Array<ArrayBuffer>;
    const length = this.#parts.reduce((sum, part) => sum + part.length, 0);
    const joined = new Uint8Array(length);
    let at = 0;
    for (const part of this.#parts) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  }
}
