/** Rows of a row group, column by column. Cells of bytes are views of the pages that were fed. */
import { utf8 } from "../lib/bytes.ts";
import { decodeHeaders } from "../record/headers.ts";
import { passes } from "../stream/filter.ts";
import { toJson } from "../stream/json-output.ts";
import type { RecordSource } from "../stream/record-feed.ts";
import { withRecordFields } from "../stream/record-fields.ts";
import type { Value } from "../stream/value.ts";
import type { RowFormat, TypedColumn } from "./format.ts";
import { isText } from "./native.ts";
import { type Cell, cellOf } from "./values.ts";

/** About how much memory a cell takes besides its bytes. */
const CELL_BYTES = 16;

export class Rows {
  readonly #format: RowFormat;
  readonly #offset: bigint[] = [];
  readonly #timestamp: bigint[] = [];
  readonly #key: Cell[] = [];
  readonly #keyBytes: Cell[] = [];
  readonly #headers: Cell[] = [];
  readonly #value: Cell[] = [];
  readonly #valueBytes: Cell[] = [];
  readonly #typed: readonly (readonly [TypedColumn, Cell[]])[];
  /** About how much memory the rows take. */
  bytes = 0;

  constructor(format: RowFormat) {
    this.#format = format;
    this.#typed = format.columns.map((column) => [column, []]);
  }

  get count(): number {
    return this.#offset.length;
  }

  /** In the order of `columnsOf`. */
  get columns(): readonly (readonly Cell[])[] {
    return [
      this.#offset,
      this.#timestamp,
      this.#key,
      this.#keyBytes,
      this.#headers,
      this.#value,
      this.#valueBytes,
      ...this.#typed.map(([, cells]) => cells),
    ];
  }

  /** Adds a row for the record, unless a filter excludes it. */
  add(record: RecordSource): void {
    const { decodes, decoder, filters } = this.#format;
    const { bytes, valueStart, valueEnd } = record;
    const decoded = decodes ? decoder.decode(bytes, valueStart, valueEnd) : undefined;
    const root = this.#rootOf(decoded, record);
    if (filters.length > 0 && (root === undefined || !passes(root, filters))) return;
    this.#offset.push(BigInt(record.offset));
    this.#timestamp.push(BigInt(record.timestampMs));
    this.#addKey(record);
    this.#addHeaders(record);
    this.#addValue(record, decoded);
    for (const [column, cells] of this.#typed) {
      const cell = root === undefined ? null : cellOf(root, column);
      if (cell instanceof Uint8Array) this.bytes += cell.length;
      cells.push(cell);
    }
    this.bytes += (7 + this.#typed.length) * CELL_BYTES + bytesOf(record);
  }

  /** A record that does not decode has no fields, also none of the record. */
  #rootOf(decoded: Value | undefined, record: RecordSource): Value | undefined {
    if (decoded === undefined || !this.#format.namesRecord) return decoded;
    return withRecordFields(decoded, record);
  }

  #addKey({ bytes, keyStart, keyEnd }: RecordSource): void {
    const key = keyStart < 0 ? null : bytes.subarray(keyStart, keyEnd);
    const text = key !== null && isText(key);
    this.#key.push(text ? key : null);
    this.#keyBytes.push(text ? null : key);
  }

  #addHeaders({ bytes, headersStart, headersEnd }: RecordSource): void {
    if (headersEnd === headersStart) {
      this.#headers.push(null);
      return;
    }
    const list = decodeHeaders(bytes, headersStart, headersEnd);
    const text = list.map(({ name, value }) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
    this.#headers.push(utf8(`{${text.join(",")}}`));
  }

  #addValue({ bytes, valueStart, valueEnd }: RecordSource, decoded: Value | undefined): void {
    const raw = bytes.subarray(valueStart, valueEnd);
    const value = this.#format.valueIsJson ? this.#jsonOf(raw, decoded) : isText(raw) ? raw : null;
    this.#value.push(value);
    this.#valueBytes.push(value === null ? raw : null);
  }

  #jsonOf(raw: Uint8Array, decoded: Value | undefined): Uint8Array | null {
    if (decoded === undefined) return null;
    if (!this.#format.isPlainJson) return utf8(toJson(decoded));
    const hasMark = raw[0] === 0xef && raw[1] === 0xbb && raw[2] === 0xbf;
    return hasMark ? raw.subarray(3) : raw;
  }
}

const bytesOf = (record: RecordSource): number =>
  record.keyEnd -
  record.keyStart +
  (record.valueEnd - record.valueStart) +
  (record.headersEnd - record.headersStart);
