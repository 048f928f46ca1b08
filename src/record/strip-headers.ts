import { BatchBuilder, type EncodedRecords } from "./batch-builder.ts";
import { RecordCursor } from "./batch-reader.ts";
import { decodeHeaders, encodeHeaders, TRACE_HEADERS } from "./headers.ts";

/** The same records without the headers of these names. */
export function stripHeaders(records: EncodedRecords, names: readonly string[]): EncodedRecords {
  if (!records.hasHeaders) return records;
  const builder = new BatchBuilder(records.bytes.length);
  const cursor = new RecordCursor(records.bytes);
  while (cursor.next()) {
    const { bytes, keyStart, keyEnd, valueStart, valueEnd, headersStart, headersEnd } = cursor;
    const left = decodeHeaders(bytes, headersStart, headersEnd).filter(
      ({ name }) => !names.includes(name),
    );
    builder.add(
      keyStart < 0 ? null : bytes.subarray(keyStart, keyEnd),
      bytes.subarray(valueStart, valueEnd),
      encodeHeaders(left),
    );
  }
  return builder.finish();
}

/** The same records with a header in addition. One of that name is replaced. */
export function withHeader(records: EncodedRecords, name: string, value: string): EncodedRecords {
  const builder = new BatchBuilder(records.bytes.length + records.count * 64);
  const cursor = new RecordCursor(records.bytes);
  while (cursor.next()) {
    const { bytes, keyStart, keyEnd, valueStart, valueEnd, headersStart, headersEnd } = cursor;
    const others = decodeHeaders(bytes, headersStart, headersEnd).filter(
      (header) => header.name !== name,
    );
    builder.add(
      keyStart < 0 ? null : bytes.subarray(keyStart, keyEnd),
      bytes.subarray(valueStart, valueEnd),
      encodeHeaders([...others, { name, value }]),
    );
  }
  return builder.finish();
}

/**
 * The bytes by which two attempts of one produce are compared. Each attempt of a traced client has
 * another `traceparent`, so the headers of the request's trace are not part of the payload.
 *
 * @param traced the trace headers came with the request itself.
 */
export const payloadOf = (records: EncodedRecords, traced: boolean): Uint8Array =>
  (traced ? stripHeaders(records, TRACE_HEADERS) : records).bytes;
