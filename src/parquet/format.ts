/** The form of the rows of a file: typed columns, a decoder and filters. */

import type { Decoder } from "../stream/codecs/decoder.ts";
import { DecoderCache } from "../stream/codecs/decoder-cache.ts";
import { parseJsonText } from "../stream/codecs/json.ts";
import { type CompiledFilter, compileFilter } from "../stream/filter.ts";
import { readKeptFilters } from "../stream/query-request.ts";
import { namesRecord } from "../stream/record-fields.ts";
import { type Parsed, parsed, RequestField } from "../stream/request-fields.ts";
import { readDecoder, timeUnitOf } from "../stream/source-request.ts";
import type { Path, Value } from "../stream/value.ts";
import { type ReadTime, timeReader } from "../stream/window.ts";

export const COLUMN_TYPES = ["string", "int64", "double", "boolean", "timestamp", "json"] as const;
export type ColumnType = (typeof COLUMN_TYPES)[number];

export const COLUMNS_MAX = 256;
const COLUMN_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** Columns of every file, and those that readers make of the names of directories. */
const RESERVED = [
  "offset",
  "timestamp",
  "key",
  "key_bytes",
  "headers",
  "value",
  "value_bytes",
  "topic",
  "date",
  "partition",
];

export type TypedColumn = {
  readonly name: string;
  readonly field: Path;
  readonly type: ColumnType;
  /** Reads the field of a `timestamp`. */
  readonly readTime: ReadTime;
};

export type RowFormat = {
  readonly columns: readonly TypedColumn[];
  readonly filters: readonly CompiledFilter[];
  readonly decoder: Decoder;
  /** The column `value` holds JSON: the decoded value. Otherwise it holds text. */
  readonly valueIsJson: boolean;
  /** The bytes of a value that decodes are its JSON. */
  readonly isPlainJson: boolean;
  /** Some field is one of the record, such as `$key`. */
  readonly namesRecord: boolean;
  /** Values have to be decoded. */
  readonly decodes: boolean;
};

/**
 * Reads the fields `columns`, `decode` and `filter` of a definition.
 *
 * @param text a JSON object with these fields; empty: none of them.
 */
export function parseFormat(text: string): Parsed<RowFormat> {
  return parsed(() => {
    const body = text === "" ? {} : (parseJsonText(text) ?? null);
    return readFormat(new RequestField(body as Value));
  });
}

function readFormat(root: RequestField): RowFormat {
  root.object();
  const decode = root.at("decode");
  const decoder = readDecoder(decode, new DecoderCache());
  const filters = readKeptFilters(root.at("filter"));
  const list = root.at("columns");
  const columns = list.isAbsent ? [] : readColumns(list, decoder);
  const fields = [...filters.map(({ field }) => field), ...columns.map(({ field }) => field)];
  return {
    columns,
    filters: filters.map(compileFilter),
    decoder,
    valueIsJson: !decode.isAbsent,
    isPlainJson: isPlainJson(decode),
    namesRecord: namesRecord(fields),
    decodes: !decode.isAbsent || fields.length > 0,
  };
}

function isPlainJson(decode: RequestField): boolean {
  if (decode.isAbsent) return true;
  const isJson = decode.at("type").value === "json";
  return isJson && decode.at("framing").value !== "registry" && decode.at("field_aliases").isAbsent;
}

function readColumns(list: RequestField, decoder: Decoder): TypedColumn[] {
  const taken = new Set(RESERVED);
  return list.items(COLUMNS_MAX).map((item) => {
    const name = item
      .at("name")
      .name(COLUMN_NAME, "must be 1 to 128 characters of A-Z a-z 0-9 _, and no digit first");
    if (taken.has(name.toLowerCase())) item.at("name").fail("is the name of another column");
    taken.add(name.toLowerCase());
    const field = item.at("field").fieldPath();
    const type = item.at("type").oneOf(COLUMN_TYPES);
    const unit = type === "timestamp" ? timeUnitOf(decoder, field) : null;
    return { name, field, type, readTime: timeReader(field, unit) };
  });
}
