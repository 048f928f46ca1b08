/**
 * Names by which a browser's page cannot have been led here. Whoever owns a public name can point
 * it at 127.0.0.1 after the page is loaded (DNS rebinding), and the page then sends what it likes;
 * but not at an address, nor at a name that no public DNS knows.
 */
const ADDRESS = /^(\[.*\]|\d{1,3}(\.\d{1,3}){3})$/;
/** RFC 6761, 6762, 8375 and ICANN's `internal`, which Docker uses too. */
const NOT_PUBLIC = /\.(localhost|local|internal|home\.arpa|test)$/;

/**
 * @param host as the header has it, with or without a port; null: there was none.
 * @param listenedOn name that the operator gave to listen on; empty: none.
 */
export function isOwnName(host: string | null, listenedOn: string): boolean {
  if (host === null) return true;
  const name = host.replace(/:\d*$/, "").replace(/\.$/, "").toLowerCase();
  if (!name.includes(".") || ADDRESS.test(name) || NOT_PUBLIC.test(name)) return true;
  return name === listenedOn.toLowerCase();
}
