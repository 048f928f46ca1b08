/** Holds the manifests of an export against the objects of a bucket. */
import { utf8 } from "../../../src/lib/bytes.ts";
import { committedFiles } from "../exports/manifests.ts";
import type { SimBucket } from "./sim-bucket.ts";

export type ExportedFiles = {
  readonly files: number;
  readonly rows: number;
  readonly values: ReadonlySet<string>;
  /** The offset after the last file of each partition. */
  readonly ends: ReadonlyMap<number, number>;
  /** Offsets before these ends that are in no file. */
  readonly missing: number;
};

const listedIn = ({ objects }: SimBucket, url: string) =>
  committedFiles(async (name) => {
    const text = objects.get(`${url}/${name}`);
    return text === undefined ? null : utf8(text);
  });

/** @throws Error if an offset is in two files, or a file is not what its manifest says. */
export async function filesOf(bucket: SimBucket, url: string): Promise<ExportedFiles> {
  const ends = new Map<number, number>();
  const values = new Set<string>();
  let [rows, missing] = [0, 0];
  const files = await listedIn(bucket, url);
  for (const { file, partition, ...said } of files) {
    const { first_offset: first, end_offset: end } = said;
    const next = ends.get(partition) ?? 0;
    if (first < next || end <= first) throw new Error(`${file} does not come after ${next}`);
    missing += first - next;
    ends.set(partition, end);
    const text = bucket.objects.get(`${url}/${file}`);
    if (text === undefined) throw new Error(`${file} is listed and not there`);
    const lines = text.split("\n").map((line) => line.split("\t"));
    const isWhole = lines.every(([offset], at) => Number(offset) === first + at);
    if (!isWhole || lines.length !== end - first || lines.length !== said.rows) {
      throw new Error(`${file} has the rows ${text}`);
    }
    if (text.length !== said.bytes) throw new Error(`${file} has ${text.length} bytes`);
    rows += lines.length;
    for (const [, value = ""] of lines) values.add(value);
  }
  return { files: files.length, rows, values, ends, missing };
}

/** Files that no manifest names, unless a request came when nobody could know of it any more. */
export async function leftoversOf(bucket: SimBucket, url: string): Promise<string[]> {
  const listed = new Set((await listedIn(bucket, url)).map(({ file }) => `${url}/${file}`));
  return [...bucket.objects.keys()].filter((name) => {
    const isFile = name.startsWith(`${url}/`) && name.endsWith(".parquet");
    return isFile && !listed.has(name) && !bucket.late.has(name);
  });
}
