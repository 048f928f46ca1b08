/** Holds the manifests of an export against the objects of a bucket. */
import type { SimBucket } from "./sim-bucket.ts";

type File = {
  readonly file: string;
  readonly partition: number;
  readonly first_offset: number;
  readonly end_offset: number;
  readonly rows: number;
  readonly bytes: number;
};
type Manifest = { readonly previous: string | null; readonly files: readonly File[] };

export type ExportedFiles = {
  readonly files: number;
  readonly rows: number;
  readonly values: ReadonlySet<string>;
  /** The offset after the last file of each partition. */
  readonly ends: ReadonlyMap<number, number>;
  /** Offsets before these ends that are in no file. */
  readonly missing: number;
};

/** Committed files, from the first to the last, by the chain that begins at the pointer. */
function listedIn({ objects }: SimBucket, url: string): File[] {
  const latest = objects.get(`${url}/_ayder/latest`);
  if (latest === undefined) return [];
  const files: File[] = [];
  let name: string | null = (JSON.parse(latest) as { manifest: string }).manifest;
  while (name !== null) {
    const text = objects.get(`${url}/${name}`);
    if (text === undefined) throw new Error(`${url}/${name} is not there`);
    const manifest = JSON.parse(text) as Manifest;
    files.unshift(...manifest.files);
    name = manifest.previous;
  }
  return files;
}

/** @throws Error if an offset is in two files, or a file is not what its manifest says. */
export function filesOf(bucket: SimBucket, url: string): ExportedFiles {
  const ends = new Map<number, number>();
  const values = new Set<string>();
  let [rows, missing] = [0, 0];
  const files = listedIn(bucket, url);
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
export function leftoversOf(bucket: SimBucket, url: string): string[] {
  const listed = new Set(listedIn(bucket, url).map(({ file }) => `${url}/${file}`));
  return [...bucket.objects.keys()].filter((name) => {
    const isFile = name.startsWith(`${url}/`) && name.endsWith(".parquet");
    return isFile && !listed.has(name) && !bucket.late.has(name);
  });
}
