/** Reads a place as an exact reader does: the manifests say which files count. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import type { S3Server } from "../backup/s3-server.ts";
import { committedFiles, type Place } from "./manifests.ts";

export const directoryPlace =
  (root: string): Place =>
  async (name) => {
    const path = join(root, name);
    return existsSync(path) ? new Uint8Array(await Bun.file(path).arrayBuffer()) : null;
  };

export const bucketPlace =
  (s3: S3Server, prefix: string): Place =>
  (name) => {
    const object = s3.objects.get(prefix + name);
    return Promise.resolve(object === undefined ? null : new Uint8Array(object));
  };

export type Exported = {
  readonly files: number;
  readonly rows: number;
  /** The offset after the last one of each partition, which has every offset before it once. */
  readonly offsets: ReadonlyMap<number, number>;
};

/**
 * Holds the committed files together: every offset of a partition is in exactly one of them.
 *
 * @param from the first offset of each partition.
 * @param row is called for each row.
 * @throws Error that says what is wrong.
 */
export async function exported(
  read: Place,
  from = 0,
  row: (partition: number, offset: number, value: string) => void = () => undefined,
): Promise<Exported> {
  const files = await committedFiles(read);
  const offsets = new Map<number, number>();
  let rows = 0;
  for (const file of files) {
    const next = offsets.get(file.partition) ?? from;
    if (file.first_offset !== next) throw new Error(`${file.file} does not begin at ${next}`);
    offsets.set(file.partition, file.end_offset);
    const bytes = await read(file.file);
    if (bytes === null) throw new Error(`${file.file} is not there`);
    if (bytes.length !== file.bytes) {
      throw new Error(`${file.file} has ${bytes.length} bytes instead of ${file.bytes}`);
    }
    const found: number[] = [];
    for (const { offset, value } of await rowsIn(bytes)) {
      found.push(offset);
      row(file.partition, offset, value);
    }
    const wanted = file.end_offset - file.first_offset;
    const isWhole = found.every((offset, at) => offset === file.first_offset + at);
    if (!isWhole || found.length !== wanted || file.rows !== wanted) {
      throw new Error(`${file.file} has ${found.length} rows`);
    }
    rows += found.length;
  }
  return { files: files.length, rows, offsets };
}

async function rowsIn({
  buffer,
  byteLength,
}: Uint8Array<ArrayBuffer>): Promise<{ readonly offset: number; readonly value: string }[]> {
  const file = {
    byteLength,
    slice: (start: number, end?: number) => Promise.resolve(buffer.slice(start, end ?? byteLength)),
  };
  const rows = await parquetReadObjects({
    file,
    columns: ["offset", "value"],
    compressors: { ZSTD: (input) => Bun.zstdDecompressSync(input as Uint8Array<ArrayBuffer>) },
  });
  return rows.map((row) => ({ offset: Number(row["offset"]), value: String(row["value"]) }));
}
