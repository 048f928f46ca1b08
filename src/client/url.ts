/** Names and keys in paths. `fetch` resolves dot segments, escaped or not, before it sends. */
import { AyderError } from "./errors.ts";

/** @throws AyderError for a name that would change the path. */
export function segment(name: string): string {
  if (name === "" || name === "." || name === "..") throw invalid(name);
  return encodeURIComponent(name);
}

/** Slashes stay as they are, unless a segment between them would be a dot segment. */
export function keyPath(key: string): string {
  const segments = key.split("/");
  const dots = segments.some((each) => each === "." || each === "..");
  return dots || key === "" ? segment(key) : segments.map(encodeURIComponent).join("/");
}

const invalid = (name: string): AyderError =>
  new AyderError(`${JSON.stringify(name)} cannot be a name in a path`, {
    code: "invalid_name",
    status: 0,
    outcome: "refused",
    isRetriable: false,
  });
