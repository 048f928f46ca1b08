/** Reads the manifests of a place as an exact reader does: they say which files count. */

/** Reads an object by its name; null if it does not exist. */
export type Place = (name: string) => Promise<Uint8Array<ArrayBuffer> | null>;

export type CommittedFile = {
  readonly file: string;
  readonly partition: number;
  readonly first_offset: number;
  readonly end_offset: number;
  readonly rows: number;
  readonly bytes: number;
};
type Manifest = { readonly previous: string | null; readonly files: readonly CommittedFile[] };

/** The committed files, from the first to the last. */
export async function committedFiles(read: Place): Promise<CommittedFile[]> {
  const latest = await read("_ayder/latest");
  if (latest === null) return [];
  const files: CommittedFile[] = [];
  for (let name = jsonOf<{ manifest: string | null }>(latest).manifest; name !== null; ) {
    const bytes = await read(name);
    if (bytes === null) throw new Error(`${name} is not there`);
    const manifest = jsonOf<Manifest>(bytes);
    files.unshift(...manifest.files);
    name = manifest.previous;
  }
  return files;
}

const jsonOf = <T>(bytes: Uint8Array): T => JSON.parse(new TextDecoder().decode(bytes)) as T;
