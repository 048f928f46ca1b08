/** Directories as compressed archives. */
import { join } from "node:path";
import { Glob } from "bun";

/** @returns the number of files. */
export async function pack(directory: string, archive: string): Promise<number> {
  const files: Record<string, Uint8Array> = {};
  for (const name of [...new Glob("**/*").scanSync({ cwd: directory, dot: true })].sort()) {
    files[name] = await Bun.file(join(directory, name)).bytes();
  }
  await Bun.write(archive, Bun.gzipSync(await new Bun.Archive(files).bytes()));
  return Object.keys(files).length;
}

export async function unpack(archive: string, directory: string): Promise<void> {
  await new Bun.Archive(await Bun.file(archive).bytes()).extract(directory);
}
