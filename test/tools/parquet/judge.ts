/**
 * Holds Parquet files against the records that they were made of. Two readers judge: DuckDB, and
 * `hyparquet`. This file says again, by other means than the writer, which cells a record has.
 */
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { type AsyncBuffer, parquetReadObjects } from "hyparquet";
import type { Sample } from "./samples.ts";

/** Typed columns of the judged files, as a definition has them. */
export const COLUMNS = [
  { name: "n", field: "n", type: "int64" },
  { name: "id", field: "id", type: "int64" },
  { name: "name", field: "name", type: "string" },
  { name: "d", field: "d", type: "double" },
  { name: "ok", field: "ok", type: "boolean" },
  { name: "at", field: "at", type: "timestamp" },
  { name: "nested", field: "nested", type: "json" },
  { name: "trace", field: "$headers.trace", type: "string" },
] as const;

/** Types that DuckDB must see. */
export const DUCKDB_TYPES: Readonly<Record<string, string>> = {
  offset: "BIGINT",
  timestamp: "TIMESTAMP WITH TIME ZONE",
  key: "VARCHAR",
  key_bytes: "BLOB",
  headers: "JSON",
  value_bytes: "BLOB",
  n: "BIGINT",
  id: "BIGINT",
  name: "VARCHAR",
  d: "DOUBLE",
  ok: "BOOLEAN",
  at: "TIMESTAMP WITH TIME ZONE",
  nested: "JSON",
  trace: "VARCHAR",
};

/** A row as this file compares them: bytes as hex, times as milliseconds, integers as text. */
export type Row = Readonly<Record<string, string | number | boolean | null>>;

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const INT64 = 2n ** 63n;

function textOf(bytes: Uint8Array): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

type Context = { readonly source?: string };
/** Numbers stay as their digits, so that nothing is rounded here. */
class Digits {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

function parse(text: string | null): unknown {
  try {
    return JSON.parse(text ?? "", (_key: string, value: unknown, context?: Context) =>
      typeof value === "number" ? new Digits(context?.source ?? "") : value,
    );
  } catch {
    return undefined;
  }
}

const fieldOf = (json: unknown, name: string): unknown =>
  typeof json === "object" && json !== null && !Array.isArray(json)
    ? (json as Record<string, unknown>)[name]
    : undefined;

/** @param hasDecode the values were decoded as JSON. */
export function expectedRow(
  sample: Sample,
  offset: number,
  timestampMs: number,
  hasDecode: boolean,
): Row {
  const { key, value, headers } = sample;
  const text = textOf(value);
  const json = parse(text);
  const isShown = hasDecode ? json !== undefined : text !== null;
  const field = (name: string) => fieldOf(json, name);
  const [name, d, ok, at, nested] = ["name", "d", "ok", "at", "nested"].map(field);
  return {
    offset: String(offset),
    timestamp: timestampMs,
    key: key === null ? null : textOf(key),
    key_bytes: key !== null && textOf(key) === null ? hex(key) : null,
    headers:
      headers.length === 0
        ? null
        : JSON.stringify(Object.fromEntries(headers.map((each) => [each.name, each.value]))),
    value: isShown ? text : null,
    value_bytes: isShown ? null : hex(value),
    n: integerOf(field("n")),
    id: integerOf(field("id")),
    name: typeof name === "string" ? name : null,
    d: d instanceof Digits ? Number(d.source) : null,
    ok: typeof ok === "boolean" ? ok : null,
    at: timeOf(at),
    nested: nested === undefined ? null : JSON.stringify(plain(nested)),
    trace:
      json === undefined ? null : (headers.find((each) => each.name === "trace")?.value ?? null),
  };
}

function timeOf(value: unknown): number | null {
  if (value instanceof Digits) return Number(value.source);
  return typeof value === "string" ? Date.parse(value) : null;
}

function integerOf(value: unknown): string | null {
  if (!(value instanceof Digits) || !/^-?\d+$/.test(value.source)) return null;
  const integer = BigInt(value.source);
  return integer >= -INT64 && integer < INT64 ? String(integer) : null;
}

function plain(value: unknown): unknown {
  if (value instanceof Digits) return Number(value.source);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]));
}

/** Files as DuckDB sees them. */
export class DuckDb {
  readonly connection: DuckDBConnection;

  private constructor(connection: DuckDBConnection) {
    this.connection = connection;
  }

  static async open(): Promise<DuckDb> {
    const instance = await DuckDBInstance.create(":memory:");
    return new DuckDb(await instance.connect());
  }

  async rows(sql: string): Promise<Record<string, unknown>[]> {
    return (await this.connection.runAndReadAll(sql)).getRowObjectsJS();
  }

  /** Names and types of the columns. */
  async types(files: string): Promise<Record<string, string>> {
    const list = await this.rows(
      `describe select * from read_parquet('${files}', hive_partitioning = false)`,
    );
    return Object.fromEntries(list.map((each) => [each["column_name"], each["column_type"]]));
  }

  /** Rows of an interval of offsets, in their order. */
  async judged(files: string, from: number, to: number): Promise<Row[]> {
    const list = await this.rows(
      `select * replace (epoch_ms("timestamp") as "timestamp", epoch_ms("at") as "at", "offset"::varchar as "offset", n::varchar as n, id::varchar as id, hex(key_bytes) as key_bytes, hex(value_bytes) as value_bytes, headers::varchar as headers, "value"::varchar as "value", nested::varchar as nested) from read_parquet('${files}', hive_partitioning = false) t where t."offset" >= ${from} and t."offset" < ${to} order by t."offset"`,
    );
    return list.map((each) => ({
      ...(each as Row),
      timestamp: Number(each["timestamp"]),
      at: each["at"] === null ? null : Number(each["at"]),
      key_bytes: lower(each["key_bytes"]),
      value_bytes: lower(each["value_bytes"]),
    }));
  }

  close(): void {
    this.connection.closeSync();
  }
}

const lower = (value: unknown): string | null =>
  typeof value === "string" ? value.toLowerCase() : null;

/** Rows as `hyparquet` sees them. */
export async function hyparquetRows(
  bytes: Uint8Array<ArrayBuffer>,
  decompress: (input: Uint8Array) => Uint8Array,
): Promise<Row[]> {
  const { buffer, byteOffset, byteLength } = bytes;
  const file: AsyncBuffer = {
    byteLength,
    slice: (start, end) =>
      Promise.resolve(buffer.slice(byteOffset + start, byteOffset + (end ?? byteLength))),
  };
  const rows = await parquetReadObjects({
    file,
    compressors: { ZSTD: decompress },
    parsers: {
      ...({} as Record<string, never>),
      jsonFromBytes: (json: Uint8Array | undefined) => (json === undefined ? json : textOf(json)),
    } as never,
    utf8: false,
  });
  return rows.map((row) => ({
    ...(row as Row),
    offset: String(row["offset"]),
    timestamp: (row["timestamp"] as Date).getTime(),
    at: row["at"] instanceof Date ? row["at"].getTime() : null,
    n: row["n"] === null || row["n"] === undefined ? null : String(row["n"]),
    id: row["id"] === null || row["id"] === undefined ? null : String(row["id"]),
    key_bytes: row["key_bytes"] instanceof Uint8Array ? hex(row["key_bytes"]) : null,
    value_bytes: row["value_bytes"] instanceof Uint8Array ? hex(row["value_bytes"]) : null,
  }));
}
