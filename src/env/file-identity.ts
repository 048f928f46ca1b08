import { fstatSync, statSync } from "node:fs";

/** Device and inode. They differ between a file and its replacement at the same path. */
export function identityOf(file: string | number): string {
  const options = { bigint: true } as const;
  const { dev, ino } =
    typeof file === "number" ? fstatSync(file, options) : statSync(file, options);
  return `${dev}:${ino}`;
}

/**
 * Returns how the file or directory at `path` was lost, or null. An error that does not tell whether
 * it exists, such as EIO, is not a loss.
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
