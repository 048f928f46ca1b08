/** The columns of a file in the terms of Parquet. */
import type { Encoding, SchemaElement } from "hyparquet";
import type { ColumnType, RowFormat } from "./format.ts";

export type Column = {
  readonly element: SchemaElement;
  readonly encoding?: Encoding;
  readonly statistics?: boolean;
};

const TIMESTAMP: Partial<SchemaElement> = {
  type: "INT64",
  converted_type: "TIMESTAMP_MILLIS",
  logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MILLIS" },
};
const TEXT: Partial<SchemaElement> = {
  type: "BYTE_ARRAY",
  converted_type: "UTF8",
  logical_type: { type: "STRING" },
};
/**
 * The cells are encoded JSON already, and the library would encode them again for the old
 * annotation `converted_type`. It is therefore set when all rows are written: `annotateJson`.
 */
const JSON_TEXT: Partial<SchemaElement> = { type: "BYTE_ARRAY", logical_type: { type: "JSON" } };
const BYTES: Partial<SchemaElement> = { type: "BYTE_ARRAY" };

const TYPES: Readonly<Record<ColumnType, Partial<SchemaElement>>> = {
  string: TEXT,
  int64: { type: "INT64" },
  double: { type: "DOUBLE" },
  boolean: { type: "BOOLEAN" },
  timestamp: TIMESTAMP,
  json: JSON_TEXT,
};

/** Minimum and maximum of long values say little, and JSON has no order. */
const UNORDERED = { statistics: false };

/** The columns in the order of the cells of a row. */
export const columnsOf = ({ columns, valueIsJson }: RowFormat): readonly Column[] => [
  { element: required("offset", { type: "INT64" }), encoding: "DELTA_BINARY_PACKED" },
  { element: required("timestamp", TIMESTAMP) },
  { element: optional("key", TEXT) },
  { element: optional("key_bytes", BYTES) },
  { element: optional("headers", JSON_TEXT), ...UNORDERED },
  { element: optional("value", valueIsJson ? JSON_TEXT : TEXT), ...UNORDERED },
  { element: optional("value_bytes", BYTES), ...UNORDERED },
  ...columns.map(({ name, type }) => ({
    element: optional(name, TYPES[type]),
    ...(type === "json" ? UNORDERED : {}),
  })),
];

const required = (name: string, type: Partial<SchemaElement>): SchemaElement => ({
  ...type,
  name,
  repetition_type: "REQUIRED",
});
const optional = (name: string, type: Partial<SchemaElement>): SchemaElement => ({
  ...type,
  name,
  repetition_type: "OPTIONAL",
});

/** Readers that know only the old annotation then see JSON too. */
export function annotateJson(elements: readonly SchemaElement[]): void {
  for (const element of elements) {
    if (element.logical_type?.type === "JSON") element.converted_type = "JSON";
  }
}
