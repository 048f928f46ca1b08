/** A body of batches that the client encoded. */
import type { EncodedRecords } from "../record/batch-builder.ts";
import { TRACE_HEADERS } from "../record/headers.ts";
import { receiveBatches } from "../record/received-batches.ts";
import { BATCH_TYPE } from "./batch-page.ts";
import { ApiError } from "./errors.ts";
import type { HttpLimits } from "./options.ts";
import type { ProduceOptions } from "./produce-request.ts";
import { NO_REQUEST_HEADERS } from "./record-headers.ts";

export const isBatch = (contentType: string | null): boolean =>
  contentType !== null && contentType.trim().toLowerCase() === BATCH_TYPE;

/**
 * Keys and headers are in the batches. Trace headers of the request are left out, because they would
 * have to be written into each record.
 *
 * @throws ApiError for a key or a header that would not be stored.
 */
export function checkBatchOptions({ key, headers }: ProduceOptions): void {
  if (key !== null) {
    throw new ApiError(
      "invalid_parameter",
      'Parameter "key" does not apply to batches, whose records have their keys: name a partition, or none',
    );
  }
  const extra = headers.headers.find(({ name }) => !TRACE.has(name));
  if (extra === undefined) return;
  throw new ApiError(
    "invalid_header",
    `The header ${JSON.stringify(extra.name)} does not apply to batches, whose records have their headers`,
  );
}

const TRACE: ReadonlySet<string> = new Set(TRACE_HEADERS);

/** @throws ApiError for bytes that are not whole batches within the limits. */
export function takeBatches(
  body: Uint8Array,
  options: ProduceOptions,
  limits: HttpLimits,
): { readonly records: EncodedRecords; readonly options: ProduceOptions } {
  if (body.length === 0) throw new ApiError("empty_batch");
  const { ndjsonLinesMax, messageBytesMax } = limits;
  const received = receiveBatches(body, { records: ndjsonLinesMax, valueBytes: messageBytesMax });
  if (received.ok) {
    const { records, firstKey } = received;
    return { records, options: { ...options, key: firstKey, headers: NO_REQUEST_HEADERS } };
  }
  const { code, what } = received;
  if (code === "malformed") throw new ApiError("invalid_batch", `Malformed batch: ${what}`);
  const isMany = code === "too_many_records";
  const limit = isMany ? ndjsonLinesMax : messageBytesMax;
  const unit = isMany ? "records a request" : "bytes";
  const tooMuch = isMany ? "too_many_lines" : "message_too_large";
  throw new ApiError(tooMuch, `In ${what}; the limit is ${limit} ${unit}`, { limit });
}
