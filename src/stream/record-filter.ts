/** The conditions of a query by themselves: they say of each record whether it passes. */
import { decodeJson } from "./codecs/json.ts";
import { compileFilter, passes } from "./filter.ts";
import { readKeptFilters } from "./query-request.ts";
import type { RecordSource } from "./record-feed.ts";
import { namesRecord, withRecordFields } from "./record-fields.ts";
import { type Parsed, parsed, RequestField } from "./request-fields.ts";
import { newObject, type Value } from "./value.ts";

export type RecordFilter = (record: RecordSource) => boolean;

/** @param body the parsed JSON of an object with the field `filter`; see `parseJsonText`. */
export function parseRecordFilter(body: Value): Parsed<RecordFilter> {
  return parsed(() => {
    const filters = readKeptFilters(new RequestField(body).at("filter"));
    const compiled = filters.map(compileFilter);
    const namesFields = filters.some(({ field }) => namesRecord([field]));
    const namesValue = filters.some(({ field }) => !namesRecord([field]));
    return (record) => {
      // A value that is not JSON has no fields, so a condition on one fails.
      const value = namesValue ? decoded(record) : newObject();
      return passes(namesFields ? withRecordFields(value, record) : value, compiled);
    };
  });
}

const decoded = ({ bytes, valueStart, valueEnd }: RecordSource): Value =>
  decodeJson(bytes, valueStart, valueEnd) ?? newObject();
