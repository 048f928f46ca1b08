/** `s3://bucket/prefix` and `file:///directory`: the places that an export of a server may have. */
import { realpathSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";

const BUCKET = /^s3:\/\/[A-Za-z0-9][A-Za-z0-9._-]{1,62}(\/[^/]+)*$/;
const FILE = "file://";

/**
 * @param exportDir directories must be below it; empty: there may be none.
 * @returns the reason why a place cannot be used; null if it can.
 */
export function exportPlaceProblem(url: string, exportDir: string): string | null {
  if (hasControlCharacters(url)) return "must not contain control characters";
  if (url.startsWith("s3://")) {
    if (!BUCKET.test(url)) return "must be s3://bucket or s3://bucket/prefix";
    return url.split("/").some(isDots) ? "must not contain . or .. as a part" : null;
  }
  if (!url.startsWith(`${FILE}/`)) return "must be s3://bucket/prefix or file:///directory";
  if (exportDir === "") return "must not be a directory unless RF_EXPORT_DIR is set on the server";
  const path = url.slice(FILE.length);
  if (path.split("/").some(isDots)) return "must not contain . or .. as a part";
  const allowed = realOf(resolve(exportDir));
  if (allowed === null)
    return `needs the directory ${exportDir} (RF_EXPORT_DIR), which does not exist`;
  const isBelow = isIn(resolve(path), resolve(exportDir)) || isIn(resolve(path), allowed);
  if (isBelow && isIn(realOfExisting(resolve(path)), allowed)) return null;
  return `must be below ${exportDir} (RF_EXPORT_DIR)`;
}

/** The place as `openExportStore` takes it. */
export const placeOf = (url: string): string =>
  url.startsWith(FILE) ? url.slice(FILE.length) : url;

const isDots = (part: string): boolean => part === "." || part === "..";

const hasControlCharacters = (text: string): boolean =>
  [...text].some((each) => each < " " || each === "\u007f");

const isIn = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(directory === sep ? sep : directory + sep);

/** The part of a path that exists, without symbolic links. */
function realOfExisting(path: string): string {
  for (let existing = path; ; existing = dirname(existing)) {
    const real = realOf(existing);
    if (real !== null) return real;
    if (existing === dirname(existing)) return existing;
  }
}

function realOf(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}
