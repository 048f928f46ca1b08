/** The paths of routes: `:name` is one segment that is not empty, a last `*` is the rest. */

/** A text that is there as it is, one segment, or everything up to the end of the path. */
type Part = string | typeof SEGMENT | typeof REST;
const SEGMENT = 1;
const REST = 2;

export class PathPattern {
  readonly #parts: readonly Part[];

  /** @param path such as `/kv/:namespace/*`. */
  constructor(path: string) {
    const parts: Part[] = [];
    for (const segment of path.split("/").slice(1)) {
      const last = parts.at(-1);
      const prefix = typeof last === "string" ? `${parts.pop()}/` : "/";
      if (segment.startsWith(":")) parts.push(prefix, SEGMENT);
      else if (segment === "*") parts.push(prefix, REST);
      else parts.push(prefix + segment);
    }
    this.#parts = parts;
  }

  /** True if the path in `url` from `start` to before `end` matches. */
  matches(url: string, start: number, end: number): boolean {
    const parts = this.#parts;
    let at = start;
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i] as Part;
      if (typeof part === "string") {
        if (!url.startsWith(part, at)) return false;
        at += part.length;
      } else {
        const stop = part === REST ? end : segmentEnd(url, at, end);
        if (stop === at && part === SEGMENT) return false;
        at = stop;
      }
    }
    return at === end;
  }
}

function segmentEnd(url: string, at: number, end: number): number {
  const slash = url.indexOf("/", at);
  return slash < 0 || slash > end ? end : slash;
}
