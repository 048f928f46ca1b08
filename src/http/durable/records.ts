import { utf8 } from "../../lib/bytes.ts";
import { JsonReader } from "../../lib/json.ts";
import type { MaybePromise } from "../../lib/maybe-promise.ts";
import { isJsonType } from "../../lib/media-type.ts";
import type { Steps } from "../../lib/steps.ts";
import type { RequestRecords } from "../../node/api.ts";
import { BatchBuilder, encodeRecord } from "../../record/batch-builder.ts";
import { recordTooLarge } from "../body.ts";
import { ApiError } from "../errors.ts";
import { textOfBody } from "../json.ts";
import { checkCount } from "../ndjson.ts";
import type { HttpLimits } from "../options.ts";
import { encodeBody } from "../slices.ts";

const SPARE_BYTES = 1024;

/**
 * Encodes a body. In a JSON stream each element of an array is a record, and any other value is one; in
 * any other stream the body is one record.
 *
 * @returns null for an empty body or array.
 * @throws ApiError if a JSON body is malformed, or a record is too large, or there are too many.
 */
export function recordsOf(
  body: Uint8Array,
  contentType: string,
  limits: HttpLimits,
): MaybePromise<RequestRecords | null> {
  if (body.length === 0) return null;
  if (isJsonType(contentType)) return encodeBody(body, jsonRecords(body, limits));
  checkSize("The body", body.length, limits.messageBytesMax);
  return encodeRecord(null, body);
}

function* jsonRecords(body: Uint8Array, limits: HttpLimits): Steps<RequestRecords | null> {
  const reader = new ElementReader(textOfBody(body));
  const builder = new BatchBuilder(body.length + SPARE_BYTES);
  const add = (what: string) => {
    const source = reader.sourceWithin(limits.messageBytesMax);
    if (source === null) throw recordTooLarge(what, null, limits.messageBytesMax);
    const value = utf8(source);
    checkSize(what, value.length, limits.messageBytesMax);
    builder.add(null, value);
  };
  let count = 0;
  if (reader.begins("[")) {
    for (const at of reader.items()) {
      checkCount(++count, 0, limits);
      add(`Element ${at}`);
      yield;
    }
  } else {
    add("The body");
    count = 1;
  }
  reader.end("JSON value");
  return count === 0 ? null : builder.finish();
}

function checkSize(what: string, bytes: number, max: number): void {
  if (bytes > max) throw recordTooLarge(what, bytes, max);
}

/** Reads the elements as they are written, so that no number is rounded. */
class ElementReader extends JsonReader<never> {
  constructor(text: string) {
    super(text, 0);
  }

  protected wrong(why: string, at: number): Error {
    return new ApiError("invalid_json", `The body is not valid JSON: ${why}, at character ${at}`);
  }

  protected numberOf(): never {
    throw new ApiError("internal_error");
  }
}
