import type { RequestContext } from "./request-context.ts";

/** URLs that are remembered, and the length of the longest. */
const URLS_MAX = 256;
const URL_LENGTH_MAX = 512;

/** Keeps the values that were read from URLs: most clients send the same few URLs again and again. */
export class KnownUrls<T> {
  readonly #known = new Map<string, T>();

  /** Returns the value that was read from the URL before, or undefined. */
  get(url: string): T | undefined {
    return this.#known.get(url);
  }

  /** @param value depends on the URL only, and is never changed. */
  remember(url: string, value: T): void {
    if (url.length > URL_LENGTH_MAX) return;
    if (this.#known.size >= URLS_MAX) this.#known.clear();
    this.#known.set(url, value);
  }
}

/**
 * @param read returns what depends on the URL of a request only.
 * @returns a function that reads each URL once. An error is not remembered.
 */
export function readByUrl<T extends object | string>(
  read: (context: RequestContext) => T,
): (context: RequestContext) => T {
  const known = new KnownUrls<T>();
  return (context) => {
    const before = known.get(context.url);
    if (before !== undefined) return before;
    const value = read(context);
    known.remember(context.url, value);
    return value;
  };
}
