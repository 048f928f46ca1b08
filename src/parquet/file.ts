/** Writes the records of one range of offsets as a Parquet file: the same bytes for the same range. */
import type { CompressionCodec, SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { RecordCursor } from "../record/batch-reader.ts";
import type { RowFormat } from "./format.ts";
import { zstd } from "./native.ts";
import { Rows } from "./rows.ts";
import { annotateJson, columnsOf } from "./schema.ts";

export const COMPRESSIONS = ["zstd", "snappy", "none"] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** A row group ends after this many rows, or about this much memory. Both bound the memory of a writer. */
export const GROUP_ROWS_MAX = 65_536;
export const GROUP_BYTES_MAX = 16 * 1024 * 1024;
const PAGE_BYTES = 1024 * 1024;
/** Dictionaries of long values cost more memory than they save space. */
const DICTIONARY_BYTES_MAX = 1024 * 1024;
const CODECS: Readonly<Record<Compression, CompressionCodec>> = {
  zstd: "ZSTD",
  snappy: "SNAPPY",
  none: "UNCOMPRESSED",
};

export type FileStart = {
  readonly topic: string;
  readonly partition: number;
  /** The first offset of the range. */
  readonly first: number;
};

/** Collects the bytes of a file until they are taken. */
class Output extends ByteWriter {
  take(): Uint8Array {
    const bytes = this.getBytes().slice();
    this.index = 0;
    return bytes;
  }
}

export class ParquetFile {
  readonly #format: RowFormat;
  readonly #start: FileStart;
  readonly #version: string;
  readonly #elements: SchemaElement[];
  readonly #output = new Output(1024 * 1024);
  readonly #writer: ParquetWriter;
  #group: Rows;
  #nextOffset: number;
  #rows = 0;

  /** @param version of this program, which the footer names. */
  constructor(format: RowFormat, start: FileStart, compression: Compression, version: string) {
    this.#format = format;
    this.#start = start;
    this.#version = version;
    this.#nextOffset = start.first;
    this.#group = new Rows(format);
    const leaves = columnsOf(format).map(({ element }) => ({ ...element }));
    this.#elements = [{ name: "record", num_children: leaves.length }, ...leaves];
    this.#writer = new ParquetWriter({
      writer: this.#output,
      schema: this.#elements,
      codec: CODECS[compression],
      compressors: { ZSTD: zstd },
      createdBy: `ayder version ${version}`,
    });
  }

  /** Rows that passed the filters so far. */
  get rows(): number {
    return this.#rows + this.#group.count;
  }

  /** The offset of the next record to take. */
  get nextOffset(): number {
    return this.#nextOffset;
  }

  /**
   * Takes the records before `end`. Their bytes must not change before the row group ends.
   *
   * @param page whole batches back to back.
   * @returns bytes of the file that are ready, often none.
   */
  take(page: Uint8Array, end: number): Uint8Array[] {
    const cursor = new RecordCursor(page);
    const ready: Uint8Array[] = [];
    for (let more = cursor.seek(this.#nextOffset); more; more = cursor.next()) {
      if (cursor.offset >= end) break;
      this.#group.add(cursor);
      this.#nextOffset = cursor.offset + 1;
      if (this.#group.count < GROUP_ROWS_MAX && this.#group.bytes < GROUP_BYTES_MAX) continue;
      this.#endGroup();
      ready.push(this.#output.take());
    }
    return ready;
  }

  /**
   * Ends the file.
   *
   * @param end the offset after the range, for the footer.
   * @returns the last bytes.
   */
  finish(end: number): Uint8Array {
    this.#endGroup();
    annotateJson(this.#elements);
    this.#writer.kvMetadata = metadataOf(this.#start, end, this.#version);
    // It would be a promise only if the output had to be flushed.
    void this.#writer.finish();
    return this.#output.take();
  }

  #endGroup(): void {
    const group = this.#group;
    if (group.count === 0) return;
    this.#group = new Rows(this.#format);
    this.#rows += group.count;
    const cells = group.columns;
    void this.#writer.write({
      columnData: columnsOf(this.#format).map(({ element, ...options }, at) => ({
        name: element.name,
        // The library only reads its data.
        data: cells[at] as (typeof cells)[number][] & never[],
        ...options,
      })),
      rowGroupSize: group.count,
      pageSize: PAGE_BYTES,
      dictionarySize: DICTIONARY_BYTES_MAX,
    });
  }
}

const metadataOf = ({ topic, partition, first }: FileStart, end: number, version: string) => [
  { key: "ayder.version", value: version },
  { key: "ayder.topic", value: topic },
  { key: "ayder.partition", value: String(partition) },
  { key: "ayder.first_offset", value: String(first) },
  { key: "ayder.end_offset", value: String(end) },
];
