import { fstatSync, statSync } from "node:fs";

/** Device and inode: two files at one path at different times differ in it. */
export function identityOf(file: string | number): string {
  const options = { bigint: true } as const;
  const { dev, ino } =
    typeof file === "number" ? fstatSync(file, options) : statSync(file, options);
  return `${dev}:${ino}`;
}

/**
 * Says how the file or directory at `path` was lost, or returns null. An error that leaves it open
 * whether it is there, such as EIO, is not a loss.
 */
export function lossOf(path: string, expected: string): string | null {
  try {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (found === undefined) return `${path} was removed or moved`;
    return `${found.dev}:${found.ino}` === expected
      ? null
      : `${path} was replaced by another file or directory`;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : null;
    return code === "ENOENT" || code === "ENOTDIR" ? `${path} was removed or moved` : null;
  }
}
